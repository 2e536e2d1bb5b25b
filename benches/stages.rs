//! Times the stages on CDNOW: what each costs beside the scan.

#![expect(clippy::expect_used, reason = "a bench that cannot go on has failed")]

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::config::{self, Request};
use custseg::ingest::Reading;
use custseg::pipeline;

fn stages(c: &mut Criterion) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let to = tempfile::tempdir().expect("a temporary folder");
    let set = vec![format!("publish.to={}", to.path().display())];
    let request =
        Request { pipeline: Some(root.join("pipelines/cdnow.yaml")), set, ..Request::default() };
    let p = config::load(&request).expect("the shipped pipeline is good");
    let known = pipeline::known(&p).expect("tables");
    let scan = || {
        let lines = pipeline::mark(&p, Reading::Rows, None).expect("a plan");
        pipeline::scan(&p, lines, None, None).expect("a scan")
    };
    let book = scan();
    let dates = custseg::rfm::dates(&p.rfm, &book).expect("dates");
    let snapshots = pipeline::rfm(&p, &book, None, None, dates.clone()).expect("snapshots");
    let earlier = pipeline::earlier(&p, &book, None, None, &dates).expect("earlier snapshots");
    let scored = pipeline::score(&p, snapshots.clone(), None).expect("scores");
    let segmented = pipeline::segment(&p, scored.clone()).expect("segments");

    let mut group = c.benchmark_group("cdnow");
    group.sample_size(10);
    group.bench_function("check", |b| b.iter(|| config::load(&request).expect("good")));
    group.bench_function("orders", |b| b.iter(scan));
    group.bench_function("rfm", |b| {
        b.iter(|| pipeline::rfm(&p, &book, None, None, dates.clone()).expect("snapshots"))
    });
    group.bench_function("score", |b| {
        b.iter(|| pipeline::score(&p, snapshots.clone(), None).expect("scores"))
    });
    group.bench_function("segment", |b| {
        b.iter(|| pipeline::segment(&p, scored.clone()).expect("segments"))
    });
    group.bench_function("model", |b| {
        b.iter(|| {
            pipeline::assign(&p, &book, &known.labels, &segmented, &earlier).expect("answers")
        })
    });
    group.bench_function("evaluate", |b| {
        b.iter(|| {
            let none =
                custseg::pipeline::Pipeline { models: vec![], clusterings: vec![], ..p.clone() };
            let assigned = pipeline::assign(&none, &book, &known.labels, &segmented, &[]);
            let evidence = pipeline::evidence(&p, &book, &scored, &[]).expect("bins");
            pipeline::evaluate(evidence, assigned.expect("no model")).expect("tables")
        })
    });
    group.bench_function("run", |b| {
        b.iter(|| pipeline::run(&p, Default::default()).expect("a run"))
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
