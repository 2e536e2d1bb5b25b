//! Twelve month-ends beside one: the complete run over UCI Online Retail, with publishing.
//!
//! Skipped without `$CUSTSEG_REFERENCE_DATA`.

#![expect(clippy::expect_used, reason = "a panic fails the bench")]
#![expect(clippy::print_stderr, reason = "a skipped bench prints the reason")]

use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::config::{self, Request};
use custseg::progress::Silent;
use custseg::session::{self, RunOptions};

fn snapshots(c: &mut Criterion) {
    let data = std::env::var_os("CUSTSEG_REFERENCE_DATA").map(PathBuf::from);
    let source = data
        .map(|data| data.join("online-retail/online_retail.parquet"))
        .filter(|path| path.exists());
    let Some(source) = source else {
        eprintln!("skipped: CUSTSEG_REFERENCE_DATA has no online-retail/online_retail.parquet");
        return;
    };
    let source = source.canonicalize().expect("the source");
    let to = tempfile::tempdir().expect("a temporary folder");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut group = c.benchmark_group("online_retail");
    group.sample_size(20);
    let grid = "{every: 1mo, from: 2011-01-01, until: 2011-12-01}";
    let runs = [
        ("one_month_end", "2011-12-01", None),
        ("twelve_month_ends", grid, None),
        // Models use the newest snapshot only, so they hide the difference.
        ("one_month_end_without_models", "2011-12-01", Some("models={}")),
        ("twelve_month_ends_without_models", grid, Some("models={}")),
    ];
    for (name, dates, models) in runs {
        let set = vec![
            format!("ingest.transactions.paths=[{}]", source.display()),
            format!("publish.to={}", to.path().join(name).display()),
            format!("rfm.snapshots={dates}"),
        ];
        let set = set.into_iter().chain(models.map(str::to_owned)).collect();
        let pipeline = Some(root.join("pipelines/online_retail.yaml"));
        let p = config::load(&Request { pipeline, set, ..Request::default() })
            .expect("the shipped pipeline is valid");
        group.bench_function(name, |b| {
            b.iter(|| session::run(&p, RunOptions::default(), Arc::new(Silent)).expect("a run"))
        });
    }
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
