//! Several transaction sources, customer attributes, and several currencies.

use std::fs;
use std::process::Command;

use polars::prelude::*;

use super::harness::{Shop, floats, hashes, texts};

/// A second source with other column names, another separator, and amounts instead of prices.
const WEB: &str = "buyer;day;no;total\n1001;05.03.2024;W1;12,50\n2001;06.03.2024;W2;3,00\n";

fn with_web(shop: Shop) -> Shop {
    fs::write(shop.path("web.csv"), WEB).unwrap();
    let yaml = fs::read_to_string(shop.path("shop.yaml")).unwrap();
    let yaml = yaml.replace("    paths: [shop.csv]", "  - paths: [shop.csv]").replace(
        "  timezone:",
        "  - paths: [web.csv]\n    csv: { separator: \";\", decimal: \",\", datetime_formats: [\"%d.%m.%Y\"] }\n    \
         columns: { customer_id: buyer, order_id: no, ordered_at: day, amount: total }\n  timezone:",
    );
    fs::write(shop.path("shop.yaml"), yaml).unwrap();
    shop
}

#[test]
fn sources_with_different_columns_are_combined() {
    let shop = with_web(Shop::fixture());
    let segments = shop.run(&[]).table("segments/snapshot=2024-03-07/part-0");
    assert_eq!(texts(&segments, "customer_id"), ["1001", "1002", "1003", "2001"]);
    assert_eq!(floats(&segments, "monetary"), [19.5, 10.3, 101.0, 3.0]);
    assert_eq!(floats(&segments, "frequency"), [2.0, 2.0, 1.0, 1.0]);
    let ledger = shop.table("ledger");
    assert_eq!(
        (floats(&ledger, "rows_left")[0], floats(&ledger, "rows_left").last()),
        (14.0, Some(&7.0))
    );
    // Reasons use the column names of the pipeline, not those of the source.
    fs::write(
        shop.path("web.csv"),
        format!("{WEB}2002;30.02.2024;W3;1,00\n2003;07.03.2024;W4;1.5.0\n"),
    )
    .unwrap();
    let rejects = shop.run(&[]).rejects();
    let of_web: Vec<(String, String)> = texts(&rejects, "source_file")
        .into_iter()
        .zip(texts(&rejects, "reason").into_iter().zip(texts(&rejects, "text")))
        .filter(|(file, _)| file == "web.csv")
        .map(|(_, reason_and_text)| reason_and_text)
        .collect();
    let expected =
        [("ordered_at not in any declared format", "30.02.2024"), ("amount not a number", "1.5.0")];
    assert_eq!(of_web, expected.map(|(reason, text)| (reason.to_owned(), text.to_owned())));
    // Each file is scanned once.
    let explained = shop.custseg(&["explain", "shop.yaml"]).stdout;
    assert_eq!(explained.matches("CSV SCAN").count(), 2, "{explained}");
}

/// A number in one source and text in the other are the same customer.
#[test]
fn numeric_and_text_ids_are_the_same_customer() {
    let shop = with_web(Shop::fixture());
    let mut frame = df!["buyer" => [1001i64, 2001], "no" => ["W1", "W2"], "total" => [12.5, 3.0],
        "day" => ["2024-03-05", "2024-03-06"]]
    .unwrap();
    let day = frame.column("day").unwrap().cast(&DataType::Date).unwrap();
    frame.with_column(day).unwrap();
    ParquetWriter::new(fs::File::create(shop.path("web.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    let csv = with_web(Shop::fixture());
    csv.run(&[]);
    shop.run(&["--set", "ingest.transactions.1.paths=[web.parquet]"]);
    assert_eq!(hashes(&csv.path("out")), hashes(&shop.path("out")));
}

/// The largest unsigned 64-bit id is kept.
#[test]
fn unsigned_ids_are_supported() {
    let shop = with_web(Shop::fixture());
    let mut frame = df!["buyer" => [u64::MAX, 2001], "no" => ["W1", "W2"], "total" => [12.5, 3.0],
        "day" => ["2024-03-05", "2024-03-06"]]
    .unwrap();
    let day = frame.column("day").unwrap().cast(&DataType::Date).unwrap();
    frame.with_column(day).unwrap();
    ParquetWriter::new(fs::File::create(shop.path("web.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    let web = "{paths: [web.parquet], \
        columns: {customer_id: buyer, order_id: no, ordered_at: day, amount: total}}";
    shop.run(&["--set", &format!("ingest.transactions={web}"), "--set", "clean=[]"]);
    let ids = texts(&shop.table("segments/snapshot=2024-03-07/part-0"), "customer_id");
    assert_eq!(ids, ["18446744073709551615", "2001"]);
}

#[test]
fn customer_attributes_are_joined() {
    let shop = Shop::fixture().edit(
        "  timezone:",
        "  customers: { paths: [people.csv], key: id, attributes: [age_band, city] }\n  timezone:",
    );
    // 1002 is a duplicate, one row has no id, 1003 is missing, 9999 never bought.
    let people = "id,age_band,city,note\n1002,30-39,Lyon,x\n1001,60+,,y\n1002,20-29,Paris,z\n\
        ,20-29,Rome,w\n9999,,Oslo,v\n";
    fs::write(shop.path("people.csv"), people).unwrap();
    let outcome = shop.custseg(&["run", "shop.yaml"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let segments = shop.table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "age_band"), ["60+", "30-39", ""]);
    assert_eq!(texts(&segments, "city"), ["", "Lyon", ""]);
    assert!(segments.column("note").is_err());
    let text = fs::read_to_string(shop.path("out/current/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected =
        serde_json::json!({ "rows": 5, "without_key": 1, "repeated_keys": 1, "unknown": 1 });
    assert_eq!(manifest["customers"], expected);
    let line =
        "5 rows, 1 without a key, 1 repeated keys; 1 customers of the segments are missing in it";
    assert!(outcome.stderr.contains(line), "{}", outcome.stderr);
    // A referential check against the attributes: the lines of 1003 fail.
    let check = "checks=[{referential: {column: customer_id, of: accepted}}]";
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", check]);
    assert_eq!(outcome.code, 3);
    let message = "referential customer_id: 1 of 5 accepted lines; expected none unknown; first: shop.csv, row 11";
    assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    // Other attributes give another run.
    let other =
        shop.custseg(&["-q", "run", "shop.yaml", "--set", "ingest.customers.attributes=[city]"]);
    assert!(!outcome.stdout.contains(&other.stdout));
    assert!(shop.table("segments/snapshot=2024-03-02/part-0").column("age_band").is_err());
}

/// Rows of the customer source cannot be rejected.
#[test]
fn malformed_customer_row_fails_the_run() {
    let shop = Shop::fixture().edit(
        "  timezone:",
        "  customers: { paths: [people.csv], key: id, attributes: [city] }\n  timezone:",
    );
    fs::write(shop.path("people.csv"), "id,city\n1001,Lyon\n1002\n").unwrap();
    let outcome = shop.custseg(&["-q", "run", "shop.yaml"]);
    assert_eq!(outcome.code, 3);
    assert!(
        outcome.stderr.contains("`people.csv`, line 3: row 2 has too few fields: 1002"),
        "{}",
        outcome.stderr
    );
}

const TRADE: &str = "order,units,bought,price,customer,currency\n\
    A1,2,2024-01-05 10:00,1.50,1001,GBP\n\
    A2,1,2024-01-05 10:00,10.00,1001,EUR\n\
    A3,3,2024-02-10 10:00,1.01,1001,EUR\n\
    A4,1,2024-03-01 10:00,1000.00,1001,JPY\n\
    A5,1,2023-12-31 10:00,7.00,1001,EUR\n\
    A6,1,2024-03-01 10:00,7.00,1001,\n";

fn trade(rates: Option<&str>) -> Shop {
    let shop = Shop::with_csv(TRADE)
        .edit("unit_price: price }", "unit_price: price, currency: currency }")
        .edit("  - drop_duplicates: exact\n", "");
    if let Some(rates) = rates {
        fs::write(shop.path("rates.csv"), rates).unwrap();
        return shop.edit("currency: GBP }", "currency: GBP, rates: rates.csv }");
    }
    shop
}

/// A rate is valid from its date until the next one. Before the first date there is no rate.
#[test]
fn foreign_money_is_converted_at_the_rate_of_its_day() {
    let shop = trade(Some(
        "date,currency,rate\n2024-01-01,EUR,0.86\n2024-02-01,EUR,0.8555\n\
         2024-01-01,JPY,0.0053456789\n2024-02-10,EUR,0.85\n",
    ));
    shop.run(&["--set", "publish.rejects=mapped"]);
    let segments = shop.table("segments/snapshot=2024-03-02/part-0");
    // 3.00 + 8.60 + 3 × 1.01 × 0.85 = 2.5755 → 2.58 + 5.3456789 → 5.35, each line rounded to the
    // penny.
    assert_eq!(floats(&segments, "monetary"), [3.0 + 8.6 + 2.58 + 5.35]);
    let rejects = shop.rejects();
    let mut found: Vec<String> = (0..rejects.height())
        .map(|i| {
            ["order_id", "reason", "text"].map(|name| texts(&rejects, name)[i].clone()).join(" | ")
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        ["A5 | no rate for the currency on that day | EUR", "A6 | currency missing | "]
    );
    // Rows and money add up, in a single scan.
    let ledger = shop.table("ledger");
    assert_eq!(floats(&ledger, "money_left").last(), Some(&19.53));
    assert_eq!(shop.custseg(&["explain", "shop.yaml"]).stdout.matches("CSV SCAN").count(), 1);
}

#[test]
fn several_currencies_without_rates_fail() {
    let outcome = trade(None).custseg(&["-q", "run", "shop.yaml"]);
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome.stderr);
}

#[test]
fn invalid_rates_are_rejected() {
    let gallery = [
        ("columns", "day,currency,rate\n2024-01-01,EUR,0.86\n"),
        ("no_rates", "date,currency,rate\n"),
        ("date", "date,currency,rate\n01/02/2024,EUR,0.86\n"),
        ("zero", "date,currency,rate\n2024-01-01,EUR,0\n"),
        ("exponent", "date,currency,rate\n2024-01-01,EUR,8.6e-1\n"),
        ("own", "date,currency,rate\n2024-01-01,GBP,1\n"),
        ("twice", "date,currency,rate\n2024-01-01,EUR,0.86\n2024-01-01,EUR,0.87\n"),
        ("nameless", "date,currency,rate\n2024-01-01,,0.86\n"),
        ("ragged", "date,currency,rate\n2024-01-01,EUR\n"),
    ];
    let mut messages = String::new();
    for (name, rates) in gallery {
        let outcome = trade(Some(rates)).custseg(&["check", "shop.yaml"]);
        assert_eq!(outcome.code, 3, "{name}: {}", outcome.stderr);
        messages += &format!("{name}: {}\n", outcome.stderr.lines().next().unwrap());
    }
    insta::assert_snapshot!(messages);
}

/// Caps are computed for each snapshot: later purchases of 1003 do not change earlier caps.
#[test]
fn outliers_are_reported_and_capped_at_each_snapshot() {
    let shop = Shop::fixture()
        .edit("  - drop_duplicates: exact", "  - drop_duplicates: exact\n  - cap_outliers: CAP");
    let yaml = fs::read_to_string(shop.path("shop.yaml")).unwrap();
    // At 0.5 the limit is the median: 8.5 of {7, 10} on 29 February, then 10.3 of {7, 10.3, 101}.
    for (policy, before, after) in [
        ("report", vec![7.0, 10.0], vec![7.0, 10.3, 101.0]),
        ("winsorise", vec![7.0, 8.5], vec![7.0, 10.3, 10.3]),
    ] {
        let cap = format!("{{ quantile: 0.5, policy: {policy} }}");
        fs::write(shop.path("shop.yaml"), yaml.replace("CAP", &cap)).unwrap();
        shop.run(&["--set", "rfm.snapshots=[2024-02-29, 2024-03-02]"]);
        assert_eq!(
            floats(&shop.table("segments/snapshot=2024-02-29/part-0"), "monetary"),
            before,
            "{policy}"
        );
        assert_eq!(
            floats(&shop.table("segments/snapshot=2024-03-02/part-0"), "monetary"),
            after,
            "{policy}"
        );
        let outliers = shop.table("outliers");
        assert_eq!(floats(&outliers, "limit"), [8.5, 10.3], "{policy}");
        assert_eq!(floats(&outliers, "customers"), [1.0, 1.0], "{policy}");
        assert_eq!(floats(&outliers, "excess_money"), [1.5, 101.0 - 10.3], "{policy}");
        // The money of the ledger is not capped.
        assert_eq!(floats(&shop.table("ledger"), "money_left").last(), Some(&118.3));
    }
}

/// Transactions and a lookup table are both re-encoded, each into its own temporary file.
#[test]
fn reencoded_sources_do_not_collide() {
    let shop = Shop::fixture();
    fs::write(shop.path("products.csv"), "sku\nP1\nP2\nP3\n").unwrap();
    let set = [
        "ingest.transactions.csv.encoding=latin1",
        "checks=[{referential: {column: product, paths: [products.csv], key: sku, \
         csv: {encoding: latin1}}}]",
    ];
    let segments =
        shop.run(&["--set", set[0], "--set", set[1]]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(floats(&segments, "monetary"), [7.0, 10.3, 101.0]);
}

#[test]
fn converted_money_out_of_range_has_its_own_reason() {
    let shop = trade(Some("date,currency,rate\n2023-01-01,EUR,999999\n2023-01-01,JPY,1\n"));
    let csv = format!("{TRADE}A7,1,2024-03-01 10:00,80000000000000.00,1001,EUR\n");
    fs::write(shop.path("shop.csv"), csv).unwrap();
    let rejects = shop.run(&["--set", "publish.rejects=mapped"]).rejects();
    let row = texts(&rejects, "order_id").iter().position(|order| order == "A7").unwrap();
    assert_eq!(texts(&rejects, "reason")[row], "money out of range in the pipeline's currency");
}

/// Attributes must not have the name of a published column. Each input file is recorded once.
#[test]
fn attribute_names_must_not_collide_with_columns() {
    let shop = Shop::fixture().edit(
        "  timezone:",
        "  customers: { paths: [people.csv], key: id, attributes: [city] }\n  timezone:",
    );
    fs::write(
        shop.path("people.csv"),
        "id,city,rule,category_1_share,near_label,money_to_next\n1001,a,b,c,d,e\n",
    )
    .unwrap();
    for name in ["rule", "category_1_share", "near_label", "money_to_next"] {
        let outcome = shop.custseg(&[
            "check",
            "shop.yaml",
            "--set",
            &format!("ingest.customers.attributes=[{name}]"),
        ]);
        assert_eq!(outcome.code, 2, "{name}");
    }
    shop.run(&["--set", "checks=[{referential: {column: customer_id, severity: warn}}]"]);
    let text = fs::read_to_string(shop.path("out/current/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths: Vec<&str> =
        manifest["inputs"].as_array().unwrap().iter().filter_map(|i| i["path"].as_str()).collect();
    // Once for each role.
    assert_eq!(paths, ["shop.csv", "people.csv", "people.csv"]);
}

/// A file is closed once it is read.
#[test]
fn more_files_than_a_process_may_open_are_read() {
    let shop = Shop::fixture();
    for i in 0..300 {
        let line = format!("A{i},P1,1,2024-01-05 10:00,1.50,{i},UK\n");
        let text = format!("order,product,units,bought,price,customer,country\n{line}");
        fs::write(shop.path(&format!("part-{i}.csv")), text).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_custseg");
    let paths = "ingest.transactions.paths=[part-*.csv]";
    let command = format!("ulimit -n 100 && exec {program} -q run shop.yaml --set '{paths}'");
    let run = Command::new("sh").args(["-c", &command]).current_dir(shop.path("")).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(floats(&shop.table("ledger"), "rows_left").last(), Some(&300.0));
}

/// Key and attribute are keys of the path, so that no column of the Parquet file is read.
#[test]
fn customers_are_read_from_the_path_alone() {
    let shop = Shop::fixture().edit(
        "clean:",
        "  customers: { paths: [\"customers/*/*/*.parquet\"], key: id, attributes: [tier] }\nclean:",
    );
    let folder = shop.path("customers/id=1001/tier=gold");
    fs::create_dir_all(&folder).unwrap();
    let file = fs::File::create(folder.join("a.parquet")).unwrap();
    ParquetWriter::new(file).finish(&mut df!["other" => [1, 2]].unwrap()).unwrap();
    shop.run(&[]);
    let segments = shop.table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "tier"), ["gold", "", ""]);
}
