//! File writer that keeps the last error of the operating system, which Polars discards.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

#[derive(Debug)]
pub(crate) struct ErrorKeepingFile {
    file: File,
    last_error: Option<io::Error>,
}

impl ErrorKeepingFile {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, last_error: None })
    }

    /// The last write error that carries an OS error code, if any.
    pub(crate) fn last_error(self) -> Option<io::Error> {
        self.last_error
    }
}

impl Write for ErrorKeepingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            self.last_error = error.raw_os_error().map(io::Error::from_raw_os_error);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
