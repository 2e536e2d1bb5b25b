//! Any text as a pipeline: it loads, or its problems are told; nothing panics.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use custseg::config::{self, Request};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// The fixture shop, so that a pipeline that names its files gets as far as their headers.
static SHOP: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new_in("/dev/shm").unwrap();
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures"));
    for name in ["shop.csv", "map.yaml"] {
        fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
    }
    folder
});

fuzz_target!(|text: &[u8]| {
    // A glob may not wander over the machine.
    if text.contains(&b'*') || text.windows(2).any(|pair| pair == b"..") || text.contains(&b'/') {
        return;
    }
    let path = SHOP.path().join("shop.yaml");
    fs::write(&path, text).unwrap();
    if let Err(problems) =
        config::load(&Request { pipeline: Some(path), set: Vec::new(), ..Request::default() })
    {
        assert!(!problems.to_string().is_empty());
    }
});
