//! Each stage on the fixture shop. Its twelve lines:
//!
//! ```text
//! A1  1001  2024-01-05  2 × 1.50 + 1 × 4.00 = 7.00
//! CA1 1001  2024-01-06  a cancellation: −3.00
//! B1  1002  2024-02-10  10.00
//! B2  1002  2024-03-01  5 × 0.00: no price
//! B3  1002  2024-03-01  3 × 0.10 = 0.30
//! X1  —     2024-03-02  nobody's 2.00
//! D1  1003  2024-02-30  is no day
//! D2  1003  "one" unit is no number
//! D3  1003  7 × 3.333: finer than pence
//! E1  1003  2024-02-29  101.00, and the very same line again
//! ```

use super::harness::{Shop, floats, texts};

/// The first rows after each stage, as `peek` shows them.
#[test]
fn every_stage_in_pictures() {
    let shop = Shop::fixture();
    for stage in ["ingest", "clean", "orders", "rfm", "score", "segment", "model", "evaluate"] {
        let shown = shop.custseg(&["-q", "peek", "shop.yaml", stage, "-n", "20"]);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        insta::assert_snapshot!(format!("peek_{stage}"), shown.stdout);
    }
}

#[test]
fn ledger_adds_up_by_hand() {
    let ledger = Shop::fixture().run(&[]).table("ledger");
    let rows: Vec<String> =
        ["step", "reason", "rows", "customers", "orders", "money", "rows_left", "money_left"]
            .map(|name| texts(&ledger, name))
            .into_iter()
            .fold(vec![String::new(); ledger.height()], |rows, column| {
                rows.iter().zip(column).map(|(row, cell)| format!("{row}|{cell}")).collect()
            });
    // Raw money: 7 − 3 + 10 + 0 + 0.30 + 2 + 202; lines that cannot be parsed are worth nothing. Customers never
    // vanish but by the last of their lines, and X1 is nobody's.
    assert_eq!(
        rows,
        [
            "|raw||0|0|0|0.0|12|218.3",
            "|ingest|quantity not a whole number|1|0|1|0.0|11|218.3",
            "|ingest|unit_price out of range or finer than money.scale|1|0|1|0.0|10|218.3",
            "|ingest|ordered_at not in any declared format|1|0|1|0.0|9|218.3",
            "|drop_missing|customer_id missing|1|0|1|2.0|8|216.3",
            "|cancellations|order_id begins with C|1|0|1|-3.0|7|219.3",
            "|keep_positive|quantity not positive|0|0|0|0.0|7|219.3",
            "|keep_positive|unit_price not positive|1|0|1|0.0|6|219.3",
            "|drop_duplicates|equal to an earlier row|1|0|0|101.0|5|118.3",
        ]
    );
}

#[test]
fn rejects_name_file_row_and_reason() {
    let rejects = Shop::fixture().run(&[]).rejects();
    let reasons = texts(&rejects, "step").into_iter().zip(texts(&rejects, "reason"));
    let reasons = reasons.map(|(step, reason)| format!("{step}: {reason}"));
    let mut found: Vec<(String, String)> =
        texts(&rejects, "source_row").into_iter().zip(reasons).collect();
    found.sort_by_key(|(row, _)| row.parse::<u32>().unwrap());
    let expected = [
        ("3", "cancellations: order_id begins with C"),
        ("5", "keep_positive: unit_price not positive"),
        ("7", "drop_missing: customer_id missing"),
        ("8", "ingest: ordered_at not in any declared format"),
        ("9", "ingest: quantity not a whole number"),
        ("10", "ingest: unit_price out of range or finer than money.scale"),
        ("12", "drop_duplicates: equal to an earlier row"),
    ];
    assert_eq!(found, expected.map(|(row, reason)| (row.to_owned(), reason.to_owned())));
    assert!(texts(&rejects, "source_file").iter().all(|file| file == "shop.csv"));
}

/// The text of a cell that cannot be parsed is always kept; the other columns where they are asked for.
#[test]
fn rejects_keep_what_they_are_told_to() {
    let shop = Shop::fixture();
    let row = |rejects: &str, row: &str| -> Vec<String> {
        let table = shop.run(&["--set", &format!("publish.rejects={rejects}")]).rejects();
        let at = texts(&table, "source_row").iter().position(|found| found == row).unwrap();
        table
            .get_column_names()
            .iter()
            .map(|name| format!("{name}={}", texts(&table, name)[at]))
            .collect()
    };
    let found = [
        "step=ingest",
        "reason=quantity not a whole number",
        "source_file=shop.csv",
        "source_row=9",
        "text=one",
    ];
    assert_eq!(row("reasons", "9"), found);
    let mapped = [
        "customer_id=1003",
        "order_id=D2",
        "ordered_at=2024-02-28 12:00",
        "quantity=one",
        "unit_price=2.00",
    ];
    assert_eq!(row("mapped", "9"), [&found[..], &mapped[..]].concat());
    let raw = [
        "raw_order=D2",
        "raw_product=P1",
        "raw_units=one",
        "raw_bought=2024-02-28 12:00",
        "raw_price=2.00",
        "raw_customer=1003",
        "raw_country=UK",
    ];
    assert_eq!(row("raw", "9"), [&found[..], &raw[..]].concat());
    // A line that is rejected for what it says has no text of its own.
    assert_eq!(row("reasons", "3")[4], "text=");
    assert_eq!(row("reasons", "8")[4], "text=2024-02-30 12:00");
    assert_eq!(row("reasons", "10")[4], "text=3.333");
}

/// Values at the day after the last accepted line, 2024-03-02.
#[test]
fn rfm_by_hand() {
    let shop = Shop::fixture();
    let segments = shop.run(&[]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "customer_id"), ["1001", "1002", "1003"]);
    // From 5 January (26 + 29 + 2 days), 1 March and 29 February to 2 March of a leap year.
    assert_eq!(floats(&segments, "recency_days"), [57.0, 1.0, 2.0]);
    assert_eq!(floats(&segments, "frequency"), [1.0, 2.0, 1.0]);
    assert_eq!(floats(&segments, "monetary"), [7.0, 10.3, 101.0]);
    // Type-7 cut points of {1, 2, 57} at .2 .4 .6 .8 are 1.4, 1.8, 13, 35: recency scores 5, 3 and 1. Those of the
    // frequencies {1, 1, 2} are 1, 1, 1.2, 1.6; of {7, 10.3, 101} 8.32, 9.64, 28.44, 64.72.
    assert_eq!(texts(&segments, "rfm_code"), ["111", "553", "315"]);
    // Gone is r = 1; Best is r ≥ 4 and f ≥ 3.
    assert_eq!(texts(&segments, "segment"), ["Gone", "Best", "Rest"]);
}

#[test]
fn frequency_counts_what_it_is_told_to() {
    let expected = [
        ("orders", [1.0, 2.0, 1.0]),
        ("days", [1.0, 2.0, 1.0]),
        ("lines", [2.0, 2.0, 1.0]),
        ("units", [3.0, 4.0, 4.0]),
    ];
    let shop = Shop::fixture();
    for (what, counts) in expected {
        let segments = shop
            .run(&["--set", &format!("rfm.frequency={what}")])
            .table("segments/snapshot=2024-03-02/part-0");
        assert_eq!(floats(&segments, "frequency"), counts, "{what}");
    }
}

/// Without an order id an order is a customer's day: two orders of one day become one.
#[test]
fn an_order_without_id_is_a_customers_day() {
    let csv = "customer,bought,price,units,order\n7,2024-01-01 09:00,1,1,a\n7,2024-01-01 18:00,1,1,b\n7,2024-01-02 09:00,1,1,c\n";
    let shop = Shop::of(csv)
        .edit("order_id: order, ", "")
        .edit("  - cancellations: { order_id_prefix: C }\n", "");
    let segments = shop.run(&[]).table("segments/snapshot=2024-01-03/part-0");
    assert_eq!(floats(&segments, "frequency"), [2.0]);
    assert_eq!(floats(&shop.table("ledger"), "orders_left")[0], 2.0);
}

/// A snapshot is exclusive: what happens on its own day is the future.
#[test]
fn the_future_does_not_leak_into_a_snapshot() {
    let shop = Shop::fixture();
    shop.run(&["--set", "rfm.snapshots=[2024-02-29, 2024-02-10, 2024-03-01]"]);
    let customers =
        |day: &str| texts(&shop.table(&format!("segments/snapshot={day}/part-0")), "customer_id");
    assert_eq!(customers("2024-02-10"), ["1001"]);
    assert_eq!(customers("2024-02-29"), ["1001", "1002"]);
    assert_eq!(customers("2024-03-01"), ["1001", "1002", "1003"]);
    let at = shop.table("segments/snapshot=2024-03-01/part-0");
    assert_eq!(floats(&at, "frequency"), [1.0, 1.0, 1.0]);
}

/// Each of several snapshots is the single run for its date in every column but those that look back.
#[test]
fn several_snapshots_equal_single_runs() {
    let days = ["2024-02-10", "2024-02-29", "2024-03-02"];
    let many = Shop::fixture();
    many.run(&["--set", &format!("rfm.snapshots=[{}]", days.join(", "))]);
    for day in days {
        let name = format!("segments/snapshot={day}/part-0");
        let one = Shop::fixture();
        let (one, of_many) = (one.run(&["--as-of", day]).table(&name), many.table(&name));
        let back = ["previous_segment", "segment_since", "snapshots_in_segment"];
        assert!(one.drop_many(back).equals_missing(&of_many.drop_many(back)), "{day}");
    }
}

/// The two moments of 31 March 2024 around midnight fall on different days in London, where summer time began that day.
#[test]
fn a_day_is_the_stores_day() {
    use polars::prelude::*;
    let shop = Shop::fixture();
    let moments = ["2024-03-30T23:30:00", "2024-03-31T22:30:00", "2024-03-31T23:30:00"];
    let mut frame = df![
        "customer" => [1i64, 2, 3], "order" => ["a", "b", "c"], "units" => [1i64, 1, 1], "price" => [1.0, 1.0, 1.0],
        "bought" => moments,
    ]
    .unwrap()
    .lazy()
    .with_column(col("bought").str().to_datetime(
        Some(TimeUnit::Milliseconds),
        Some(TimeZone::UTC),
        StrptimeOptions { format: Some("%Y-%m-%dT%H:%M:%S".into()), ..Default::default() },
        lit("raise"),
    ))
    .collect()
    .unwrap();
    let file = std::fs::File::create(shop.path("shop.parquet")).unwrap();
    ParquetWriter::new(file).finish(&mut frame).unwrap();
    shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
    let segments = shop.table("segments/snapshot=2024-04-02/part-0");
    assert_eq!(floats(&segments, "recency_days"), [3.0, 2.0, 1.0]);
    assert_eq!(texts(&segments, "last_order_at")[2], "2024-04-01 00:30:00.000000");
}

/// Quantities and prices may be decimals, floats or integers in Parquet; the money is the same.
#[test]
fn parquet_types_do_not_matter() {
    use polars::prelude::*;
    let base = df!["customer" => ["1", "2"], "order" => ["a", "b"], "units" => [3i64, 2], "price" => [1.25, 0.10], "bought" => ["2024-01-01", "2024-01-02"]]
        .unwrap()
        .lazy()
        .with_column(col("bought").cast(DataType::String).str().to_date(StrptimeOptions { format: Some("%Y-%m-%d".into()), ..Default::default() }))
        .collect()
        .unwrap();
    for (units, price) in [
        (DataType::Int8, DataType::Float64),
        (DataType::Float32, DataType::Decimal(10, 4)),
        (DataType::UInt64, DataType::Float64),
        (DataType::Decimal(9, 0), DataType::Decimal(38, 2)),
    ] {
        let shop = Shop::fixture();
        let mut frame = base
            .clone()
            .lazy()
            .with_columns([col("units").cast(units.clone()), col("price").cast(price.clone())])
            .collect()
            .unwrap();
        ParquetWriter::new(std::fs::File::create(shop.path("shop.parquet")).unwrap())
            .finish(&mut frame)
            .unwrap();
        shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
        let segments = shop.table("segments/snapshot=2024-01-03/part-0");
        assert_eq!(floats(&segments, "monetary"), [3.75, 0.2], "{units} {price}");
    }
}

/// 11685 pence are 116.85 pounds; a product with 0.01 in place of the division makes 116.85000000000001.
#[test]
fn money_is_divided_not_multiplied_by_a_reciprocal() {
    let shop = Shop::of(
        "customer,bought,price,units,order\n7,2024-01-01 09:00,116.85,1,a\n8,2024-01-01 09:00,0.01,1,b\n",
    );
    let segments = shop.run(&[]).table("segments/snapshot=2024-01-02/part-0");
    assert_eq!(floats(&segments, "monetary"), [116.85, 0.01]);
}

/// Beside an amount the units are a remark: without them a line is as good.
#[test]
fn units_beside_an_amount_may_be_missing_but_not_nonsense() {
    let csv = "customer,bought,price,units,order\n7,2024-01-01 09:00,5,,a\n7,2024-01-01 09:00,6,x,b\n7,2024-01-01 09:00,7,1.5,c\n7,2024-01-01 09:00,8,2,d\n";
    let shop = Shop::of(csv)
        .edit("unit_price: price", "amount: price")
        .edit("[quantity, unit_price]", "[amount]");
    assert_eq!(
        floats(&shop.run(&[]).table("segments/snapshot=2024-01-02/part-0"), "monetary"),
        [13.0]
    );
}

/// Customer ids that pandas made floats of are integers again.
#[test]
fn float_ids_become_plain_digits() {
    use polars::prelude::*;
    let shop = Shop::fixture();
    let mut frame = df!["customer" => [Some(17850.0), None], "order" => ["a", "b"], "units" => [1i64, 1], "price" => [1.0, 1.0], "bought" => [0i32, 1]]
        .unwrap()
        .lazy()
        .with_column(col("bought").cast(DataType::Date))
        .collect()
        .unwrap();
    ParquetWriter::new(std::fs::File::create(shop.path("shop.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
    assert_eq!(texts(&shop.table("segments/snapshot=1970-01-02/part-0"), "customer_id"), ["17850"]);
}

/// The fixture's lines under each policy for its one cancellation: 1001 bought for 7.00 on 5 January and returned 3.00 on
/// the 6th.
#[test]
fn cancellations_by_policy() {
    let shop = Shop::fixture()
        .edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: POLICY }")
        .edit("order_id: order,", "order_id: order, product_id: product,");
    let yaml = std::fs::read_to_string(shop.path("shop.yaml")).unwrap();
    for (policy, money, rows_left) in
        [("drop", 7.0, 5.0), ("net", 4.0, 6.0), ("separate", 7.0, 6.0), ("match", 4.0, 6.0)]
    {
        std::fs::write(shop.path("shop.yaml"), yaml.replace("POLICY", policy)).unwrap();
        shop.run(&["--set", "rfm.snapshots=[2024-01-06, 2024-03-02]"]);
        assert_eq!(floats(&shop.table("ledger"), "rows_left").last(), Some(&rows_left), "{policy}");
        let now = shop.table("segments/snapshot=2024-03-02/part-0");
        assert_eq!(
            (floats(&now, "monetary")[0], floats(&now, "frequency")[0]),
            (money, 1.0),
            "{policy}"
        );
        // The last purchase, not the return, says how long ago it is.
        assert_eq!(floats(&now, "recency_days")[0], 57.0, "{policy}");
        // What was returned on the 6th is not known on the morning of the 6th.
        let before = shop.table("segments/snapshot=2024-01-06/part-0");
        assert_eq!(floats(&before, "monetary"), [7.0], "{policy}");
        if policy == "separate" {
            assert_eq!(floats(&now, "returned_money"), [3.0, 0.0, 0.0]);
            assert_eq!(floats(&before, "returned_money"), [0.0]);
        } else {
            assert!(now.column("returned_money").is_err());
        }
    }
}

/// A customer who only returned is there under `net`: no order, negative money, known by the day of the return.
#[test]
fn a_customer_who_only_returned() {
    let csv =
        "customer,bought,price,units,order\n7,2024-01-01 09:00,5,-2,C1\n8,2024-01-03 09:00,5,1,2\n";
    let shop = Shop::of(csv).edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: net }");
    let segments = shop.run(&[]).table("segments/snapshot=2024-01-04/part-0");
    let row = ["recency_days", "frequency", "monetary"].map(|name| floats(&segments, name)[0]);
    assert_eq!(row, [3.0, 0.0, -10.0]);
    assert_eq!(floats(&shop.table("segment_profile"), "orders").iter().sum::<f64>(), 1.0);
}

#[test]
fn steps_that_look_at_products_days_and_keys() {
    let csv = "customer,bought,price,units,order,product\n\
        7,2024-01-01 09:00,1,1,a,POST\n\
        7,2024-01-02 09:00,2,1,b,gift_0001\n\
        7,2024-01-03 23:59,4,1,c,P1\n\
        7,2024-01-04 00:00,8,1,d,P1\n\
        7,2024-01-03 10:00,16,1,c,P2\n\
        7,2024-01-03 11:00,32,9,c,P2\n\
        7,2024-01-03 11:00,64,9,e,\n";
    let kept = |steps: &str| {
        let shop = Shop::of(csv).edit("order_id: order,", "order_id: order, product_id: product,");
        let money =
            floats(&shop.run(&["--set", &format!("clean={steps}")]).table("ledger"), "money_left");
        *money.last().unwrap()
    };
    assert_eq!(kept("[]"), 1.0 + 2.0 + 4.0 + 8.0 + 16.0 + 288.0 + 576.0);
    assert_eq!(kept("[non_product_lines: { codes: [POST, M] }]"), 894.0);
    assert_eq!(kept("[non_product_lines: { codes: [POST], pattern: ^gift_ }]"), 892.0);
    assert_eq!(kept("[date_range: { from: 2024-01-02, until: 2024-01-04 }]"), 886.0);
    assert_eq!(kept("[date_range: { until: 2024-01-02 }]"), 1.0);
    // The second line of order c and product P2 repeats the first, whatever its price.
    assert_eq!(kept("[drop_duplicates: [order_id, product_id]]"), 895.0 - 288.0);
    // A line that an earlier step rejected is no first of its kind.
    assert_eq!(
        kept("[date_range: { until: 2024-01-04 }, drop_duplicates: [product_id]]"),
        1.0 + 2.0 + 4.0 + 16.0 + 576.0
    );
}

/// A line stays where the predicate is true; prices are money, other columns of the source are text.
#[test]
fn where_keeps_what_is_true() {
    let kept = |sql: &str| {
        let shop = Shop::fixture();
        let set = format!("clean=[{{drop_missing: [customer_id]}}, {{where: \"{sql}\"}}]");
        let table = shop.run(&["--set", &set]).rejects();
        let removed = texts(&table, "step").into_iter().zip(texts(&table, "source_row"));
        let mut rows: Vec<u32> = removed
            .filter(|(step, _)| step == "where")
            .map(|(_, row)| row.parse().unwrap())
            .collect();
        rows.sort();
        rows
    };
    // Rows 7 to 10 are rejected before: nobody's, and three that cannot be parsed.
    assert_eq!(kept("country = 'UK'"), [4, 5, 6]);
    assert_eq!(kept("country <> 'UK' OR quantity < 0"), [1, 2, 11, 12]);
    assert_eq!(kept("unit_price > 1.5"), [1, 3, 5, 6]);
    assert_eq!(kept("unit_price >= 1.5 AND unit_price <= 25.25"), [5, 6]);
    assert_eq!(kept("order_id LIKE 'B%' OR customer_id = '1003'"), [1, 2, 3]);
    assert_eq!(kept("day >= DATE '2024-02-29'"), [1, 2, 3, 4]);
    assert_eq!(
        kept("product IN ('P1', 'P2') AND EXTRACT(hour FROM ordered_at) < 10"),
        [1, 2, 3, 5, 11, 12]
    );
}

/// The fixture in one piece, packed, in a glob and in a folder of partitions: the same bytes.
#[test]
fn paths_that_mean_the_same_lines() {
    use std::io::Write;
    let shop = Shop::fixture();
    shop.run(&[]);
    let expected = super::harness::hashes(&shop.path("out"));
    let text = std::fs::read(shop.path("shop.csv")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&text).unwrap();
    std::fs::write(shop.path("packed.csv.gz"), gz.finish().unwrap()).unwrap();
    std::fs::write(shop.path("packed.csv.zst"), zstd::encode_all(&text[..], 3).unwrap()).unwrap();
    let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().lines().collect();
    for (i, part) in lines[1..].chunks(5).enumerate() {
        let folder = shop.path(&format!("parts [odd] name/month={i}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("part-0.csv"), format!("{}\n{}\n", lines[0], part.join("\n")))
            .unwrap();
        std::fs::write(folder.join("_SUCCESS"), "").unwrap();
        std::fs::write(folder.join(".part-0.csv.crc"), "noise").unwrap();
    }
    for paths in [
        "packed.csv.gz",
        "packed.csv.zst",
        "'packed.csv.[z]*'",
        "'parts [odd] name'",
        "'parts [[]odd[]] name/*/*.csv'",
    ] {
        shop.run(&["--set", &format!("ingest.transactions.paths=[{paths}]")]);
        assert_eq!(expected, super::harness::hashes(&shop.path("out")), "{paths}");
    }
}
