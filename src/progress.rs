//! How far the scan has come, for whoever wants to show it. Counters of the process, without a clock; nothing depends on them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a source is measured in before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Rows, as the footers of Parquet tell.
    Rows(u64),
    /// Bytes, of files that are read as they are.
    Bytes(u64),
}

static ROWS: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);
static TOTAL: AtomicU64 = AtomicU64::new(0);
static BY_ROWS: AtomicU64 = AtomicU64::new(0);

/// A scan begins; its extent is unknown where files are packed.
pub fn begin(extent: Option<Extent>) {
    let (total, by_rows) = match extent {
        Some(Extent::Rows(rows)) => (rows, 1),
        Some(Extent::Bytes(bytes)) => (bytes, 0),
        None => (0, 0),
    };
    ROWS.store(0, Ordering::Relaxed);
    DONE.store(0, Ordering::Relaxed);
    BY_ROWS.store(by_rows, Ordering::Relaxed);
    TOTAL.store(total, Ordering::Relaxed);
}

/// So many bytes more are read.
pub(crate) fn bytes(count: usize) {
    if BY_ROWS.load(Ordering::Relaxed) == 0 {
        DONE.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// So many rows more have arrived.
pub(crate) fn rows(count: usize) {
    ROWS.fetch_add(count as u64, Ordering::Relaxed);
    if BY_ROWS.load(Ordering::Relaxed) == 1 {
        DONE.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Rows that have arrived, and the share of the source that is read, from 0 to 1, where its extent is known.
pub fn so_far() -> (u64, Option<f64>) {
    let total = TOTAL.load(Ordering::Relaxed);
    let share = (total > 0).then(|| (DONE.load(Ordering::Relaxed) as f64 / total as f64).min(1.0));
    (ROWS.load(Ordering::Relaxed), share)
}
