//! Examples of rejected rows.

use std::path::Path;

use polars::prelude::*;

use crate::columns::{REASON, SOURCE_FILE, SOURCE_ROW, STEP, TEXT};
use crate::tables::TableId;

/// Rejected rows above which there are no examples: a search takes seconds.
const MAX_ROWS: usize = 5_000_000;

/// The first rejected row of each step and reason, by file and row. `None` if none or too many rows
/// are rejected.
pub(super) fn examples(run: &Path) -> PolarsResult<Option<DataFrame>> {
    let path = run.join(TableId::Rejects.file());
    if !path.is_file() {
        return Ok(None);
    }
    let rows = ParquetReader::new(std::fs::File::open(&path)?).num_rows()?;
    if rows == 0 || rows > MAX_ROWS {
        return Ok(None);
    }
    let path = PlRefPath::try_from_path(&path)?;
    let columns = [STEP, REASON, SOURCE_FILE, SOURCE_ROW, TEXT];
    let text = |name: &str| match name {
        SOURCE_ROW => col(name),
        // The rows of a query have no file.
        SOURCE_FILE => col(name).cast(DataType::String).fill_null(lit("")),
        _ => col(name).cast(DataType::String),
    };
    let rejects =
        LazyFrame::scan_parquet(path, ScanArgsParquet::default())?.select(columns.map(text));
    let key = [col(STEP), col(REASON)];
    let of_file = [col(STEP), col(REASON), col(SOURCE_FILE)];
    let files = rejects.clone().group_by(key).agg([col(SOURCE_FILE).min()]);
    let in_file = rejects.join(files, of_file.clone(), of_file.clone(), JoinType::Semi.into());
    let is_first = [col(SOURCE_ROW), col(TEXT)]
        .map(|column| column.sort_by([col(SOURCE_ROW)], SortMultipleOptions::default()).first());
    let examples = in_file.group_by(of_file).agg(is_first);
    examples.sort([STEP, REASON], SortMultipleOptions::default()).collect().map(Some)
}
