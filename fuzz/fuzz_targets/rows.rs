//! Any bytes as CSV rows: the run fails with a message, or every row is accepted or rejected once.
#![no_main]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use custseg::config::{self, Request};
use custseg::orders::ledger;
use custseg::progress::Silent;
use custseg::rfm;
use custseg::session::Session;
use libfuzzer_sys::fuzz_target;
use polars::prelude::*;
use tempfile::TempDir;

/// CSV options; the first byte of a case selects one.
const READINGS: [&str; 8] = [
    "{ datetime_formats: ['%Y-%m-%dT%H:%M:%S%z', epoch_ms, '%+'] }",
    "{ thousands: ' ', currency_signs: ['EUR'] }",
    "{}",
    "{ separator: ';', decimal: ',' }",
    "{ thousands: ',', currency_signs: ['$'] }",
    "{ encoding: latin1 }",
    "{ encoding: windows_1252, decimal: ',', thousands: '.' }",
    "{ datetime_formats: ['%d/%m/%Y', '%m/%d/%Y'] }",
];

static SHOP: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new_in("/dev/shm").unwrap();
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures"));
    for name in ["shop.yaml", "map.yaml"] {
        fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
    }
    folder
});

fuzz_target!(|case: &[u8]| {
    let Some((&choice, bytes)) = case.split_first() else { return };
    let header: &[u8] =
        if choice & 1 == 0 { b"order,product,units,bought,price,customer,country\n" } else { b"" };
    fs::write(SHOP.path().join("shop.csv"), [header, bytes].concat()).unwrap();
    let reading =
        format!("ingest.transactions.csv={}", READINGS[usize::from(choice >> 1) % READINGS.len()]);
    let request = Request {
        pipeline: Some(SHOP.path().join("shop.yaml")),
        set: vec![
            reading,
            // Otherwise most cases would end with the first bad rows.
            "ingest.max_rejected=1".to_owned(),
            "rfm.negative_orders=count".to_owned(),
        ],
        ..Request::default()
    };
    let Ok(p) = config::load(&request) else { return };
    let path = SHOP.path().join("rejects.parquet");
    let session = Session::open(&p, Arc::new(Silent)).with_rejects(path.clone());
    let facts = match session.facts() {
        Ok(facts) => facts,
        // An error is fine unless it means that a record was lost.
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains("arrived") && !message.contains("is not UTF-8"), "{message}");
            return;
        }
    };
    let rejects = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
    let by_reason = facts.rows_by_reason().unwrap();
    let (accepted, rejected) = by_reason.split_last().unwrap();
    assert_eq!(rejects.height() as u64, rejected.iter().sum::<u64>());
    let ledger = ledger::ledger(facts).unwrap();
    let left = ledger.column("rows_left").unwrap().i64().unwrap().clone();
    assert_eq!(left.last(), Some(*accepted as i64));
    assert_eq!(left.first(), Some(by_reason.iter().sum::<u64>() as i64));
    if *accepted > 0 {
        let dates = session.dates().expect("snapshot dates");
        rfm::snapshots(&p.rfm, facts, None, dates).expect("accepted lines have RFM values");
    }
});
