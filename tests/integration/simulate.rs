//! Simulated transactions: reproducible, and true to their known customers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use custseg::simulate::{Shape, Simulation};
use polars::prelude::*;

use super::harness::{custseg, floats, root, table, texts};

const SIMULATION: Simulation =
    Simulation { customers: 500, lines: 30_000, seed: 7, shape: Shape::OnlineRetail };

fn lines(simulation: &Simulation) -> DataFrame {
    let frames =
        simulation.slices().into_iter().map(|slice| simulation.frame(&slice).unwrap().lazy());
    concat(frames.collect::<Vec<_>>(), UnionArgs::default()).unwrap().collect().unwrap()
}

/// CSV, Parquet and hive folders contain the same lines, with any number of threads.
#[test]
fn formats_and_threads_give_the_same_lines() {
    let folder = tempfile::tempdir().unwrap();
    let write = |to: &str, threads: &str| {
        let args = [
            "simulate",
            "--customers",
            "500",
            "--lines",
            "30000",
            "--seed",
            "7",
            "--to",
            to,
            "--threads",
            threads,
        ];
        let outcome = custseg(folder.path(), &args);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        fs::read(folder.path().join(to)).unwrap_or_default()
    };
    for to in ["lines.csv", "lines.parquet"] {
        assert_eq!(write(to, "1"), write(to, "2"), "{to}");
    }
    write("hive/", "2");
    let path = |name: &str| PlRefPath::try_from_path(&folder.path().join(name)).unwrap();
    let scan = |name: &str| LazyFrame::scan_parquet(path(name), Default::default()).unwrap();
    let expected = lines(&SIMULATION);
    assert_eq!(expected.height(), 30_000);
    assert!(scan("lines.parquet").collect().unwrap().equals_missing(&expected));
    let hive = scan("hive/**/*.parquet").select(
        expected.get_column_names().into_iter().map(|name| col(name.clone())).collect::<Vec<_>>(),
    );
    assert!(hive.collect().unwrap().equals_missing(&expected));
    // The CSV has the format of the Online Retail pipeline.
    let text = fs::read_to_string(folder.path().join("lines.csv")).unwrap();
    assert!(text.lines().nth(1).unwrap().contains(",12/1/2010 8:"), "{text:.300}");
    let pipeline = root().join("pipelines/online_retail.yaml");
    let run = |file: &str| {
        let paths = format!("ingest.transactions.paths=[{}]", folder.path().join(file).display());
        let to = format!("publish.to={}", folder.path().join(file.replace('.', "_")).display());
        let args = [
            "-q",
            "run",
            pipeline.to_str().unwrap(),
            "--set",
            &paths,
            "--set",
            &to,
            "--set",
            "models={}",
        ];
        let outcome = custseg(folder.path(), &args);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        table(&folder.path().join(file.replace('.', "_")), "segments/snapshot=2011-12-10/part-0")
    };
    let (by_csv, by_parquet) = (run("lines.csv"), run("lines.parquet"));
    assert!(by_csv.equals_missing(&by_parquet));
    // Customers, orders and money equal a plain loop over the lines.
    let mut orders: BTreeMap<String, (BTreeSet<String>, f64)> = BTreeMap::new();
    let [customer, order] = ["CustomerID", "InvoiceNo"].map(|name| texts(&expected, name));
    let [quantity, price] = ["Quantity", "UnitPrice"].map(|name| floats(&expected, name));
    for i in 0..expected.height() {
        if !customer[i].is_empty()
            && !order[i].starts_with('C')
            && quantity[i] > 0.0
            && price[i] > 0.0
        {
            let (orders, money) = orders.entry(customer[i].clone()).or_default();
            orders.insert(order[i].clone());
            *money += quantity[i] * price[i];
        }
    }
    let [ids, frequency] = ["customer_id", "frequency"].map(|name| texts(&by_csv, name));
    let monetary = floats(&by_csv, "monetary");
    assert_eq!(ids.len(), orders.len());
    for i in 0..ids.len() {
        let (orders, money) = &orders[&ids[i]];
        assert_eq!(
            (frequency[i].parse(), (monetary[i] - money).abs() < 1e-6),
            (Ok(orders.len()), true),
            "{}",
            ids[i]
        );
    }
}

/// Nearly all orders of a customer are within its simulated lifetime, and ids are unique.
#[test]
fn simulated_orders_follow_the_ground_truth() {
    let lines = lines(&SIMULATION);
    let lives: BTreeMap<u64, _> = (0..500)
        .map(|index| SIMULATION.customer(index))
        .map(|customer| (customer.id, customer))
        .collect();
    assert_eq!(lives.len(), 500);
    let days = lines
        .column("InvoiceDate")
        .unwrap()
        .cast(&DataType::Date)
        .unwrap()
        .cast(&DataType::Int32)
        .unwrap();
    let first = Shape::OnlineRetail.first().to_epoch_days();
    let mut known = 0;
    let mut alive = 0;
    let mut counts = BTreeMap::<u64, u32>::new();
    for (id, day) in
        lines.column("CustomerID").unwrap().i64().unwrap().iter().zip(days.i32().unwrap().iter())
    {
        let Some(id) = id else { continue };
        let life = lives[&(id as u64)];
        known += 1;
        alive += u32::from(
            (life.active_from..life.active_until).contains(&f64::from(day.unwrap() - first)),
        );
        *counts.entry(id as u64).or_default() += 1;
    }
    assert!(f64::from(alive) > 0.99 * f64::from(known), "{alive} of {known}");
    assert!((20_000..26_000).contains(&known), "three of four lines have a customer id: {known}");
    // The top tenth of the customers has more than a third of the lines.
    let mut counts: Vec<u32> = counts.into_values().collect();
    counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let top: u32 = counts.iter().take(50).sum();
    assert!(3 * top > known, "{top} of {known}");
}

#[test]
fn cdnow_shape_runs_and_unwritable_destinations_fail() {
    let folder = tempfile::tempdir().unwrap();
    let simulate = |to: &str| {
        custseg(
            folder.path(),
            &["simulate", "--customers", "300", "--lines", "900", "--shape", "cdnow", "--to", to],
        )
    };
    assert_eq!(simulate("cds.csv").code, 0);
    let (paths, to) = (folder.path().join("cds.csv"), folder.path().join("out"));
    let set = [
        format!("ingest.transactions.paths=[{}]", paths.display()),
        format!("publish.to={}", to.display()),
    ];
    let pipeline = root().join("pipelines/cdnow.yaml");
    let args = [
        "-q",
        "run",
        pipeline.to_str().unwrap(),
        "--set",
        &set[0],
        "--set",
        &set[1],
        "--set",
        "models={}",
    ];
    let outcome = custseg(folder.path(), &args);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let ledger = table(&to, "ledger");
    assert_eq!(floats(&ledger, "rows_left")[0], 900.0);
    let unknown = simulate("cds.txt");
    assert_eq!(
        (unknown.code, unknown.stderr.contains("no known suffix")),
        (2, true),
        "{}",
        unknown.stderr
    );
    assert_eq!(simulate("nowhere/cds.csv").code, 4);
    assert_eq!(simulate("hive/").code, 0);
    let occupied = simulate("hive/");
    assert_eq!(
        (occupied.code, occupied.stderr.contains("not empty")),
        (4, true),
        "{}",
        occupied.stderr
    );
}
