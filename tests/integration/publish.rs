//! Publishing: readers see complete runs, and equal inputs give equal bytes.

use std::fs::{self, File};

use polars::prelude::*;

use super::harness::{Shop, hashes};

#[test]
fn rerun_with_equal_inputs_keeps_the_published_run() {
    let shop = Shop::fixture();
    let current = shop.path("out/current");
    shop.run(&[]);
    let (first, target) = (hashes(&shop.path("out")), fs::read_link(&current).unwrap());
    let manifest = fs::read(current.join("manifest.json")).unwrap();
    let written = fs::metadata(current.join("manifest.json")).unwrap().modified().unwrap();
    shop.run(&[]);
    assert_eq!(first, hashes(&shop.path("out")));
    assert_eq!(target, fs::read_link(&current).unwrap());
    assert_eq!(manifest, fs::read(current.join("manifest.json")).unwrap());
    // The published files are not rewritten, so readers are not disturbed.
    assert_eq!(written, fs::metadata(current.join("manifest.json")).unwrap().modified().unwrap());
}

/// The order of the rejects depends on the threads. A run whose rejects were in another order was
/// once taken for damaged and replaced while it was read.
#[test]
fn other_order_of_rejects_does_not_replace_a_run() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let run = shop.path("out").join(fs::read_link(shop.path("out/current")).unwrap());
    // Simulate another order: a valid run whose rejects have other bytes, with their hash in the
    // manifest.
    let mut bytes = fs::read(run.join("rejects.parquet")).unwrap();
    let old = blake3::hash(&bytes).to_hex().to_string();
    bytes.push(0);
    let manifest = fs::read_to_string(run.join("manifest.json")).unwrap();
    assert!(manifest.contains(&old));
    fs::write(run.join("rejects.parquet"), &bytes).unwrap();
    fs::write(
        run.join("manifest.json"),
        manifest.replace(&old, blake3::hash(&bytes).to_hex().as_str()),
    )
    .unwrap();
    // Parquet readers reject the longer file, so that only its bytes are compared.
    assert_eq!(shop.custseg(&["run", "shop.yaml"]).code, 0);
    assert_eq!(bytes, fs::read(run.join("rejects.parquet")).unwrap());
}

#[test]
fn changed_definition_or_input_is_a_new_run() {
    let shop = Shop::fixture();
    let target = |shop: &Shop| fs::read_link(shop.path("out/current")).unwrap();
    let first = target(shop.run(&[]));
    let second = target(shop.run(&["--set", "rfm.frequency=lines"]));
    fs::write(
        shop.path("shop.csv"),
        fs::read_to_string(shop.path("shop.csv")).unwrap()
            + "Z1,P1,1,2024-03-05 10:00,1.00,1009,UK\n",
    )
    .unwrap();
    let third = target(shop.run(&[]));
    assert!(first != second && second != third && first != third);
    for run in [first, second, third] {
        assert!(shop.path("out").join(run).join("manifest.json").is_file());
    }
}

#[test]
fn failed_run_leaves_no_files_and_keeps_the_published_run() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let target = fs::read_link(shop.path("out/current")).unwrap();
    let failed =
        shop.custseg(&["-q", "run", "shop.yaml", "--as-of", "2020-01-01", "--allow-older"]);
    assert_eq!(failed.code, 3, "{}", failed.stderr);
    assert_eq!(target, fs::read_link(shop.path("out/current")).unwrap());
    assert_eq!(fs::read_dir(shop.path("out/runs")).unwrap().count(), 1);
}

#[test]
fn run_fails_if_the_destination_is_locked() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let lock = File::open(shop.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    let second = shop.custseg(&["-q", "run", "shop.yaml", "--set", "rfm.frequency=lines"]);
    assert_eq!(second.code, 4);
    assert!(second.stderr.contains("another run is writing to"), "{}", second.stderr);
    assert_eq!(fs::read_dir(shop.path("out/runs")).unwrap().count(), 1);
}

#[test]
fn leftovers_are_removed_and_damaged_runs_replaced() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let expected = hashes(&shop.path("out"));
    let run = shop.path("out").join(fs::read_link(shop.path("out/current")).unwrap());
    fs::create_dir_all(shop.path("out/runs/.staging-dead/segments")).unwrap();
    fs::write(run.join("ledger.parquet"), "noise").unwrap();
    shop.run(&[]);
    assert_eq!(expected, hashes(&shop.path("out")));
    assert_ne!(fs::read(run.join("ledger.parquet")).unwrap(), b"noise");
    assert_eq!(fs::read_dir(shop.path("out/runs")).unwrap().count(), 1);
}

#[test]
fn unwritable_destination_exits_4() {
    let shop = Shop::fixture();
    fs::write(shop.path("out"), "a file where the folder should be").unwrap();
    let outcome = shop.custseg(&["-q", "run", "shop.yaml"]);
    assert_eq!(outcome.code, 4);
    assert!(outcome.stderr.starts_with("error: publish: "), "{}", outcome.stderr);
}

/// CSV options are part of the run id and the manifest.
#[test]
fn changed_csv_options_are_a_new_run() {
    let shop = Shop::fixture();
    let base = r#"datetime_formats: ["%Y-%m-%d %H:%M"]"#;
    let mut ids = Vec::new();
    for csv in [
        "",
        ", thousands: \",\"",
        ", encoding: latin1",
        ", on_bad_row: reject, currency_signs: [£]",
    ] {
        shop.run(&["--set", &format!("ingest.transactions.csv={{{base}{csv}}}")]);
        let text = fs::read(shop.path("out/current/manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(manifest["reading"]["transactions"][0]["columns"]["unit_price"], "price");
        ids.push(manifest["run_id"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
}

/// Column names, types and order are stable. A change here needs an entry in CHANGELOG.md.
#[test]
fn table_schemas_are_stable() {
    let shop = Shop::fixture();
    let snapshots = "rfm.snapshots=[2024-03-01, 2024-03-02]";
    shop.run(&[
        "--set",
        "models.near.k=2",
        "--set",
        snapshots,
        "--set",
        "evaluate.validity.horizon=1d",
    ]);
    let mut text = String::new();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(shop.path("out/current/manifest.json")).unwrap()).unwrap();
    for output in manifest["outputs"].as_array().unwrap() {
        let Some(name) = output["path"].as_str().unwrap().strip_suffix(".parquet") else {
            continue;
        };
        let table = shop.table(name);
        let columns: Vec<String> =
            table.columns().iter().map(|c| format!("    {} {}\n", c.name(), c.dtype())).collect();
        text += &format!("{name}\n{}", columns.concat());
    }
    insta::assert_snapshot!("schemas", text);
}

/// Footers contain the definition hash and the pipeline name, but no path, time or host.
#[test]
fn footers_contain_the_definition_hash() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let shop = Shop::fixture();
    shop.run(&[]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(shop.path("out/current/manifest.json")).unwrap()).unwrap();
    let file = File::open(shop.path("out/current/ledger.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let value = |key: &str| {
        pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()).unwrap()
    };
    assert_eq!(value("custseg.definition_hash"), manifest["definition_hash"].as_str().unwrap());
    assert_eq!(value("custseg.pipeline"), "shop");
}

/// Fifty shuffles with one to seven threads over CSV, compressed CSV, Parquet and partitioned
/// folders.
#[test]
fn order_threads_and_formats_do_not_change_the_hash() {
    let shop = Shop::fixture()
        .edit("publish: { to: out }", "publish: { to: out }\nmodels: { near: { k: 3 } }");
    let shipped = fs::read_to_string(shop.path("shop.csv")).unwrap();
    let head = shipped.lines().next().unwrap().to_owned() + "\n";
    let mut lines = Vec::new();
    for i in 0..900usize {
        let customer = 2000 + i * i % 71;
        lines.push(format!(
            "N{},P{},{},2024-02-{:02} 11:{:02},{}.25,{customer},UK",
            i / 4,
            i % 9,
            1 + i % 5,
            1 + i % 28,
            i % 60,
            i % 30
        ));
    }
    let mut found = std::collections::BTreeSet::new();
    for round in 0..50usize {
        // Steps coprime to 900 visit every line, each in another order.
        let step = [1, 7, 11, 13, 17, 19, 23, 29, 31, 37][round % 10];
        let shuffled: Vec<&str> =
            (0..lines.len()).map(|i| lines[(i * step + round) % lines.len()].as_str()).collect();
        let text = |part: &[&str]| head.clone() + &part.join("\n") + "\n";
        let folder = shop.path(&format!("round-{round}"));
        fs::create_dir(&folder).unwrap();
        match round % 5 {
            0 => fs::write(folder.join("all.csv"), text(&shuffled)).unwrap(),
            1 => fs::write(
                folder.join("all.csv.zst"),
                zstd::encode_all(text(&shuffled).as_bytes(), 1).unwrap(),
            )
            .unwrap(),
            2 => {
                for (i, part) in shuffled.chunks(250).enumerate() {
                    let month = folder.join(format!("part={i}"));
                    fs::create_dir(&month).unwrap();
                    fs::write(month.join("lines.csv"), text(part)).unwrap();
                }
            }
            kind => {
                let as_text = CsvReadOptions::default().with_infer_schema_length(Some(0));
                let frame = CsvReader::new(std::io::Cursor::new(text(&shuffled)))
                    .with_options(as_text)
                    .finish()
                    .unwrap();
                let format =
                    StrptimeOptions { format: Some("%Y-%m-%d %H:%M".into()), ..Default::default() };
                let typed = [
                    col("bought").str().to_datetime(
                        Some(TimeUnit::Microseconds),
                        None,
                        format,
                        lit("raise"),
                    ),
                    col("units").cast(DataType::Int64),
                    col("price").cast(DataType::Float64),
                ];
                let mut frame = frame.lazy().with_columns(typed).collect().unwrap();
                let rows = if kind == 3 { 64 } else { 100_000 };
                let file = File::create(folder.join("all.parquet")).unwrap();
                ParquetWriter::new(file)
                    .with_row_group_size(Some(rows))
                    .finish(&mut frame)
                    .unwrap();
            }
        }
        let threads = [1, 2, 3, 7][round % 4].to_string();
        let paths = format!("ingest.transactions.paths=[round-{round}]");
        shop.run(&["-q", "--threads", &threads, "--set", &paths]);
        found.insert(hashes(&shop.path("out")));
    }
    assert_eq!(found.len(), 1);
}

/// pyarrow before 16 does not know string views, and later versions cannot filter them.
#[test]
fn published_files_have_no_arrow_schema() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let shop = Shop::fixture();
    shop.run(&["--set", "models={groups: {kmeans: {k: 2}, features: [recency_days, monetary]}}"]);
    let mut folders = vec![shop.path("out/current")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "parquet") {
                let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
                let metadata = reader.metadata().file_metadata();
                let pairs = metadata.key_value_metadata().unwrap();
                let keys: Vec<&str> = pairs.iter().map(|pair| pair.key.as_str()).collect();
                assert!(!keys.contains(&"ARROW:schema"), "{}: {keys:?}", path.display());
                assert!(keys.contains(&"custseg.definition_hash"), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 8, "{files}");
}
