//! Broken data files. Each replaces the data of the fixture shop.

use super::harness::{Shop, floats, hashes, texts};

const HEAD: &str = "order,product,units,bought,price,customer,country\n";
const LINE: &str = "A1,P1,2,2024-01-05 10:00,1.50,1001,UK\n";

fn csv_gallery() -> Vec<(&'static str, Vec<u8>)> {
    let after_a_line = |tail: &str| format!("{HEAD}{LINE}{tail}").into_bytes();
    vec![
        ("empty_file", Vec::new()),
        ("header_only", HEAD.into()),
        ("header_without_newline", HEAD.trim_end().into()),
        ("blank_lines_only", b"\n\n\n".to_vec()),
        ("duplicate_header", format!("order,order,units,bought,price,customer\n{LINE}").into()),
        ("header_of_another_file", b"a,b,c\n1,2,3\n".to_vec()),
        ("header_not_utf8", [b"order,caf".to_vec(), vec![0xe9], after_a_line("")].concat()),
        ("record_beyond_the_limit", [after_a_line("A2,"), vec![b'x'; 17 << 20]].concat()),
        ("nul_bytes", [b"\0\0\0\0\0\0\0\0".to_vec(), after_a_line("")].concat()),
        ("binary", (0..=255u8).cycle().take(4096).collect()),
        ("open_quote", after_a_line("A2,\"P1,2,2024-01-05 10:00,1.50,1001,UK\n")),
        ("parquet_named_csv", b"PAR1\x15\x04\x15".to_vec()),
        ("every_line_rejected", format!("{HEAD}A1,P1,x,y,z,1001,UK\n").into()),
        ("all_before_the_snapshot", after_a_line("")),
        ("utf16", "order,units".encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ]
}

#[test]
fn broken_csv_fails_with_a_message() {
    for (name, bytes) in csv_gallery() {
        let shop = Shop::with_csv(bytes);
        let args: &[&str] = match name {
            "all_before_the_snapshot" => &["-q", "run", "shop.yaml", "--as-of", "2024-01-05"],
            _ => &["-q", "run", "shop.yaml"],
        };
        let outcome = shop.custseg(args);
        assert!(!outcome.stderr.contains("panicked"), "{name}: {}", outcome.stderr);
        assert!(
            [2, 3].contains(&outcome.code),
            "{name}: exit {}: {}",
            outcome.code,
            outcome.stderr
        );
        assert!(!shop.path("out/current").exists(), "{name}: a run was published");
        insta::with_settings!({filters => vec![(r"/tmp/[^/ ]+", "[tmp]"), (r"\s+$", "")]}, {
            insta::assert_snapshot!(
                format!("bad_data_{name}"),
                format!("exit {}\n{}", outcome.code, outcome.stderr)
            );
        });
    }
}

#[test]
fn broken_parquet_fails_with_a_message() {
    use polars::prelude::*;
    let mut frame = df![
        "customer" => ["1"],
        "order" => ["a"],
        "units" => [1i64],
        "price" => [1.0],
        "bought" => ["2024-01-01"],
    ]
    .unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    let half = bytes[..bytes.len() / 2].to_vec();
    let mut damaged = bytes.clone();
    // The footer points at pages of noise.
    damaged[4..60].fill(0xff);
    let gallery = [
        ("empty", Vec::new()),
        ("truncated", half),
        ("wrong_magic", b"PAR2aaaaaaaaPAR2".to_vec()),
        ("csv_named_parquet", format!("{HEAD}{LINE}").into_bytes()),
        ("timestamp_is_text", bytes),
    ];
    for (name, bytes) in gallery {
        let shop = Shop::fixture();
        std::fs::write(shop.path("shop.parquet"), bytes).unwrap();
        let outcome = shop.custseg(&[
            "-q",
            "run",
            "shop.yaml",
            "--set",
            "ingest.transactions.paths=[shop.parquet]",
        ]);
        assert!(!outcome.stderr.contains("panicked"), "{name}: {}", outcome.stderr);
        assert!(
            [2, 3].contains(&outcome.code),
            "{name}: exit {}: {}",
            outcome.code,
            outcome.stderr
        );
        insta::assert_snapshot!(
            format!("bad_parquet_{name}"),
            format!("exit {}\n{}", outcome.code, outcome.stderr)
        );
    }
    let shop = Shop::fixture();
    std::fs::write(shop.path("shop.parquet"), damaged).unwrap();
    let outcome = shop.custseg(&[
        "-q",
        "run",
        "shop.yaml",
        "--set",
        "ingest.transactions.paths=[shop.parquet]",
    ]);
    assert!(outcome.code > 1 && !outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

/// Unusual but valid: no row is lost.
#[test]
fn unusual_but_valid_csv_is_read() {
    let crlf = format!("{HEAD}{LINE}").replace('\n', "\r\n");
    let bom = format!("\u{feff}{HEAD}{LINE}");
    let no_last_newline = format!("{HEAD}{LINE}").trim_end().to_owned();
    let quoted = format!("{HEAD}\"A1\",\"P,1\n2\",2,2024-01-05 10:00,\"1.50\",1001,UK\n");
    let exponent = format!("{HEAD}A1,P1,2,2024-01-05 10:00,15e-1,1001,UK\n");
    let whole_float = format!("{HEAD}A1,P1,2.0,2024-01-05 10:00,1.5,1001,UK\n");
    for (name, csv) in [
        ("crlf", crlf),
        ("bom", bom),
        ("no_last_newline", no_last_newline),
        ("quoted", quoted),
        ("exponent", exponent),
        ("whole_float", whole_float),
    ] {
        let shop = Shop::with_csv(csv);
        let segments = shop.run(&[]).table("segments/snapshot=2024-01-06/part-0");
        assert_eq!(floats(&segments, "monetary"), [3.0], "{name}");
    }
}

/// Values that a float or a 64-bit integer would accept silently.
#[test]
fn numbers_out_of_range_are_rejected() {
    let lines = [
        // The product overflows 64 bits.
        "B1,P1,9000000000000000,2024-01-05 10:00,9000000.00,1001,UK",
        "B2,P1,1,2024-01-05 10:00,NaN,1001,UK",
        "B3,P1,1,2024-01-05 10:00,inf,1001,UK",
        "B4,P1,1,2024-01-05 10:00,-inf,1001,UK",
        "B5,P1,1,2024-01-05 10:00,1e300,1001,UK",
        "B6,P1,1e30,2024-01-05 10:00,1.00,1001,UK",
        "B7,P1,1.0000005,2024-01-05 10:00,1.00,1001,UK",
        "B8,P1,1,2024-01-05 10:00,1.005,1001,UK",
        "B9,P1,1,,1.00,1001,UK",
        "C1,P1,,2024-01-05 10:00,1.00,1001,UK",
        "C2,P1,1,2024-01-05 10:00,,1001,UK",
    ];
    let shop = Shop::with_csv(format!("{HEAD}{LINE}{}\n", lines.join("\n")))
        .edit("  - cancellations: { order_id_prefix: C }\n", "");
    let rejects = shop.run(&[]).rejects();
    assert_eq!(rejects.height(), lines.len());
    assert_eq!(floats(&shop.table("ledger"), "money_left").last(), Some(&3.0));
    insta::assert_snapshot!("rejected_numbers", texts(&rejects, "reason").join("\n"));
}

/// Malformed records are rejected with row, reason and text; all other rows are accepted.
#[test]
fn only_malformed_records_are_rejected() {
    let mut csv = HEAD.as_bytes().to_vec();
    for line in [
        &b"A1,P1,2,2024-01-05 10:00,1.50,1001,UK"[..],
        b"A2,P1,2,2024-01-05 10:00,1.50,1001,UK,more",
        b"A3,P1,2,2024-01-05 10:00",
        b"",
        b"A4,P1,2,2024-01-05 10:00,1.50,caf\xe9,UK",
        b"   ",
        b"A5,\"P,1\n2\",4,2024-01-06 10:00,1.50,1001,UK",
        b"A6,P1,x,2024-01-05 10:00,1.50,1001,UK",
        b"",
    ] {
        csv.extend_from_slice(line);
        csv.push(b'\n');
    }
    let shop = Shop::with_csv(csv);
    let rejects = shop.run(&[]).rejects();
    let columns = ["source_row", "step", "reason", "text"].map(|name| texts(&rejects, name));
    let mut rows: Vec<[&str; 4]> =
        (0..rejects.height()).map(|i| [0, 1, 2, 3].map(|c| columns[c][i].as_str())).collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            ["2", "ingest", "too many fields", "A2,P1,2,2024-01-05 10:00,1.50,1001,UK,more"],
            ["3", "ingest", "too few fields", "A3,P1,2,2024-01-05 10:00"],
            [
                "4",
                "ingest",
                "not in the declared encoding",
                "A4,P1,2,2024-01-05 10:00,1.50,caf\u{fffd},UK"
            ],
            ["5", "ingest", "too few fields", "   "],
            ["7", "ingest", "quantity not a number", "x"],
        ]
    );
    let ledger = shop.table("ledger");
    assert_eq!(floats(&ledger, "rows_left")[0], 7.0);
    assert_eq!(floats(&ledger, "money_left").last(), Some(&9.0));
    // The same file without the malformed records gives the same segments.
    let clean = format!("{HEAD}{LINE}A5,\"P,1\n2\",4,2024-01-06 10:00,1.50,1001,UK\n");
    let other = Shop::with_csv(clean);
    let name = "segments/snapshot=2024-01-07/part-0";
    assert!(other.run(&[]).table(name).equals_missing(&shop.table(name)));
}

#[test]
fn on_bad_row_fail_reports_the_first_bad_row() {
    for (name, line, expected) in [
        (
            "ragged",
            "A2,P1,2,2024-01-05 10:00",
            "1 rows: ingest: too few fields\n  first: `shop.csv`, row 2: A2,P1,2,2024-01-05 10:00",
        ),
        (
            "cell",
            "A2,P1,x,2024-01-05 10:00,1.50,1001,UK",
            "1 rows: ingest: quantity not a number\n  first: `shop.csv`, row 2: x",
        ),
    ] {
        let shop = Shop::with_csv(format!("{HEAD}{LINE}{line}\n"));
        let outcome = shop.custseg(&[
            "-q",
            "run",
            "shop.yaml",
            "--set",
            "ingest.transactions.csv.on_bad_row=fail",
        ]);
        assert_eq!(outcome.code, 3, "{name}");
        assert!(outcome.stderr.contains(expected), "{name}: {}", outcome.stderr);
        assert!(!shop.path("out/current").exists());
        // A valid file passes.
        std::fs::write(shop.path("shop.csv"), format!("{HEAD}{LINE}")).unwrap();
        shop.run(&["--set", "ingest.transactions.csv.on_bad_row=fail"]);
    }
}

/// The same text in three encodings gives the same bytes.
#[test]
fn declared_encodings_give_the_same_result() {
    let csv = format!("{HEAD}A1,P1,2,2024-01-05 10:00,1.50,Zo\u{eb} \u{a3},UK\n");
    let latin: Vec<u8> = csv.chars().map(|c| c as u32 as u8).collect();
    let utf8 = Shop::with_csv(&csv);
    utf8.run(&[]);
    for encoding in ["latin1", "windows_1252"] {
        let shop = Shop::with_csv(&latin);
        shop.run(&["--set", &format!("ingest.transactions.csv.encoding={encoding}")]);
        assert_eq!(hashes(&utf8.path("out")), hashes(&shop.path("out")));
        let segments = shop.table("segments/snapshot=2024-01-06/part-0");
        assert_eq!(texts(&segments, "customer_id"), ["Zo\u{eb} \u{a3}"]);
    }
}

/// 03/04/2024 is 3 April by one declared format and 4 March by the other.
#[test]
fn ambiguous_timestamps_fail_with_an_example() {
    let line = |order: &str, bought: &str| format!("{order},P1,2,{bought},1.50,1001,UK\n");
    let formats = "ingest.transactions.csv.datetime_formats=[\"%d/%m/%Y\", \"%m/%d/%Y\"]";
    let shop = Shop::with_csv(format!(
        "{HEAD}{}{}{}",
        line("A1", "25/12/2023"),
        line("A2", "03/04/2024"),
        line("A3", "04/03/2024")
    ));
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", formats]);
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome.stderr);
    // Timestamps that one format reads, or both read alike, are valid.
    let shop = Shop::with_csv(format!(
        "{HEAD}{}{}{}",
        line("A1", "25/12/2023"),
        line("A2", "12/25/2023"),
        line("A3", "04/04/2024")
    ));
    shop.run(&["--set", formats]);
    assert_eq!(texts(&shop.table("segments/snapshot=2024-04-05/part-0"), "frequency"), ["3"]);
}

/// The same number in British, German, Swiss and French notation.
#[test]
fn number_formats_give_the_same_value() {
    for (price, set) in [
        ("1234.50", "{}"),
        ("\"1,234.50\"", "{thousands: \",\"}"),
        ("\u{a3}1234.50", "{currency_signs: [\u{a3}]}"),
        ("\"1.234,50 \u{20ac}\"", "{decimal: \",\", thousands: ., currency_signs: [\u{20ac}]}"),
        ("CHF 1'234.50", "{thousands: \"'\", currency_signs: [CHF]}"),
        ("\"1 234,50\"", "{decimal: \",\", thousands: \" \"}"),
        ("\"-1.234,50\"", "{decimal: \",\", thousands: .}"),
    ] {
        let shop = Shop::with_csv(format!("{HEAD}A1,P1,2,2024-01-05 10:00,{price},1001,UK\n"));
        let mut set: String = set.to_owned();
        set.insert_str(set.len() - 1, if set == "{}" { "" } else { ", " });
        set.insert_str(set.len() - 1, "datetime_formats: [\"%Y-%m-%d %H:%M\"]");
        let csv = format!("ingest.transactions.csv={set}");
        let negative = "rfm.negative_orders=count";
        let args = ["--set", &csv, "--set", "clean=[]", "--set", negative];
        let money =
            floats(&shop.run(&args).table("segments/snapshot=2024-01-06/part-0"), "monetary");
        assert_eq!(money, [if price.contains('-') { -2469.0 } else { 2469.0 }], "{price}");
    }
}

/// With a decimal comma, `1.000` is not a number.
#[test]
fn decimal_point_is_rejected_if_a_comma_is_declared() {
    let shop = Shop::with_csv(
        format!("{HEAD}{LINE}A2,P1,1.000,2024-01-05 10:00,\"1,50\",1001,UK\n")
            .replace("1.50", "\"1,50\""),
    );
    let rejects = shop.run(&["--set", "ingest.transactions.csv.decimal=\",\""]).rejects();
    assert_eq!(texts(&rejects, "text"), ["1.000"]);
}

/// The rest of the file would parse as the last cell of a record of the right width.
#[test]
fn unclosed_quote_in_the_last_column_fails() {
    let shop = Shop::with_csv(format!(
        "{HEAD}{LINE}A2,P1,2,2024-01-05 10:00,1.50,1002,\"UK\n{LINE}{LINE}"
    ));
    let outcome = shop.custseg(&["-q", "run", "shop.yaml"]);
    assert_eq!(outcome.code, 3);
    assert!(
        outcome.stderr.contains("`shop.csv`, line 3: a quote that is never closed"),
        "{}",
        outcome.stderr
    );
}

/// Rejected text is decoded on the strict path too. A byte order mark before a quoted header is
/// skipped.
#[test]
fn rejected_text_is_decoded_beside_ambiguous_quotes() {
    let text = format!("{HEAD}{LINE}A2,caf\u{e9},1\nA3,5\" lamp,1,2024-01-05 10:00,1.50,1001,UK\n");
    let latin: Vec<u8> = text.chars().map(|c| c as u32 as u8).collect();
    let shop = Shop::with_csv(latin);
    let rejects = shop.run(&["--set", "ingest.transactions.csv.encoding=latin1"]).rejects();
    assert_eq!(texts(&rejects, "text"), ["A2,caf\u{e9},1"]);
    let header = HEAD.replacen("order", "\"order\"", 1).replacen("country", "\"coun\ntry\"", 1);
    let shop = Shop::with_csv(format!("\u{feff}{header}{LINE}"));
    assert_eq!(floats(&shop.run(&[]).table("ledger"), "rows_left")[0], 1.0);
}

/// With `.` as the thousands separator, `1.50` is rejected; it must not become 150.
#[test]
fn thousands_separators_need_groups_of_three() {
    let prices = ["1.50", "1.5", "1.23.4", "12.34", ".500", "1234.567"];
    let mut csv = HEAD.to_owned();
    for (i, price) in prices.iter().chain(&["1.500", "12.345.678", "7", "1234"]).enumerate() {
        csv += &format!("A{i},P1,1,2024-01-05 10:00,{price},1001,UK\n");
    }
    let shop = Shop::with_csv(csv);
    let set = "ingest.transactions.csv={decimal: \",\", thousands: ., \
        datetime_formats: [\"%Y-%m-%d %H:%M\"]}";
    let rejects = shop.run(&["--set", set]).rejects();
    assert_eq!(texts(&rejects, "text"), prices);
    assert_eq!(
        floats(&shop.table("ledger"), "money_left").last(),
        Some(&(1_500.0 + 12_345_678.0 + 7.0 + 1_234.0))
    );
}

/// A two-digit year parses as the year 23, and 9999 is a placeholder for "never".
#[test]
fn implausible_years_are_rejected() {
    let line = |order: &str, bought: &str| format!("{order},P1,2,{bought},1.50,1001,UK\n");
    let shop = Shop::with_csv(format!(
        "{HEAD}{LINE}{}{}",
        line("B1", "23-01-05 10:00"),
        line("B2", "9999-12-31 00:00")
    ));
    let rejects = shop.run(&[]).rejects();
    assert_eq!(texts(&rejects, "text"), ["23-01-05 10:00", "9999-12-31 00:00"]);
    assert_eq!(texts(&rejects, "reason")[0], "ordered_at before 1900 or after 2199");
    assert!(shop.path("out/current/segments/snapshot=2024-01-06").is_dir());
}

/// Lines without a customer id are rejected without a step too, and counted in the ledger.
#[test]
fn lines_without_customer_id_are_always_rejected() {
    let shop = Shop::with_csv(format!("{HEAD}{LINE}A2,P1,2,2024-01-05 10:00,1.50,,UK\n"));
    let ledger = shop.run(&["--set", "clean=[]"]).table("ledger");
    assert_eq!(texts(&ledger, "step"), ["raw", "clean"]);
    assert_eq!(texts(&ledger, "reason")[1], "customer_id missing");
    assert_eq!(shop.table("segments/snapshot=2024-01-06/part-0").height(), 1);
}

/// Ambiguous quoting takes the strict path: quotes at the end of an unquoted field, or doubled in
/// one. A blank line is skipped even if a chunk boundary splits it.
#[test]
fn ambiguous_quotes_and_blank_lines_are_read() {
    for (name, cell) in [
        ("end", "lamp 5\""),
        ("middle", "5\" lamp"),
        ("doubled", "5\"\"lamp"),
        ("quoted", "\"5\"\" lamp\""),
    ] {
        let shop = Shop::with_csv(format!(
            "{HEAD}{LINE}A2,{cell},1,2024-01-05 10:00,1.00,1001,UK\n\
             A3,P1,1,2024-01-05 10:00,1.00,1001,UK\n"
        ));
        let ledger = shop.run(&[]).table("ledger");
        assert_eq!(floats(&ledger, "money_left").last(), Some(&5.0), "{name}");
    }
    // The blank line's first newline is the last byte of the first mebibyte.
    let mut csv = format!("{HEAD}{LINE}");
    let filler = "A2,P1,1,2024-01-05 10:00,1.00,1001,UK\n";
    while csv.len() + 2 * filler.len() < 1 << 20 {
        csv += filler;
    }
    let left = (1 << 20) - csv.len();
    csv += &format!("A3,{},1,2024-01-05 10:00,1.00,1001,UK\n", "P".repeat(left - filler.len() + 2));
    assert_eq!(csv.len(), 1 << 20);
    let shop = Shop::with_csv(format!("{csv}\n{filler}"));
    let ledger = shop.run(&["--set", "clean=[]"]).table("ledger");
    assert_eq!(floats(&ledger, "rows_left")[0], (csv.lines().count()) as f64);
}

/// Source columns may have the names of columns that custseg adds.
#[test]
fn source_columns_may_be_named_like_internal_ones() {
    use polars::prelude::*;
    let csv =
        "source_row,source_file,units,bought,price,customer\nA1,x,2,2024-01-05 10:00,1.50,1001\n";
    let shop = Shop::with_csv(csv)
        .edit("order_id: order", "order_id: source_row")
        .edit("  - cancellations: { order_id_prefix: C }\n", "");
    shop.run(&["--set", "publish.rejects=raw"]);
    assert_eq!(texts(&shop.table("segments/snapshot=2024-01-06/part-0"), "frequency"), ["1"]);
    let mut frame = df![
        "source_row" => ["A1"],
        "source_file" => ["x"],
        "units" => [2i64],
        "price" => [1.5],
        "customer" => ["1001"],
    ]
    .unwrap();
    let bought = Series::new("bought".into(), [19_727i32]).cast(&DataType::Date).unwrap();
    frame.with_column(bought.into_column()).unwrap();
    ParquetWriter::new(std::fs::File::create(shop.path("shop.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    shop.run(&[
        "--set",
        "ingest.transactions.paths=[shop.parquet]",
        "--set",
        "publish.rejects=raw",
    ]);
    assert_eq!(texts(&shop.table("segments/snapshot=2024-01-06/part-0"), "frequency"), ["1"]);
}
