//! The model artefact: scores equal those of the run bit by bit; a damaged artefact is rejected.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use polars::prelude::*;

use super::harness::{Outcome, Shop, custseg, fixtures, reference, root, table, texts};

/// Columns that depend on earlier snapshots, which a score does not have.
const HISTORY_COLUMNS: [&str; 3] = ["previous_segment", "segment_since", "snapshots_in_segment"];

fn parquet(path: &Path) -> DataFrame {
    ParquetReader::new(fs::File::open(path).unwrap()).finish().unwrap()
}

/// A shop with every fitted parameter: caps, top categories, exchange rates, cut points, a model.
fn full_shop() -> Shop {
    let head = "customer,bought,price,units,order,product,currency\n";
    let line = |i: u32| {
        let (day, currency) = (i % 28 + 1, if i.is_multiple_of(5) { "USD" } else { "GBP" });
        format!(
            "{},2024-01-{day:02} 09:00,{}.5,{},A{i},P{},{currency}\n",
            i % 40,
            i * i % 97 + 1,
            i % 4 + 1,
            i % 7
        )
    };
    let shop = Shop::with_csv(format!("{head}{}", (0..200).map(line).collect::<String>()))
        .edit("unit_price: price }", "unit_price: price, category: product, currency: currency }")
        .edit("currency: GBP }", "currency: GBP, rates: rates.csv }")
        .edit(
            "order_id_prefix: C }",
            "order_id_prefix: C }\n  - cap_outliers: { quantile: 0.9, policy: winsorise }",
        )
        .edit(
            "snapshots: last",
            "snapshots: 2024-01-29, top_categories: 2, features: [tenure_days]",
        )
        .edit(
            "score: { bins: 5 }",
            "score: { bins: 5, weights: { recency: 1, frequency: 2, monetary: 0.1 } }",
        )
        .edit("publish:", "models: { near: { k: 3 } }\npublish:");
    fs::write(shop.path("rates.csv"), "date,currency,rate\n2023-01-01,USD,0.8\n").unwrap();
    shop
}

fn scored(shop: &Shop, args: &[&str]) -> DataFrame {
    let outcome = shop.custseg(
        &[&["-q", "score", "--model", "out/current", "--to", "scored.parquet"], args].concat(),
    );
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    parquet(&shop.path("scored.parquet"))
}

/// All customers and a subset of them, from CSV and from Parquet.
#[test]
fn scores_of_the_runs_customers_equal_the_run() {
    let shop = full_shop();
    shop.run(&[]);
    let segments = shop.table("segments/snapshot=2024-01-29/part-0").drop_many(HISTORY_COLUMNS);
    let all = scored(&shop, &["shop.csv"]);
    assert_eq!(texts(&all, "snapshot")[0], "2024-01-29");
    assert!(all.drop("snapshot").unwrap().equals_missing(&segments));
    let assert_subset_equals_run = |shop: &Shop, file: &str| {
        let subset = scored(shop, &[file]).drop("snapshot").unwrap();
        let ids = texts(&subset, "customer_id");
        assert!((5..30).contains(&ids.len()), "{}", ids.len());
        let expected = segments.clone().lazy().filter(
            col("customer_id").is_in(lit(Series::new("ids".into(), ids)).implode(true), false),
        );
        assert!(subset.equals_missing(&expected.collect().unwrap()));
    };
    let csv = fs::read_to_string(shop.path("shop.csv")).unwrap();
    let is_in_subset = |line: &&str| line.starts_with("customer") || line.starts_with('3');
    fs::write(
        shop.path("subset.csv"),
        csv.lines().filter(is_in_subset).collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    assert_subset_equals_run(&shop, "subset.csv");
    let read = CsvReadOptions::default()
        .try_into_reader_with_file_path(Some(shop.path("subset.csv")))
        .unwrap();
    let mut frame = read.finish().unwrap();
    let format = StrptimeOptions { format: Some("%Y-%m-%d %H:%M".into()), ..Default::default() };
    let timestamp =
        col("bought").str().to_datetime(Some(TimeUnit::Microseconds), None, format, lit("raise"));
    frame = frame.lazy().with_column(timestamp).collect().unwrap();
    ParquetWriter::new(fs::File::create(shop.path("subset.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    assert_subset_equals_run(&shop, "subset.parquet");
    // New customers are scored too. Recency is relative to `--as-of`.
    fs::write(
        shop.path("new.csv"),
        "customer,bought,price,units,order,product,currency\nnew,2024-01-20 09:00,2,1,N1,P1,GBP\n",
    )
    .unwrap();
    let later = scored(&shop, &["new.csv", "--as-of", "2024-02-01"]);
    assert_eq!(texts(&later, "recency_days"), ["12"]);
    assert!(!texts(&later, "near_label")[0].is_empty());
}

/// Runs a shipped pipeline over real data, scores the same data with its artefact, and compares
/// every column of every customer.
fn assert_scores_equal_run(pipeline: &str, source: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let set = [
        format!("publish.to={}", to.display()),
        format!("ingest.transactions.paths=[{}]", source.display()),
    ];
    let run = custseg(root(), &["-q", "run", pipeline, "--set", &set[0], "--set", &set[1]]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let line: serde_json::Value = serde_json::from_str(run.stdout.trim()).unwrap();
    let date = line["snapshots"][0].as_str().unwrap();
    let scored = folder.path().join("scored.parquet");
    let model = to.join("current/model");
    let paths = [&model, source, &scored].map(|path: &Path| path.to_str().unwrap());
    let outcome =
        custseg(root(), &["-q", "score", "--model", paths[0], paths[1], "--to", paths[2]]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let segments = table(&to, &format!("segments/snapshot={date}/part-0"));
    let segments = segments.drop_many(HISTORY_COLUMNS);
    assert!(parquet(&scored).drop("snapshot").unwrap().equals_missing(&segments));
}

#[test]
fn scores_of_cdnow_equal_the_run() {
    assert_scores_equal_run("pipelines/cdnow.yaml", &root().join("data/raw/cdnow.csv"));
}

#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn scores_of_online_retail_equal_the_run() {
    let source = reference("online-retail/online_retail.parquet");
    assert_scores_equal_run("pipelines/online_retail_models.yaml", &source);
}

pub fn score_stdin(shop: &Shop, input: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["-q", "score", "--model", "out/current/model", "--stdio"])
        .current_dir(shop.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn scores_of_piped_rows_equal_the_run() {
    let shop = full_shop();
    shop.run(&[]);
    let segments = shop.table("segments/snapshot=2024-01-29/part-0");
    let rows = |names: &[&str]| -> String {
        let columns: Vec<Vec<String>> = names.iter().map(|name| texts(&segments, name)).collect();
        // Reversed: the output is in the order of the input.
        let row = |row: usize| {
            columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>().join("\t") + "\n"
        };
        (0..segments.height()).rev().map(row).collect()
    };
    let input = rows(&["customer_id", "recency_days", "frequency", "monetary"]);
    let output = score_stdin(&shop, &input);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let scores = ["customer_id", "r_score", "f_score", "m_score", "rfm_code", "segment"];
    let near = ["near_label", "near_confidence", "near_margin", "near_novelty"];
    let normalised =
        |text: &str| text.parse::<f64>().map_or_else(|_| text.to_owned(), |x| x.to_string());
    let cells = |text: &str| text.split(['\t', '\n']).map(normalised).collect::<Vec<_>>();
    assert_eq!(cells(&output.stdout), cells(&rows(&[&scores[..], &near].concat())));
    for (row, message) in [
        (
            "a\t1\t2\n",
            "line 1: 3 fields instead of 4: customer_id, recency_days, frequency, monetary",
        ),
        ("a\t1\t2\t3\nb\t1\tx\t3\n", "line 2: frequency: expected a whole number, found `x`"),
        ("a\t1\t2\tNaN\n", "line 1: monetary: expected a number, found `NaN`"),
        ("a\t\\N\t2\t1\n", "line 1: recency_days: expected a whole number, found `\\N`"),
    ] {
        let rejected = score_stdin(&shop, row);
        assert_eq!(
            (rejected.code, rejected.stderr.as_str()),
            (3, format!("error: score: {message}\n").as_str())
        );
    }
    assert_eq!(score_stdin(&shop, "").stdout, "");
}

#[test]
fn damaged_or_incompatible_artefacts_are_rejected() {
    let shop = full_shop();
    shop.run(&[]);
    let record = shop.path("out/current/model/artefact.json");
    let text = fs::read_to_string(&record).unwrap();
    let folder = shop.path("out/current/model").canonicalize().unwrap();
    let assert_rejected = |code: i32, message: &str| {
        let outcome = shop.custseg(&["-q", "score", "--model", "out/current", "shop.csv"]);
        let stderr = outcome.stderr.replace(&format!("{}/", folder.display()), "");
        assert_eq!(
            (outcome.code, stderr.trim()),
            (code, format!("error: artefact: {message}").as_str())
        );
    };
    let older = text.replacen("\"format\": 3", "\"format\": 2", 1);
    fs::write(&record, older).unwrap();
    assert_rejected(
        2,
        "artefact.json: artefact format 2 is not supported (supported: 3); run the pipeline again to \
         write a new artefact",
    );
    fs::write(&record, text.replacen("\"format\": 3", "\"format\": 4", 1)).unwrap();
    assert_rejected(
        2,
        "artefact.json: artefact format 4 is not supported (supported: 3); use the version of custseg \
         that wrote it, or a newer one",
    );
    let changed = text.replacen("\"upper\": false", "\"upper\": true", 1);
    assert_ne!(changed, text);
    fs::write(&record, changed).unwrap();
    assert_rejected(3, "artefact.json: artefact is damaged: content does not match its hash");
    fs::write(&record, &text[..60]).unwrap();
    assert_rejected(
        3,
        "artefact.json: artefact is damaged: EOF while parsing a value at line 4 column 21",
    );
    fs::write(&record, &text).unwrap();
    for name in ["map.json", "pipeline.json", "near.parquet", "rates.csv"] {
        let path = shop.path("out/current/model").join(name);
        let bytes = fs::read(&path).unwrap();
        let mut other = bytes.clone();
        other[20] ^= 1;
        fs::write(&path, other).unwrap();
        assert_rejected(
            3,
            &format!("{name}: artefact is damaged: content does not match its hash"),
        );
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(shop.custseg(&["-q", "score", "--model", "out/current", "shop.csv"]).code, 0);
    let other = shop.custseg(&[
        "-q",
        "score",
        "--model",
        "out/current",
        "shop.csv",
        "--set",
        "rfm.window=30d",
    ]);
    assert_eq!(other.code, 2);
    let message = "error: artefact: the artefact was created with other definitions: `rfm.window` is \"30d\" here and \"all\" there\n";
    assert_eq!(other.stderr, message);
    let absent = shop.custseg(&["-q", "score", "--model", ".", "shop.csv"]);
    assert_eq!(
        (absent.code, absent.stderr.as_str()),
        (
            2,
            "error: artefact: .: no artefact found; expected a results folder, a run folder or its `model` folder\n"
        )
    );
    shop.run(&["--set", "score.method=rank"]);
    assert_rejected(
        2,
        "the artefact of `shop` has no cut points: its scores are ranks among all customers of a run",
    );
}

/// A pipeline can use the cut points of another run if both define their values alike.
#[test]
fn frozen_cut_points_come_from_a_date_or_a_run() {
    let shop = full_shop();
    shop.run(&["--set", "publish.to=first", "--as-of", "2024-01-15"]);
    let by_date = ["--set", "score.cut_points={frozen: 2024-01-15}"];
    for path in ["first", "first/current", "first/current/model"] {
        shop.run(&[
            "--set",
            &format!("score.cut_points={{frozen: {path}}}"),
            "--set",
            "publish.to=by_run",
        ]);
        shop.run(&[&by_date[..], &["--set", "publish.to=by_date"]].concat());
        let [run, date] = ["by_run", "by_date"].map(|to| {
            let to = shop.path(to);
            (table(&to, "segments/snapshot=2024-01-29/part-0"), table(&to, "drift"))
        });
        assert!(run.0.equals_missing(&date.0) && run.1.equals_missing(&date.1));
    }
    let check = |set: &[&str]| {
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
        shop.custseg(&[&["check", "shop.yaml"], &set[..]].concat())
    };
    let frozen = "score.cut_points={frozen: first}";
    let other = check(&[frozen, "score.bins=4", "rfm.frequency=days"]);
    assert_eq!(other.code, 2);
    assert!(
        other.stderr.contains("`rfm.frequency` is \"days\" here and \"orders\" there"),
        "{}",
        other.stderr
    );
    insta::assert_snapshot!(
        "frozen_nowhere",
        check(&["score.cut_points={frozen: nowhere}"]).stderr
    );
    insta::assert_snapshot!(
        "frozen_ranks",
        check(&["score.cut_points={frozen: 2024-01-15}", "score.method=rank"]).stderr
    );
}

#[test]
fn diff_reports_segment_changes_between_runs() {
    let shop = full_shop();
    shop.run(&["--set", "publish.to=first", "--as-of", "2024-01-25"]);
    shop.run(&["--set", "score.recency={method: fixed, cut_points: [2, 5, 9, 14]}"]);
    let outcome = shop.custseg(&["diff", "first", "out"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    insta::with_settings!({filters => vec![(r"[0-9a-f]{16}", "[run]")]}, {
        insta::assert_snapshot!("diff", outcome.stdout);
    });
    let outcome = shop.custseg(&["diff", "first", "out/current", "--json"]);
    let diff: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    // The expected counts from the two tables.
    let [before, after] = [("first", "2024-01-25"), ("out", "2024-01-29")].map(|(to, date)| {
        let frame = table(&shop.path(to), &format!("segments/snapshot={date}/part-0"));
        texts(&frame, "customer_id")
            .into_iter()
            .zip(texts(&frame, "segment"))
            .collect::<std::collections::BTreeMap<_, _>>()
    });
    let moved = before
        .iter()
        .filter(|(id, segment)| after.get(*id).is_some_and(|now| now != *segment))
        .count();
    let added = after.keys().filter(|id| !before.contains_key(*id)).count();
    assert!(moved > 0);
    assert_eq!(diff["customers"]["moved"], moved);
    assert_eq!(diff["customers"]["only_other"], added);
    assert_eq!(diff["customers"]["all"], after.len());
    assert_eq!(shop.custseg(&["diff", "first", "out", "--snapshot", "2024-01-25"]).code, 2);
    assert_eq!(shop.custseg(&["diff", "first", fixtures().to_str().unwrap()]).code, 4);
    assert_eq!(shop.custseg(&["diff", "out", "out", "--json"]).code, 0);
}

/// A single row is written without CSV quotes, and before the input ends.
#[test]
fn single_piped_row_is_scored_at_once_and_unquoted() {
    let shop = full_shop();
    shop.run(&[]);
    let expected = score_stdin(&shop, "a\t3\t2\t10\n");
    assert_eq!(expected.code, 0, "{}", expected.stderr);
    assert!(!expected.stdout.contains('"'), "{}", expected.stdout);
    let mut child = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["-q", "score", "--model", "out", "--stdio"])
        .current_dir(shop.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The output comes while the input is still open.
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        input.write_all(b"a\t3\t2\t10\n").unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        assert_eq!(line, expected.stdout);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// The output has the permissions of the user's other files; an unknown suffix fails first.
#[test]
fn score_output_has_default_permissions_and_a_known_suffix() {
    use std::os::unix::fs::PermissionsExt;
    let shop = full_shop();
    shop.run(&[]);
    scored(&shop, &["shop.csv"]);
    let mode = |name: &str| fs::metadata(shop.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("scored.parquet"), mode("shop.csv"));
    let outcome =
        shop.custseg(&["-q", "score", "--model", "nowhere", "shop.csv", "--to", "scored.txt"]);
    assert_eq!(
        outcome.stderr,
        "error: publish: scored.txt: expected a name that ends in .csv, .xlsx or .parquet\n"
    );
    assert_eq!(shop.custseg(&["-q", "score", "--model", "out", ""]).code, 2);
}
