//! What the options for users' exports do with data that do not fit them.

use std::fs;
use std::path::Path;

use polars::prelude::*;
use tempfile::TempDir;

use super::harness::{Outcome, custseg, fixtures, texts};

/// A folder with files and a pipeline over them.
struct Export {
    folder: TempDir,
}

impl Export {
    /// `ingest` and `clean` are YAML, indented by two and no blanks.
    fn new(files: &[(&str, &str)], ingest: &str, clean: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        fs::copy(fixtures().join("map.yaml"), folder.path().join("map.yaml")).unwrap();
        let yaml = format!(
            "name: export\ningest:\n{ingest}\nclean: {clean}\nsegment: {{ map: map.yaml }}\n\
             publish: {{ to: out }}\n"
        );
        fs::write(folder.path().join("p.yaml"), yaml).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self) -> Outcome {
        custseg(self.path(), &["-q", "run", "p.yaml"])
    }

    fn table(&self, name: &str) -> DataFrame {
        let path = self.path().join("out/current").join(format!("{name}.parquet"));
        ParquetReader::new(fs::File::open(path).unwrap()).finish().unwrap()
    }

    /// Frequency and monetary value by customer.
    fn customers(&self) -> Vec<String> {
        let folder = self.path().join("out/current/segments");
        let snapshot = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let file = fs::File::open(snapshot.join("part-0.parquet")).unwrap();
        let frame = ParquetReader::new(file).finish().unwrap();
        let columns = ["customer_id", "frequency", "monetary"].map(|name| texts(&frame, name));
        (0..frame.height())
            .map(|row| columns.each_ref().map(|c| c[row].clone()).join(" "))
            .collect()
    }

    /// Runs the pipeline, which must succeed.
    fn published(&self) -> Vec<String> {
        let outcome = self.run();
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        self.customers()
    }

    /// Runs the pipeline, which must fail with this code and text.
    fn fails(&self, code: i32, text: &str) {
        let outcome = self.run();
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(text), "{text}: {}", outcome.stderr);
        assert!(!self.path().join("out/current").exists());
    }
}

const COLUMNS: &str = "columns: { customer_id: who, order_id: no, ordered_at: at, amount: sum }";
const HEAD: &str = "who,no,at,sum\n";

/// A pipeline over `t.csv` with further options of its source, which may replace `columns`.
fn one_table(csv: &str, options: &str, clean: &str) -> Export {
    let columns = if options.contains("columns: { customer_id:") { "" } else { COLUMNS };
    let ingest = format!("  transactions:\n    paths: [t.csv]\n    {columns}\n{options}");
    Export::new(&[("t.csv", csv)], &ingest, clean)
}

#[test]
fn cells_of_an_expression_that_are_no_numbers_reject_their_row() {
    let csv = "who,no,at,sum,back\na,1,2024-01-05,\"1.234,50\",\"34,50\"\nb,2,2024-01-06,\"20,00\",\n\
               c,3,2024-01-07,\"5,00\",x\nd,4,2024-01-08,,1\n";
    let options = "    csv: { decimal: ',', thousands: '.' }\n    \
                   columns: { customer_id: who, order_id: no, ordered_at: at, \
                   amount: 'sum - coalesce(back, 0)' }";
    let export = one_table(csv, options, "[]");
    assert_eq!(export.published(), ["a 1 1200.0", "b 1 20.0"]);
    let rejects = export.table("rejects");
    assert_eq!(texts(&rejects, "reason"), ["amount not a number", "amount missing"]);
    assert_eq!(texts(&rejects, "text")[0], "x");
    assert_eq!(texts(&rejects, "source_row"), ["3", "4"]);
}

#[test]
fn differences_of_amounts_are_exact() {
    // As floats, the difference is 0.010000000009313226.
    let csv = format!("{HEAD}a,1,2024-01-05,100000000.11\n");
    let options = "    columns: { customer_id: who, order_id: no, ordered_at: at, \
                   amount: 'sum - 100000000.10' }";
    assert_eq!(one_table(&csv, options, "[]").published(), ["a 1 0.01"]);
    let csv = "who,no,at,sum,back\na,1,2024-01-05,100000000.11,100000000.10\n";
    let options = options.replace("100000000.10'", "back'");
    assert_eq!(one_table(csv, &options, "[]").published(), ["a 1 0.01"]);
}

#[test]
fn texts_of_an_expression_are_compared_as_what_they_are() {
    let csv =
        "who,no,at,sum,n,kind\na,1,2024-01-05,1,9,x\nb,2,2024-01-05,1,10,x\nc,3,2024-01-05,1,,y\n";
    let with = |amount: &str| {
        let options = format!(
            "    columns: {{ customer_id: who, order_id: no, ordered_at: at, amount: \"{amount}\" }}"
        );
        one_table(csv, &options, "[]")
    };
    let cases = [
        ("CASE WHEN n > 9 THEN 5 ELSE sum END", ["a 1 1.0", "b 1 5.0", "c 1 1.0"]),
        ("CASE WHEN n IN (9, 10) THEN 5 ELSE sum END", ["a 1 5.0", "b 1 5.0", "c 1 1.0"]),
        ("CASE WHEN kind = 'x' THEN n ELSE sum END", ["a 1 9.0", "b 1 10.0", "c 1 1.0"]),
        ("CASE WHEN n IS NULL THEN 7 ELSE sum * 2 END", ["a 1 2.0", "b 1 2.0", "c 1 7.0"]),
    ];
    for (amount, expected) in cases {
        assert_eq!(with(amount).published(), expected, "{amount}");
    }
    with("CASE WHEN n > sum THEN 1 ELSE 2 END").fails(2, "in which 10 is less than 9");
    with("lower(kind)").fails(3, "amount not a number");
    with("kindd + 1").fails(2, "unknown column `kindd`");
    with("sum(n)").fails(2, "reads more than one line");
}

#[test]
fn names_of_columns_are_no_expressions() {
    for (name, code) in [("who no", 2), ("whoo", 2), ("who", 0)] {
        let options = format!(
            "    columns: {{ customer_id: {name}, order_id: no, ordered_at: at, amount: sum }}"
        );
        let export = one_table(&format!("{HEAD}a,1,2024-01-05,1\n"), &options, "[]");
        let outcome = export.run();
        assert_eq!(outcome.code, code, "{name}: {}", outcome.stderr);
    }
    // A column with such a name is preferred.
    let csv = "who,no,at,sum,sum - 1\na,1,2024-01-05,5,3\n";
    let options =
        "    columns: { customer_id: who, order_id: no, ordered_at: at, amount: sum - 1 }";
    assert_eq!(one_table(csv, options, "[]").published(), ["a 1 3.0"]);
}

#[test]
fn filtered_rows_are_rejected_but_not_unparsable() {
    let total: String = (0..30).map(|n| format!("Total {n},,,x\n")).collect();
    let csv = format!("{HEAD}a,1,2024-01-05,1\n{total}b,2,2024-01-06,two\nc\n");
    let options = "    where: \"who NOT LIKE 'Total%'\"";
    let export = one_table(&csv, options, "[]");
    // Two of 33 rows cannot be parsed.
    export.fails(3, "2 of 33 rows");
    let options = format!("{options}\n  max_rejected: 0.1");
    let export = one_table(&csv, &options, "[]");
    assert_eq!(export.published(), ["a 1 1.0"]);
    let rejects = export.table("rejects");
    let steps = texts(&rejects, "step");
    assert_eq!(steps.iter().filter(|step| *step == "where").count(), 30);
    let reasons = texts(&rejects, "reason");
    assert_eq!(reasons.last().unwrap(), "too few fields");
}

#[test]
fn empty_cells_are_filled_within_an_order_only() {
    let csv = "no,who,at,sum\n1,a,2024-01-05,1\n1,,,2\n2,b,2024-01-06,4\n1,,,8\n,,,16\n3,,2024-01-07,32\n";
    let options = "    fill: { by: order_id, columns: [customer_id, at] }\n  max_rejected: 1";
    let export = one_table(csv, options, "[]");
    assert_eq!(export.published(), ["a 1 11.0", "b 1 4.0"]);
    let rejects = export.table("rejects");
    assert_eq!(texts(&rejects, "reason"), ["ordered_at missing", "customer_id missing"]);
    let options = "    fill: { by: no, columns: [whoo] }";
    one_table(csv, options, "[]").fails(2, "did you mean `who`?");
}

#[test]
fn returns_are_found_by_a_predicate() {
    let csv = "who,no,at,sum,kind\na,1,2024-01-05,10,sale\na,1,2024-01-05,-4,refund\n\
               a,2,2024-01-09,5,sale\nb,3,2024-01-06,7,sale\nb,R,2024-01-08,-7,refund\n";
    for (policy, expected) in [
        ("net", ["a 2 11.0", "b 1 0.0"]),
        ("drop", ["a 2 15.0", "b 1 7.0"]),
        ("separate", ["a 2 15.0", "b 1 7.0"]),
    ] {
        for when in ["amount < 0", "kind = 'refund'"] {
            let clean = format!("[{{ cancellations: {{ when: \"{when}\", policy: {policy} }} }}]");
            assert_eq!(one_table(csv, "", &clean).published(), expected, "{policy} {when}");
        }
    }
    // A rule on positive lines does not reject kept returns.
    let clean =
        "[{ cancellations: { when: amount < 0, policy: net } }, { keep_positive: [amount] }]";
    assert_eq!(one_table(csv, "", clean).published(), ["a 2 11.0", "b 1 0.0"]);
    one_table(csv, "", "[{ cancellations: { policy: net } }]")
        .fails(2, "expected either `order_id_prefix` or `when`");
}

#[test]
fn the_last_of_equal_rows_can_be_kept() {
    let csv = "who,no,at,sum,v\na,1,2024-01-05,1,10\na,1,2024-01-05,2,9\na,1,2024-01-05,4,\nb,2,2024-01-05,8,1\n";
    for (options, expected) in [
        ("{ by: [order_id] }", "a 1 1.0"),
        ("{ by: [no], keep: last }", "a 1 4.0"),
        ("{ by: [no], keep: last, order_by: v }", "a 1 1.0"),
        ("{ by: [no], keep: first, order_by: v }", "a 1 4.0"),
        ("{ by: [order_id, v] }", "a 1 7.0"),
        ("[no]", "a 1 1.0"),
    ] {
        let export = one_table(csv, "", &format!("[{{ drop_duplicates: {options} }}]"));
        assert_eq!(export.published(), [expected, "b 1 8.0"], "{options}");
    }
    let csv = csv.replace(",10\n", ",1/2/2024\n");
    one_table(&csv, "", "[{ drop_duplicates: { by: [no], order_by: v } }]")
        .fails(3, "`1/2/2024` is neither a number nor a time");
}

const ORDERS: &str = "no,who,at\n1,a,2024-01-05\n2,b,2024-01-06\n";
const ITEMS: &str = "no,sum\n1,1.50\n1,2.25\n2,4\n";

fn query(files: &[(&str, &str)], sql: &str, options: &str) -> Export {
    let tables: String = files
        .iter()
        .map(|(name, _)| {
            let table = name.split('.').next().unwrap();
            format!("    {table}: {{ paths: [{name}] }}\n")
        })
        .collect();
    let ingest = format!(
        "  sources:\n{tables}  transactions:\n    query: \"{sql}\"\n    {COLUMNS}\n{options}"
    );
    Export::new(files, &ingest, "[]")
}

#[test]
fn queries_join_tables_and_do_not_repeat_rows_unasked() {
    const JOIN: &str = "SELECT * FROM items JOIN orders USING (no)";
    let tables = [("orders.csv", ORDERS), ("items.csv", ITEMS)];
    assert_eq!(query(&tables, JOIN, "").published(), ["a 1 3.75", "b 1 4.0"]);
    let payments = "no,kind\n1,card\n1,voucher\n2,card\n";
    let tables = [("orders.csv", ORDERS), ("items.csv", ITEMS), ("payments.csv", payments)];
    let sql = format!("{JOIN} JOIN payments USING (no)");
    let message = "the query returns 5 rows, 1.67 times the 3 rows of its largest source";
    query(&tables, &sql, "").fails(3, message);
    query(&tables, &sql, "    max_rows_factor: 1.6").fails(3, message);
    let export = query(&tables, &sql, "    max_rows_factor: 2");
    assert_eq!(export.published(), ["a 1 7.5", "b 1 4.0"]);
}

#[test]
fn queries_that_cannot_be_right_are_refused() {
    let tables = [("orders.csv", ORDERS), ("items.csv", ITEMS)];
    for (sql, code, message) in [
        ("SELECT * FROM order JOIN items USING (no)", 2, "the tables are "),
        ("SELECT nothing FROM orders", 2, "nothing"),
        ("DROP TABLE orders", 2, "expected a single SELECT"),
        ("SELECT * FROM read_csv('x.csv')", 2, "list the file in `ingest.sources`"),
        ("SELECT who, no, at FROM orders", 2, "`the query` has no column `sum`"),
    ] {
        query(&tables, sql, "").fails(code, message);
    }
    let broken = "no,sum\n1,1\n2\n";
    let tables = [("orders.csv", ORDERS), ("items.csv", broken)];
    let sql = "SELECT * FROM items JOIN orders USING (no)";
    query(&tables, sql, "").fails(3, "`items.csv`, line 3: row 2 has too few fields");
    one_table(&format!("{HEAD}a,1,2024-01-05,1\n"), "  sources: { x: { paths: [t.csv] } }", "[]")
        .fails(2, "only a `query`");
}

#[test]
fn rows_of_a_query_are_rejected_by_their_number() {
    let items = "no,sum\n1,1.50\n1,x\n2,4\n";
    let tables = [("orders.csv", ORDERS), ("items.csv", items)];
    let sql = "SELECT * FROM items JOIN orders USING (no) ORDER BY no, sum";
    let export = query(&tables, sql, "");
    assert_eq!(export.published(), ["a 1 1.5", "b 1 4.0"]);
    let rejects = export.table("rejects");
    assert_eq!(rejects.column("source_file").unwrap().null_count(), 1);
    assert_eq!(texts(&rejects, "source_row"), ["2"]);
    let inputs = fs::read_to_string(export.path().join("out/current/manifest.json")).unwrap();
    assert!(inputs.contains("orders.csv") && inputs.contains("items.csv"), "{inputs}");
}

#[test]
fn headers_and_encodings_that_do_not_fit_name_the_option() {
    let good = format!("{HEAD}a,1,2024-01-05,1\n");
    let above = format!("Report\n\n{good}");
    let utf_16: String = "\u{feff}".to_owned() + &good;
    let utf_16: Vec<u8> = utf_16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let trailing = good.replace(",1\n", ",1,\n");
    for (content, message) in [
        (above.as_bytes(), "line 3 has the mapped columns: set `csv.skip_rows: 2`"),
        (utf_16.as_slice(), "set `csv.encoding: utf-16`"),
        (trailing.as_bytes(), "set `csv.trailing_separator: true`"),
        (b"sep=;\nwho;no;at;sum\na;1;2024-01-05;1\n", "set `csv.separator`"),
        (b"a,1,2024-01-05,1\n", "set `csv.header: false`"),
    ] {
        let export = one_table("", "", "[]");
        fs::write(export.path().join("t.csv"), content).unwrap();
        let outcome = export.run();
        assert_ne!(outcome.code, 0);
        assert!(outcome.stderr.contains(message), "{message}: {}", outcome.stderr);
    }
}

#[test]
fn json_lines_that_are_none_name_the_line() {
    let good = r#"{"who": "a", "no": 1, "at": "2024-01-05", "sum": 1.5}"#;
    for (line, message) in [
        ("{\"who\": ", "line 2: EOF while parsing a value"),
        ("[1, 2]", "line 2 is no JSON object"),
    ] {
        let ingest = format!("  transactions:\n    paths: [t.jsonl]\n    {COLUMNS}");
        let content = format!("{good}\n{line}\n");
        Export::new(&[("t.jsonl", &content)], &ingest, "[]").fails(3, message);
    }
    // Numbers and texts in one field, and fields that some rows lack.
    let content = format!(
        "{good}\n\n{}\n{}\n",
        r#"{"no": "2", "who": "b", "at": "2024-01-06", "sum": 2, "more": {"x": 1}}"#,
        r#"{"who": "c", "at": "2024-01-06", "sum": null}"#
    );
    let ingest = format!("  transactions:\n    paths: [t.jsonl]\n    {COLUMNS}");
    let export = Export::new(&[("t.jsonl", &content)], &ingest, "[]");
    assert_eq!(export.published(), ["a 1 1.5", "b 1 2.0"]);
    assert_eq!(texts(&export.table("rejects"), "source_row"), ["3"]);
}

#[test]
fn summaries_are_whole_or_refused() {
    let with = |rows: &str, rest: &str| {
        let csv = format!("who,last,n,sum\n{rows}");
        let ingest = "  customers_summary:\n    paths: [t.csv]\n    columns: { customer_id: who, \
                      last_order_at: last, frequency: n, monetary: sum }";
        Export::new(&[("t.csv", &csv)], ingest, &format!("[]\n{rest}"))
    };
    let export = with("a,2024-01-05,3,10.50\nb,2024-01-07,1,4\nc,2024-01-06,0,0\n", "");
    assert_eq!(export.published(), ["a 3 10.5", "b 1 4.0"]);
    let profile = export.table("segment_profile");
    let orders: u32 = profile.column("orders").unwrap().u32().unwrap().iter().flatten().sum();
    assert_eq!(orders, 4);
    assert_eq!(texts(&export.table("rejects"), "reason"), ["not quantity >= 1"]);
    let twice = "a,2024-01-05,3,10.50\na,2024-01-07,1,4\n";
    with(twice, "").fails(3, "several rows in `customers_summary`; first: `a`");
    with("a,2024-01-05,2.5,1\n", "").fails(3, "quantity");
    let one = "a,2024-01-05,3,10.50\n";
    with(one, "rfm: { features: [tenure_days] }").fails(2, "needs single orders or lines");
    with(one, "rfm: { snapshots: [2024-02-01, 2024-03-01] }").fails(2, "needs single orders");
}

/// A Parquet file with one row per value.
fn parquet(folder: &Path, name: &str, value: Column) {
    let n = value.len();
    let mut frame = df![
        "who" => (0..n).map(|row| format!("c{row}")).collect::<Vec<_>>(),
        "no" => (0..n as i64).collect::<Vec<_>>(),
        "at" => vec!["2024-01-05"; n],
    ]
    .unwrap();
    frame.with_column(value.with_name("v".into())).unwrap();
    ParquetWriter::new(fs::File::create(folder.join(name)).unwrap()).finish(&mut frame).unwrap();
}

#[test]
fn typed_numbers_of_expressions_neither_wrap_around_nor_lose_decimals() {
    let cents = DataType::Decimal(38, 0);
    for (value, amount, expected) in [
        (Column::new("v".into(), [2_000_000_000i32]), "v * 3 / 100", "60000000.0"),
        (Column::new("v".into(), [10u32]), "v - 12", "-2.0"),
        (Column::new("v".into(), [100i8]), "v * 100", "10000.0"),
        (Column::new("v".into(), [149i64]).cast(&cents).unwrap(), "v / 100", "1.49"),
        (Column::new("v".into(), [0.1]), "v + 0.2", "0.3"),
        (Column::new("v".into(), [40.68]), "round(v / 8, 2)", "5.09"),
        (Column::new("v".into(), [7.50]), "round(v * 1.19, 2)", "8.93"),
        (Column::new("v".into(), [12345678.12]), "v / 1000 * 1000", "12345678.12"),
    ] {
        let columns = format!(
            "columns: {{ customer_id: who, order_id: no, ordered_at: at, amount: \"{amount}\" }}"
        );
        let ingest = format!("  transactions:\n    paths: [t.parquet]\n    {columns}");
        let export = Export::new(&[], &ingest, "[]\nrfm: { negative_orders: count }");
        parquet(export.path(), "t.parquet", value);
        assert_eq!(export.published(), [format!("c0 1 {expected}")], "{amount}");
    }
}

#[test]
fn texts_are_never_added_as_texts() {
    let csv = "who,no,at,sum,back,big\na,1,2024-01-05,10 \u{20ac},2 \u{20ac},98765432109.25\n";
    for (amount, expected) in [
        ("replace(sum, ' \u{20ac}', '') + replace(back, ' \u{20ac}', '')", "a 1 12.0"),
        ("'2' + big", "a 1 98765432111.25"),
        ("coalesce(nullif(back, '2 \u{20ac}'), 0) + 1", "a 1 1.0"),
        ("CASE WHEN back LIKE '2%' THEN 0 ELSE back END + 1", "a 1 1.0"),
    ] {
        let options = format!(
            "    columns: {{ customer_id: who, order_id: no, ordered_at: at, amount: \"{amount}\" }}"
        );
        assert_eq!(one_table(csv, &options, "[]").published(), [expected], "{amount}");
    }
    let sql = "SELECT who, no, at, price + freight AS sum FROM t";
    let table = "who,no,at,price,freight\na,1,2024-01-05,10,2\n";
    query(&[("t.csv", table)], sql, "").fails(2, "`price + freight` adds texts");
    let sql = "SELECT who, no, at, CAST(price AS DOUBLE) + CAST(freight AS DOUBLE) AS sum FROM t";
    assert_eq!(query(&[("t.csv", table)], sql, "").published(), ["a 1 12.0"]);
}

#[test]
fn numbers_that_became_texts_are_not_read_with_other_marks() {
    let marks = "    csv: { decimal: ',', thousands: '.' }\n";
    for amount in ["concat(v, '')", "CASE WHEN who = 'x' THEN 'a' ELSE upper(concat(v, '')) END"] {
        let columns = format!(
            "columns: {{ customer_id: who, order_id: no, ordered_at: at, amount: \"{amount}\" }}"
        );
        let ingest = format!("  transactions:\n    paths: [t.parquet]\n{marks}    {columns}");
        let export = Export::new(&[], &ingest, "[]");
        parquet(export.path(), "t.parquet", Column::new("v".into(), [5.125]));
        export.fails(2, "makes a text of the numbers of `v`");
    }
    let content = "{\"who\": \"a\", \"no\": 1, \"at\": \"2024-01-05\", \"sum\": 5.125}\n\
                   {\"who\": \"a\", \"no\": 2, \"at\": \"2024-01-05\", \"sum\": \"1,5\"}\n";
    let ingest = format!("  transactions:\n    paths: [t.jsonl]\n{marks}    {COLUMNS}");
    Export::new(&[("t.jsonl", content)], &ingest, "[]")
        .fails(3, "field `sum` has numbers and texts");
}

#[test]
fn sums_of_queries_are_wide() {
    let sql = "SELECT any_value(who) AS who, max(no) AS no, max(at) AS at, sum(v) AS sum FROM t";
    let ingest = format!(
        "  sources:\n    t: {{ paths: [t.parquet] }}\n  transactions:\n    query: \"{}\"\n    {COLUMNS}",
        sql.replace("any_value", "max")
    );
    let export = Export::new(&[], &ingest, "[]");
    parquet(export.path(), "t.parquet", Column::new("v".into(), [2_000_000_000i32; 3]));
    assert_eq!(export.published(), ["c2 1 6000000000.0"]);
}

#[test]
fn ids_that_a_float_cannot_tell_apart_are_rejected() {
    let line =
        |id: &str| format!("{{\"who\": {id}, \"no\": {id}, \"at\": \"2024-01-05\", \"sum\": 1}}\n");
    let content = line("9007199254740993") + &line("9007199254740992") + &line("1.0");
    let ingest = format!("  max_rejected: 1\n  transactions:\n    paths: [t.jsonl]\n    {COLUMNS}");
    let export = Export::new(&[("t.jsonl", &content)], &ingest, "[]");
    assert_eq!(export.published(), ["1 1 1.0"]);
    assert_eq!(texts(&export.table("rejects"), "reason")[0], "customer_id not a whole number");
}

#[test]
fn lines_without_a_key_are_no_duplicates() {
    let csv =
        "who,no,at,sum\na,,2024-01-05,1\nb,,2024-01-05,2\nb,2,2024-01-06,4\nb,2,2024-01-06,8\n";
    let export = one_table(csv, "", "[{ drop_duplicates: { by: [order_id], keep: last } }]");
    assert_eq!(export.published(), ["a 1 1.0", "b 2 10.0"]);
}

#[test]
fn nulls_and_last_fields_of_other_layouts_are_kept() {
    let csv = "who,no,at,sum\n\\N,1,2024-01-05,16\nN,2,2024-01-05,1\n";
    let export = one_table(csv, "    csv: { escape: \"\\\\\" }", "[]");
    assert_eq!(export.published(), ["N 1 1.0"]);
    let csv = "who,no,at,sum\na,1,2024-01-05,1,50\nb,2,2024-01-05,2,\n";
    let export = one_table(csv, "    csv: { trailing_separator: true }", "[]");
    assert_eq!(export.published(), ["b 1 2.0"]);
    assert_eq!(texts(&export.table("rejects"), "reason"), ["too many fields"]);
}

#[test]
fn dates_are_not_compared_with_numbers() {
    let csv = format!("{HEAD}a,1,2024-01-05,1\n");
    for clean in ["[{ where: day < 20230101 }]", "[{ where: \"ordered_at > 5\" }]"] {
        one_table(&csv, "", clean).fails(2, "compares a date with a number");
    }
}

#[test]
fn matched_returns_need_negative_units() {
    let csv = "who,no,at,sum,n,p\na,1,2024-01-05,10,1,x\na,2,2024-01-06,-10,1,x\n";
    let columns = "    columns: { customer_id: who, order_id: no, ordered_at: at, amount: sum, \
                   quantity: n, product_id: p }";
    let clean = "[{ cancellations: { when: amount < 0, policy: match } }]";
    one_table(csv, columns, clean).fails(3, "needs negative quantities");
}

#[test]
fn copies_of_a_file_in_a_table_of_a_query_are_refused() {
    let ingest = format!(
        "  sources:\n    t: {{ paths: [a.csv, b.csv] }}\n  transactions:\n    query: \"SELECT * FROM t\"\n    \
         {COLUMNS}"
    );
    let table = format!("{HEAD}a,1,2024-01-05,1\n");
    Export::new(&[("a.csv", &table), ("b.csv", &table)], &ingest, "[]")
        .fails(3, "the same content");
}
