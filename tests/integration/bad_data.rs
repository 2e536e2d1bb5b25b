//! Broken data files. Each is the fixture shop with other bytes.

use super::harness::Shop;

const HEAD: &str = "order,product,units,bought,price,customer,country\n";
const LINE: &str = "A1,P1,2,2024-01-05 10:00,1.50,1001,UK\n";

fn csv_gallery() -> Vec<(&'static str, Vec<u8>)> {
    let with = |tail: &str| format!("{HEAD}{LINE}{tail}").into_bytes();
    vec![
        ("empty_file", Vec::new()),
        ("header_only", HEAD.into()),
        ("header_without_newline", HEAD.trim_end().into()),
        ("blank_lines_only", b"\n\n\n".to_vec()),
        ("duplicate_header", format!("order,order,units,bought,price,customer\n{LINE}").into()),
        ("header_of_another_file", b"a,b,c\n1,2,3\n".to_vec()),
        ("header_not_utf8", [b"order,caf".to_vec(), vec![0xe9], with("")].concat()),
        ("record_beyond_the_limit", [with("A2,"), vec![b'x'; 17 << 20]].concat()),
        ("nul_bytes", [b"\0\0\0\0\0\0\0\0".to_vec(), with("")].concat()),
        ("binary", (0..=255u8).cycle().take(4096).collect()),
        ("open_quote", with("A2,\"P1,2,2024-01-05 10:00,1.50,1001,UK\n")),
        ("parquet_by_suffix_csv", b"PAR1\x15\x04\x15".to_vec()),
        ("every_line_rejected", format!("{HEAD}A1,P1,x,y,z,1001,UK\n").into()),
        ("all_before_the_snapshot", with("")),
        ("utf16", "order,units".encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ]
}

#[test]
fn csv_gallery_is_refused_in_words() {
    for (name, bytes) in csv_gallery() {
        let shop = Shop::of(bytes);
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
        assert!(!shop.path("out/current").exists(), "{name}: something was published");
        insta::with_settings!({filters => vec![(r"/tmp/[^/ ]+", "[tmp]"), (r"\s+$", "")]}, {
            insta::assert_snapshot!(format!("bad_data_{name}"), format!("exit {}\n{}", outcome.code, outcome.stderr));
        });
    }
}

#[test]
fn broken_parquet_is_refused_in_words() {
    use polars::prelude::*;
    let mut good =
        df!["customer" => ["1"], "order" => ["a"], "units" => [1i64], "price" => [1.0], "bought" => ["2024-01-01"]]
            .unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut good).unwrap();
    let half = bytes[..bytes.len() / 2].to_vec();
    let mut torn = bytes.clone();
    // The footer promises pages that are noise.
    torn[4..60].fill(0xff);
    let gallery = [
        ("empty", Vec::new()),
        ("truncated", half),
        ("wrong_magic", b"PAR2aaaaaaaaPAR2".to_vec()),
        ("csv_by_suffix_parquet", format!("{HEAD}{LINE}").into_bytes()),
        ("moment_is_text", bytes),
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
    std::fs::write(shop.path("shop.parquet"), torn).unwrap();
    let outcome = shop.custseg(&[
        "-q",
        "run",
        "shop.yaml",
        "--set",
        "ingest.transactions.paths=[shop.parquet]",
    ]);
    assert!(outcome.code > 1 && !outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

/// Odd but good: each of these runs, and loses nothing.
#[test]
fn odd_but_good_csv() {
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
        let shop = Shop::of(csv);
        let segments = shop.run(&[]).table("segments/snapshot=2024-01-06/part-0");
        assert_eq!(super::harness::floats(&segments, "monetary"), [3.0], "{name}");
    }
}

/// Values that a float or a 64-bit integer would take without a word.
#[test]
fn numbers_out_of_range_are_rejected_not_wrapped() {
    let lines = [
        "B1,P1,9000000000000000,2024-01-05 10:00,9000000.00,1001,UK", // the product wraps 64 bits
        "B2,P1,1,2024-01-05 10:00,NaN,1001,UK",
        "B3,P1,1,2024-01-05 10:00,inf,1001,UK",
        "B4,P1,1,2024-01-05 10:00,-inf,1001,UK",
        "B5,P1,1,2024-01-05 10:00,1e300,1001,UK",
        "B6,P1,1e30,2024-01-05 10:00,1.00,1001,UK",
        "B7,P1,1.5,2024-01-05 10:00,1.00,1001,UK",
        "B8,P1,1,2024-01-05 10:00,1.005,1001,UK",
        "B9,P1,1,,1.00,1001,UK",
        "C1,P1,,2024-01-05 10:00,1.00,1001,UK",
        "C2,P1,1,2024-01-05 10:00,,1001,UK",
    ];
    let shop = Shop::of(format!("{HEAD}{LINE}{}\n", lines.join("\n")))
        .edit("  - cancellations: { order_id_prefix: C }\n", "");
    let rejects = shop.run(&[]).rejects();
    assert_eq!(rejects.height(), lines.len());
    assert_eq!(super::harness::floats(&shop.table("ledger"), "money_left").last(), Some(&3.0));
    insta::assert_snapshot!(
        "rejected_numbers",
        super::harness::texts(&rejects, "reason").join("\n")
    );
}

/// Records that are none of the table's go to the rejects with row, reason and text, and no other row moves.
#[test]
fn bad_records_are_rejected_and_nothing_else_is() {
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
    let shop = Shop::of(csv);
    let rejects = shop.run(&[]).rejects();
    let columns =
        ["source_row", "step", "reason", "text"].map(|name| super::harness::texts(&rejects, name));
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
            ["7", "ingest", "quantity not a whole number", "x"],
        ]
    );
    let ledger = shop.table("ledger");
    assert_eq!(super::harness::floats(&ledger, "rows_left")[0], 7.0);
    assert_eq!(super::harness::floats(&ledger, "money_left").last(), Some(&9.0));
    // The same rows without the bad ones give the same segments.
    let clean = format!("{HEAD}{LINE}A5,\"P,1\n2\",4,2024-01-06 10:00,1.50,1001,UK\n");
    let other = Shop::of(clean);
    let name = "segments/snapshot=2024-01-07/part-0";
    assert!(other.run(&[]).table(name).equals_missing(&shop.table(name)));
}

#[test]
fn on_bad_row_fail_names_the_first() {
    for (name, line, expected) in [
        (
            "ragged",
            "A2,P1,2,2024-01-05 10:00",
            "1 rows: ingest: too few fields\n  the first of them: `shop.csv`, row 2: A2,P1,2,2024-01-05 10:00",
        ),
        (
            "cell",
            "A2,P1,x,2024-01-05 10:00,1.50,1001,UK",
            "1 rows: ingest: quantity not a whole number\n  the first of them: `shop.csv`, row 2: x",
        ),
    ] {
        let shop = Shop::of(format!("{HEAD}{LINE}{line}\n"));
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
        // A good file passes.
        std::fs::write(shop.path("shop.csv"), format!("{HEAD}{LINE}")).unwrap();
        shop.run(&["--set", "ingest.transactions.csv.on_bad_row=fail"]);
    }
}

/// The same shop in three encodings: the same bytes out.
#[test]
fn declared_encodings() {
    let csv = format!("{HEAD}A1,P1,2,2024-01-05 10:00,1.50,Zo\u{eb} \u{a3},UK\n");
    let latin: Vec<u8> = csv.chars().map(|c| c as u32 as u8).collect();
    let utf8 = Shop::of(&csv);
    utf8.run(&[]);
    for encoding in ["latin1", "windows_1252"] {
        let shop = Shop::of(&latin);
        shop.run(&["--set", &format!("ingest.transactions.csv.encoding={encoding}")]);
        assert_eq!(
            super::harness::hashes(&utf8.path("out")),
            super::harness::hashes(&shop.path("out"))
        );
        let segments = shop.table("segments/snapshot=2024-01-06/part-0");
        assert_eq!(super::harness::texts(&segments, "customer_id"), ["Zo\u{eb} \u{a3}"]);
    }
}

/// 3 April or 4 March: where two declared formats read a moment differently, no answer is right.
#[test]
fn ambiguous_moments_are_refused_with_an_example() {
    let line = |order: &str, bought: &str| format!("{order},P1,2,{bought},1.50,1001,UK\n");
    let formats = "ingest.transactions.csv.datetime_formats=[\"%d/%m/%Y\", \"%m/%d/%Y\"]";
    let shop = Shop::of(format!(
        "{HEAD}{}{}{}",
        line("A1", "25/12/2023"),
        line("A2", "03/04/2024"),
        line("A3", "04/03/2024")
    ));
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", formats]);
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome.stderr);
    // Moments that only one of them reads, or both alike, are fine.
    let shop = Shop::of(format!(
        "{HEAD}{}{}{}",
        line("A1", "25/12/2023"),
        line("A2", "12/25/2023"),
        line("A3", "04/04/2024")
    ));
    shop.run(&["--set", formats]);
    assert_eq!(
        super::harness::texts(&shop.table("segments/snapshot=2024-04-05/part-0"), "frequency"),
        ["3"]
    );
}

/// The same numbers as they are written in London, Berlin, Zurich and Paris.
#[test]
fn numbers_as_they_are_written() {
    for (price, set) in [
        ("1234.50", "{}"),
        ("\"1,234.50\"", "{thousands: \",\"}"),
        ("\u{a3}1234.50", "{currency_signs: [\u{a3}]}"),
        ("\"1.234,50 \u{20ac}\"", "{decimal: \",\", thousands: ., currency_signs: [\u{20ac}]}"),
        ("CHF 1'234.50", "{thousands: \"'\", currency_signs: [CHF]}"),
        ("\"1 234,50\"", "{decimal: \",\", thousands: \" \"}"),
        ("\"-1.234,50\"", "{decimal: \",\", thousands: .}"),
    ] {
        let shop = Shop::of(format!("{HEAD}A1,P1,2,2024-01-05 10:00,{price},1001,UK\n"));
        let mut set: String = set.to_owned();
        set.insert_str(set.len() - 1, if set == "{}" { "" } else { ", " });
        set.insert_str(set.len() - 1, "datetime_formats: [\"%Y-%m-%d %H:%M\"]");
        let args = ["--set", &format!("ingest.transactions.csv={set}"), "--set", "clean=[]"];
        let money = super::harness::floats(
            &shop.run(&args).table("segments/snapshot=2024-01-06/part-0"),
            "monetary",
        );
        assert_eq!(money, [if price.contains('-') { -2469.0 } else { 2469.0 }], "{price}");
    }
}

/// Where a comma is the decimal mark, a point is none, and 1.000 units are not one.
#[test]
fn a_point_is_no_decimal_mark_beside_a_comma() {
    let shop = Shop::of(
        format!("{HEAD}{LINE}A2,P1,1.000,2024-01-05 10:00,\"1,50\",1001,UK\n")
            .replace("1.50", "\"1,50\""),
    );
    let rejects = shop.run(&["--set", "ingest.transactions.csv.decimal=\",\""]).rejects();
    assert_eq!(super::harness::texts(&rejects, "text"), ["1.000"]);
}

/// A quote that opens the last column and is never closed takes all that follows for one cell of the right width.
#[test]
fn an_open_quote_in_the_last_column_is_refused() {
    let shop =
        Shop::of(format!("{HEAD}{LINE}A2,P1,2,2024-01-05 10:00,1.50,1002,\"UK\n{LINE}{LINE}"));
    let outcome = shop.custseg(&["-q", "run", "shop.yaml"]);
    assert_eq!(outcome.code, 3);
    assert!(
        outcome.stderr.contains("`shop.csv`, line 3: a quote that is never closed"),
        "{}",
        outcome.stderr
    );
}

/// The text of a rejected record is the same whatever else its chunk holds; and a byte order mark is no part of a quoted header.
#[test]
fn rejected_text_is_decoded_beside_odd_quotes_too() {
    let text = format!("{HEAD}{LINE}A2,caf\u{e9},1\nA3,5\" lamp,1,2024-01-05 10:00,1.50,1001,UK\n");
    let latin: Vec<u8> = text.chars().map(|c| c as u32 as u8).collect();
    let shop = Shop::of(latin);
    let rejects = shop.run(&["--set", "ingest.transactions.csv.encoding=latin1"]).rejects();
    assert_eq!(super::harness::texts(&rejects, "text"), ["A2,caf\u{e9},1"]);
    let header = HEAD.replacen("order", "\"order\"", 1).replacen("country", "\"coun\ntry\"", 1);
    let shop = Shop::of(format!("\u{feff}{header}{LINE}"));
    assert_eq!(super::harness::floats(&shop.run(&[]).table("ledger"), "rows_left")[0], 1.0);
}

/// Where the point parts thousands, 1.50 is no number, and must not become 150.
#[test]
fn thousands_marks_part_groups_of_three() {
    let prices = ["1.50", "1.5", "1.23.4", "12.34", ".500", "1234.567"];
    let mut csv = HEAD.to_owned();
    for (i, price) in prices.iter().chain(&["1.500", "12.345.678", "7", "1234"]).enumerate() {
        csv += &format!("A{i},P1,1,2024-01-05 10:00,{price},1001,UK\n");
    }
    let shop = Shop::of(csv);
    let set = "ingest.transactions.csv={decimal: \",\", thousands: ., datetime_formats: [\"%Y-%m-%d %H:%M\"]}";
    let rejects = shop.run(&["--set", set]).rejects();
    assert_eq!(super::harness::texts(&rejects, "text"), prices);
    assert_eq!(
        super::harness::floats(&shop.table("ledger"), "money_left").last(),
        Some(&(1_500.0 + 12_345_678.0 + 7.0 + 1_234.0))
    );
}

/// A year of two digits is the year 23, and 9999 stands for never: neither is when somebody bought.
#[test]
fn years_that_cannot_be_meant_are_rejected() {
    let line = |order: &str, bought: &str| format!("{order},P1,2,{bought},1.50,1001,UK\n");
    let shop = Shop::of(format!(
        "{HEAD}{LINE}{}{}",
        line("B1", "23-01-05 10:00"),
        line("B2", "9999-12-31 00:00")
    ));
    let rejects = shop.run(&[]).rejects();
    assert_eq!(super::harness::texts(&rejects, "text"), ["23-01-05 10:00", "9999-12-31 00:00"]);
    assert_eq!(
        super::harness::texts(&rejects, "reason")[0],
        "ordered_at before 1900 or after 2199"
    );
    assert!(shop.path("out/current/segments/snapshot=2024-01-06").is_dir());
}

/// A line of nobody can be put into no segment, whether a step says so or not; the ledger tells.
#[test]
fn lines_of_nobody_are_rejected_without_a_step() {
    let shop = Shop::of(format!("{HEAD}{LINE}A2,P1,2,2024-01-05 10:00,1.50,,UK\n"));
    let ledger = shop.run(&["--set", "clean=[]"]).table("ledger");
    assert_eq!(super::harness::texts(&ledger, "step"), ["raw", "clean"]);
    assert_eq!(super::harness::texts(&ledger, "reason")[1], "customer_id missing");
    assert_eq!(shop.table("segments/snapshot=2024-01-06/part-0").height(), 1);
}

/// What readers of CSV disagree on is left to the careful one: quotes at the end of an unquoted field, or doubled in one; and a
/// blank line, wherever the bytes are cut into chunks.
#[test]
fn csv_that_readers_disagree_on_is_read_with_care() {
    for (name, cell) in [
        ("end", "lamp 5\""),
        ("middle", "5\" lamp"),
        ("doubled", "5\"\"lamp"),
        ("quoted", "\"5\"\" lamp\""),
    ] {
        let shop = Shop::of(format!(
            "{HEAD}{LINE}A2,{cell},1,2024-01-05 10:00,1.00,1001,UK\nA3,P1,1,2024-01-05 10:00,1.00,1001,UK\n"
        ));
        let ledger = shop.run(&[]).table("ledger");
        assert_eq!(super::harness::floats(&ledger, "money_left").last(), Some(&5.0), "{name}");
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
    let shop = Shop::of(format!("{csv}\n{filler}"));
    let ledger = shop.run(&["--set", "clean=[]"]).table("ledger");
    assert_eq!(super::harness::floats(&ledger, "rows_left")[0], (csv.lines().count()) as f64);
}

/// A source may have columns that are called as ours are.
#[test]
fn columns_of_the_source_may_be_called_like_ours() {
    use polars::prelude::*;
    let csv =
        "source_row,source_file,units,bought,price,customer\nA1,x,2,2024-01-05 10:00,1.50,1001\n";
    let shop = Shop::of(csv)
        .edit("order_id: order", "order_id: source_row")
        .edit("  - cancellations: { order_id_prefix: C }\n", "");
    shop.run(&["--set", "publish.rejects=raw"]);
    assert_eq!(
        super::harness::texts(&shop.table("segments/snapshot=2024-01-06/part-0"), "frequency"),
        ["1"]
    );
    let mut frame = df!["source_row" => ["A1"], "source_file" => ["x"], "units" => [2i64], "price" => [1.5], "customer" => ["1001"]]
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
    assert_eq!(
        super::harness::texts(&shop.table("segments/snapshot=2024-01-06/part-0"), "frequency"),
        ["1"]
    );
}
