//! Files that remember what the operating system refused, of which Polars tells no more than that there was something.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// A file that is being written.
#[derive(Debug)]
pub struct Watched {
    file: File,
    refused: Option<io::Error>,
}

impl Watched {
    /// A new file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, refused: None })
    }

    /// What was refused last, if anything was.
    pub fn refused(self) -> Option<io::Error> {
        self.refused
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            self.refused = error.raw_os_error().map(io::Error::from_raw_os_error);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
