//! The artefact: scoring by it gives what the run gave, to the bit, and nothing but the artefact as it was written is scored by.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use polars::prelude::*;

use super::harness::{Outcome, Shop, custseg, fixtures, reference, root, table, texts};

const BACK: [&str; 3] = ["previous_segment", "segment_since", "snapshots_in_segment"];

fn parquet(path: &Path) -> DataFrame {
    ParquetReader::new(fs::File::open(path).unwrap()).finish().unwrap()
}

/// A shop with everything that a run finds over all customers: capped money, categories, an own currency, a model.
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
    let shop = Shop::of(format!("{head}{}", (0..200).map(line).collect::<String>()))
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

/// All customers, and any part of them, from CSV and from Parquet.
#[test]
fn scoring_the_runs_own_customers_gives_the_run() {
    let shop = full_shop();
    shop.run(&[]);
    let segments = shop.table("segments/snapshot=2024-01-29/part-0").drop_many(BACK);
    let all = scored(&shop, &["shop.csv"]);
    assert_eq!(texts(&all, "snapshot")[0], "2024-01-29");
    assert!(all.drop("snapshot").unwrap().equals_missing(&segments));
    let some = |shop: &Shop, file: &str| {
        let some = scored(shop, &[file]).drop("snapshot").unwrap();
        let ids = texts(&some, "customer_id");
        assert!((5..30).contains(&ids.len()), "{}", ids.len());
        let of_run = segments.clone().lazy().filter(
            col("customer_id").is_in(lit(Series::new("ids".into(), ids)).implode(true), false),
        );
        assert!(some.equals_missing(&of_run.collect().unwrap()));
    };
    let csv = fs::read_to_string(shop.path("shop.csv")).unwrap();
    let kept = |line: &&str| line.starts_with("customer") || line.starts_with('3');
    fs::write(shop.path("some.csv"), csv.lines().filter(kept).collect::<Vec<_>>().join("\n"))
        .unwrap();
    some(&shop, "some.csv");
    let read = CsvReadOptions::default()
        .try_into_reader_with_file_path(Some(shop.path("some.csv")))
        .unwrap();
    let mut frame = read.finish().unwrap();
    let format = StrptimeOptions { format: Some("%Y-%m-%d %H:%M".into()), ..Default::default() };
    let moment =
        col("bought").str().to_datetime(Some(TimeUnit::Microseconds), None, format, lit("raise"));
    frame = frame.lazy().with_column(moment).collect().unwrap();
    ParquetWriter::new(fs::File::create(shop.path("some.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    some(&shop, "some.parquet");
    // Strangers are scored as well; a later date sees them older.
    fs::write(
        shop.path("new.csv"),
        "customer,bought,price,units,order,product,currency\nnew,2024-01-20 09:00,2,1,N1,P1,GBP\n",
    )
    .unwrap();
    let later = scored(&shop, &["new.csv", "--as-of", "2024-02-01"]);
    assert_eq!(texts(&later, "recency_days"), ["12"]);
    assert!(!texts(&later, "near_label")[0].is_empty());
}

/// The shipped pipelines over their real data: every column, every customer.
#[test]
fn scoring_real_shops_gives_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let mut shops: Vec<(&str, PathBuf)> =
        vec![("pipelines/cdnow.yaml", root().join("data/raw/cdnow.csv"))];
    shops.extend(
        reference("online-retail/online_retail.parquet")
            .map(|path| ("pipelines/online_retail.yaml", path)),
    );
    for (pipeline, source) in shops {
        let set = [
            format!("publish.to={}", to.display()),
            format!("ingest.transactions.paths=[{}]", source.display()),
        ];
        let run = custseg(root(), &["-q", "run", pipeline, "--set", &set[0], "--set", &set[1]]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let line: serde_json::Value = serde_json::from_str(run.stdout.trim()).unwrap();
        let date = line["snapshots"][0].as_str().unwrap();
        let scored = folder.path().join("scored.parquet");
        let (model, scored_to) =
            (to.display().to_string() + "/current/model", scored.display().to_string());
        let outcome = custseg(
            root(),
            &["-q", "score", "--model", &model, &source.display().to_string(), "--to", &scored_to],
        );
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let segments = table(&to, &format!("segments/snapshot={date}/part-0")).drop_many(BACK);
        assert!(parquet(&scored).drop("snapshot").unwrap().equals_missing(&segments), "{pipeline}");
    }
}

pub fn piped(shop: &Shop, input: &str) -> Outcome {
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
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[test]
fn piped_rows_are_answered_as_the_run_answered_them() {
    let shop = full_shop();
    shop.run(&[]);
    let segments = shop.table("segments/snapshot=2024-01-29/part-0");
    let rows = |names: &[&str]| -> String {
        let columns: Vec<Vec<String>> = names.iter().map(|name| texts(&segments, name)).collect();
        // Last first: the answers come in the order of the questions.
        let row = |row: usize| {
            columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>().join("\t") + "\n"
        };
        (0..segments.height()).rev().map(row).collect()
    };
    let asked = rows(&["customer_id", "recency_days", "frequency", "monetary"]);
    let answered = piped(&shop, &asked);
    assert_eq!(answered.code, 0, "{}", answered.stderr);
    let own = ["customer_id", "r_score", "f_score", "m_score", "rfm_code", "segment"];
    let near = ["near_label", "near_confidence", "near_margin", "near_novelty"];
    let number =
        |text: &str| text.parse::<f64>().map_or_else(|_| text.to_owned(), |x| x.to_string());
    let plain = |text: &str| text.split(['\t', '\n']).map(number).collect::<Vec<_>>();
    assert_eq!(plain(&answered.stdout), plain(&rows(&[&own[..], &near].concat())));
    for (row, words) in [
        (
            "a\t1\t2\n",
            "line 1: 3 fields instead of 4: customer_id, recency_days, frequency, monetary",
        ),
        ("a\t1\t2\t3\nb\t1\tx\t3\n", "line 2: frequency: `x` is no whole number"),
        ("a\t1\t2\tNaN\n", "line 1: monetary: `NaN` is no number"),
        ("a\t\\N\t2\t1\n", "line 1: recency_days: `\\N` is no whole number"),
    ] {
        let refused = piped(&shop, row);
        assert_eq!(
            (refused.code, refused.stderr.as_str()),
            (3, format!("error: score: {words}\n").as_str())
        );
    }
    assert_eq!(piped(&shop, "").stdout, "");
}

#[test]
fn only_the_artefact_as_it_was_written_is_scored_by() {
    let shop = full_shop();
    shop.run(&[]);
    let record = shop.path("out/current/model/artefact.json");
    let text = fs::read_to_string(&record).unwrap();
    let folder = shop.path("out/current/model").canonicalize().unwrap();
    let refused = |code: i32, words: &str| {
        let outcome = shop.custseg(&["-q", "score", "--model", "out/current", "shop.csv"]);
        let said = outcome.stderr.replace(&format!("{}/", folder.display()), "");
        assert_eq!(
            (outcome.code, said.trim()),
            (code, format!("error: artefact: {words}").as_str())
        );
    };
    let older = text.replacen("\"format\": 1", "\"format\": 0", 1);
    fs::write(&record, older).unwrap();
    refused(
        2,
        "artefact.json: this artefact has format 0, but this program reads formats 1 to 1; run the pipeline again to make a new one",
    );
    fs::write(&record, text.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
    refused(
        2,
        "artefact.json: this artefact has format 2, but this program reads formats 1 to 1; a newer program made it",
    );
    let changed = text.replacen("\"upper\": false", "\"upper\": true", 1);
    assert_ne!(changed, text);
    fs::write(&record, changed).unwrap();
    refused(3, "artefact.json: this artefact is damaged: it is not as it was written");
    fs::write(&record, &text[..60]).unwrap();
    refused(
        3,
        "artefact.json: this artefact is damaged: EOF while parsing a value at line 4 column 21",
    );
    fs::write(&record, &text).unwrap();
    for name in ["map.json", "pipeline.json", "near.parquet", "rates.csv"] {
        let path = shop.path("out/current/model").join(name);
        let bytes = fs::read(&path).unwrap();
        let mut other = bytes.clone();
        other[20] ^= 1;
        fs::write(&path, other).unwrap();
        refused(3, &format!("{name}: this artefact is damaged: it is not as it was written"));
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
    let words = "error: artefact: the artefact was made by other definitions: `rfm.window` is \"30d\" here and \"all\" there\n";
    assert_eq!(other.stderr, words);
    let absent = shop.custseg(&["-q", "score", "--model", ".", "shop.csv"]);
    assert_eq!(
        (absent.code, absent.stderr.as_str()),
        (
            2,
            "error: artefact: .: no artefact is here; name the folder of results, of a run, or of its `model`\n"
        )
    );
    shop.run(&["--set", "score.method=rank"]);
    refused(
        2,
        "the artefact of `shop` has no cut points: its scores go by rank, which depends on who else is there",
    );
}

/// Cut points of an earlier run hold in a later one, if both mean the same by them.
#[test]
fn a_pipeline_takes_over_cut_points() {
    let shop = full_shop();
    shop.run(&["--set", "publish.to=first", "--as-of", "2024-01-15"]);
    let by_date = ["--set", "score.cut_points={frozen: 2024-01-15}"];
    for place in ["first", "first/current", "first/current/model"] {
        shop.run(&[
            "--set",
            &format!("score.cut_points={{frozen: {place}}}"),
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
    let refused = |set: &[&str]| {
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
        shop.custseg(&[&["check", "shop.yaml"], &set[..]].concat())
    };
    let kept = "score.cut_points={frozen: first}";
    let other = refused(&[kept, "score.bins=4", "rfm.frequency=days"]);
    assert_eq!(other.code, 2);
    assert!(
        other.stderr.contains("`rfm.frequency` is \"days\" here and \"orders\" there"),
        "{}",
        other.stderr
    );
    insta::assert_snapshot!(
        "frozen_nowhere",
        refused(&["score.cut_points={frozen: nowhere}"]).stderr
    );
    insta::assert_snapshot!(
        "frozen_ranks",
        refused(&["score.cut_points={frozen: 2024-01-15}", "score.method=rank"]).stderr
    );
}

#[test]
fn two_runs_are_compared() {
    let shop = full_shop();
    shop.run(&["--set", "publish.to=first", "--as-of", "2024-01-25"]);
    shop.run(&["--set", "score.recency={method: fixed, cut_points: [2, 5, 9, 14]}"]);
    let mut outcome = shop.custseg(&["diff", "first", "out"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    insta::with_settings!({filters => vec![(r"[0-9a-f]{16}", "[run]")]}, {
        insta::assert_snapshot!("diff", outcome.stdout);
    });
    outcome = shop.custseg(&["diff", "first", "out/current", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    // By hand from the two tables.
    let [one, other] = [("first", "2024-01-25"), ("out", "2024-01-29")].map(|(to, date)| {
        let frame = table(&shop.path(to), &format!("segments/snapshot={date}/part-0"));
        texts(&frame, "customer_id")
            .into_iter()
            .zip(texts(&frame, "segment"))
            .collect::<std::collections::BTreeMap<_, _>>()
    });
    let moved = one
        .iter()
        .filter(|(id, segment)| other.get(*id).is_some_and(|now| now != *segment))
        .count();
    let came = other.keys().filter(|id| !one.contains_key(*id)).count();
    assert!(moved > 0);
    assert_eq!(found["customers"]["moved"], moved);
    assert_eq!(found["customers"]["only_other"], came);
    assert_eq!(found["customers"]["all"], other.len());
    assert_eq!(shop.custseg(&["diff", "first", "out", "--snapshot", "2024-01-25"]).code, 2);
    assert_eq!(shop.custseg(&["diff", "first", fixtures().to_str().unwrap()]).code, 4);
    assert_eq!(shop.custseg(&["diff", "out", "out", "--json"]).code, 0);
}

/// One row alone is answered as it is, and at once.
#[test]
fn a_single_piped_row_is_not_quoted() {
    let shop = full_shop();
    shop.run(&[]);
    let answered = piped(&shop, "a\t3\t2\t10\n");
    assert_eq!(
        (answered.code, answered.stdout.matches('"').count()),
        (0, 0),
        "{}",
        answered.stdout
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["-q", "score", "--model", "out", "--stdio"])
        .current_dir(shop.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The answer comes while the question's pipe is still open.
    let mut asked = child.stdin.take().unwrap();
    let mut answers = std::io::BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        asked.write_all(b"a\t3\t2\t10\n").unwrap();
        asked.flush().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut answers, &mut line).unwrap();
        assert_eq!(line, answered.stdout);
    }
    drop(asked);
    assert!(child.wait().unwrap().success());
}

/// A file that is written for others can be read by them, and a wrong name is told before any work.
#[test]
fn scores_are_written_as_the_user_writes_files() {
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
        "error: publish: scored.txt: expected a name that ends in .csv or .parquet\n"
    );
    assert_eq!(shop.custseg(&["-q", "score", "--model", "out", ""]).code, 2);
}
