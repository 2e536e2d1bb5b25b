//! Any text as a pipeline: it loads or reports diagnostics, without a panic.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use custseg::config::{self, Request};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// The fixture shop, so that pipelines that name its files are validated up to the CSV headers.
static SHOP: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new_in("/dev/shm").unwrap();
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures"));
    for name in ["shop.csv", "map.yaml"] {
        fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
    }
    folder
});

fuzz_target!(|text: &[u8]| {
    // Globs must not leave the folder.
    if text.contains(&b'*') || text.windows(2).any(|pair| pair == b"..") || text.contains(&b'/') {
        return;
    }
    let path = SHOP.path().join("shop.yaml");
    fs::write(&path, text).unwrap();
    if let Err(diagnostics) =
        config::load(&Request { pipeline: Some(path), set: Vec::new(), ..Request::default() })
    {
        assert!(!diagnostics.to_string().is_empty());
    }
});
