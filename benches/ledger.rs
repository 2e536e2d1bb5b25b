//! What accounting for every line costs: the scan with its ledger and rejects beside the bare group-by of the accepted lines.
//!
//! Over ten million lines: UCI Online Retail eighteen times over, with other customers and orders each time. Without
//! `$CUSTSEG_REFERENCE_DATA` there is nothing to measure.

#![expect(clippy::expect_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a bench that skips says so")]

use std::fs::File;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::columns::{CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, QUANTITY, REASON};
use custseg::config::{self, Request};
use custseg::ingest::Reading;
use custseg::orders::ledger;
use custseg::pipeline::{self, Pipeline};
use polars::prelude::*;

const TIMES: i64 = 18;

/// Writes the lines as Parquet and as CSV.
fn write(source: &Path, folder: &Path) {
    let path = PlRefPath::try_from_path(source).expect("a path");
    let lines = LazyFrame::scan_parquet(path, Default::default()).expect("Online Retail");
    let copy = |i: i64| {
        let order =
            concat_str([col("InvoiceNo").cast(DataType::String), lit(format!("_{i}"))], "", true);
        lines.clone().with_columns([col("CustomerID") + lit(i * 10_000), order.alias("InvoiceNo")])
    };
    let all =
        concat((0..TIMES).map(copy).collect::<Vec<_>>(), UnionArgs::default()).expect("a plan");
    let mut all = all.collect().expect("Online Retail");
    let parquet = File::create(folder.join("lines.parquet")).expect("a file");
    ParquetWriter::new(parquet).finish(&mut all).expect("written");
    let moment = col("InvoiceDate").dt().to_string("%m/%d/%Y %H:%M");
    let mut text = all.lazy().with_column(moment).collect().expect("text");
    CsvWriter::new(File::create(folder.join("lines.csv")).expect("a file"))
        .finish(&mut text)
        .expect("written");
}

fn load(folder: &Path, file: &str, set: &[&str]) -> Pipeline {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let paths = format!("ingest.transactions.paths=[{}]", folder.join(file).display());
    let to = format!("publish.to={}", folder.join("out").display());
    let set = [paths, to].into_iter().chain(set.iter().map(|one| (*one).to_owned())).collect();
    let pipeline = Some(root.join("pipelines/online_retail.yaml"));
    config::load(&Request { pipeline, set, ..Request::default() })
        .expect("the shipped pipeline is good")
}

/// Only what recency, frequency and monetary value need: the accepted lines, grouped.
fn bare(p: &Pipeline) -> DataFrame {
    let lines = pipeline::mark(p, Reading::Rows, None).expect("a plan");
    let sums =
        [col(QUANTITY).sum(), col(MONEY).cast(DataType::Int128).sum(), col(ORDERED_AT).max()];
    let accepted = lines.frame.filter(col(REASON).is_null());
    let grouped = accepted.group_by([col(CUSTOMER_ID), col(ORDER_ID), col(DAY)]).agg(sums);
    let plans = vec![grouped.logical_plan];
    let frames = LazyFrame::collect_all_with_engine(plans, Engine::Streaming, OptFlags::default());
    frames.expect("a scan").swap_remove(0)
}

/// The same with every line accounted for.
fn accounted(p: &Pipeline, rejects: &Path) -> DataFrame {
    let lines = pipeline::mark(p, Reading::Rows, None).expect("a plan");
    let book = pipeline::scan(p, lines, None, Some(rejects)).expect("a scan");
    ledger::ledger(&book).expect("a ledger")
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
    write(&source, folder.path());
    let rejects = folder.path().join("rejects.parquet");
    for file in ["lines.parquet", "lines.csv"] {
        let mut group = c.benchmark_group(file);
        group.sample_size(10);
        let p = load(folder.path(), file, &[]);
        group.bench_function("bare", |b| b.iter(|| bare(&p)));
        group.bench_function("grouped", |b| {
            b.iter(|| {
                let lines = pipeline::mark(&p, Reading::Rows, None).expect("a plan");
                pipeline::scan(&p, lines, None, None).expect("a scan")
            })
        });
        for rejected in ["reasons", "mapped", "raw"] {
            let p = load(folder.path(), file, &[&format!("publish.rejects={rejected}")]);
            group.bench_function(rejected, |b| b.iter(|| accounted(&p, &rejects)));
        }
        let p = load(folder.path(), file, &["clean.3={drop_duplicates: exact}"]);
        group.bench_function("drop_duplicates", |b| b.iter(|| accounted(&p, &rejects)));
        let p = load(
            folder.path(),
            file,
            &["clean.3={drop_duplicates: [order_id, product_id, quantity]}"],
        );
        group.bench_function("drop_duplicates_by_key", |b| b.iter(|| accounted(&p, &rejects)));
        let p = load(folder.path(), file, &["clean.1.cancellations.policy=match"]);
        group.bench_function("pair", |b| b.iter(|| pipeline::pair(&p).expect("pairs")));
        group.finish();
    }
}

criterion_group!(benches, ledger_and_rejects);
criterion_main!(benches);
