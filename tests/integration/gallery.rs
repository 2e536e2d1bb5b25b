//! A gallery of broken input. Each piece is refused in words, with the exit code for it, or loses its faulty rows to the
//! rejects and nothing else; none panics. The snapshot of each is what a user sees.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use flate2::{Compression, write::GzEncoder};
use polars::prelude::*;

use super::harness::{Shop, texts};

const HEAD: &str = "order,product,units,bought,price,customer,country\n";
const GOOD: &str = "A1,P1,2,2024-01-05 10:00,1.50,1001,UK\n";

/// Exit code, and what a user sees: the message, or the rejected rows.
fn seen(shop: &Shop, args: &[&str]) -> (i32, String) {
    let outcome = shop.custseg(&[&["-q", "run", "shop.yaml"], args].concat());
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    if outcome.code != 0 {
        assert!(!shop.path("out/current").exists(), "something was published");
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

fn compare(theme: &str, name: &str, code: i32, found: (i32, String)) {
    assert_eq!(found.0, code, "{name}: {}", found.1);
    insta::with_settings!({filters => vec![(r"/tmp/[^/ ]+", "[tmp]"), (r"[ \t]+\n", "\n")]}, {
        insta::assert_snapshot!(format!("{theme}_{name}"), format!("exit {}\n{}", found.0, found.1));
    });
}

/// Lines under the fixture's header, after a good one.
fn rows(lines: &[&str]) -> Vec<u8> {
    format!("{HEAD}{GOOD}{}\n", lines.join("\n")).into_bytes()
}

#[test]
fn csv() {
    let latin = |text: &str| text.chars().map(|c| c as u32 as u8).collect::<Vec<u8>>();
    let utf16: Vec<u8> =
        "\u{feff}order,units\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let gallery: Vec<(&str, i32, Vec<u8>)> = vec![
        ("every_record_short", 3, format!("{HEAD}A1,P1,2\nA2,P1,3\n").into()),
        ("one_field_more_each", 3, format!("{HEAD}A1,P1,2,2024-01-05 10:00,1.50,1001,UK,\n").into()),
        ("another_separator", 2, format!("{HEAD}{GOOD}").replace(',', ";").into()),
        ("a_title_above_the_header", 2, format!("Sales 2024\n\n{HEAD}{GOOD}").into()),
        ("sep_line", 2, format!("sep=,\n{HEAD}{GOOD}").into()),
        ("utf16_with_bom", 3, utf16),
        ("nul_in_a_cell", 0, rows(&["A2,P1,2\0,2024-01-05 10:00,1.50,1001,UK"])),
        (
            "mixed_encodings",
            0,
            [rows(&[]), latin("A2,caf\u{e9},1,2024-01-05 10:00,1.50,1001,UK\nA3,P1,1,2024-01-05 10:00,1.50,1001,UK\n")]
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
            rows(&["A2,12\" vinyl,1,2024-01-05 10:00,1.50,1001,UK", "A3,P1,1,2024-01-05 10:00,1.50,1001,UK"]),
        ),
        ("text_after_a_quoted_field", 0, rows(&["A2,\"P1\"x,1,2024-01-05 10:00,1.50,1001,UK"])),
        ("quoted_empty_cells", 0, rows(&["\"\",\"\",\"\",\"\",\"\",\"\",\"\""])),
        (
            "dates_in_three_formats",
            0,
            rows(&["A2,P1,1,05/01/2024 10:00,1.50,1001,UK", "A3,P1,1,2024-01-05T10:00:00Z,1.50,1001,UK"]),
        ),
        (
            "days_that_are_none",
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
            rows(&["A2,P1,1,9999-12-31 10:00,1.50,1001,UK", "A3,P1,1,0001-01-01 10:00,1.50,1001,UK"]),
        ),
        (
            "negative_prices",
            0,
            rows(&["A2,P1,1,2024-01-05 10:00,-1.50,1001,UK", "A3,P1,1,2024-01-05 10:00,-0,1001,UK"]),
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
            "numbers_of_other_countries",
            0,
            rows(&[
                "A2,P1,\"1,000\",2024-01-05 10:00,1.50,1001,UK",
                "A3,P1,1,2024-01-05 10:00,\"1,50\",1001,UK",
                "A4,P1,0x10,2024-01-05 10:00,1.50,1001,UK",
                "A5,P1,1,2024-01-05 10:00,\u{a3}1,1001,UK",
            ]),
        ),
        ("spaces_around_numbers", 0, rows(&["A2,P1, 1,2024-01-05 10:00, 1.50 ,1001,UK"])),
        ("null_words", 0, rows(&["A2,P1,NULL,2024-01-05 10:00,N/A,1001,UK", "A3,P1,1,NaT,1.50,1001,UK"])),
        ("no_customer_anywhere", 3, format!("{HEAD}A1,P1,2,2024-01-05 10:00,1.50,,UK\n").into()),
        (
            "a_quote_that_swallows_the_rest",
            3,
            rows(&["A2,\"P1,1,2024-01-05 10:00,1.50,1001,UK", "A3,P1,1,2024-01-05 10:00,1.50,1001,UK"]),
        ),
        ("a_line_of_spaces", 0, rows(&["    ", "A3,P1,1,2024-01-05 10:00,1.50,1001,UK"])),
    ];
    assert!(gallery.len() >= 24);
    for (name, code, bytes) in gallery {
        compare("gallery_csv", name, code, seen(&Shop::of(bytes), &[]));
    }
}

/// A file of 1 GiB whose first line does not end, and one whose quote does not: refused by a limit, not by the memory.
#[test]
fn records_without_an_end() {
    for (name, start) in [("line", "A2,"), ("quote", "A2,\"")] {
        let shop = Shop::of(format!("{HEAD}{GOOD}{start}"));
        let mut file = fs::OpenOptions::new().append(true).open(shop.path("shop.csv")).unwrap();
        // Sparse: the file is long, but not on the disk.
        file.set_len(1 << 30).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"\n").unwrap();
        compare("gallery_endless", name, 3, seen(&shop, &[]));
    }
    let shop = Shop::of("");
    fs::OpenOptions::new()
        .write(true)
        .open(shop.path("shop.csv"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    compare("gallery_endless", "header", 3, seen(&shop, &[]));
}

#[test]
fn packed() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Noise, so that half of the bytes is not the whole.
    let noise: String = (0..2000u64)
        .map(|i| format!("A{i},P{},1,2024-01-05 10:00,1.50,1001,UK\n", i * i % 977))
        .collect();
    gzip.write_all(format!("{HEAD}{noise}").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(format!("{HEAD}{noise}").as_bytes(), 3).unwrap();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for (name, code, file, bytes) in [
        ("gzip_cut_short", 3, "shop.csv.gz", half(&gzip)),
        ("gzip_that_is_none", 3, "shop.csv.gz", rows(&[])),
        ("zstd_cut_short", 3, "shop.csv.zst", half(&zstd)),
        ("zstd_that_is_none", 3, "shop.csv.zst", rows(&[])),
        ("packed_but_called_csv", 3, "shop2.csv", gzip),
        ("packed_twice_over", 2, "shop.csv.bz2", rows(&[])),
    ] {
        let shop = Shop::of("");
        fs::write(shop.path(file), bytes).unwrap();
        compare(
            "gallery_packed",
            name,
            code,
            seen(&shop, &["--set", &format!("ingest.transactions.paths=[{file}]")]),
        );
    }
}

/// A Parquet file with the fixture's columns, of which some are replaced.
fn parquet(shop: &Shop, replaced: Vec<Column>) {
    let moments = Series::new("bought".into(), [1_704_448_800_000_000i64, 1_704_535_200_000_000]);
    let moments = moments.cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let mut frame =
        df!["order" => ["A1", "A2"], "units" => [2i64, 1], "price" => [1.5, 3.0], "customer" => ["1001", "1002"]]
            .unwrap();
    frame.with_column(moments.into_column()).unwrap();
    for column in replaced {
        frame.with_column(column).unwrap();
    }
    ParquetWriter::new(fs::File::create(shop.path("shop.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
}

#[test]
fn parquet_of_another_kind() {
    let series = |name: &str, series: Series| vec![series.with_name(name.into()).into_column()];
    let list =
        Series::new("".into(), [Series::new("".into(), [1i64]), Series::new("".into(), [2i64])]);
    let gallery: Vec<(&str, i32, Vec<Column>)> = vec![
        ("price_is_a_list", 2, series("price", list)),
        ("price_is_text", 2, series("price", Series::new("".into(), ["1.50", "3"]))),
        ("moments_are_numbers", 2, series("bought", Series::new("".into(), [1i64, 2]))),
        (
            "moments_are_text",
            2,
            series("bought", Series::new("".into(), ["2024-01-05", "2024-01-06"])),
        ),
        ("customer_is_a_truth", 2, series("customer", Series::new("".into(), [true, false]))),
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
        parquet(&shop, replaced);
        compare(
            "gallery_parquet",
            name,
            code,
            seen(&shop, &["--set", "ingest.transactions.paths=[shop.parquet]"]),
        );
    }
}

/// Small integers, floats of 32 bits, categories and decimals are numbers and names like any other.
#[test]
fn parquet_of_every_sound_type() {
    let expected = {
        let shop = Shop::fixture();
        parquet(&shop, Vec::new());
        shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
        super::harness::hashes(&shop.path("out"))
    };
    let units = |dtype: DataType| {
        Series::new("units".into(), [2i64, 1]).cast(&dtype).unwrap().into_column()
    };
    let text = DataType::from_categories(Categories::global());
    let price = |dtype: DataType| {
        Series::new("price".into(), [1.5, 3.0]).cast(&dtype).unwrap().into_column()
    };
    let of = |name: &str, values: [&str; 2]| {
        Series::new(name.into(), values).cast(&text).unwrap().into_column()
    };
    for column in [
        units(DataType::Int8),
        units(DataType::Int16),
        units(DataType::UInt16),
        units(DataType::UInt32),
        units(DataType::Float32),
        price(DataType::Float32),
        price(DataType::Decimal(12, 3)),
        of("customer", ["1001", "1002"]),
        of("order", ["A1", "A2"]),
        Series::new("customer".into(), [1001i16, 1002]).into_column(),
        Series::new("customer".into(), [1001.0, 1002.0]).into_column(),
    ] {
        let (name, dtype) = (column.name().to_string(), column.dtype().clone());
        let shop = Shop::fixture();
        parquet(&shop, vec![column]);
        shop.run(&["--set", "ingest.transactions.paths=[shop.parquet]"]);
        assert_eq!(super::harness::hashes(&shop.path("out")), expected, "{name} {dtype}");
    }
}
