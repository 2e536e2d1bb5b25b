//! `rfm` in SQL: recency, frequency and monetary value of every customer at every snapshot.

use chrono::Datelike;

use super::Statement;
use super::orders::ORDERS_TABLE;
use super::text::{all, day, double, joined};
use crate::clean::{ReturnPolicy, Step};
use crate::columns::*;
use crate::pipeline::Pipeline;
use crate::rfm::{Feature, Frequency, Grid, Interval, Monetary, Ratio, RatioOf, SnapshotDates};

const STAGE: &str = "rfm";
pub(super) const SNAPSHOTS: &str = "custseg_snapshots";
pub(super) const MEASURED: &str = "custseg_rfm";
/// Upper bound of a grid without an end.
const LAST_YEAR: i32 = 2200;

pub(super) fn statements(p: &Pipeline) -> Vec<Statement> {
    vec![
        Statement::view(STAGE, SNAPSHOTS, &snapshots(&p.rfm.snapshots)),
        Statement::table(STAGE, MEASURED, "work/rfm", measured(p)),
    ]
}

/// The snapshot dates with their rank from 1, in the column `place`.
fn snapshots(dates: &SnapshotDates) -> String {
    let end = format!(
        "SELECT date_add(max({DAY}), 1) AS {SNAPSHOT} FROM {ORDERS_TABLE} WHERE {REASON} IS NULL"
    );
    let dates = match dates {
        SnapshotDates::Last => end,
        SnapshotDates::Given(dates) => {
            let dates = joined(dates.iter().map(|date| format!("({})", day(*date))), ", ");
            format!("SELECT {SNAPSHOT} FROM VALUES {dates} AS t({SNAPSHOT})")
        }
        SnapshotDates::Grid(grid) => grid_dates(grid, &end),
    };
    format!(
        "SELECT {SNAPSHOT}, CAST(row_number() OVER (ORDER BY {SNAPSHOT}) AS INT) AS place\n\
         FROM ({dates})"
    )
}

fn grid_dates(Grid { from, every, until }: &Grid, end: &str) -> String {
    let years = i64::from(LAST_YEAR - from.year()).max(1);
    let (intervals, function, length) = match every {
        Interval::Days(days) => (years * 366 / i64::from(*days), "date_add", days),
        Interval::Months(months) => (years * 12 / i64::from(*months), "add_months", months),
    };
    let dates = format!(
        "SELECT {function}({}, CAST(id * {length} AS INT)) AS {SNAPSHOT} FROM range({})",
        day(*from),
        intervals + 1
    );
    match until {
        Some(until) => {
            format!("SELECT {SNAPSHOT} FROM ({dates}) WHERE {SNAPSHOT} <= {}", day(*until))
        }
        None => format!(
            "SELECT g.{SNAPSHOT} FROM ({dates}) AS g CROSS JOIN ({end}) AS e \
             WHERE g.{SNAPSHOT} <= e.{SNAPSHOT} UNION {end}"
        ),
    }
}

/// The table of [`crate::rfm::Snapshots`]: one row per (snapshot, customer).
fn measured(p: &Pipeline) -> String {
    let days_before = format!("datediff(s.{SNAPSHOT}, b.{DAY})");
    let mut in_window = vec![format!("b.{DAY} < s.{SNAPSHOT}")];
    in_window.extend(p.rfm.window.map(|days| format!("{days_before} <= {days}")));
    let is_purchase = format!("NOT b.{RETURNED}");
    let measures = Measures { p, is_purchase: &is_purchase, days_before: &days_before };
    let last_day = measures.last(DAY);
    let mut columns = vec![
        format!("{} AS {LAST_ORDER_AT}", measures.last(ORDERED_AT)),
        format!("CAST(datediff(s.{SNAPSHOT}, {last_day}) AS INT) AS {RECENCY_DAYS}"),
        format!("{} AS {FREQUENCY}", measures.frequency(p.rfm.frequency)),
        format!("{} AS {MONETARY}", measures.monetary(p.rfm.monetary)),
    ];
    if has_separate_returns(p) {
        let sum = format!("sum(CASE WHEN b.{RETURNED} THEN -b.{MONEY} ELSE {ZERO_MONEY} END)");
        columns.push(format!("{} AS {RETURNED_MONEY}", measures.major_units(&sum)));
    }
    columns.extend(p.rfm.features.iter().filter_map(|feature| measures.feature(*feature)));
    columns.extend(p.rfm.ratios.iter().map(|ratio| measures.ratio(ratio)));
    // The history of a customer does not depend on the window.
    let with_history = match p.rfm.min_history_days {
        0 => String::new(),
        days => format!(
            "\nJOIN (SELECT {CUSTOMER_ID}, min({DAY}) AS first FROM {ORDERS_TABLE} \
             WHERE {REASON} IS NULL GROUP BY {CUSTOMER_ID}) AS k\n\
             \x20 ON k.{CUSTOMER_ID} = b.{CUSTOMER_ID} \
             AND datediff(s.{SNAPSHOT}, k.first) >= {days}"
        ),
    };
    format!(
        "SELECT s.{SNAPSHOT}, b.{CUSTOMER_ID},\n  {}\n\
         FROM {ORDERS_TABLE} AS b\nJOIN {SNAPSHOTS} AS s ON {}{with_history}\n\
         WHERE b.{REASON} IS NULL\nGROUP BY s.{SNAPSHOT}, b.{CUSTOMER_ID}",
        columns.join(",\n  "),
        all(in_window)
    )
}

const ZERO_MONEY: &str = "CAST(0 AS DECIMAL(30, 0))";

fn has_separate_returns(p: &Pipeline) -> bool {
    Step::policy(&p.clean) == ReturnPolicy::Separate
}

/// Aggregates over a customer's rows of the order facts at a snapshot.
struct Measures<'a> {
    p: &'a Pipeline,
    is_purchase: &'a str,
    days_before: &'a str,
}

impl Measures<'_> {
    /// The last value among purchases, or among all rows for a customer with returns only.
    fn last(&self, column: &str) -> String {
        format!(
            "coalesce(max(CASE WHEN {} THEN b.{column} END), max(b.{column}))",
            self.is_purchase
        )
    }

    /// Distinct values of the rows that match a condition. Null counts as one value.
    fn distinct(&self, column: &str, condition: &str) -> String {
        format!(
            "(count(DISTINCT CASE WHEN {condition} THEN b.{column} END) + \
             max(CASE WHEN {condition} AND b.{column} IS NULL THEN 1 ELSE 0 END))"
        )
    }

    fn orders(&self, condition: &str) -> String {
        self.distinct(if self.p.ingest.has_orders() { ORDER_ID } else { DAY }, condition)
    }

    fn frequency(&self, frequency: Frequency) -> String {
        let count = match frequency {
            Frequency::Orders => self.orders(self.is_purchase),
            Frequency::Days => self.distinct(DAY, self.is_purchase),
            Frequency::Lines => {
                format!("sum(CASE WHEN {} THEN b.{LINES} ELSE 0 END)", self.is_purchase)
            }
            Frequency::Units => format!("greatest(coalesce(sum(b.{UNITS}), 0), 0)"),
        };
        format!("CAST(least({count}, {}) AS BIGINT)", u32::MAX)
    }

    /// Converts an exact sum of minor units into major units.
    fn major_units(&self, minor: &str) -> String {
        format!("CAST({minor} AS DOUBLE) / {}", double(self.p.ingest.money.factor()))
    }

    fn monetary(&self, monetary: Monetary) -> String {
        let is_gross = monetary == Monetary::Gross
            || (monetary != Monetary::Net && has_separate_returns(self.p));
        let sum = if is_gross {
            format!("sum(CASE WHEN b.{RETURNED} THEN {ZERO_MONEY} ELSE b.{MONEY} END)")
        } else {
            format!("sum(b.{MONEY})")
        };
        let count = match monetary {
            Monetary::Net | Monetary::Gross => return self.major_units(&sum),
            Monetary::MeanPerOrder => self.frequency(Frequency::Orders),
            Monetary::MeanPerDay => self.frequency(Frequency::Days),
        };
        format!(
            "CASE WHEN {count} > 0 THEN \
             CAST({sum} AS DOUBLE) / (CAST({count} AS DOUBLE) * {}) ELSE 0.0D END",
            double(self.p.ingest.money.factor())
        )
    }

    /// `None` for features that are not supported on Spark; `unsupported` has rejected those.
    fn feature(&self, feature: Feature) -> Option<String> {
        Some(match feature {
            Feature::TenureDays => {
                format!("CAST(datediff(s.{SNAPSHOT}, min(b.{DAY})) AS INT) AS {TENURE_DAYS}")
            }
            // The gaps add up to the days between the first and the last purchase.
            Feature::MeanGapDays => {
                let days = self.distinct(DAY, self.is_purchase);
                let purchase_day = format!("CASE WHEN {} THEN b.{DAY} END", self.is_purchase);
                format!(
                    "CASE WHEN {days} > 1 THEN \
                     CAST(datediff(max({purchase_day}), min({purchase_day})) AS DOUBLE) \
                     / CAST({days} - 1 AS DOUBLE) END AS {MEAN_GAP_DAYS}"
                )
            }
            Feature::AverageOrderValue => {
                let orders = self.frequency(Frequency::Orders);
                let mean = self.monetary(Monetary::MeanPerOrder);
                format!("CASE WHEN {orders} > 0 THEN {mean} END AS {AVERAGE_ORDER_VALUE}")
            }
            Feature::GapDaysStd | Feature::NProducts => return None,
        })
    }

    fn ratio(&self, ratio: &Ratio) -> String {
        let within = |days: u32| {
            let in_days = format!("{} <= {days}", self.days_before);
            let sum = match ratio.of {
                RatioOf::Monetary => {
                    format!("sum(CASE WHEN {in_days} THEN b.{MONEY} ELSE {ZERO_MONEY} END)")
                }
                RatioOf::Frequency => self.orders(&all([self.is_purchase.to_owned(), in_days])),
            };
            format!("CAST({sum} AS DOUBLE)")
        };
        let (recent, over) = (within(ratio.recent), within(ratio.over));
        format!("CASE WHEN {over} > 0.0D THEN {recent} / {over} END AS {}", ratio.column())
    }
}
