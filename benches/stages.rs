//! Times the scan, the measures and scores of a snapshot, and the complete run on CDNOW.

#![expect(clippy::expect_used, reason = "a panic fails the bench")]

use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::config::{self, Request};
use custseg::progress::Silent;
use custseg::session::{self, RunOptions, Session};
use custseg::{rfm, score};

fn stages(c: &mut Criterion) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let to = tempfile::tempdir().expect("a temporary folder");
    let set = vec![format!("publish.to={}", to.path().display())];
    let request =
        Request { pipeline: Some(root.join("pipelines/cdnow.yaml")), set, ..Request::default() };
    let p = config::load(&request).expect("the shipped pipeline is valid");
    let session = Session::open(&p, Arc::new(Silent));
    let facts = session.facts().expect("a scan");
    let dates = session.dates().expect("dates");
    let measure = || rfm::snapshots(&p.rfm, facts, None, dates.clone()).expect("snapshots");
    let snapshots = measure();

    let mut group = c.benchmark_group("cdnow");
    group.sample_size(10);
    group.bench_function("check", |b| b.iter(|| config::load(&request).expect("a valid pipeline")));
    group.bench_function("orders", |b| {
        b.iter(|| Session::open(&p, Arc::new(Silent)).facts().map(|_| ()).expect("a scan"))
    });
    group.bench_function("rfm", |b| b.iter(measure));
    group.bench_function("score", |b| {
        b.iter(|| score::score(&p.score, snapshots.clone(), None).expect("scores"))
    });
    // Segments, models, evaluation and publishing are the rest of a run.
    group.bench_function("run", |b| {
        b.iter(|| session::run(&p, RunOptions::default(), Arc::new(Silent)).expect("a run"))
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
