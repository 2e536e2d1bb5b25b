//! Each stage on the fixture shop, with values computed by hand (lines: see `harness`).

use super::harness::{Shop, floats, hashes, texts};

#[test]
fn peek_prints_the_rows_after_each_stage() {
    let shop = Shop::fixture();
    for stage in ["ingest", "clean", "orders", "rfm", "score", "segment", "model", "evaluate"] {
        let shown = shop.custseg(&["-q", "peek", "shop.yaml", stage, "-n", "20"]);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        insta::assert_snapshot!(format!("peek_{stage}"), shown.stdout);
    }
}

#[test]
fn ledger_equals_hand_computed_rows() {
    let ledger = Shop::fixture().run(&[]).table("ledger");
    let rows: Vec<String> =
        ["step", "reason", "rows", "customers", "orders", "money", "rows_left", "money_left"]
            .map(|name| texts(&ledger, name))
            .into_iter()
            .fold(vec![String::new(); ledger.height()], |rows, column| {
                rows.iter().zip(column).map(|(row, cell)| format!("{row}|{cell}")).collect()
            });
    // Money after ingest: 7 − 3 + 10 + 0 + 0.30 + 2 + 202 = 218.30, and 2.00 of the line without a
    // date. The money of the two lines without a number is unknown, and so is that of all lines.
    // No step removes the last line of a customer. X1 has no customer id.
    assert_eq!(
        rows,
        [
            "|raw||0|0|0|0.0|12|",
            "|ingest|quantity not a number|1|0|1||11|",
            "|ingest|unit_price out of range or finer than money.scale|1|0|1||10|220.3",
            "|ingest|ordered_at not in any declared format|1|0|1|2.0|9|218.3",
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
        ("9", "ingest: quantity not a number"),
        ("10", "ingest: unit_price out of range or finer than money.scale"),
        ("12", "drop_duplicates: equal to an earlier row"),
    ];
    assert_eq!(found, expected.map(|(row, reason)| (row.to_owned(), reason.to_owned())));
    assert!(texts(&rejects, "source_file").iter().all(|file| file == "shop.csv"));
}

/// The text of an unparsable cell is always kept, the other columns by `publish.rejects`.
#[test]
fn rejects_keep_mapped_or_raw_columns_by_option() {
    let shop = Shop::fixture();
    let row = |rejects: &str, row: &str| -> Vec<String> {
        let table = shop.run(&["--set", &format!("publish.rejects={rejects}")]).rejects();
        let index = texts(&table, "source_row").iter().position(|found| found == row).unwrap();
        table
            .get_column_names()
            .iter()
            .map(|name| format!("{name}={}", texts(&table, name)[index]))
            .collect()
    };
    let reasons = [
        "step=ingest",
        "reason=quantity not a number",
        "source_file=shop.csv",
        "source_row=9",
        "text=one",
    ];
    assert_eq!(row("reasons", "9"), reasons);
    let mapped = [
        "customer_id=1003",
        "order_id=D2",
        "ordered_at=2024-02-28 12:00",
        "quantity=one",
        "unit_price=2.00",
    ];
    assert_eq!(row("mapped", "9"), [&reasons[..], &mapped[..]].concat());
    let raw = [
        "raw_order=D2",
        "raw_product=P1",
        "raw_units=one",
        "raw_bought=2024-02-28 12:00",
        "raw_price=2.00",
        "raw_customer=1003",
        "raw_country=UK",
    ];
    assert_eq!(row("raw", "9"), [&reasons[..], &raw[..]].concat());
    // Only unparsable cells have a text.
    assert_eq!(row("reasons", "3")[4], "text=");
    assert_eq!(row("reasons", "8")[4], "text=2024-02-30 12:00");
    assert_eq!(row("reasons", "10")[4], "text=3.333");
}

/// The snapshot date 2024-03-02 is the day after the last accepted line.
#[test]
fn rfm_and_scores_equal_hand_computed_values() {
    let shop = Shop::fixture();
    let segments = shop.run(&[]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "customer_id"), ["1001", "1002", "1003"]);
    // Days from 5 January (26 + 29 + 2 in a leap year), 1 March and 29 February to 2 March.
    assert_eq!(floats(&segments, "recency_days"), [57.0, 1.0, 2.0]);
    assert_eq!(floats(&segments, "frequency"), [1.0, 2.0, 1.0]);
    assert_eq!(floats(&segments, "monetary"), [7.0, 10.3, 101.0]);
    // Quintiles (type 7) of the recencies {1, 2, 57} are 1.4, 1.8, 13, 35: scores 5, 3 and 1. Those
    // of the frequencies {1, 1, 2} are 1, 1, 1.2, 1.6, of money {7, 10.3, 101} 8.32, 9.64, 28.44,
    // 64.72.
    assert_eq!(texts(&segments, "rfm_code"), ["111", "553", "315"]);
    // `Gone` is r = 1. `Best` is r ≥ 4 and f ≥ 3.
    assert_eq!(texts(&segments, "segment"), ["Gone", "Best", "Rest"]);
}

#[test]
fn frequency_counts_orders_days_lines_or_units() {
    let expected = [
        ("orders", [1.0, 2.0, 1.0]),
        ("days", [1.0, 2.0, 1.0]),
        ("lines", [2.0, 2.0, 1.0]),
        ("units", [3.0, 4.0, 4.0]),
    ];
    let shop = Shop::fixture();
    for (unit, counts) in expected {
        let segments = shop
            .run(&["--set", &format!("rfm.frequency={unit}")])
            .table("segments/snapshot=2024-03-02/part-0");
        assert_eq!(floats(&segments, "frequency"), counts, "{unit}");
    }
}

/// Without an order id all lines of a customer on one day are one order.
#[test]
fn order_without_id_is_a_customer_day() {
    let csv = "customer,bought,price,units,order\n\
        7,2024-01-01 09:00,1,1,a\n\
        7,2024-01-01 18:00,1,1,b\n\
        7,2024-01-02 09:00,1,1,c\n";
    let shop = Shop::with_csv(csv)
        .edit("order_id: order, ", "")
        .edit("  - cancellations: { order_id_prefix: C }\n", "");
    let segments = shop.run(&[]).table("segments/snapshot=2024-01-03/part-0");
    assert_eq!(floats(&segments, "frequency"), [2.0]);
    assert_eq!(floats(&shop.table("ledger"), "orders_left")[0], 2.0);
}

/// The snapshot date is exclusive: lines of that day do not count.
#[test]
fn lines_from_the_snapshot_date_on_do_not_count() {
    let shop = Shop::fixture();
    shop.run(&["--set", "rfm.snapshots=[2024-02-29, 2024-02-10, 2024-03-01]"]);
    let customers =
        |day: &str| texts(&shop.table(&format!("segments/snapshot={day}/part-0")), "customer_id");
    assert_eq!(customers("2024-02-10"), ["1001"]);
    assert_eq!(customers("2024-02-29"), ["1001", "1002"]);
    assert_eq!(customers("2024-03-01"), ["1001", "1002", "1003"]);
    let segments = shop.table("segments/snapshot=2024-03-01/part-0");
    assert_eq!(floats(&segments, "frequency"), [1.0, 1.0, 1.0]);
}

/// All columns are equal but those that depend on earlier snapshots.
#[test]
fn several_snapshots_equal_single_runs() {
    let days = ["2024-02-10", "2024-02-29", "2024-03-02"];
    let many = Shop::fixture();
    many.run(&["--set", &format!("rfm.snapshots=[{}]", days.join(", "))]);
    for day in days {
        let name = format!("segments/snapshot={day}/part-0");
        let single = Shop::fixture().run(&["--as-of", day]).table(&name);
        let history = ["previous_segment", "segment_since", "snapshots_in_segment"];
        let of_many = many.table(&name).drop_many(history);
        assert!(single.drop_many(history).equals_missing(&of_many), "{day}");
    }
}

/// In London summer time began on 31 March 2024: 23:30 UTC is already 1 April.
#[test]
fn days_are_in_the_timezone_of_the_shop() {
    use polars::prelude::*;
    let shop = Shop::fixture();
    let timestamps = ["2024-03-30T23:30:00", "2024-03-31T22:30:00", "2024-03-31T23:30:00"];
    let mut frame = df![
        "customer" => [1i64, 2, 3],
        "order" => ["a", "b", "c"],
        "units" => [1i64, 1, 1],
        "price" => [1.0, 1.0, 1.0],
        "bought" => timestamps,
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

#[test]
fn numeric_parquet_types_give_the_same_money() {
    use polars::prelude::*;
    // 19723 and 19724 are 1 and 2 January 2024.
    let base = df![
        "customer" => ["1", "2"],
        "order" => ["a", "b"],
        "units" => [3i64, 2],
        "price" => [1.25, 0.10],
        "bought" => [19_723i32, 19_724],
    ]
    .unwrap()
    .lazy()
    .with_column(col("bought").cast(DataType::Date))
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

/// 11685 / 100 is 116.85, but 11685 × 0.01 is 116.85000000000001.
#[test]
fn money_is_divided_by_the_scale() {
    let shop = Shop::with_csv(
        "customer,bought,price,units,order\n\
         7,2024-01-01 09:00,116.85,1,a\n\
         8,2024-01-01 09:00,0.01,1,b\n",
    );
    let segments = shop.run(&[]).table("segments/snapshot=2024-01-02/part-0");
    assert_eq!(floats(&segments, "monetary"), [116.85, 0.01]);
}

/// If the source has an amount, the quantity is optional.
#[test]
fn quantity_beside_an_amount_may_be_missing_but_not_invalid() {
    let csv = "customer,bought,price,units,order\n\
        7,2024-01-01 09:00,5,,a\n\
        7,2024-01-01 09:00,6,x,b\n\
        7,2024-01-01 09:00,7,1.5,c\n\
        7,2024-01-01 09:00,8,2,d\n";
    let shop = Shop::with_csv(csv)
        .edit("unit_price: price", "amount: price")
        .edit("[quantity, unit_price]", "[amount]");
    assert_eq!(
        floats(&shop.run(&[]).table("segments/snapshot=2024-01-02/part-0"), "monetary"),
        [20.0]
    );
}

/// pandas stores integer ids with nulls as floats.
#[test]
fn float_ids_become_integers() {
    use polars::prelude::*;
    let shop = Shop::fixture();
    let mut frame = df![
        "customer" => [Some(17850.0), None],
        "order" => ["a", "b"],
        "units" => [1i64, 1],
        "price" => [1.0, 1.0],
        "bought" => [0i32, 1],
    ]
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

/// 1001 bought for 7.00 on 5 January and returned 3.00 on 6 January.
#[test]
fn cancellation_policies_equal_hand_computed_values() {
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
        // Recency counts from the last purchase, not the return.
        assert_eq!(floats(&now, "recency_days")[0], 57.0, "{policy}");
        // The return on 6 January is not before the snapshot of 6 January.
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

/// Under `net` such a customer has no orders, negative money, and recency from the return.
#[test]
fn customer_with_returns_only_has_negative_money() {
    let csv =
        "customer,bought,price,units,order\n7,2024-01-01 09:00,5,-2,C1\n8,2024-01-03 09:00,5,1,2\n";
    let shop =
        Shop::with_csv(csv).edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: net }");
    let segments = shop.run(&[]).table("segments/snapshot=2024-01-04/part-0");
    let row = ["recency_days", "frequency", "monetary"].map(|name| floats(&segments, name)[0]);
    assert_eq!(row, [3.0, 0.0, -10.0]);
    assert_eq!(floats(&shop.table("segment_profile"), "orders").iter().sum::<f64>(), 1.0);
}

#[test]
fn product_date_and_duplicate_steps_reject_lines() {
    let csv = "customer,bought,price,units,order,product\n\
        7,2024-01-01 09:00,1,1,a,POST\n\
        7,2024-01-02 09:00,2,1,b,gift_0001\n\
        7,2024-01-03 23:59,4,1,c,P1\n\
        7,2024-01-04 00:00,8,1,d,P1\n\
        7,2024-01-03 10:00,16,1,c,P2\n\
        7,2024-01-03 11:00,32,9,c,P2\n\
        7,2024-01-03 11:00,64,9,e,\n";
    let accepted_money = |steps: &str| {
        let shop =
            Shop::with_csv(csv).edit("order_id: order,", "order_id: order, product_id: product,");
        let money =
            floats(&shop.run(&["--set", &format!("clean={steps}")]).table("ledger"), "money_left");
        *money.last().unwrap()
    };
    assert_eq!(accepted_money("[]"), 1.0 + 2.0 + 4.0 + 8.0 + 16.0 + 288.0 + 576.0);
    assert_eq!(accepted_money("[non_product_lines: { codes: [POST, M] }]"), 894.0);
    assert_eq!(accepted_money("[non_product_lines: { codes: [POST], pattern: ^gift_ }]"), 892.0);
    assert_eq!(accepted_money("[date_range: { from: 2024-01-02, until: 2024-01-04 }]"), 886.0);
    assert_eq!(accepted_money("[date_range: { until: 2024-01-02 }]"), 1.0);
    // The second line of order c and product P2 is a duplicate by these columns, at any price.
    assert_eq!(accepted_money("[drop_duplicates: [order_id, product_id]]"), 895.0 - 288.0);
    // A line that an earlier step rejected has no duplicates.
    assert_eq!(
        accepted_money("[date_range: { until: 2024-01-04 }, drop_duplicates: [product_id]]"),
        1.0 + 2.0 + 4.0 + 16.0 + 576.0
    );
}

/// Lines are kept if the predicate is true. Prices are money, other source columns are text.
#[test]
fn where_keeps_lines_that_match_the_predicate() {
    let rejected_rows = |sql: &str| {
        let shop = Shop::fixture();
        let set = format!("clean=[{{drop_missing: [customer_id]}}, {{where: \"{sql}\"}}]");
        let negative = "rfm.negative_orders=count";
        let table = shop.run(&["--set", &set, "--set", negative]).rejects();
        let rejects = texts(&table, "step").into_iter().zip(texts(&table, "source_row"));
        let mut rows: Vec<u32> = rejects
            .filter(|(step, _)| step == "where")
            .map(|(_, row)| row.parse().unwrap())
            .collect();
        rows.sort();
        rows
    };
    // Rows 7 to 10 are rejected earlier: no customer id, and three that cannot be parsed.
    assert_eq!(rejected_rows("country = 'UK'"), [4, 5, 6]);
    assert_eq!(rejected_rows("country <> 'UK' OR quantity < 0"), [1, 2, 11, 12]);
    assert_eq!(rejected_rows("unit_price > 1.5"), [1, 3, 5, 6]);
    assert_eq!(rejected_rows("unit_price >= 1.5 AND unit_price <= 25.25"), [5, 6]);
    assert_eq!(rejected_rows("order_id LIKE 'B%' OR customer_id = '1003'"), [1, 2, 3]);
    assert_eq!(rejected_rows("day >= DATE '2024-02-29'"), [1, 2, 3, 4]);
    assert_eq!(
        rejected_rows("product IN ('P1', 'P2') AND EXTRACT(hour FROM ordered_at) < 10"),
        [1, 2, 3, 5, 11, 12]
    );
}

/// The fixture as one file, compressed, by a glob, and in a partitioned folder.
#[test]
fn files_globs_and_folders_give_the_same_bytes() {
    use std::io::Write;
    let shop = Shop::fixture();
    shop.run(&[]);
    let expected = hashes(&shop.path("out"));
    let text = std::fs::read(shop.path("shop.csv")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&text).unwrap();
    std::fs::write(shop.path("compressed.csv.gz"), gz.finish().unwrap()).unwrap();
    std::fs::write(shop.path("compressed.csv.zst"), zstd::encode_all(&text[..], 3).unwrap())
        .unwrap();
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
        "compressed.csv.gz",
        "compressed.csv.zst",
        "'compressed.csv.[z]*'",
        "'parts [odd] name'",
        "'parts [[]odd[]] name/*/*.csv'",
    ] {
        shop.run(&["--set", &format!("ingest.transactions.paths=[{paths}]")]);
        assert_eq!(expected, hashes(&shop.path("out")), "{paths}");
    }
}
