//! Broken input of many kinds. Each fails with a message and the right exit code, or loses only its
//! faulty rows to the rejects. The snapshot of each is what the user sees.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use flate2::{Compression, write::GzEncoder};
use polars::prelude::*;

use super::harness::{Shop, hashes, texts};

const HEAD: &str = "order,product,units,bought,price,customer,country\n";
const LINE: &str = "A1,P1,2,2024-01-05 10:00,1.50,1001,UK\n";

/// Exit code and output: the error message, or the rejected rows.
fn outcome_of(shop: &Shop, args: &[&str]) -> (i32, String) {
    let outcome = shop.custseg(&[&["-q", "run", "shop.yaml"], args].concat());
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    if outcome.code != 0 {
        assert!(!shop.path("out/current").exists(), "a run was published");
        return (outcome.code, outcome.stderr);
    }
    let (rejects, ledger) = (shop.rejects(), shop.table("ledger"));
    let mut rows: Vec<String> = (0..rejects.height())
        .map(|i| {
            ["source_row", "reason", "text"]
                .map(|name| texts(&rejects, name)[i].clone())
                .join(" | ")
        })
        .collect();
    rows.sort();
    let left = texts(&ledger, "rows_left");
    let rows = rows.join("\n").replace('\0', "\u{2400}");
    (0, format!("{} of {} rows accepted\n{rows}\n", left[left.len() - 1], left[0]))
}

fn assert_outcome(theme: &str, name: &str, code: i32, outcome: (i32, String)) {
    assert_eq!(outcome.0, code, "{name}: {}", outcome.1);
    insta::with_settings!({filters => vec![(r"/tmp/[^/ ]+", "[tmp]"), (r"[ \t]+\n", "\n")]}, {
        let text = format!("exit {}\n{}", outcome.0, outcome.1);
        insta::assert_snapshot!(format!("{theme}_{name}"), text);
    });
}

/// The fixture's header, a valid line, then these lines.
fn rows(lines: &[&str]) -> Vec<u8> {
    format!("{HEAD}{LINE}{}\n", lines.join("\n")).into_bytes()
}

#[test]
fn faulty_csv_is_rejected_by_row_or_fails() {
    let latin1 = |text: &str| text.chars().map(|c| c as u32 as u8).collect::<Vec<u8>>();
    let utf16: Vec<u8> =
        "\u{feff}order,units\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let gallery: Vec<(&str, i32, Vec<u8>)> = vec![
        ("every_record_short", 3, format!("{HEAD}A1,P1,2\nA2,P1,3\n").into()),
        ("every_record_long", 3, format!("{HEAD}A1,P1,2,2024-01-05 10:00,1.50,1001,UK,\n").into()),
        ("another_separator", 2, format!("{HEAD}{LINE}").replace(',', ";").into()),
        ("title_above_the_header", 2, format!("Sales 2024\n\n{HEAD}{LINE}").into()),
        ("sep_line", 0, format!("sep=,\n{HEAD}{LINE}").into()),
        ("utf16_with_bom", 3, utf16),
        ("nul_in_a_cell", 0, rows(&["A2,P1,2\0,2024-01-05 10:00,1.50,1001,UK"])),
        (
            "mixed_encodings",
            0,
            [
                rows(&[]),
                latin1(
                    "A2,caf\u{e9},1,2024-01-05 10:00,1.50,1001,UK\n\
                     A3,P1,1,2024-01-05 10:00,1.50,1001,UK\n",
                ),
            ]
            .concat(),
        ),
        (
            "lone_carriage_returns",
            0,
            rows(&["A2,P1,1,2024-01-05 10:00,1.50,1001,UK"])
                .into_iter()
                .map(|b| if b == b'\n' { b'\r' } else { b })
                .collect(),
        ),
        (
            "quote_inside_a_field",
            0,
            rows(&[
                "A2,12\" vinyl,1,2024-01-05 10:00,1.50,1001,UK",
                "A3,P1,1,2024-01-05 10:00,1.50,1001,UK",
            ]),
        ),
        ("text_after_a_quoted_field", 0, rows(&["A2,\"P1\"x,1,2024-01-05 10:00,1.50,1001,UK"])),
        ("quoted_empty_cells", 0, rows(&["\"\",\"\",\"\",\"\",\"\",\"\",\"\""])),
        (
            "dates_in_three_formats",
            0,
            rows(&[
                "A2,P1,1,05/01/2024 10:00,1.50,1001,UK",
                "A3,P1,1,2024-01-05T10:00:00Z,1.50,1001,UK",
            ]),
        ),
        (
            "nonexistent_dates",
            0,
            rows(&[
                "A2,P1,1,2023-02-29 10:00,1.50,1001,UK",
                "A3,P1,1,2024-01-05 24:00,1.50,1001,UK",
                "A4,P1,1,2024-13-01 10:00,1.50,1001,UK",
            ]),
        ),
        (
            "years_out_of_range",
            0,
            rows(&[
                "A2,P1,1,9999-12-31 10:00,1.50,1001,UK",
                "A3,P1,1,0001-01-01 10:00,1.50,1001,UK",
            ]),
        ),
        (
            "negative_prices",
            0,
            rows(&[
                "A2,P1,1,2024-01-05 10:00,-1.50,1001,UK",
                "A3,P1,1,2024-01-05 10:00,-0,1001,UK",
            ]),
        ),
        (
            "integer_overflow",
            0,
            rows(&[
                "A2,P1,9000000000000000,2024-01-05 10:00,9000000.00,1001,UK",
                "A3,P1,9223372036854775808,2024-01-05 10:00,1,1001,UK",
            ]),
        ),
        (
            "nan_and_infinity",
            0,
            rows(&[
                "A2,P1,1,2024-01-05 10:00,NaN,1001,UK",
                "A3,P1,1,2024-01-05 10:00,-inf,1001,UK",
                "A4,P1,1,2024-01-05 10:00,1e400,1001,UK",
                "A5,P1,nan,2024-01-05 10:00,1,1001,UK",
            ]),
        ),
        (
            "foreign_number_formats",
            0,
            rows(&[
                "A2,P1,\"1,000\",2024-01-05 10:00,1.50,1001,UK",
                "A3,P1,1,2024-01-05 10:00,\"1,50\",1001,UK",
                "A4,P1,0x10,2024-01-05 10:00,1.50,1001,UK",
                "A5,P1,1,2024-01-05 10:00,\u{a3}1,1001,UK",
            ]),
        ),
        ("spaces_around_numbers", 0, rows(&["A2,P1, 1,2024-01-05 10:00, 1.50 ,1001,UK"])),
        (
            "null_markers",
            0,
            rows(&["A2,P1,NULL,2024-01-05 10:00,N/A,1001,UK", "A3,P1,1,NaT,1.50,1001,UK"]),
        ),
        ("no_customer_anywhere", 3, format!("{HEAD}A1,P1,2,2024-01-05 10:00,1.50,,UK\n").into()),
        (
            "unclosed_quote",
            3,
            rows(&[
                "A2,\"P1,1,2024-01-05 10:00,1.50,1001,UK",
                "A3,P1,1,2024-01-05 10:00,1.50,1001,UK",
            ]),
        ),
        ("line_of_spaces", 0, rows(&["    ", "A3,P1,1,2024-01-05 10:00,1.50,1001,UK"])),
    ];
    assert!(gallery.len() >= 24);
    for (name, code, bytes) in gallery {
        assert_outcome("gallery_csv", name, code, outcome_of(&Shop::with_csv(bytes), &[]));
    }
}

/// Files of 1 GiB with an endless line, quote or header fail by the record limit, not by memory.
#[test]
fn endless_records_fail_by_the_record_limit() {
    for (name, start) in [("line", "A2,"), ("quote", "A2,\"")] {
        let shop = Shop::with_csv(format!("{HEAD}{LINE}{start}"));
        let mut file = fs::OpenOptions::new().append(true).open(shop.path("shop.csv")).unwrap();
        // Sparse, so it needs no disk space.
        file.set_len(1 << 30).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"\n").unwrap();
        assert_outcome("gallery_endless", name, 3, outcome_of(&shop, &[]));
    }
    let shop = Shop::with_csv("");
    fs::OpenOptions::new()
        .write(true)
        .open(shop.path("shop.csv"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    assert_outcome("gallery_endless", "header", 3, outcome_of(&shop, &[]));
}

#[test]
fn broken_compressed_files_fail() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Enough varied lines that half of the compressed bytes lack some.
    let lines: String = (0..2000u64)
        .map(|i| format!("A{i},P{},1,2024-01-05 10:00,1.50,1001,UK\n", i * i % 977))
        .collect();
    gzip.write_all(format!("{HEAD}{lines}").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(format!("{HEAD}{lines}").as_bytes(), 3).unwrap();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for (name, code, file, bytes) in [
        ("gzip_cut_short", 3, "shop.csv.gz", half(&gzip)),
        ("not_gzip", 3, "shop.csv.gz", rows(&[])),
        ("zstd_cut_short", 3, "shop.csv.zst", half(&zstd)),
        ("not_zstd", 3, "shop.csv.zst", rows(&[])),
        ("gzip_named_csv", 3, "shop2.csv", gzip),
        ("unsupported_compression", 2, "shop.csv.bz2", rows(&[])),
    ] {
        let shop = Shop::with_csv("");
        fs::write(shop.path(file), bytes).unwrap();
        assert_outcome(
            "gallery_compressed",
            name,
            code,
            outcome_of(&shop, &["--set", &format!("ingest.transactions.paths=[{file}]")]),
        );
    }
}

/// Writes a Parquet file with the fixture's columns, some of them replaced.
fn write_parquet(shop: &Shop, replaced: Vec<Column>) {
    let timestamps =
        Series::new("bought".into(), [1_704_448_800_000_000i64, 1_704_535_200_000_000]);
    let timestamps = timestamps.cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let mut frame = df![
        "order" => ["A1", "A2"],
        "units" => [2i64, 1],
        "price" => [1.5, 3.0],
        "customer" => ["1001", "1002"],
    ]
    .unwrap();
    frame.with_column(timestamps.into_column()).unwrap();
    for column in replaced {
        frame.with_column(column).unwrap();
    }
    ParquetWriter::new(fs::File::create(shop.path("shop.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
}

#[test]
fn parquet_of_other_types_fails_or_rejects() {
    let series = |name: &str, series: Series| vec![series.with_name(name.into()).into_column()];
    let list =
        Series::new("".into(), [Series::new("".into(), [1i64]), Series::new("".into(), [2i64])]);
    let gallery: Vec<(&str, i32, Vec<Column>)> = vec![
        ("price_is_a_list", 2, series("price", list)),
        ("price_is_text", 0, series("price", Series::new("".into(), ["1.50", "3"]))),
        ("timestamps_are_numbers", 2, series("bought", Series::new("".into(), [1i64, 2]))),
        (
            "timestamps_are_text",
            3,
            series("bought", Series::new("".into(), ["2024-01-05", "2024-01-06"])),
        ),
        ("customer_is_boolean", 2, series("customer", Series::new("".into(), [true, false]))),
        ("price_not_finite", 0, series("price", Series::new("".into(), [f64::NAN, 1.5]))),
        ("price_infinite", 0, series("price", Series::new("".into(), [f64::INFINITY, 1.5]))),
        ("units_beyond_64_bits", 0, series("units", Series::new("".into(), [u64::MAX, 1]))),
        ("units_missing", 0, series("units", Series::new("".into(), [None, Some(1i64)]))),
        (
            "customer_not_a_number",
            0,
            series("customer", Series::new("".into(), [f64::NAN, 1002.0])),
        ),
        (
            "no_customer",
            3,
            series("customer", Series::new_null("".into(), 2).cast(&DataType::String).unwrap()),
        ),
    ];
    for (name, code, replaced) in gallery {
        let shop = Shop::fixture();
        write_parquet(&shop, replaced);
        assert_outcome(
            "gallery_parquet",
            name,
            code,
            outcome_of(&shop, &["--set", "ingest.transactions.paths=[shop.parquet]"]),
        );
    }
}

/// Small integers, 32-bit floats, categoricals and decimals give the same result.
#[test]
fn parquet_of_supported_types_gives_the_same_result() {
    let expected = {
        let shop = Shop::fixture();
        write_parquet(&shop, Vec::new());
        shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
        hashes(&shop.path("out"))
    };
    let units = |dtype: DataType| {
        Series::new("units".into(), [2i64, 1]).cast(&dtype).unwrap().into_column()
    };
    let categorical = DataType::from_categories(Categories::global());
    let price = |dtype: DataType| {
        Series::new("price".into(), [1.5, 3.0]).cast(&dtype).unwrap().into_column()
    };
    let category = |name: &str, values: [&str; 2]| {
        Series::new(name.into(), values).cast(&categorical).unwrap().into_column()
    };
    for column in [
        units(DataType::Int8),
        units(DataType::Int16),
        units(DataType::UInt16),
        units(DataType::UInt32),
        units(DataType::Float32),
        price(DataType::Float32),
        price(DataType::Decimal(12, 3)),
        category("customer", ["1001", "1002"]),
        category("order", ["A1", "A2"]),
        Series::new("customer".into(), [1001i16, 1002]).into_column(),
        Series::new("customer".into(), [1001.0, 1002.0]).into_column(),
    ] {
        let (name, dtype) = (column.name().to_string(), column.dtype().clone());
        let shop = Shop::fixture();
        write_parquet(&shop, vec![column]);
        shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
        assert_eq!(hashes(&shop.path("out")), expected, "{name} {dtype}");
    }
}
