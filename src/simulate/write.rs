//! Writes what is made up: slices are made side by side and written in their order, a few at a time.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::Datelike;
use polars::prelude::*;
use rayon::prelude::*;

use super::{Shape, Simulation, Slice};
use crate::scratch::Scratch;

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The suffix is none that can be written.
    #[error(
        "`{0}` has no known suffix; expected .csv or .parquet, or a folder (ending in /) for one Parquet file a month"
    )]
    Suffix(String),
    /// Something stands there.
    #[error("folder `{0}` is not empty")]
    Occupied(String),
    /// The operating system or Polars refused.
    #[error("cannot write {}: {source}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was said.
        source: PolarsError,
    },
}

/// Writes a simulation: CSV or Parquet by the path's suffix, or, into a folder, one Parquet file a month in hive folders.
///
/// # Errors
/// A path that cannot be written.
pub fn write(simulation: &Simulation, to: &Path) -> Result<(), WriteError> {
    let name = to.to_string_lossy().into_owned();
    let slices = simulation.slices();
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Refused { path, source }
    };
    let suffix = to.extension().and_then(|suffix| suffix.to_str());
    match suffix {
        _ if name.ends_with('/') => {
            let taken = to.read_dir().is_ok_and(|mut entries| entries.next().is_some());
            if taken {
                return Err(WriteError::Occupied(name));
            }
            let month = |slice: &Slice| (slice.day.year(), slice.day.month());
            for slices in slices.chunk_by(|one, next| month(one) == month(next)) {
                let Some((year, month)) = slices.first().map(month) else { continue };
                let folder = to.join(format!("month={year}-{month:02}"));
                std::fs::create_dir_all(&folder)
                    .map_err(PolarsError::from)
                    .map_err(refused(&folder))?;
                let path = folder.join("part-0.parquet");
                parquet(simulation, slices, &path).map_err(refused(&path))?;
            }
            Ok(())
        }
        Some("csv") => csv(simulation, &slices, to).map_err(refused(to)),
        Some("parquet") => parquet(simulation, &slices, to).map_err(refused(to)),
        _ => Err(WriteError::Suffix(name)),
    }
}

/// Makes slices side by side, and hands them over in their order.
fn each<T: Send>(
    simulation: &Simulation,
    slices: &[Slice],
    make: impl Fn(DataFrame) -> PolarsResult<T> + Sync,
    mut take: impl FnMut(T) -> PolarsResult<()>,
) -> PolarsResult<()> {
    for some in slices.chunks(4 * rayon::current_num_threads()) {
        let made: Vec<PolarsResult<T>> =
            some.par_iter().map(|slice| simulation.frame(slice).and_then(&make)).collect();
        made.into_iter().try_for_each(|made| made.and_then(&mut take))?;
    }
    Ok(())
}

/// A file that stands in its place only once it is whole.
fn whole(path: &Path, fill: impl FnOnce(&mut File) -> PolarsResult<()>) -> PolarsResult<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    // Once it has its own name it is no scratch any more.
    let part = Scratch::at(PathBuf::from(name));
    fill(&mut File::create(part.path())?)?;
    Ok(std::fs::rename(part.path(), path)?)
}

fn parquet(simulation: &Simulation, slices: &[Slice], path: &Path) -> PolarsResult<()> {
    let Some(first) = slices.first() else { polars_bail!(ComputeError: "no line is asked for") };
    let empty = simulation.frame(&Slice { lines: 0, ..*first })?;
    whole(path, |file| {
        let mut writer = ParquetWriter::new(file).batched(empty.schema())?;
        each(simulation, slices, Ok, |frame| writer.write_batch(&frame))?;
        writer.finish().map(|_| ())
    })
}

fn csv(simulation: &Simulation, slices: &[Slice], path: &Path) -> PolarsResult<()> {
    let text = |mut frame: DataFrame, header: bool| -> PolarsResult<Vec<u8>> {
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes)
            .include_header(header)
            .with_datetime_format(moments(simulation.shape))
            .finish(&mut frame)?;
        Ok(bytes)
    };
    let Some(first) = slices.first() else { polars_bail!(ComputeError: "no line is asked for") };
    let header = text(simulation.frame(&Slice { lines: 0, ..*first })?, true)?;
    whole(path, |file| {
        file.write_all(&header)?;
        each(simulation, slices, |frame| text(frame, false), |bytes| Ok(file.write_all(&bytes)?))
    })
}

/// How the shop writes moments.
fn moments(shape: Shape) -> Option<PlSmallStr> {
    match shape {
        Shape::OnlineRetail => Some("%-m/%-d/%Y %-H:%M".into()),
        Shape::Cdnow => None,
    }
}
