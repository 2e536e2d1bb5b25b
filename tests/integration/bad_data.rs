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
        ("too_many_fields", with("A2,P1,2,2024-01-05 10:00,1.50,1001,UK,more\n")),
        ("not_utf8", [with("A2,P1,2,2024-01-05 10:00,1.50,"), vec![0xe9], b",UK\n".to_vec()].concat()),
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
        assert!([2, 3].contains(&outcome.code), "{name}: exit {}: {}", outcome.code, outcome.stderr);
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
        let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", "ingest.transactions.paths=[shop.parquet]"]);
        assert!(!outcome.stderr.contains("panicked"), "{name}: {}", outcome.stderr);
        assert!([2, 3].contains(&outcome.code), "{name}: exit {}: {}", outcome.code, outcome.stderr);
        insta::assert_snapshot!(format!("bad_parquet_{name}"), format!("exit {}\n{}", outcome.code, outcome.stderr));
    }
    let shop = Shop::fixture();
    std::fs::write(shop.path("shop.parquet"), torn).unwrap();
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", "ingest.transactions.paths=[shop.parquet]"]);
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
    let shop =
        Shop::of(format!("{HEAD}{LINE}{}\n", lines.join("\n"))).edit("  - cancellations: { order_id_prefix: C }\n", "");
    let rejects = shop.run(&[]).table("rejects");
    assert_eq!(rejects.height(), lines.len());
    assert_eq!(super::harness::floats(&shop.table("ledger"), "money_left").last(), Some(&3.0));
    insta::assert_snapshot!("rejected_numbers", super::harness::texts(&rejects, "reason").join("\n"));
}
