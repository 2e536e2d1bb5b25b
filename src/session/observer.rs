//! Observation of a run by the program that shows or records it.

use crate::checks::CheckResult;
use crate::manifest::Input;
use crate::progress::{ScanObserver, Silent};

/// What is known once the source is read and its checks passed.
#[derive(Debug)]
pub struct Scanned<'a> {
    pub inputs: &'a [Input],
    pub rows: u64,
    pub checks: &'a [CheckResult],
}

/// Observes a run: the progress of the scan, and its result.
pub trait RunObserver: ScanObserver {
    /// The source is read and its checks passed.
    fn scanned(&self, _scanned: &Scanned<'_>) {}
}

impl RunObserver for Silent {}
