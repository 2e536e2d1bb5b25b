//! `rfm` in SQL: recency, frequency and monetary value of every customer at every snapshot.

use super::Statement;
use super::orders::ORDERS_TABLE;
use super::text::{all, day, double};
use crate::clean::{ReturnPolicy, Step as CleanStep};
use crate::columns::*;
use crate::pipeline::Pipeline;
use crate::rfm::{Feature, Frequency, Grid, Monetary, Of, Ratio, SnapshotDates, Step};

const STAGE: &str = "rfm";
/// The view of the dates.
pub(super) const SNAPSHOTS: &str = "custseg_snapshots";
/// The table of measured customers.
pub(super) const MEASURED: &str = "custseg_rfm";
/// No grid goes beyond this year.
const LAST_YEAR: i32 = 2200;

pub(super) fn statements(p: &Pipeline) -> Vec<Statement> {
    vec![
        Statement::view(STAGE, SNAPSHOTS, snapshots(&p.rfm.snapshots)),
        Statement::table(STAGE, MEASURED, "work/rfm", measured(p)),
    ]
}

/// The dates to look back from, each with its place among them from 1.
fn snapshots(dates: &SnapshotDates) -> String {
    let end = format!(
        "SELECT date_add(max({DAY}), 1) AS {SNAPSHOT} FROM {ORDERS_TABLE} WHERE {REASON} IS NULL"
    );
    let found = match dates {
        SnapshotDates::Last => end,
        SnapshotDates::Given(dates) => {
            let dates: Vec<String> = dates.iter().map(|date| format!("({})", day(*date))).collect();
            format!("SELECT {SNAPSHOT} FROM VALUES {} AS t({SNAPSHOT})", dates.join(", "))
        }
        SnapshotDates::Grid(grid) => on_grid(grid, &end),
    };
    format!(
        "SELECT {SNAPSHOT}, CAST(row_number() OVER (ORDER BY {SNAPSHOT}) AS INT) AS place\nFROM ({found})"
    )
}

fn on_grid(Grid { from, every, until }: &Grid, end: &str) -> String {
    let years = i64::from(LAST_YEAR - chrono::Datelike::year(from)).max(1);
    let (steps, step) = match every {
        Step::Days(days) => (
            years * 366 / i64::from(*days) + 1,
            format!("date_add({}, CAST(id * {days} AS INT))", day(*from)),
        ),
        Step::Months(months) => (
            years * 12 / i64::from(*months) + 1,
            format!("add_months({}, CAST(id * {months} AS INT))", day(*from)),
        ),
    };
    let steps = format!("SELECT {step} AS {SNAPSHOT} FROM range({steps})");
    match until {
        Some(until) => {
            format!("SELECT {SNAPSHOT} FROM ({steps}) WHERE {SNAPSHOT} <= {}", day(*until))
        }
        None => format!(
            "SELECT g.{SNAPSHOT} FROM ({steps}) AS g CROSS JOIN ({end}) AS e WHERE g.{SNAPSHOT} <= e.{SNAPSHOT} UNION {end}"
        ),
    }
}

/// One row a (snapshot, customer), as [`crate::rfm::Snapshots`] has them.
fn measured(p: &Pipeline) -> String {
    let days_before = format!("datediff(s.{SNAPSHOT}, b.{DAY})");
    let mut joined = vec![format!("b.{DAY} < s.{SNAPSHOT}")];
    joined.extend(p.rfm.window.map(|days| format!("{days_before} <= {days}")));
    let stands = format!("NOT b.{RETURNED}");
    let m = Measures { p, stands: &stands, days_before: &days_before };
    let mut columns = vec![
        format!("{} AS {LAST_ORDER_AT}", m.last(ORDERED_AT)),
        format!("CAST(datediff(s.{SNAPSHOT}, {}) AS INT) AS {RECENCY_DAYS}", m.last(DAY)),
        format!("{} AS {FREQUENCY}", m.frequency(p.rfm.frequency)),
        format!("{} AS {MONETARY}", m.monetary(p.rfm.monetary)),
    ];
    if CleanStep::policy(&p.clean) == ReturnPolicy::Separate {
        let sum = format!(
            "sum(CASE WHEN b.{RETURNED} THEN -b.{MONEY} ELSE CAST(0 AS DECIMAL(30, 0)) END)"
        );
        columns.push(format!("{} AS {RETURNED_MONEY}", m.major(&sum)));
    }
    columns.extend(p.rfm.features.iter().filter_map(|feature| m.feature(*feature)));
    columns.extend(p.rfm.ratios.iter().map(|ratio| m.ratio(ratio)));
    let known = match p.rfm.min_history_days {
        0 => String::new(),
        // How long a customer is known does not depend on the window.
        days => format!(
            "\nJOIN (SELECT {CUSTOMER_ID}, min({DAY}) AS first FROM {ORDERS_TABLE} WHERE {REASON} IS NULL GROUP BY {CUSTOMER_ID}) AS k\n\
             \x20 ON k.{CUSTOMER_ID} = b.{CUSTOMER_ID} AND datediff(s.{SNAPSHOT}, k.first) >= {days}"
        ),
    };
    format!(
        "SELECT s.{SNAPSHOT}, b.{CUSTOMER_ID},\n  {}\nFROM {ORDERS_TABLE} AS b\nJOIN {SNAPSHOTS} AS s ON {}{known}\n\
         WHERE b.{REASON} IS NULL\nGROUP BY s.{SNAPSHOT}, b.{CUSTOMER_ID}",
        columns.join(",\n  "),
        all(joined)
    )
}

/// One function a measure; each is an aggregate over a customer's rows of the order book.
struct Measures<'a> {
    p: &'a Pipeline,
    stands: &'a str,
    days_before: &'a str,
}

impl Measures<'_> {
    /// The last value among purchases; of a customer who only returned, of all.
    fn last(&self, of: &str) -> String {
        format!("coalesce(max(CASE WHEN {} THEN b.{of} END), max(b.{of}))", self.stands)
    }

    /// Distinct values among rows for which something holds; those without one count as one together.
    fn distinct(&self, of: &str, holds: &str) -> String {
        format!(
            "(count(DISTINCT CASE WHEN {holds} THEN b.{of} END) + max(CASE WHEN {holds} AND b.{of} IS NULL THEN 1 ELSE 0 END))"
        )
    }

    fn orders(&self, holds: &str) -> String {
        self.distinct(if self.p.ingest.has_orders() { ORDER_ID } else { DAY }, holds)
    }

    fn frequency(&self, of: Frequency) -> String {
        let counted = match of {
            Frequency::Orders => self.orders(self.stands),
            Frequency::Days => self.distinct(DAY, self.stands),
            Frequency::Lines => format!("sum(CASE WHEN {} THEN b.{LINES} ELSE 0 END)", self.stands),
            Frequency::Units => format!("greatest(coalesce(sum(b.{UNITS}), 0), 0)"),
        };
        format!("CAST(least({counted}, {}) AS BIGINT)", u32::MAX)
    }

    /// Minor units as people write money: the exact sum, made a float once.
    fn major(&self, minor: &str) -> String {
        format!("CAST({minor} AS DOUBLE) / {}", double(self.p.ingest.money.factor()))
    }

    fn monetary(&self, of: Monetary) -> String {
        let apart = CleanStep::policy(&self.p.clean) == ReturnPolicy::Separate;
        let gross = of == Monetary::Gross || (of != Monetary::Net && apart);
        let sum = match gross {
            true => format!(
                "sum(CASE WHEN b.{RETURNED} THEN CAST(0 AS DECIMAL(30, 0)) ELSE b.{MONEY} END)"
            ),
            false => format!("sum(b.{MONEY})"),
        };
        let mean = |count: String| {
            let factor = double(self.p.ingest.money.factor());
            format!(
                "CASE WHEN {count} > 0 THEN CAST({sum} AS DOUBLE) / (CAST({count} AS DOUBLE) * {factor}) ELSE 0.0D END"
            )
        };
        match of {
            Monetary::Net | Monetary::Gross => self.major(&sum),
            Monetary::MeanPerOrder => mean(self.frequency(Frequency::Orders)),
            Monetary::MeanPerDay => mean(self.frequency(Frequency::Days)),
        }
    }

    /// A further column; `None` for those that have no form in SQL, which are refused before.
    fn feature(&self, feature: Feature) -> Option<String> {
        match feature {
            Feature::TenureDays => {
                Some(format!("CAST(datediff(s.{SNAPSHOT}, min(b.{DAY})) AS INT) AS {TENURE_DAYS}"))
            }
            // The gaps between days add up to what lies between the first and the last.
            Feature::MeanGapDays => {
                let days = self.distinct(DAY, self.stands);
                let end = |end: &str| format!("{end}(CASE WHEN {} THEN b.{DAY} END)", self.stands);
                Some(format!(
                    "CASE WHEN {days} > 1 THEN CAST(datediff({}, {}) AS DOUBLE) / CAST({days} - 1 AS DOUBLE) END AS {MEAN_GAP_DAYS}",
                    end("max"),
                    end("min")
                ))
            }
            Feature::AverageOrderValue => {
                let orders = self.frequency(Frequency::Orders);
                let mean = self.monetary(Monetary::MeanPerOrder);
                Some(format!("CASE WHEN {orders} > 0 THEN {mean} END AS {AVERAGE_ORDER_VALUE}"))
            }
            Feature::GapDaysStd | Feature::NProducts => None,
        }
    }

    fn ratio(&self, ratio: &Ratio) -> String {
        let done = |days: u32| {
            let within = format!("{} <= {days}", self.days_before);
            let done = match ratio.of {
                Of::Money => format!(
                    "sum(CASE WHEN {within} THEN b.{MONEY} ELSE CAST(0 AS DECIMAL(30, 0)) END)"
                ),
                Of::Orders => self.orders(&all([self.stands.to_owned(), within])),
            };
            format!("CAST({done} AS DOUBLE)")
        };
        let over = done(ratio.over);
        format!(
            "CASE WHEN {over} > 0.0D THEN {} / {over} END AS {}",
            done(ratio.recent),
            ratio.column()
        )
    }
}

/// Columns of the measured customers beside recency, frequency and monetary value, in their order.
pub(super) fn further(p: &Pipeline) -> Vec<String> {
    let apart =
        (CleanStep::policy(&p.clean) == ReturnPolicy::Separate).then(|| RETURNED_MONEY.to_owned());
    let features = p.rfm.features.iter().filter_map(|feature| match feature {
        Feature::TenureDays => Some(TENURE_DAYS.to_owned()),
        Feature::MeanGapDays => Some(MEAN_GAP_DAYS.to_owned()),
        Feature::AverageOrderValue => Some(AVERAGE_ORDER_VALUE.to_owned()),
        Feature::GapDaysStd | Feature::NProducts => None,
    });
    apart.into_iter().chain(features).chain(p.rfm.ratios.iter().map(Ratio::column)).collect()
}
