//! Expectations of every run: what makes a source unusable, and what is doubtful about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use chrono::{DateTime, NaiveDate, TimeDelta};
use polars::prelude::*;
use tracing::warn;

use crate::clean::Reason;
use crate::columns::*;
use crate::ingest::advice::{OtherRows, advice};
use crate::ingest::fault::{AMBIGUOUS_TIMESTAMP, FOREIGN_CURRENCY, RECORD_FAULTS};
use crate::ingest::{self, OnBadRow, Source, SourceFile};
use crate::orders::{self, OrderFacts, RejectedRow, Rejects, ledger};
use crate::pipeline::Pipeline;
use crate::rfm::{Frequency, NegativeOrders};

/// Default of `ingest.max_rejected`.
const MAX_REJECTED: f64 = 0.01;
/// Rejected rows that decide about advice.
const EXAMPLES: u32 = 200;
/// Rows from which the default applies.
const MIN_ROWS: u64 = 20;
/// Days after which a line is far later than almost all others.
const FAR_LATER: i64 = 365;
/// Ids that are often written for a missing one, besides the default null values.
const LIKE_NULL: [&str; 9] =
    ["na", "#n/a", "<na>", "nat", "nil", "(null)", "undefined", "unknown", "-"];

/// Why a source cannot be used. A sample has parts of orders and of customers.
pub(super) fn unusable(
    p: &Pipeline,
    facts: &OrderFacts,
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<Option<String>> {
    if let Some(message) = unusable_rows(p, facts, rejects)? {
        return Ok(Some(message));
    }
    if p.ingest.sample.is_none() {
        for expectation in [negative_orders, too_many_units] {
            if let Some(message) = expectation(p, facts)? {
                return Ok(Some(message));
            }
        }
    }
    repeated_customers(p, facts)
}

/// Why the rows cannot be used, with an example: timestamps that several formats read differently,
/// money in several currencies without rates, too many unparsable rows.
pub(crate) fn unusable_rows(
    p: &Pipeline,
    facts: &OrderFacts,
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<Option<String>> {
    match ambiguous_rows(p, facts, rejects)? {
        Some(message) => Ok(Some(message)),
        None => unparsable_rows(p, facts, rejects),
    }
}

fn ambiguous_rows(
    p: &Pipeline,
    facts: &OrderFacts,
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<Option<String>> {
    let fails = |reason: &Reason| {
        let always = [AMBIGUOUS_TIMESTAMP, FOREIGN_CURRENCY].contains(&reason.reason.as_str());
        reason.step == ingest::STAGE && (always || p.ingest.on_bad_row == OnBadRow::Fail)
    };
    let counts = ledger::describe_rejected(facts, fails)?;
    if counts.is_empty() {
        return Ok(None);
    }
    let examples = examples(facts, rejects, fails)?;
    let mut details = String::new();
    if let Some(first) = examples.first() {
        details = format!("\n  first: {first}");
        let advice = advise(p, &examples, OtherRows::Readable);
        details += &advice.map_or_else(String::new, |advice| format!("\n    {advice}"));
    }
    Ok(Some(format!("these rows cannot be read unambiguously:{counts}{details}")))
}

/// The first rejected rows with a reason that `include` selects.
fn examples(
    facts: &OrderFacts,
    rejects: Option<&Rejects<'_>>,
    include: impl Fn(&Reason) -> bool,
) -> PolarsResult<Vec<RejectedRow>> {
    let Some(rejects) = rejects else { return Ok(Vec::new()) };
    orders::first_rejects(rejects.path, &facts.reasons, include, EXAMPLES)
}

/// The option that would read the first of these rows, and those with the same reason.
fn advise(p: &Pipeline, examples: &[RejectedRow], others: OtherRows) -> Option<String> {
    let RejectedRow { file, reason, .. } = examples.first()?;
    let is_of_file =
        |source: &&Source| source.set.files.iter().any(|f| Some(&f.name) == file.as_ref());
    let source = p.ingest.sources.iter().find(is_of_file);
    let is_of_source = |example: &&RejectedRow| {
        let mut files = source.iter().flat_map(|source| &source.set.files);
        source.is_none() || files.any(|file| Some(&file.name) == example.file.as_ref())
    };
    let same = examples.iter().filter(|example| example.reason == *reason).filter(is_of_source);
    let texts: Vec<&str> = same.map(|example| example.text.trim()).collect();
    advice(reason, &texts, source, others)
}

/// The unparsable rows if there are more than `ingest.max_rejected`. Logs them in any case.
fn unparsable_rows(
    p: &Pipeline,
    facts: &OrderFacts,
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<Option<String>> {
    let rows = facts.rows_by_reason()?;
    let total: u64 = rows.iter().sum();
    let reasons = facts.reasons.iter().zip(&rows);
    let unparsable: Vec<(&Reason, u64)> = reasons
        .filter(|(reason, rows)| reason.step == ingest::STAGE && **rows > 0)
        .map(|(reason, rows)| (reason, *rows))
        .collect();
    let n: u64 = unparsable.iter().map(|(_, rows)| rows).sum();
    if n == 0 {
        return Ok(None);
    }
    let share = |rows: u64| format!("{:.2} %", rows as f64 / total as f64 * 100.0);
    let (mut details, mut is_escaped) = (String::new(), false);
    for (reason, rows) in &unparsable {
        details += &format!("\n  {rows} rows ({}): {}", share(*rows), reason.reason);
        let examples = examples(facts, rejects, |other| other == *reason)?;
        if let Some(first) = examples.first() {
            details += &format!("; first: {first}");
            // Such a quote may have moved a part of the cell into the next one.
            is_escaped |=
                RECORD_FAULTS.contains(&reason.reason.as_str()) && first.text.contains('\\');
        }
        let others = if n == total { OtherRows::None } else { OtherRows::Readable };
        if let Some(advice) = advise(p, &examples, others) {
            details += &format!("\n    {advice}");
        }
    }
    let rows = if p.ingest.sample.is_some() { "sampled rows" } else { "rows" };
    let count = format!("{n} of {total} {rows} ({}) cannot be parsed", share(n));
    if is_escaped {
        return Ok(Some(format!(
            "records with backslashes have too many or too few fields; `csv.escape: \"\\\\\"` reads \
             \\\" as a quote:{details}"
        )));
    }
    if n == total {
        return Ok(Some(format!("no row can be parsed:{details}")));
    }
    let bound = p.ingest.max_rejected.or((total >= MIN_ROWS).then_some(MAX_REJECTED));
    let bound = bound.filter(|bound| n as f64 > bound * total as f64);
    match (bound, p.ingest.sample) {
        (Some(bound), None) => {
            Ok(Some(format!("{count}, more than `ingest.max_rejected` ({bound}) allows:{details}")))
        }
        // Bad rows are often together, so the share of all rows may be another.
        (Some(bound), Some(_)) => {
            warn!(
                "{count}; `run` fails if it is more than {bound} of all rows \
                 (`ingest.max_rejected`):{details}"
            );
            Ok(None)
        }
        (None, _) => {
            warn!("{count} and are rejected:{details}");
            Ok(None)
        }
    }
}

/// Orders of negative money that are no returns, with the first of them, unless they are allowed.
fn negative_orders(p: &Pipeline, facts: &OrderFacts) -> PolarsResult<Option<String>> {
    if p.rfm.negative_orders == NegativeOrders::Count {
        return Ok(None);
    }
    let zero = || lit(0).cast(DataType::Int128);
    let is_negative = col(MONEY).lt(zero()).and(col(RETURNED).not());
    let is_positive_return = col(MONEY).gt(zero()).and(col(RETURNED));
    let returns = orders_where(facts, is_positive_return)?;
    if returns.height() > 0 {
        return Ok(Some(format!(
            "{} returns have positive money, which would be added; first: {}\n  returns must have \
             negative money; `policy: drop` drops them, `rfm.negative_orders: count` adds them",
            returns.height(),
            describe_order(&returns)?
        )));
    }
    let negative = orders_where(facts, is_negative)?;
    if negative.height() == 0 {
        return Ok(None);
    }
    let money = negative.column(MONEY)?.cast(&DataType::Int128)?;
    let money = money.i128()?.get(0).unwrap_or(0) as f64 / facts.money.factor();
    let example = format!("; first: {}: {money}", describe_order(&negative)?);
    Ok(Some(describe_negative(negative.height() as u64, &example)))
}

/// The first customer with two rows, if a source has one row per customer.
fn repeated_customers(p: &Pipeline, facts: &OrderFacts) -> PolarsResult<Option<String>> {
    if p.ingest.sources.iter().all(|source| !source.is_summary) {
        return Ok(None);
    }
    let rows = facts.accepted().group_by([col(CUSTOMER_ID)]).agg([col(LINES).sum()]);
    let repeated = rows.filter(col(LINES).gt(lit(1))).select([col(CUSTOMER_ID)]);
    let repeated = repeated.sort([CUSTOMER_ID], Default::default()).collect()?;
    let first = repeated.column(CUSTOMER_ID)?.str()?.iter().next().flatten();
    Ok(first.map(|first| {
        let n = repeated.height();
        format!("{n} customers have several rows in `customers_summary`; first: `{first}`")
    }))
}

/// The first customer with more units than a frequency can have, if units are counted.
fn too_many_units(p: &Pipeline, facts: &OrderFacts) -> PolarsResult<Option<String>> {
    if p.rfm.frequency != Frequency::Units {
        return Ok(None);
    }
    let units = col(UNITS).cast(DataType::Int128).sum();
    let sums = facts.accepted().group_by([col(CUSTOMER_ID)]).agg([units]);
    let limit = lit(u32::MAX).cast(DataType::Int128);
    let above = sums.filter(col(UNITS).gt(limit)).sort([CUSTOMER_ID], Default::default());
    let above = above.select([col(CUSTOMER_ID)]).collect()?;
    let first = above.column(CUSTOMER_ID)?.str()?.iter().flatten().next().map(str::to_owned);
    Ok(first.map(|id| {
        format!("customer `{id}` has more than {} units, the largest frequency", u32::MAX)
    }))
}

/// The message about orders of negative money.
pub(crate) fn describe_negative(orders: u64, example: &str) -> String {
    format!(
        "orders with negative money on a day would count as purchases: {orders}{example}\n  \
         `clean: cancellations` treats them as returns, for example `{{ when: amount < 0, policy: net \
         }}`; `keep_positive` rejects the lines, and `rfm.negative_orders: count` counts them"
    )
}

/// The accepted orders that fulfil a condition, sorted by day, so that the first is the same in
/// every run.
fn orders_where(facts: &OrderFacts, condition: Expr) -> PolarsResult<DataFrame> {
    let orders = facts.accepted().filter(condition);
    orders.sort([DAY, CUSTOMER_ID, ORDER_ID], SortMultipleOptions::default()).collect()
}

/// The first order of a frame of order facts.
fn describe_order(orders: &DataFrame) -> PolarsResult<String> {
    let text = |name: &str| {
        let column = orders.column(name)?.head(Some(1)).cast(&DataType::String)?;
        PolarsResult::Ok(column.str()?.get(0).unwrap_or("").to_owned())
    };
    let order = match text(ORDER_ID)? {
        id if id.is_empty() || id.starts_with('\0') => String::new(),
        id => format!("order `{id}` of "),
    };
    Ok(format!("{order}customer `{}` on {}", text(CUSTOMER_ID)?, text(DAY)?))
}

/// What is doubtful about a source, for the page and the log.
pub(crate) fn warnings(p: &Pipeline, facts: &OrderFacts) -> PolarsResult<Vec<String>> {
    let mut warnings = Vec::new();
    warnings.extend(similar_ids(facts)?);
    let by_day = lines_by_day(facts)?;
    warnings.extend(far_later_lines(facts, &by_day)?);
    if let Some(message) = lines_after_files(p, facts, &by_day)? {
        // Not part of the results: it depends on when the files were written.
        warn!("{message}");
    }
    Ok(warnings)
}

/// Customer ids that differ only in case, blanks or leading zeros, or that look like a missing one.
fn similar_ids(facts: &OrderFacts) -> PolarsResult<Vec<String>> {
    let ids = facts.frame.column(CUSTOMER_ID)?.str()?;
    let is_plain = |id: &str| !id.starts_with('0') && id.bytes().all(|b| b.is_ascii_digit());
    let mut spellings: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut previous = None;
    for id in ids.iter().flatten() {
        if previous != Some(id) && !is_plain(id) {
            let key: String = id.to_lowercase().split_whitespace().collect();
            let key = key.trim_start_matches('0').to_owned();
            spellings.entry(key).or_default().insert(id);
        }
        previous = Some(id);
    }
    if spellings.keys().any(|key| is_plain(key)) {
        for id in ids.iter().flatten().filter(|id| is_plain(id)) {
            if let Some(spellings) = spellings.get_mut(id) {
                spellings.insert(id);
            }
        }
    }
    let mut warnings = Vec::new();
    let similar: Vec<&BTreeSet<&str>> = spellings.values().filter(|ids| ids.len() > 1).collect();
    if let Some(first) = similar.first() {
        let n: usize = similar.iter().map(|ids| ids.len()).sum();
        let first: Vec<&str> = first.iter().copied().collect();
        warnings.push(format!(
            "{n} customer ids differ only in case, blanks or leading zeros, such as `{}`; \
             `ingest.customer_id_case: lower` ignores case",
            first.join("` and `")
        ));
    }
    let is_like_null = |id: &&&str| LIKE_NULL.contains(&id.to_lowercase().as_str());
    if let Some(id) = spellings.values().flatten().find(is_like_null) {
        warnings.push(format!(
            "customer id `{id}` looks like a missing value; `ingest.null_values` lists those"
        ));
    }
    Ok(warnings)
}

/// Accepted lines by day.
fn lines_by_day(facts: &OrderFacts) -> PolarsResult<BTreeMap<NaiveDate, u64>> {
    let days = facts.frame.column(DAY)?.date()?.physical().iter();
    let lines = facts.frame.column(LINES)?.cast(&DataType::UInt64)?;
    let reasons = facts.frame.column(REASON)?.u8()?.iter();
    let mut counts: PlHashMap<i32, u64> = PlHashMap::new();
    for ((day, lines), reason) in days.zip(lines.u64()?.iter()).zip(reasons) {
        if let (Some(day), None) = (day, reason) {
            *counts.entry(day).or_default() += lines.unwrap_or(0);
        }
    }
    let dated = |(day, lines): (i32, u64)| {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
        Some((epoch.checked_add_signed(TimeDelta::days(day.into()))?, lines))
    };
    Ok(counts.into_iter().filter_map(dated).collect())
}

/// Lines more than a year later than 99.9 % of the lines.
fn far_later_lines(
    facts: &OrderFacts,
    by_day: &BTreeMap<NaiveDate, u64>,
) -> PolarsResult<Option<String>> {
    let total: u64 = by_day.values().sum();
    let mut lines = 0;
    let mut usual_end = None;
    for (day, count) in by_day {
        lines += count;
        if usual_end.is_none() || lines * 1000 <= total * 999 {
            usual_end = Some(*day);
        }
    }
    let last = by_day.last_key_value().map(|(day, _)| *day);
    let Some((usual_end, last)) = usual_end.zip(last) else { return Ok(None) };
    let limit = usual_end + TimeDelta::days(FAR_LATER);
    let later: u64 = by_day.range(limit..).map(|(_, lines)| lines).sum();
    // If many lines are later, the source has a gap, or the earlier lines are the odd ones.
    if last <= limit || later > (total / 1000).max(1) {
        return Ok(None);
    }
    let what = format!("more than a year after {usual_end}, until which almost all lines are");
    describe_later(facts, limit, &what)
}

/// Lines after the newest source file was written.
fn lines_after_files(
    p: &Pipeline,
    facts: &OrderFacts,
    by_day: &BTreeMap<NaiveDate, u64>,
) -> PolarsResult<Option<String>> {
    let written = |file: &SourceFile| file.path.metadata().ok()?.modified().ok();
    if p.ingest.input_files().any(|file| file.fetched.is_some() || file.unpacked.is_some()) {
        return Ok(None);
    }
    let Some(newest) = p.ingest.input_files().filter_map(written).max() else { return Ok(None) };
    let since_1970 = newest.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let Some(newest) = DateTime::from_timestamp(since_1970 as i64, 0) else { return Ok(None) };
    let day = newest.with_timezone(&p.ingest.timezone).date_naive();
    if by_day.last_key_value().is_none_or(|(last, _)| *last <= day) {
        return Ok(None);
    }
    describe_later(facts, day, &format!("later than the newest source file, written on {day}"))
}

/// The accepted lines after a day, with the first of them.
fn describe_later(facts: &OrderFacts, day: NaiveDate, what: &str) -> PolarsResult<Option<String>> {
    let later = orders_where(facts, col(DAY).gt(lit(day).cast(DataType::Date)))?;
    if later.height() == 0 {
        return Ok(None);
    }
    let lines = later.column(LINES)?.cast(&DataType::Int64)?.i64()?.sum().unwrap_or(0);
    let example = describe_order(&later)?;
    Ok(Some(format!(
        "{lines} lines are {what}; first: {example}; check `csv.datetime_formats`, or limit days \
         with `date_range`"
    )))
}
