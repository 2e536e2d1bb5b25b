//! Returns matched with the purchases that they cancel, with values computed by hand.

use std::fs::File;

use polars::prelude::*;

use super::harness::{Shop, floats, hashes, texts};

/// C1 cancels A2. C2, C4 and C5 cancel A1 in parts. C3 and C6 match no purchase.
const LINES: &str = "order,product,units,bought,price,customer\n\
    A1,P1,5,2024-01-05 10:00,2.00,1001\n\
    A1,P2,1,2024-01-05 10:00,10.00,1001\n\
    A2,P1,3,2024-01-10 10:00,2.00,1001\n\
    C1,P1,-3,2024-01-12 10:00,2.00,1001\n\
    C2,P1,-2,2024-01-20 10:00,2.00,1001\n\
    C3,P3,-1,2024-01-21 10:00,4.00,1001\n\
    C4,P1,-4,2024-02-01 10:00,2.00,1001\n\
    C5,P2,-1,2024-02-03 10:00,10.00,1001\n\
    C6,P1,-1,2024-01-04 10:00,2.00,1001\n\
    B1,P1,4,2024-02-05 10:00,1.00,1002\n";

fn shop(csv: &str) -> Shop {
    let products = "{ customer_id: customer, order_id: order, product_id: product,";
    Shop::with_csv(csv)
        .edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: match }")
        .edit("{ customer_id: customer, order_id: order,", products)
}

#[test]
fn returns_take_effect_at_their_own_date() {
    let shop = shop(LINES);
    let days = "2024-01-11, 2024-01-13, 2024-02-02, 2024-02-04, 2024-02-06";
    shop.run(&["--set", &format!("rfm.snapshots=[{days}]")]);
    let expected = [
        // A1 and A2: 10 + 10 + 6.
        ("2024-01-11", [1.0, 2.0, 26.0]),
        // A2 is cancelled, so the last effective purchase is on the 5th.
        ("2024-01-13", [8.0, 1.0, 20.0]),
        // C2 returned 4.00 and C4 8.00, of which 2.00 match no purchase but are subtracted too.
        ("2024-02-02", [28.0, 1.0, 8.0]),
        // A1 is cancelled too. A return is not a purchase: the last purchase is on the 10th.
        ("2024-02-04", [25.0, 0.0, -2.0]),
        ("2024-02-06", [27.0, 0.0, -2.0]),
    ];
    for (day, row) in expected {
        let segments = shop.table(&format!("segments/snapshot={day}/part-0"));
        assert_eq!(texts(&segments, "customer_id")[0], "1001");
        let found =
            ["recency_days", "frequency", "monetary"].map(|name| floats(&segments, name)[0]);
        assert_eq!(found, row, "{day}");
    }
}

#[test]
fn reports_matched_orders() {
    let shop = shop(LINES);
    shop.run(&[]);
    let returns = shop.table("returns");
    let columns = ["order_id", "units", "matched_order_id"].map(|name| texts(&returns, name));
    let mut pieces: Vec<String> = (0..returns.height())
        .map(|i| columns.each_ref().map(|c| c[i].as_str()).join(" "))
        .collect();
    pieces.sort();
    assert_eq!(pieces, ["C1 3 A2", "C2 2 A1", "C3 1 ", "C4 1 ", "C4 3 A1", "C5 1 A1", "C6 1 "]);
    // A partly matched return is accepted; an unmatched one is rejected.
    let rejects = shop.rejects();
    let mut rows = texts(&rejects, "source_row");
    rows.sort();
    assert_eq!(rows, ["6", "9"]);
    assert!(texts(&rejects, "reason").iter().all(|reason| reason == "no earlier purchase to undo"));
    let ledger = shop.table("ledger");
    assert_eq!(floats(&ledger, "money_left").last(), Some(&2.0));
    assert_eq!(floats(&ledger, "rows").iter().sum::<f64>(), 2.0);
}

#[test]
fn matching_is_independent_of_row_order() {
    let mut lines: Vec<&str> = LINES.lines().collect();
    lines[1..].reverse();
    let forward = shop(LINES);
    let reversed = shop(&(lines.join("\n") + "\n"));
    forward.run(&[]);
    reversed.run(&[]);
    assert_eq!(hashes(&forward.path("out")), hashes(&reversed.path("out")));
}

/// Lines of one order, product and timestamp that differ in units or money. A return
/// without a product.
#[test]
fn matching_of_tied_lines_is_independent_of_row_order() {
    let head = "order,product,units,bought,price,customer\n";
    let lines = [
        "B0,P1,2,2024-01-05 10:00,3.00,1001",
        "A1,P1,2,2024-01-06 10:00,2.00,1001",
        "A1,P1,3,2024-01-06 10:00,2.00,1001",
        "C1,P1,-2,2024-01-07 10:00,2.00,1001",
        "C3,P1,-9,2024-01-08 10:00,5.00,1001",
        "C3,P1,-1,2024-01-08 10:00,10.00,1001",
        "A9,P9,1,2024-01-05 10:00,3.00,1002",
        "C9,,-1,2024-01-09 10:00,3.00,1002",
    ];
    let forward = shop(&format!("{head}{}\n", lines.join("\n")));
    let reversed =
        shop(&format!("{head}{}\n", lines.iter().rev().copied().collect::<Vec<_>>().join("\n")));
    forward.run(&[]);
    reversed.run(&[]);
    assert_eq!(hashes(&forward.path("out")), hashes(&reversed.path("out")));
    assert!(texts(&forward.rejects(), "source_row").contains(&"8".to_owned()));
    // A9 is not cancelled: its return has no product. The profile counts effective orders only.
    let orders: f64 = floats(&forward.table("segment_profile"), "orders").iter().sum();
    let frequency: f64 =
        floats(&forward.table("segments/snapshot=2024-01-09/part-0"), "frequency").iter().sum();
    assert_eq!(orders, frequency);
}

#[test]
fn order_with_an_empty_id_counts_beside_a_return() {
    let shop = Shop::with_csv("")
        .edit("shop.csv", "shop.parquet")
        .edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: net }");
    let timestamps = [1_704_448_800_000_000i64, 1_704_535_200_000_000, 1_704_621_600_000_000];
    let mut frame = df![
        "order" => ["", "C1", "B1"],
        "units" => [2i64, -1, 3],
        "price" => [1.5, 1.5, 2.0],
        "customer" => [1001i64, 1001, 1002],
        "bought" => timestamps,
    ]
    .unwrap();
    let bought = frame
        .column("bought")
        .unwrap()
        .cast(&DataType::Datetime(TimeUnit::Microseconds, None))
        .unwrap();
    frame.with_column(bought).unwrap();
    ParquetWriter::new(File::create(shop.path("shop.parquet")).unwrap())
        .finish(&mut frame)
        .unwrap();
    shop.run(&[]);
    assert_eq!(floats(&shop.table("segments/snapshot=2024-01-08/part-0"), "frequency"), [1.0, 1.0]);
}
