//! Cost of ledger and rejects: the scan with both, beside the scan alone.
//!
//! Ten million lines: UCI Online Retail eighteen times, each time with other customers and orders.
//! Skipped without `$CUSTSEG_REFERENCE_DATA`.

#![expect(clippy::expect_used, reason = "a panic fails the bench")]
#![expect(clippy::print_stderr, reason = "a skipped bench prints the reason")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::clean::{self, MarkedLines, Pairs};
use custseg::config::{self, Request};
use custseg::ingest::{self, Grain};
use custseg::orders::{self, ledger};
use custseg::pipeline::Pipeline;
use custseg::progress::{ScanObserver, Silent};
use custseg::session::Session;
use polars::prelude::*;

const COPIES: i64 = 18;

/// Writes `lines.parquet` and `lines.csv`.
fn write_lines(source: &Path, folder: &Path) {
    let path = PlRefPath::try_from_path(source).expect("a path");
    let lines = LazyFrame::scan_parquet(path, Default::default()).expect("Online Retail");
    let copy = |i: i64| {
        let order =
            concat_str([col("InvoiceNo").cast(DataType::String), lit(format!("_{i}"))], "", true);
        lines.clone().with_columns([col("CustomerID") + lit(i * 10_000), order.alias("InvoiceNo")])
    };
    let all =
        concat((0..COPIES).map(copy).collect::<Vec<_>>(), UnionArgs::default()).expect("a plan");
    let mut all = all.collect().expect("Online Retail");
    let parquet = File::create(folder.join("lines.parquet")).expect("a file");
    ParquetWriter::new(parquet).finish(&mut all).expect("written");
    let timestamp = col("InvoiceDate").dt().to_string("%m/%d/%Y %H:%M");
    let mut text = all.lazy().with_column(timestamp).collect().expect("text");
    CsvWriter::new(File::create(folder.join("lines.csv")).expect("a file"))
        .finish(&mut text)
        .expect("written");
}

fn load(folder: &Path, file: &str, set: &[&str]) -> Pipeline {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let paths = format!("ingest.transactions.paths=[{}]", folder.join(file).display());
    let to = format!("publish.to={}", folder.join("out").display());
    let set = [paths, to].into_iter().chain(set.iter().map(|&option| option.to_owned())).collect();
    let pipeline = Some(root.join("pipelines/online_retail.yaml"));
    config::load(&Request { pipeline, set, ..Request::default() })
        .expect("the shipped pipeline is valid")
}

/// The lines with their outcomes, one for each row.
fn marked(p: &Pipeline) -> MarkedLines {
    let observer: Arc<dyn ScanObserver> = Arc::new(Silent);
    let lines = ingest::lines(&p.ingest, Grain::Rows, &observer).expect("lines");
    clean::mark(&p.clean, lines, None).expect("lines")
}

/// The same with ledger and rejects.
fn with_ledger(p: &Pipeline, rejects: &Path) -> DataFrame {
    let session = Session::open(p, Arc::new(Silent)).with_rejects(rejects.to_owned());
    ledger::ledger(session.facts().expect("a scan")).expect("a ledger")
}

/// Returns matched with purchases.
fn pairs(p: &Pipeline) -> Pairs {
    let with_returns = orders::with_returns(&marked(p)).expect("returns");
    let candidates = orders::candidates(&marked(p), with_returns).expect("candidates");
    Pairs::of(&candidates).expect("pairs")
}

fn ledger_and_rejects(c: &mut Criterion) {
    let data = std::env::var_os("CUSTSEG_REFERENCE_DATA").map(PathBuf::from);
    let source = data
        .map(|data| data.join("online-retail/online_retail.parquet"))
        .filter(|path| path.exists());
    let Some(source) = source else {
        eprintln!("skipped: CUSTSEG_REFERENCE_DATA has no online-retail/online_retail.parquet");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_lines(&source, folder.path());
    let rejects = folder.path().join("rejects.parquet");
    for file in ["lines.parquet", "lines.csv"] {
        let mut group = c.benchmark_group(file);
        group.sample_size(10);
        let p = load(folder.path(), file, &[]);
        group.bench_function("grouped", |b| {
            b.iter(|| Session::open(&p, Arc::new(Silent)).facts().map(|_| ()).expect("a scan"))
        });
        for rejected in ["reasons", "mapped", "raw"] {
            let p = load(folder.path(), file, &[&format!("publish.rejects={rejected}")]);
            group.bench_function(rejected, |b| b.iter(|| with_ledger(&p, &rejects)));
        }
        let p = load(folder.path(), file, &["clean.3={drop_duplicates: exact}"]);
        group.bench_function("drop_duplicates", |b| b.iter(|| with_ledger(&p, &rejects)));
        let p = load(
            folder.path(),
            file,
            &["clean.3={drop_duplicates: [order_id, product_id, quantity]}"],
        );
        group.bench_function("drop_duplicates_by_key", |b| b.iter(|| with_ledger(&p, &rejects)));
        let p = load(folder.path(), file, &["clean.1.cancellations.policy=match"]);
        group.bench_function("pair", |b| b.iter(|| pairs(&p)));
        group.finish();
    }
}

criterion_group!(benches, ledger_and_rejects);
criterion_main!(benches);
