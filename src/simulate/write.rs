//! Writes simulated lines: slices are generated in parallel and written in their order.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::Datelike;
use polars::prelude::*;
use rayon::prelude::*;

use super::{Shape, Simulation, Slice};
use crate::error::{Class, StageError};
use crate::temp::TempPath;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(
        "`{0}` has no known suffix; expected .csv or .parquet, or a folder (ending in /) for one \
         Parquet file a month"
    )]
    Suffix(String),
    #[error("folder `{0}` is not empty")]
    Occupied(String),
    #[error("cannot write {}: {source}", path.display())]
    Failed { path: PathBuf, source: PolarsError },
}

impl StageError for WriteError {
    const STAGE: Option<&'static str> = Some("simulate");

    fn class(&self) -> Class {
        if matches!(self, Self::Suffix(_)) { Class::Usage } else { Class::System }
    }
}

/// Writes a simulation as CSV or Parquet by the suffix of `to`. A folder (ending in `/`) gets one
/// Parquet file a month in hive folders.
///
/// # Errors
/// An unknown suffix, a folder that is not empty, or a file that cannot be written.
pub fn write(simulation: &Simulation, to: &Path) -> Result<(), WriteError> {
    let name = to.to_string_lossy().into_owned();
    let slices = simulation.slices();
    let written = match to.extension().and_then(|suffix| suffix.to_str()) {
        _ if name.ends_with('/') => return write_months(simulation, &slices, to),
        Some("csv") => write_csv(simulation, &slices, to),
        Some("parquet") => write_parquet(simulation, &slices, to),
        _ => return Err(WriteError::Suffix(name)),
    };
    written.map_err(|source| WriteError::Failed { path: to.to_owned(), source })
}

fn write_months(simulation: &Simulation, slices: &[Slice], to: &Path) -> Result<(), WriteError> {
    if to.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(WriteError::Occupied(to.to_string_lossy().into_owned()));
    }
    let month_of = |slice: &Slice| (slice.day.year(), slice.day.month());
    for slices in slices.chunk_by(|a, b| month_of(a) == month_of(b)) {
        let (year, month) = month_of(&slices[0]);
        let folder = to.join(format!("month={year}-{month:02}"));
        let path = folder.join("part-0.parquet");
        fs::create_dir_all(&folder)
            .map_err(PolarsError::from)
            .and_then(|()| write_parquet(simulation, slices, &path))
            .map_err(|source| WriteError::Failed { path, source })?;
    }
    Ok(())
}

/// Generates slices in parallel, a few at a time, and passes them on in their order.
fn for_each_slice<T: Send>(
    simulation: &Simulation,
    slices: &[Slice],
    encode: impl Fn(DataFrame) -> PolarsResult<T> + Sync,
    mut write: impl FnMut(T) -> PolarsResult<()>,
) -> PolarsResult<()> {
    for batch in slices.chunks(4 * rayon::current_num_threads()) {
        let encoded: Vec<PolarsResult<T>> =
            batch.par_iter().map(|slice| simulation.frame(slice).and_then(&encode)).collect();
        encoded.into_iter().try_for_each(|encoded| encoded.and_then(&mut write))?;
    }
    Ok(())
}

/// Writes a temporary file and renames it when it is complete.
fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> PolarsResult<()>,
) -> PolarsResult<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = TempPath::new(PathBuf::from(name));
    write(&mut File::create(part.path())?)?;
    Ok(fs::rename(part.path(), path)?)
}

/// A frame with the columns of a simulation, but no rows.
fn empty_frame(simulation: &Simulation, slices: &[Slice]) -> PolarsResult<DataFrame> {
    let Some(first) = slices.first() else { polars_bail!(ComputeError: "no lines requested") };
    simulation.frame(&Slice { lines: 0, ..*first })
}

fn write_parquet(simulation: &Simulation, slices: &[Slice], path: &Path) -> PolarsResult<()> {
    let empty = empty_frame(simulation, slices)?;
    write_atomically(path, |file| {
        let mut writer = ParquetWriter::new(file).batched(empty.schema())?;
        for_each_slice(simulation, slices, Ok, |frame| writer.write_batch(&frame))?;
        writer.finish().map(|_| ())
    })
}

fn write_csv(simulation: &Simulation, slices: &[Slice], path: &Path) -> PolarsResult<()> {
    let mut header = Vec::new();
    CsvWriter::new(&mut header).finish(&mut empty_frame(simulation, slices)?)?;
    let timestamp_format = match simulation.shape {
        Shape::OnlineRetail => Some(PlSmallStr::from_static("%-m/%-d/%Y %-H:%M")),
        Shape::Cdnow => None,
    };
    let encode = |mut frame: DataFrame| -> PolarsResult<Vec<u8>> {
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes)
            .include_header(false)
            .with_datetime_format(timestamp_format.clone())
            .finish(&mut frame)?;
        Ok(bytes)
    };
    write_atomically(path, |file| {
        file.write_all(&header)?;
        for_each_slice(simulation, slices, encode, |bytes| Ok(file.write_all(&bytes)?))
    })
}
