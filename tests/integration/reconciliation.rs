//! Every run reconciles its rows: source = accepted + rejected = ledger, rejected = `rejects.parquet`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custseg::config::{self, Request};
use custseg::error::Error;
use custseg::pipeline::Pipeline;
use custseg::progress::{ScanObserver, Silent};
use custseg::session::{self, RunObserver, RunOptions, Scanned};
use polars::prelude::*;

use super::harness::{Shop, floats};

fn load(shop: &Shop, set: &[&str]) -> Pipeline {
    let pipeline = Some(shop.path("shop.yaml"));
    let set = set.iter().map(|set| (*set).to_owned()).collect();
    config::load(&Request { pipeline, set, ..Request::default() }).unwrap()
}

/// The error of a run that publishes nothing.
fn failure(shop: &Shop, p: &Pipeline, observer: Arc<dyn RunObserver>) -> Error {
    let result = session::run(p, RunOptions::default(), observer);
    assert!(!shop.path("out/current").exists());
    let runs = fs::read_dir(shop.path("out/runs")).unwrap().count();
    assert_eq!(runs, 0, "no staging folder and no run is left");
    result.err().unwrap()
}

/// The valid lines of the fixture shop as Parquet, in row groups of two rows.
fn write_parquet(path: &Path, rows: usize) {
    let mut frame = df![
        "customer" => ["1001", "1001", "1002", "1002", "1003", "1003"],
        "order" => ["A1", "A1", "B1", "B3", "E1", "E1"],
        "bought" => [19727i32, 19727, 19763, 19783, 19782, 19782],
        "units" => [2i64, 1, 1, 3, 4, 4],
        "price" => [1.5, 4.0, 10.0, 0.1, 25.25, 25.25],
    ]
    .unwrap();
    let days = frame.column("bought").unwrap().cast(&DataType::Date).unwrap();
    frame.with_column(days).unwrap();
    let mut frame = frame.head(Some(rows));
    let writer = ParquetWriter::new(File::create(path).unwrap()).with_row_group_size(Some(2));
    writer.finish(&mut frame).unwrap();
}

#[test]
fn lost_row_group_fails_the_run() {
    let shop = Shop::fixture();
    write_parquet(&shop.path("shop.parquet"), 6);
    let file = shop.path("shop.parquet");
    let p = load(&shop, &[&format!("ingest.transactions.paths=[{}]", file.display())]);
    // The footer promised six rows when the pipeline was loaded.
    write_parquet(&shop.path("shop.parquet"), 4);
    let error = failure(&shop, &p, Arc::new(Silent));
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("the source has 6 rows, but 4 arrived"), "{error}");
}

/// Removes the last row of the rejects between the scan and the publication.
struct TruncateRejects(PathBuf);

impl ScanObserver for TruncateRejects {}

impl RunObserver for TruncateRejects {
    fn scanned(&self, _: &Scanned<'_>) {
        let runs = fs::read_dir(self.0.join("runs")).unwrap();
        let rejects = runs.map(|run| run.unwrap().path().join("rejects.parquet"));
        let path = rejects.into_iter().find(|path| path.exists()).unwrap();
        let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
        let mut frame = frame.head(Some(frame.height() - 1));
        ParquetWriter::new(File::create(path).unwrap()).finish(&mut frame).unwrap();
    }
}

#[test]
fn truncated_rejects_fail_the_run() {
    let shop = Shop::fixture();
    let p = load(&shop, &[]);
    let error = failure(&shop, &p, Arc::new(TruncateRejects(shop.path("out"))));
    assert_eq!(error.exit_code(), 3);
    // Seven of the twelve lines of the shop are rejected.
    let expected = "the ledger counts 7 rejected rows, but rejects.parquet has 6";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn ledger_and_rejects_add_up_to_the_source() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let ledger = shop.table("ledger");
    let rejected = floats(&ledger, "rows").iter().sum::<f64>();
    let accepted = *floats(&ledger, "rows_left").last().unwrap();
    assert_eq!((rejected, accepted), (7.0, 5.0));
    assert_eq!(shop.table("rejects").height(), 7);
}
