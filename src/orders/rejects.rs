//! The rejected rows: the second consumer of the scan, written to a file as they come.

use std::path::Path;

use polars::io::utils::sync_on_close::SyncOnCloseType;
use polars::prelude::*;

use crate::clean::{MarkedLines, Reason};
use crate::columns::{REASON, SOURCE_FILE, SOURCE_ROW, STEP, TEXT};
use crate::ingest::{self, conform};

/// How the rejected rows are named and where they go.
pub struct Rejects<'a> {
    /// Parquet file to write.
    pub path: &'a Path,
    /// Names of the source files, in the order of `source_file`.
    pub files: Vec<&'a str>,
    /// What the footer says of the file's making.
    pub metadata: KeyValueMetadata,
}

/// The plan that writes the rejected rows.
///
/// Rows that cannot be parsed carry the text of what is at fault; they are few. The others, which may be many, pass without the
/// columns that it would be taken from.
pub(super) fn sink(rejects: &Rejects<'_>, lines: &MarkedLines) -> PolarsResult<LazyFrame> {
    let faults = lines.reasons.iter().take_while(|reason| reason.step == ingest::STAGE).count();
    let columns = |text: Expr| -> PolarsResult<Vec<Expr>> {
        let mut columns = vec![
            spelled(STEP, REASON, lines.reasons.iter().map(|reason| reason.step.as_str()))?,
            spelled(REASON, REASON, lines.reasons.iter().map(|reason| reason.reason.as_str()))?,
            spelled(SOURCE_FILE, SOURCE_FILE, rejects.files.iter().copied())?,
            col(SOURCE_ROW),
            text.alias(TEXT),
        ];
        columns.extend(lines.kept.iter().map(|(name, column)| col(column).cast(DataType::String).alias(name)));
        Ok(columns)
    };
    let at_fault = lines.frame.clone().filter(col(REASON).lt(lit(faults as u8)));
    let said = lines.frame.clone().filter(col(REASON).gt_eq(lit(faults as u8)));
    let parts = [
        at_fault.select(columns(col(TEXT).fill_null(cell(&lines.reasons)))?),
        said.select(columns(lit(NULL).cast(DataType::String))?),
    ];
    let rejected = concat(parts, UnionArgs { rechunk: false, maintain_order: false, ..Default::default() })?;
    let target = SinkTarget::Path(PlRefPath::try_from_path(rejects.path)?);
    let options = ParquetWriteOptions {
        compression: ParquetCompression::Zstd(None),
        key_value_metadata: Some(rejects.metadata.clone()),
        ..Default::default()
    };
    rejected.sink(
        SinkDestination::File { target },
        FileWriteFormat::Parquet(options.into()),
        UnifiedSinkArgs { sync_on_close: SyncOnCloseType::All, ..Default::default() },
    )
}

/// A column of codes in words, called `name`: what stands at the code's index, null where the code is null.
///
/// The words are an enum, which Parquet writes as text with a dictionary. A chain of conditions, a column of text a word, took more
/// time than the rest of the scan.
fn spelled<'a>(name: &str, code: &str, words: impl Iterator<Item = &'a str>) -> PolarsResult<Expr> {
    let mut unique: Vec<&str> = Vec::new();
    let mut moved = Vec::new();
    for (idx, word) in words.enumerate() {
        let place = unique.iter().position(|known| *known == word).unwrap_or(unique.len());
        if place == unique.len() {
            unique.push(word);
        }
        if place != idx {
            moved.push((idx as u32, place as u32));
        }
    }
    let categories = FrozenCategories::new(unique)?;
    let narrow = categories.physical().dtype();
    let code = col(code).cast(narrow.clone());
    let place = moved.into_iter().fold(code.clone(), |rest, (idx, place)| {
        when(code.clone().eq(lit(idx).cast(narrow.clone()))).then(lit(place).cast(narrow.clone())).otherwise(rest)
    });
    Ok(place.cat().to(DataType::from_frozen_categories(categories), true).alias(name))
}

/// The text of the cell at fault, null where a row is rejected for what it says.
fn cell(reasons: &[Reason]) -> Expr {
    let mut cells: Vec<(&str, Expr)> = Vec::new();
    for (idx, reason) in reasons.iter().enumerate() {
        let Some(cell) = reason.cell else { continue };
        let faulty = col(REASON).eq(lit(idx as u8));
        match cells.iter_mut().find(|(name, _)| *name == cell) {
            Some((_, any)) => *any = any.clone().or(faulty),
            None => cells.push((cell, faulty)),
        }
    }
    let null = lit(NULL).cast(DataType::String);
    cells.into_iter().fold(null, |rest, (cell, faulty)| {
        let text = col(conform::cell_name(cell)).cast(DataType::String);
        when(faulty).then(text).otherwise(rest)
    })
}

/// The first rejected row with one of some reasons: file, row and text.
///
/// # Errors
/// What Polars says of the rejects.
pub fn first_reject(path: &Path, reasons: &[Reason], told: impl Fn(&Reason) -> bool) -> PolarsResult<Option<String>> {
    let wanted = reasons.iter().filter(|reason| told(reason)).map(|reason| col(REASON).eq(lit(reason.reason.as_str())));
    let wanted = wanted.reduce(|any, one| any.or(one)).unwrap_or(lit(false));
    let rejects = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, Default::default())?;
    let first = rejects.filter(wanted).sort([SOURCE_FILE, SOURCE_ROW], Default::default()).limit(1).collect()?;
    let text = |name: &str| -> PolarsResult<Option<String>> {
        let column = first.column(name)?.cast(&DataType::String)?;
        Ok(column.str()?.iter().next().flatten().map(str::to_owned))
    };
    let (file, row, cell) = (text(SOURCE_FILE)?, text(SOURCE_ROW)?, text(TEXT)?);
    Ok(file.zip(row).map(|(file, row)| format!("`{file}`, row {row}: {}", cell.unwrap_or_default())))
}
