//! Fills cells down within an order, for exports that give an order's values on its first row
//! alone.

use std::sync::{Arc, Mutex};

use polars::prelude::*;

use super::cell::{NullValues, texts};
use super::chunk_source::{ChunkSource, FrameSource, lock, read_all};
use super::{ReadError, workbook};

/// Columns whose empty cells take the value of an earlier row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The column in which rows are equal.
    pub by: String,
    pub columns: Vec<String>,
}

/// The rows of a file with filled cells. It holds the columns that are read of the whole file.
pub(super) struct FillSource {
    pub(super) rows: Arc<dyn ChunkSource>,
    pub(super) fill: Fill,
    pub(super) nulls: NullValues,
    pub(super) filled: Mutex<Option<Arc<FrameSource>>>,
}

impl FillSource {
    fn filled(&self) -> PolarsResult<Arc<FrameSource>> {
        let mut filled = lock(&self.filled);
        if let Some(filled) = &*filled {
            return Ok(filled.clone());
        }
        let mut frame = read_all(&*self.rows)?;
        frame.rechunk_mut();
        Ok(filled.insert(Arc::new(FrameSource::new(self.fill(frame)?))).clone())
    }

    fn fill(&self, mut frame: DataFrame) -> PolarsResult<DataFrame> {
        let orders = texts(frame.column(&self.fill.by)?)?;
        for name in &self.fill.columns {
            let Ok(cells) = frame.column(name) else { continue };
            let cells = texts(cells)?;
            // The row that each row takes its cell from.
            let mut last: PlHashMap<&str, IdxSize> = PlHashMap::new();
            let mut rows = Vec::with_capacity(frame.height());
            for (row, (order, cell)) in (0..).zip(orders.iter().zip(cells.iter())) {
                let order = order.and_then(|order| self.nulls.text(order));
                let is_missing = cell.and_then(|cell| self.nulls.text(cell)).is_none();
                rows.push(match order {
                    Some(order) if is_missing => last.get(order).copied().unwrap_or(row),
                    Some(order) => {
                        last.insert(order, row);
                        row
                    }
                    None => row,
                });
            }
            let rows = IdxCa::from_vec(PlSmallStr::EMPTY, rows);
            let typed = [workbook::number_name(name), workbook::time_name(name)];
            for column in [name].into_iter().chain(&typed) {
                if let Ok(filled) = frame.column(column) {
                    let filled = filled.take(&rows)?;
                    frame.with_column(filled)?;
                }
            }
        }
        Ok(frame)
    }
}

impl ChunkSource for FillSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        self.filled()?.next()
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        self.rows.empty()
    }

    fn promised_rows(&self) -> u64 {
        self.rows.promised_rows()
    }

    fn first_bad(&self) -> Option<ReadError> {
        self.rows.first_bad()
    }
}
