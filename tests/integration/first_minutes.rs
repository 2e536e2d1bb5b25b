//! What a new user meets: a data file in place of a pipeline, misspelt keys, rows that cannot be
//! parsed, results of another pipeline.

use std::fmt::Write;
use std::fs::{self, File};

use polars::prelude::*;
use serde_json::Value;

use super::harness::{Outcome, Shop, custseg, floats, table, texts};

fn assert_message(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, code, "{}{}", outcome.stdout, outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part}\n{}", outcome.stderr);
    }
}

fn check(shop: &Shop) -> Outcome {
    shop.custseg(&["check", "shop.yaml"])
}

#[test]
fn data_file_is_no_pipeline() {
    for command in ["run", "check"] {
        let outcome = Shop::fixture().custseg(&[command, "shop.csv"]);
        let parts = ["`shop.csv` has data, and is no pipeline", "`custseg init shop.csv`"];
        assert_message(&outcome, 2, &parts);
    }
}

#[test]
fn missing_map_names_the_shipped_maps() {
    let shop = Shop::fixture().edit("{ map: map.yaml }", "klavio");
    let parts = ["segment map not found: `klavio`", "default, dbt_rf, klaviyo, putler"];
    assert_message(&check(&shop), 4, &parts);
}

#[test]
fn map_with_other_bins_names_the_preset() {
    for (map, bins, option) in
        [("klaviyo", 3, "compat: klaviyo"), ("pymc_marketing", 4, "compat: pymc_marketing")]
    {
        let shop = Shop::fixture().edit("{ map: map.yaml }", map);
        let bins = format!("`{map}` has {bins} bins, but `score.bins` is 5");
        assert_message(&check(&shop), 2, &[&bins, &format!("set `score: {{ {option} }}`")]);
    }
}

#[test]
fn segment_may_be_the_name_of_a_map() {
    let shop = Shop::fixture();
    shop.run(&["--set", "segment=default", "--set", "publish.to=by_name"]);
    shop.run(&["--set", "segment.map=default", "--set", "publish.to=by_section"]);
    let ids = ["by_name", "by_section"].map(|to| {
        let manifest = fs::read_to_string(shop.path(to).join("current/manifest.json")).unwrap();
        serde_json::from_str::<Value>(&manifest).unwrap()["run_id"].as_str().unwrap().to_owned()
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn names_with_blanks_need_quotes_in_predicates() {
    let csv = "order,customer,bought,units,price,Order Status\nA,1,2024-01-05 10:00,1,2.00,paid\n";
    for predicate in ["Order Status = 'paid'", "Order Status IN ('paid')"] {
        let step = format!("clean:\n  - where: \"{predicate}\"");
        let shop = Shop::with_csv(csv).edit("clean:", &step);
        assert_message(&check(&shop), 2, &["double quotes: \"Order Status\""]);
    }
    let shop =
        Shop::with_csv(csv).edit("clean:", "clean:\n  - where: \"\\\"Order Status\\\" = 'paid'\"");
    assert_eq!(check(&shop).code, 0);
}

/// Each misspelt key is one problem, although the key that it means is missing.
#[test]
fn problems_are_as_many_as_mistakes() {
    let shop = Shop::fixture()
        .edit("name: shop", "nam: shop")
        .edit("paths:", "path:")
        .edit("customer_id: customer,", "customer: customer,")
        .edit("{ map: map.yaml }", "{ mapp: map.yaml }");
    let outcome = check(&shop);
    assert_message(&outcome, 2, &["unknown key `nam`", "unknown key `customer`", "\n4 problems"]);
    assert!(!outcome.stderr.contains("is missing"), "{}", outcome.stderr);
    // A key that nothing misspells is still missing.
    let shop = Shop::fixture().edit("name: shop\n", "");
    assert_message(&check(&shop), 2, &["key `name` is missing", "\n1 problem"]);
}

/// Lines of Shopify: a timestamp with an offset, and amounts.
fn export(rows: u32, line: impl Fn(u32) -> String) -> Shop {
    let mut csv = "customer,bought,price,units,order\n".to_owned();
    for row in 1..=rows {
        writeln!(csv, "{}", line(row)).unwrap();
    }
    Shop::with_csv(csv)
}

fn iso(row: u32) -> String {
    format!("c{},2024-01-{:02} 10:00,1.50,1,o{row}", row % 50, row % 28 + 1)
}

/// The newcomer's export of 5,031 rows: the first example, the formats that were tried, and the
/// format that reads the rows, in `check` and in `run`. The advice is then followed.
#[test]
fn unread_timestamps_name_an_example_and_the_format() {
    let shop = export(5031, |row| {
        format!("c{},2023-01-{:02} 21:11:57 -0500,1.50,1,o{row}", row % 50, row % 28 + 1)
    });
    let parts = [
        "no row can be parsed:",
        "ordered_at not in any declared format; first: `shop.csv`, row 1: 2023-01-02 21:11:57 -0500",
        "tried: %Y-%m-%d %H:%M; `csv.datetime_formats: [\"%Y-%m-%d %H:%M:%S %z\"]` would read them",
    ];
    assert_message(&check(&shop), 3, &parts);
    let run = shop.custseg(&["run", "shop.yaml"]);
    assert_message(&run, 3, &parts);
    assert!(!run.stderr.contains("WARN"), "the same rows twice:\n{}", run.stderr);
    let shop = shop.edit("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S %z");
    let outcome = check(&shop);
    assert_message(&outcome, 0, &[]);
    assert!(outcome.stdout.contains("(1 source file, 1,002 sampled rows, "), "{}", outcome.stdout);
}

#[test]
fn unread_numbers_name_an_example_and_the_marks() {
    for (price, advice) in [
        ("\"118,13\"", "`csv: { decimal: \",\" }` would read them"),
        ("\"1.118,13\"", "`csv: { decimal: \",\", thousands: \".\" }` would read them"),
        ("€ 18.10", "`csv: { currency_signs: [\"€\"] }` would read them"),
        // No option that reads them: a sign that is part of an id, marks that the YAML refuses.
        ("SKU2500", "`csv.decimal`, `csv.thousands` and `csv.currency_signs` describe numbers"),
        ("3;50", "`csv.decimal`, `csv.thousands` and `csv.currency_signs` describe numbers"),
        ("1’234.50", "`csv.decimal`, `csv.thousands` and `csv.currency_signs` describe numbers"),
        ("Schürze blau", "these are no numbers: is the right column mapped?"),
        ("n.a.", "`ingest.null_values` may list `n.a.`"),
    ] {
        let shop = export(30, |row| iso(row).replace("1.50", price));
        let example = format!("first: `shop.csv`, row 1: {}", price.trim_matches('"'));
        assert_message(&check(&shop), 3, &["unit_price not a number", &example, advice]);
    }
}

/// Day-first and month-first both read the rows: neither is advised.
#[test]
fn ambiguous_timestamps_leave_the_choice() {
    let shop = export(30, |row| iso(row).replace("2024-01-", "03/04/2024 at "));
    assert_message(&check(&shop), 3, &["`csv.datetime_formats` lists the formats"]);
    let shop = export(30, |row| format!("c{row},03/04/2024,1.50,1,o{row}"));
    let parts = ["`csv.datetime_formats` may list \"%d/%m/%Y\" or \"%m/%d/%Y\": both read them"];
    assert_message(&check(&shop), 3, &parts);
}

/// A fault in the first, the last and a middle row is seen with its row, in CSV and in Parquet.
/// Faults elsewhere may be missed. A few of them are a warning.
#[test]
fn check_reads_the_start_the_middle_and_the_end() {
    let bad = [1, 5_000, 9_999, 10_000];
    let shop = export(10_000, |row| {
        if bad.contains(&row) { iso(row).replace("1.50", "free") } else { iso(row) }
    });
    let expected = "4 of 1002 sampled rows (0.40 %) cannot be parsed and are rejected:\n  4 rows \
                    (0.40 %): unit_price not a number; first: `shop.csv`, row 1: free";
    let outcome = check(&shop);
    assert_message(&outcome, 0, &[expected]);
    let mut frame = CsvReader::new(File::open(shop.path("shop.csv")).unwrap()).finish().unwrap();
    ParquetWriter::new(File::create(shop.path("shop.parquet")).unwrap())
        .with_row_group_size(Some(700))
        .finish(&mut frame)
        .unwrap();
    let shop = shop.edit("shop.csv", "shop.parquet");
    assert_message(&check(&shop), 0, &[&expected.replace("shop.csv", "shop.parquet")]);
    // The numbers of the rows are those of the file.
    let last =
        export(
            10_000,
            |row| {
                if row == 9_999 { iso(row).replace("1.50", "free") } else { iso(row) }
            },
        );
    assert_message(&check(&last), 0, &["first: `shop.csv`, row 9999: free"]);
    let quiet = last.custseg(&["check", "shop.yaml", "--rows", "0"]);
    assert_message(&quiet, 0, &[]);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.starts_with("shop: ok (1 source file, clean: "), "{}", quiet.stdout);
}

/// Records of several lines and blank lines keep their numbers in a sample of a large file.
#[test]
fn samples_of_long_files_have_the_rows_of_the_file() {
    let rows = 120_000;
    let shop = export(rows, |row| {
        let line = iso(row).replace(",o", ",\"o\n with a second line\",\"").replace(",\"1", "1");
        let line = line.split(",\"").next().unwrap().to_owned() + &format!(",\"o{row}\n\"");
        let line = if row == rows - 1 { line.replace("1.50", "free") } else { line };
        if row % 1000 == 0 { format!("{line}\n") } else { line }
    });
    assert!(shop.path("shop.csv").metadata().unwrap().len() > 4 << 20, "more than one chunk");
    let example = format!("first: `shop.csv`, row {}: free", rows - 1);
    assert_message(&check(&shop), 0, &[&example]);
    let run = shop.custseg(&["run", "shop.yaml"]);
    assert_message(&run, 0, &[&example]);
}

/// A file of as many rows as are wanted is read as a whole, also by one row.
#[test]
fn small_files_are_sampled_as_a_whole() {
    for (rows, wanted, sampled) in
        [(1, "1", 1), (3, "3", 3), (9, "9", 9), (10, "9", 9), (0, "5", 0)]
    {
        let shop = export(rows, iso);
        let outcome = shop.custseg(&["check", "shop.yaml", "--rows", wanted]);
        assert_message(&outcome, 0, &[]);
        assert!(
            outcome.stdout.contains(&format!(", {sampled} sampled rows")),
            "{}",
            outcome.stdout
        );
    }
}

/// Two chunks: the first one ends in the middle of the file.
#[test]
fn middle_of_a_file_of_two_chunks_is_sampled() {
    let shop = export(140_000, |row| {
        if (1_000..138_000).contains(&row) { iso(row).replace("1.50", "free") } else { iso(row) }
    });
    let bytes = shop.path("shop.csv").metadata().unwrap().len();
    assert!((4 << 20..8 << 20).contains(&bytes), "{bytes}");
    assert_message(
        &check(&shop),
        0,
        &["unit_price not a number", "`run` fails if it is more than"],
    );
}

/// A sample may have the discount of an order without its other lines.
#[test]
fn check_expects_no_whole_orders() {
    let shop = export(3_000, |row| {
        let price = if row % 3 == 0 { "-1.00" } else { "5.00" };
        format!("c{0},2024-01-05 10:00,{price},1,o{0}", (row - 1) / 3)
    });
    let shop = shop.edit("  - keep_positive: [quantity, unit_price]\n", "");
    assert_message(&check(&shop), 0, &[]);
    assert_eq!(shop.custseg(&["-q", "run", "shop.yaml"]).code, 0);
}

#[test]
fn check_warns_if_no_sampled_row_is_left() {
    let shop = export(50, iso).edit("clean:", "clean:\n  - where: quantity > 5");
    assert_message(&check(&shop), 0, &["no sampled row is left to measure", "where"]);
}

/// Rows of both formats: the option keeps the one that reads the others. Rows of both marks: no
/// option is right.
#[test]
fn advice_keeps_what_reads_other_rows() {
    let shop = export(40, |row| {
        if row % 5 == 0 { iso(row).replace("2024-01-", "05.01.2024 at ") } else { iso(row) }
    });
    let shop = shop.edit("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M");
    assert_message(&check(&shop), 0, &["`csv.datetime_formats` lists the formats"]);
    let shop = export(40, |row| {
        if row % 5 == 0 { format!("c{row},05.01.2024 10:00,1.50,1,o{row}") } else { iso(row) }
    });
    let both = "`csv.datetime_formats: [\"%Y-%m-%d %H:%M\", \"%d.%m.%Y %H:%M\"]` would read them";
    assert_message(&check(&shop), 0, &[both]);
    let shop =
        export(
            40,
            |row| {
                if row % 5 == 0 { iso(row).replace("1.50", "\"1,50\"") } else { iso(row) }
            },
        );
    assert_message(
        &check(&shop),
        0,
        &["`csv.decimal`, `csv.thousands` and `csv.currency_signs` describe"],
    );
}

/// Values that `init` leaves open are one problem each, with the question as the hint.
#[test]
fn open_questions_are_asked_again() {
    let shop = Shop::fixture()
        .edit("[\"%Y-%m-%d %H:%M\"]", "[TODO]")
        .edit("  timezone: Europe/London", "  timezone: TODO   # TODO: the store's")
        .edit("clean:", "clean:\n  - where: TODO   # TODO: rows that give money back");
    let parts = [
        "`datetime_formats` is still TODO",
        "`timezone` is still TODO",
        "help: the store's",
        "`where` is still TODO",
        "help: rows that give money back",
        "\n3 problems",
    ];
    assert_message(&check(&shop), 2, &parts);
    let shop = Shop::fixture().edit("Europe/London", "New York");
    assert_message(&check(&shop), 2, &["did you mean `America/New_York`?"]);
    let shop = Shop::fixture().edit("shop.csv", "shp.csv");
    assert_message(
        &check(&shop),
        4,
        &["no file matches `shp.csv` (looked from .)", "help: did you mean `shop.csv`?"],
    );
}

/// Integers of 32 bits wrap around: 50,000² and 2 − 5 once did. Fractions are exact decimals.
#[test]
fn sql_computes_with_decimals() {
    for (sql, expected) in [
        ("CAST(qty AS INTEGER) * CAST(cents AS INTEGER)", 2_500_000_000.0),
        ("CAST(qty AS INTEGER) * 100000", 5_000_000_000.0),
        ("(CASE WHEN qty > 500 THEN 100 ELSE 1 END) * 100000000", 10_000_000_000.0),
        ("10 + (length(code) - 5)", 7.0),
        ("round(net * (119/100), 2)", 2.98),
        // A constant, and whole numbers that are no floats.
        ("1 + 1", 2.0),
        ("9007199254740993 - 9007199254740990 + 0 * net", 3.0),
        ("round(small * (1 - 5/100), 2)", 0.67),
    ] {
        let csv = "order,customer,bought,units,price,qty,cents,code,net,small\n\
                   A,1,2024-01-05 10:00,1,2.00,50000,50000,ab,2.50,0.70\n";
        let shop = Shop::with_csv(csv)
            .edit("quantity: units, unit_price: price", &format!("amount: \"{sql}\""))
            .edit("  - keep_positive: [quantity, unit_price]\n", "");
        shop.run(&[]);
        assert_eq!(floats(&shop.table("ledger"), "money_left")[0], expected, "{sql}");
        for step in ["CAST(qty AS INTEGER) * CAST(cents AS INTEGER) > 0", "length(code) - 5 < 0"] {
            let shop = Shop::with_csv(csv).edit("clean:", &format!("clean:\n  - where: {step}"));
            shop.run(&[]);
            assert_eq!(shop.table("rejects").height(), 0, "{step}");
        }
    }
}

/// Of more than three files, the first, the last and one between them are read.
#[test]
fn check_samples_three_files_of_a_source() {
    let shop = Shop::fixture().edit("[shop.csv]", "[\"part-*.csv\"]");
    for part in 0..7 {
        let price = if [1, 6].contains(&part) { "free" } else { "1.50" };
        let mut csv = "customer,bought,price,units,order\n".to_owned();
        (1..40)
            .for_each(|row| csv += &format!("{}\n", iso(part * 40 + row).replace("1.50", price)));
        fs::write(shop.path(&format!("part-{part}.csv")), csv).unwrap();
    }
    // 39 of 117 rows are in the seventh file; those of the second are not read.
    let parts = [
        "39 of 117 sampled rows (33.33 %) cannot be parsed; `run` fails if it is more than 0.01 of all",
        "first: `part-6.csv`, row 1: free",
    ];
    assert_message(&check(&shop), 0, &parts);
}

/// Filled cells need the rows before them, so such a source is read as a whole.
#[test]
fn check_of_filled_orders_reads_whole_orders() {
    let shop = export(3_000, |row| {
        let customer = if row % 1_500 == 1 { "c1" } else { "" };
        format!("{customer},2024-01-05 10:00,1.50,1,o{}", (row - 1) / 1_500)
    });
    let shop =
        shop.edit("    columns:", "    fill: { by: order, columns: [customer] }\n    columns:");
    let outcome = check(&shop);
    assert_message(&outcome, 0, &[]);
    assert!(outcome.stdout.contains("3,000 sampled rows"), "{}", outcome.stdout);
}

#[test]
fn destinations_that_cannot_be_used_are_named() {
    let shop = Shop::fixture();
    fs::write(shop.path("taken"), "").unwrap();
    let run = |to: &str| shop.custseg(&["run", "shop.yaml", "--set", &format!("publish.to={to}")]);
    assert_message(&run("taken"), 4, &["taken: is a file, expected a folder"]);
    fs::create_dir_all(shop.path("own/current")).unwrap();
    assert_message(&run("own"), 4, &["own/current: exists and is not the link to the newest run"]);
    let outcome = shop.custseg(&["report", "nowhere"]);
    assert_message(&outcome, 4, &["nowhere has no runs"]);
}

#[test]
fn results_of_another_pipeline_are_not_replaced() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let other =
        fs::read_to_string(shop.path("shop.yaml")).unwrap().replace("name: shop", "name: cds");
    fs::write(shop.path("other.yaml"), other).unwrap();
    let outcome = shop.custseg(&["run", "other.yaml"]);
    assert_message(&outcome, 2, &["out has the results of pipeline `shop`", "--force"]);
    let manifest = || fs::read_to_string(shop.path("out/current/manifest.json")).unwrap();
    assert!(manifest().contains("\"pipeline\": \"shop\""), "{}", manifest());
    assert_message(&shop.custseg(&["run", "other.yaml", "--force"]), 0, &[]);
    assert!(manifest().contains("\"pipeline\": \"cds\""), "{}", manifest());
}

#[test]
fn earlier_snapshot_does_not_replace_a_later_one() {
    let shop = Shop::fixture();
    shop.run(&["--as-of", "2024-03-01"]);
    let grid = "rfm.snapshots={every: 1mo, from: 2024-01-15, until: 2024-02-15}";
    for older in [["--as-of", "2024-02-01"], ["--set", grid]] {
        let outcome = shop.custseg(&[&["run", "shop.yaml"][..], &older].concat());
        assert_message(
            &outcome,
            2,
            &["out has results of 2024-03-01, later than", "--allow-older"],
        );
    }
    // The same date, a later one and the newest are no step back.
    shop.run(&["--as-of", "2024-03-01"]).run(&["--as-of", "2024-03-02"]).run(&[]);
    shop.run(&["--as-of", "2024-02-01", "--allow-older"]);
    assert_eq!(fs::read_dir(shop.path("out/current/segments")).unwrap().count(), 1);
    assert!(shop.path("out/current/segments/snapshot=2024-02-01").is_dir());
}

/// Paths in the YAML start from its folder, those of the command line from the working directory.
#[test]
fn paths_of_arguments_start_from_the_working_directory() {
    let shop = Shop::fixture();
    fs::create_dir_all(shop.path("elsewhere/data")).unwrap();
    fs::rename(shop.path("shop.csv"), shop.path("elsewhere/data/lines.csv")).unwrap();
    fs::copy(shop.path("map.yaml"), shop.path("elsewhere/own.yaml")).unwrap();
    let set = [
        "ingest.transactions.paths=[data/lines.csv]",
        "segment.map=own.yaml",
        "publish.to=results",
    ];
    let set = set.map(|option| ["--set", option]).concat();
    let elsewhere = shop.path("elsewhere");
    let outcome = custseg(&elsewhere, &[&["run", "../shop.yaml"], &set[..]].concat());
    assert_message(&outcome, 0, &[]);
    assert_eq!(table(&elsewhere.join("results"), "ledger").height(), 9);
    // Without the option, the pipeline's own folder counts.
    let outcome = custseg(&elsewhere, &[&["run", "../shop.yaml"], &set[..4]].concat());
    assert_message(&outcome, 0, &[]);
    assert!(shop.path("out/current/report.html").is_file());
}

/// Codes of currencies count in any case: in the pipeline, in lines and in rates.
#[test]
fn currencies_have_any_case() {
    let csv = "order,customer,bought,units,price,cur\nA,1,2024-01-05 10:00,1,2.00,gbp\nB,1,2024-01-06 \
               10:00,1,3.00,Gbp\nD,2,2024-01-06 10:00,1,10.00,usd\n";
    let columns = "unit_price: price, currency: cur }";
    let shop = Shop::with_csv(csv.lines().take(3).collect::<Vec<_>>().join("\n"))
        .edit("unit_price: price }", columns)
        .edit("currency: GBP", "currency: gBp");
    shop.run(&[]);
    assert_eq!(texts(&shop.table("ledger"), "money_left").last().unwrap(), "5.0");
    let shop = Shop::with_csv(csv)
        .edit("unit_price: price }", columns)
        .edit("currency: GBP }", "currency: gbp, rates: rates.csv }");
    fs::write(shop.path("rates.csv"), "date,currency,rate\n2024-01-01,Usd,0.8\n").unwrap();
    shop.run(&[]);
    assert_eq!(floats(&shop.table("ledger"), "money_left").last(), Some(&13.0));
    assert!(shop.table("ledger").height() > 0);
}

/// Each stage once, at the end. An error of the command line is JSON, too.
#[test]
fn json_log_has_each_stage_once_and_errors_of_the_command_line() {
    let shop = Shop::fixture();
    let grid = "rfm.snapshots={every: 1mo, from: 2024-02-01, until: 2024-03-01}";
    let outcome = shop.custseg(&["run", "shop.yaml", "--log-format", "json", "--set", grid]);
    let lines = outcome.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let stages: Vec<String> = lines
        .filter(|line| line["fields"]["message"] == "stage done")
        .map(|line| line["fields"]["stage"].as_str().unwrap().to_owned())
        .collect();
    let expected =
        ["ingest", "orders", "checks", "rfm", "score", "segment", "model", "evaluate", "publish"];
    assert_eq!(stages, expected);
    for arguments in [&["--log-format", "json", "rnu"][..], &["rnu", "--log-format=json"]] {
        let outcome = shop.custseg(arguments);
        assert_eq!(outcome.code, 2);
        let error: Value = serde_json::from_str(&outcome.stderr).unwrap();
        let message = error["fields"]["message"].as_str().unwrap();
        assert!(message.starts_with("unrecognized subcommand 'rnu'"), "{message}");
    }
}

/// Days are unsigned: 5 − 30 of them once was four billion.
#[test]
fn rules_on_values_do_not_wrap_around() {
    let shop = Shop::fixture();
    let map = "name: m\nbins: 5\nsegments:\n  - { name: New, description: a, action: b }\n  - { name: \
               Old, description: a, action: b }\nrules:\n  - { segment: New, values: \"recency_days - 30 \
               < 0\" }\notherwise: Old\n";
    fs::write(shop.path("map.yaml"), map).unwrap();
    shop.run(&[]);
    // Recency is 57, 1 and 2 days.
    let segments = shop.table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "segment"), ["Old", "New", "New"]);
}

#[test]
fn division_by_zero_names_the_way_out() {
    let shop = export(3, iso).edit("unit_price: price", "unit_price: \"price / 0\"");
    let run = shop.custseg(&["-q", "run", "shop.yaml"]);
    assert_message(&run, 3, &["division by zero", "`a / nullif(b, 0)` is null if b is 0"]);
}
