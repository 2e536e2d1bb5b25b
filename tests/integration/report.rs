//! The HTML report of a run. `tests/browser` tests how it is displayed.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::{Shop, assert_up_to_date, custseg, fixtures, floats, reference, root, texts};

fn page(shop: &Shop) -> String {
    fs::read_to_string(shop.path("out/current/report.html")).unwrap()
}

/// The values of an attribute, in order.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let begins = format!(" {name}=\"");
    page.split(begins.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Every chart has a table, every link a target, every id is unique, and nothing is loaded.
fn assert_valid(page: &str) {
    let ids = attributes(page, "id");
    let distinct: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "duplicate id");
    for link in attributes(page, "href").into_iter().filter_map(|link| link.strip_prefix('#')) {
        assert!(distinct.contains(link), "no element has the id {link}");
    }
    assert_eq!(page.matches("<figure").count(), page.matches("<table").count());
    // Each chart is drawn for screens and for phones.
    assert_eq!(2 * page.matches("class=\"chart\"").count(), page.matches("<svg").count());
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.matches("<svg").count() > 0);
    for word in ["could not be drawn", "NaN", "inf\"", "http://", "https://", "@import", "url("] {
        // The SVG namespace is not a request.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(word), "{word}");
    }
}

/// The fixture's pipeline over sixty customers.
fn sixty_customers() -> Shop {
    let mut csv = String::from("order,product,units,bought,price,customer,country\n");
    for customer in 0..60 {
        for order in 0..=(customer % 7) {
            let (month, day) = (1 + (order * 2 + customer) % 11, 1 + customer % 27);
            csv += &format!(
                "{customer}-{order},P{order},{},2024-{month:02}-{day:02} 10:00,{}.50,\
                 c{customer:02},UK\n",
                1 + customer % 3,
                1 + order
            );
        }
    }
    Shop::with_csv(csv)
}

/// A pipeline that fills every section of the report.
fn every_section() -> Shop {
    let shop = sixty_customers();
    let groups = "customer_id,group\nc00,treated\nc01,treated\nc02,control\n";
    fs::write(shop.path("groups.csv"), groups).unwrap();
    shop
        .edit(
            "rfm: { snapshots: last }",
            "rfm: { snapshots: { every: 2mo, from: 2024-04-01, until: last } }",
        )
        .edit("score:", "checks:\n  - row_count: { min: 1000, severity: warn }\nscore:")
        .edit(
            "publish: { to: out }",
            "models:\n  \
             same: { target: segment, features: [recency_days, frequency, monetary], k: 3 }\n  \
             later: { target: { segment_in: 60d }, features: [recency_days, frequency], \
               k: { tune: [3, 5] } }\n  \
             buys: { target: { buys_in: 60d }, k: 5 }\n  \
             near: { features: [recency_days, frequency, monetary], \
               kmeans: { k: { sweep: [1, 5] } } }\n  \
             value: { btyd: { horizon: 60d } }\n\
             evaluate: { sensitivity: true, stability: { resamples: 20 }, validity: { horizon: 60d }, \
               backtest: { dates: [2024-10-01] }, cohorts: { by: quarter }, \
               uplift: { mail: { groups: groups.csv, since: 2024-09-01, horizon: 30d } } }\n\
             publish: { to: out }",
        )
}

#[test]
fn report_has_every_section_and_is_reproducible() {
    let shop = every_section();
    shop.run(&[]);
    let page = page(&shop);
    assert_valid(&page);
    for id in ["actions", "segments", "values", "time", "expected-value", "ledger"] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    // The sections for analysts, and the glossary, are closed.
    let (open, closed) = page.split_once("<details class=\"closed\" id=\"analysts\">").unwrap();
    for id in ["robustness", "models", "clusters"] {
        let section = format!("<section id=\"{id}\"");
        assert!(!open.contains(&section) && closed.contains(&section), "{id}");
    }
    assert!(closed.contains("<details class=\"closed\" id=\"glossary\">"));
    let charts = [
        "ledger-rows",
        "segment-profile",
        "segment-sizes",
        "segment-map",
        "segment-positions",
        "in-and-out",
        "uplift",
        "cohort-retention",
        "pareto",
        "validity",
        "sensitivity",
        "cells-customers",
        "cells-money",
        "values-recency_days",
        "values-frequency",
        "values-monetary",
        "cuts",
        "time-shares",
        "migration",
        "causes",
        "drift",
        "protocols",
        "confusion-same",
        "confusion-later",
        "reliability-later",
        "tuning-later",
        "lift-buys",
        "tracking-value",
        "certain-same",
        "elbow-near",
        "silhouette-near",
        "silhouettes-near",
        "silhouettes-segment",
        "centroids-near",
        "cluster_quality",
    ];
    for id in charts {
        assert!(page.contains(&format!("<figure id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("Warning: row_count, raw lines: found"));
    // Customers without an earlier segment are new, customers without a later one are inactive.
    assert!(page.contains("<th scope=\"row\">(new)</th>"));
    assert!(page.contains(">(inactive)</th>"));
    // Only the published files are read.
    fs::remove_file(shop.path("shop.csv")).unwrap();
    fs::remove_file(shop.path("out/current/report.html")).unwrap();
    let again = shop.custseg(&["report", "out", "--out", "-"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""));
    assert!(again.stdout == page, "the second rendering differs");
    let written = shop.custseg(&["report", "out"]);
    assert_eq!((written.code, written.stdout.as_str()), (0, "report.html\n"));
    assert!(fs::read_to_string(shop.path("report.html")).unwrap() == page);
}

/// Customers, segments, actions, reasons and files. Names of pipelines and models cannot be markup.
#[test]
fn markup_in_names_is_escaped() {
    let csv = fs::read_to_string(fixtures().join("shop.csv"))
        .unwrap()
        .replace("1001", "<script>alert('c')</script>");
    let shop = Shop::with_csv(&csv)
        .edit("shop.csv", "<b>.csv")
        .edit("order_id_prefix: C", "order_id_prefix: \"<script>\"")
        .edit(
            "publish:",
            "models:\n  near: { target: segment, features: [monetary], k: 1 }\npublish:",
        );
    fs::write(shop.path("<b>.csv"), csv.replace("CA1", "<script>A1")).unwrap();
    let map = fs::read_to_string(shop.path("map.yaml")).unwrap();
    let map = map
        .replace("Gone", "\"<script>alert(2)</script>\"")
        .replace("Ask.", "\"</td><script>alert(3)</script>\"");
    fs::write(shop.path("map.yaml"), map).unwrap();
    shop.run(&[]);
    let page = page(&shop);
    assert_valid(&page);
    for text in [
        "alert(&#39;c&#39;)&#60;/script&#62;",
        "alert(2)&#60;",
        "&#60;/td&#62;&#60;script&#62;alert(3)",
        "&#60;b&#62;.csv",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

/// One customer, negative, zero and huge money, a very long name.
#[test]
fn extreme_data_have_a_report() {
    let head = "order,product,units,bought,price,customer,country\n";
    let long = "n".repeat(5000);
    for (name, lines) in [
        ("one customer", "A,P,1,2024-01-05 10:00,1.50,1,UK\n".to_owned()),
        (
            "equal customers",
            "A,P,1,2024-01-05 10:00,1.50,1,UK\n\
             B,P,1,2024-01-05 10:00,1.50,2,UK\n"
                .to_owned(),
        ),
        (
            "zero money",
            "A,P,1,2024-01-05 10:00,0.00,1,UK\n\
             B,P,1,2024-01-06 10:00,0.00,2,UK\n"
                .to_owned(),
        ),
        (
            "negative money",
            "A,P,1,2024-01-05 10:00,1.00,1,UK\n\
             CA,P,-9,2024-01-06 10:00,1.00,1,UK\n\
             B,P,1,2024-01-06 10:00,0.01,2,UK\n"
                .to_owned(),
        ),
        (
            "huge money",
            "A,P,1,2024-01-05 10:00,1.00,1,UK\n\
             B,P,900000000,1990-01-06 10:00,90000000.00,2,UK\n"
                .to_owned(),
        ),
        ("long id", format!("A,P,1,2024-01-05 10:00,1.00,{long},UK\n")),
    ] {
        let shop = Shop::with_csv(format!("{head}{lines}"))
            .edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: net }")
            .edit("  - keep_positive: [quantity, unit_price]\n", "")
            .edit(
                "publish:",
                "models:\n  near: { features: [monetary], kmeans: { k: 1 } }\npublish:",
            );
        let outcome = shop.custseg(&["run", "shop.yaml"]);
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
        assert_valid(&page(&shop));
    }
}

/// Labels follow the definitions: money, orders, bins and behaviour mean different things by
/// option.
#[test]
fn report_labels_follow_the_definitions() {
    let months = (
        "rfm: { snapshots: last }",
        "rfm: { snapshots: { every: 2mo, from: 2024-04-01, until: last } }",
    );
    let rank = ("score: { bins: 5 }", "score: { bins: 5, method: rank }");
    for (name, edits, present, absent) in [
        ("sums", vec![], "of revenue, which is all money spent.", "mean per order"),
        (
            "means",
            vec![(
                "rfm: { snapshots: last }",
                "rfm: { snapshots: last, monetary: mean_per_order }",
            )],
            "Monetary value is the mean per order.",
            "id=\"pareto\"",
        ),
        (
            "returns",
            vec![("prefix: C }", "prefix: C, policy: net }")],
            "all money spent, minus returns",
            "without deducting returns",
        ),
        (
            "returns apart",
            vec![("prefix: C }", "prefix: C, policy: separate }")],
            "all money spent, without deducting returns",
            "minus returns",
        ),
        (
            "units",
            vec![("rfm: { snapshots: last }", "rfm: { snapshots: last, frequency: units }")],
            ">units per customer<",
            ">orders per customer<",
        ),
        (
            "window",
            vec![("rfm: { snapshots: last }", "rfm: { snapshots: last, window: 90d }")],
            "all money spent within 90d",
            "id=\"time\"",
        ),
        ("causes", vec![months], "counts the two reasons separately", "id=\"models\""),
        (
            "no causes",
            vec![months, rank],
            "snapshots, from 2024-04-01 to",
            "counts the two reasons separately",
        ),
    ] {
        let mut shop = sixty_customers();
        for (from, to) in edits {
            shop = shop.edit(from, to);
        }
        shop.run(&[]);
        let page = page(&shop);
        assert_valid(&page);
        assert!(page.contains(present) && !page.contains(absent), "{name}");
    }
}

/// A model below its baseline is a warning at the top; abstention is reported.
#[test]
fn models_below_their_baseline_are_a_warning() {
    let shop = sixty_customers().edit(
        "publish:",
        "models:\n  bad: { target: segment, features: [tenure_days], k: 1, abstain: 1.0 }\n  \
         good: { target: segment, features: [recency_days, frequency], k: 3 }\npublish:",
    );
    let shop =
        shop.edit("rfm: { snapshots: last }", "rfm: { snapshots: last, features: [tenure_days] }");
    shop.run(&[]);
    let page = page(&shop);
    let metrics = shop.table("metrics");
    let accuracy = |model: &str| {
        let row = (0..metrics.height()).find(|row| {
            texts(&metrics, "model")[*row] == model
                && texts(&metrics, "metric")[*row] == "accuracy"
                && texts(&metrics, "label")[*row].is_empty()
        });
        floats(&metrics, "value")[row.unwrap()]
    };
    for model in ["bad", "good"] {
        let worse = accuracy(model) < accuracy(&format!("{model}:majority"));
        assert_eq!(
            page.contains(&format!("Warning: model {model} is correct for")),
            worse,
            "{model}"
        );
    }
    assert!(page.contains(
        "The model gives no label below a confidence of 1; this table contains all predictions."
    ));
}

#[test]
fn run_with_failed_checks_has_a_report() {
    let shop = Shop::fixture().edit("score:", "checks:\n  - row_count: { min: 1000 }\nscore:");
    let outcome = shop.custseg(&["run", "shop.yaml"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let folder = fs::read_dir(shop.path("out/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert_valid(&page);
    assert!(
        page.contains("Check failed: row_count, raw lines: found")
            && page.contains("expected at least 1000. Nothing was published.")
    );
    // The check, and a rejected row of each reason with its value.
    assert!(page.contains("<figure id=\"checks\"") && page.contains("0 of 1 checks passed."));
    let (_, examples) = page.split_once("<figure id=\"rejects\"").unwrap();
    for text in [">2024-02-30 12:00<", ">one<", ">3.333<", "data-value=\"8\""] {
        assert!(examples.contains(text), "{text}");
    }
}

/// A rename would replace the device with a file.
#[test]
fn reports_and_tables_can_be_written_to_devices() {
    let shop = Shop::fixture();
    shop.run(&[]);
    for (args, device) in [
        (vec!["report", "out", "--out"], "pipe"),
        (vec!["score", "--model", "out", "shop.csv", "--to"], "pipe.csv"),
    ] {
        let pipe = shop.path(device);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        let outcome = shop.custseg(&[&args[..], &[device]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(reader.join().unwrap().len() > 100);
        assert!(!fs::metadata(pipe).unwrap().is_file());
    }
}

#[test]
fn report_fails_without_a_run_or_destination() {
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["report", "nowhere"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (4, ""));
    assert!(outcome.stderr.contains("nowhere"), "{}", outcome.stderr);
    shop.run(&[]);
    for destination in ["no/such/folder/report.html", "out"] {
        let outcome = shop.custseg(&["report", "out", "--out", destination]);
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    }
}

/// 4,338 customers, five models and a sweep, in less than two megabytes.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn report_of_online_retail_is_small_and_correct() {
    let data = reference("online-retail/online_retail.parquet");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let pipeline = root().join("pipelines/online_retail_models.yaml");
    let paths = format!("ingest.transactions.paths=[{}]", data.canonicalize().unwrap().display());
    let args = [
        "-q",
        "run",
        pipeline.to_str().unwrap(),
        "--set",
        &format!("publish.to={}", to.display()),
        "--set",
        &paths,
    ];
    let outcome = custseg(Path::new("."), &args);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let page = custseg(Path::new("."), &["report", to.to_str().unwrap(), "--out", "-"]);
    assert_eq!(page.code, 0, "{}", page.stderr);
    assert_valid(&page.stdout);
    assert!(page.stdout.len() < 2_000_000, "{} bytes", page.stdout.len());
    // By pandas and DuckDB: 4,338 customers and 8,911,407.904.
    assert!(page.stdout.contains("data-fact=\"customers\" data-value=\"4338\">4,338<"));
    assert!(page.stdout.contains(">8,911,408 GBP<"));
}

/// `docs/outputs.md` documents every published column; `INSTA_UPDATE=always` rewrites it.
#[test]
fn docs_of_published_columns_are_complete_and_up_to_date() {
    let shop = every_section()
        .edit(
            "columns: { customer_id: customer,",
            "columns: { product_id: product, category: product, customer_id: customer,",
        )
        .edit(
            "cancellations: { order_id_prefix: C }",
            "cancellations: { order_id_prefix: C, policy: match }",
        )
        .edit("  - drop_duplicates: exact", "  - cap_outliers: { quantile: 0.9, policy: report }")
        .edit(
            "{ every: 2mo, from: 2024-04-01, until: last } }",
            "{ every: 2mo, from: 2024-04-01, until: last }, top_categories: 2, features: \
             [tenure_days, mean_gap_days, gap_days_std, average_order_value, n_products] }",
        )
        .edit("segment: { map: map.yaml }", "segment: { map: map.yaml, why: true }");
    let csv = fs::read_to_string(shop.path("shop.csv")).unwrap();
    fs::write(shop.path("shop.csv"), csv + "C1,P0,-1,2024-11-20 10:00,1.50,c00,UK\n").unwrap();
    shop.run(&[]);
    let outcome = shop.custseg(&["inspect", "out", "--columns"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let tables: Vec<&str> =
        outcome.stdout.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(tables.len(), 24, "{tables:?}");
    // This run has no attributes of a customers' source.
    assert!(!outcome.stdout.contains("A column of the source"), "{}", outcome.stdout);
    let head = "# Published tables

\
        Every table under `current/` with every column, generated with `custseg inspect RUN \
        --columns`
for a run with five models: `same`, `later` and `buys` are KNN, `near` is a clustering, \
        `value` is BTYD. Column
names, types and order are stable. Changes are listed in `CHANGELOG.md`.

";
    // Runs with one snapshot have another table.
    let set = ["--set", "models={}", "--set", "evaluate={}", "--as-of"];
    for date in ["2024-10-01", "2024-11-01"] {
        shop.run(&[&set[..], &[date, "--allow-older", "--set", "publish.to=one"]].concat());
    }
    let one = shop.custseg(&["inspect", "one", "--columns"]);
    let sections = |text: &str| -> Vec<String> {
        format!("\n{text}")
            .split("\n## ")
            .skip(1)
            .map(|table| table.trim_end().to_owned())
            .collect()
    };
    let changes = sections(&one.stdout).into_iter().filter(|table| table.starts_with("`changes"));
    let mut tables: Vec<String> = sections(&outcome.stdout).into_iter().chain(changes).collect();
    tables.sort_unstable();
    assert_eq!(tables.len(), 25);
    let tables: Vec<String> = tables.into_iter().map(|table| format!("## {table}")).collect();
    let page = format!("{head}{}\n", tables.join("\n\n"));
    assert_up_to_date("docs/outputs.md", &page);
}
