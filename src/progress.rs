//! Progress of the scan, reported to an observer. For display only.

/// Size of a source before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Rows(u64),
    Bytes(u64),
}

/// Receives the progress of a scan. Called from several threads.
pub trait ScanObserver: Send + Sync {
    /// A scan starts. The extent is unknown for compressed files.
    fn scan_started(&self, _extent: Option<Extent>) {}
    /// More bytes have been read.
    fn bytes_read(&self, _bytes: usize) {}
    /// More rows have been read.
    fn rows_read(&self, _rows: usize) {}
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl ScanObserver for Silent {}
