//! The summary of a run for people: ledger, segments of the newest snapshot, models beside their
//! baselines.

use std::io::Write;

use polars::prelude::*;
use tracing::enabled;

use super::table::{draw, fit, plain, terminal_width};
use crate::checks;
use crate::columns::*;
use crate::error::Error;
use crate::evaluate::Tables;
use crate::evaluate::model_metrics::baseline_name;
use crate::evaluate::value::PAST_RATE;
use crate::manifest::{CustomersRead, Manifest, MetricRecord};
use crate::model::{BtydParams, Protocol};
use crate::pipeline::Pipeline;
use crate::report::separate_thousands;
use crate::tables::TableId;

/// Prints the summary, unless `--quiet` is set.
pub(super) fn print(
    p: &Pipeline,
    tables: &Tables,
    manifest: &Manifest,
    out: &mut impl Write,
) -> Result<(), Error> {
    if !enabled!(tracing::Level::INFO) {
        return Ok(());
    }
    write!(out, "{}", describe_tables(p, tables, manifest).map_err(Error::engine("run"))?)?;
    if !manifest.checks.is_empty() {
        write!(out, "\nchecks\n{}", checks::describe(&manifest.checks))?;
    }
    if let Some(CustomersRead { rows, without_key, repeated_keys, unknown }) = manifest.customers {
        writeln!(
            out,
            "\ncustomers' source: {rows} rows, {without_key} without a key, {repeated_keys} repeated keys; \
             {unknown} customers of the segments are missing in it"
        )?;
    }
    for params in &p.models {
        write!(out, "{}", describe_model(&params.name, manifest))?;
    }
    for params in &p.btyd {
        write!(out, "{}", describe_btyd(params, manifest))?;
    }
    writeln!(out)?;
    Ok(())
}

fn describe_tables(p: &Pipeline, tables: &Tables, manifest: &Manifest) -> PolarsResult<String> {
    const LEDGER: [&str; 7] =
        [STEP, REASON, ROWS, ROWS_LEFT, CUSTOMERS_LEFT, ORDERS_LEFT, MONEY_LEFT];
    const PROFILE: [&str; 6] = [SEGMENT, CUSTOMERS, SHARE, ORDERS, MONEY, MONEY_SHARE];
    let width = terminal_width(std::io::stderr());
    let mut text = String::new();
    if let Some(ledger) = tables.get(TableId::Ledger) {
        let currency = p.ingest.money.currency.as_ref();
        let unit = currency.map_or(String::new(), |currency| format!(", money in {currency}"));
        let dispensable = [ORDERS_LEFT, CUSTOMERS_LEFT, STEP, MONEY_LEFT];
        let (columns, _) = fit(ledger, &LEDGER, &dispensable, width, cell)?;
        text += &format!("\nledger{unit}\n{}\n", draw(ledger, &columns, cell)?);
    }
    if let Some(returns) = tables.get(TableId::Returns) {
        text += &describe_returns(returns)?;
    }
    if let Some(outliers) = tables.get(TableId::Outliers) {
        let columns = [SNAPSHOT, QUANTILE, LIMIT, CUSTOMERS, EXCESS_MONEY];
        text += &format!("\nmonetary outliers\n{}\n", draw(outliers, &columns, cell)?);
    }
    if let Some(profile) = tables.get(TableId::SegmentProfile)
        && let Some(newest) = manifest.snapshots.last()
    {
        let of = match manifest.snapshots.len() {
            1 => String::new(),
            n => format!(", the newest of {n} snapshots"),
        };
        let is_newest = col(SNAPSHOT).cast(DataType::String).eq(lit(newest.as_str()));
        let profile = profile.clone().lazy().filter(is_newest).collect()?;
        let (columns, _) = fit(&profile, &PROFILE, &[ORDERS, SHARE, MONEY], width, cell)?;
        let table = draw(&profile, &columns, cell)?;
        text += &format!("\nsegments at {newest}{of} ({})\n{table}\n", p.segment.name);
    }
    Ok(text)
}

/// Metrics of a model on customers that it was not fitted to, beside its baselines.
fn describe_model(name: &str, manifest: &Manifest) -> String {
    let Some(first) = manifest.metrics.iter().find(|metric| metric.model == name) else {
        return format!(
            "\nmodel {name}: not evaluated, since the source does not go back far enough\n"
        );
    };
    let protocol = first.protocol.as_str();
    let value = |model: &str, metric: &str| {
        let record = manifest
            .metrics
            .iter()
            .find(|m| m.model == model && m.protocol == protocol && m.metric == metric);
        record.and_then(|record| record.value).map(|value| format!("{value:.3}"))
    };
    let on = if protocol == Protocol::OutOfTime.name() {
        "trained on the time before, tested on the time after"
    } else {
        "on held-out customers"
    };
    let n = separate_thousands(&first.n.to_string());
    let mut text = format!("\nmodel {name}, {on}: {n} customers\n");
    for metric in ["accuracy", "balanced_accuracy", "macro_f1"] {
        let own = value(name, metric).unwrap_or_else(|| "–".to_owned());
        text += &format!("  {:<30} {own}", format!("{protocol}.{metric}"));
        for baseline in ["majority", "persistence", "markov"] {
            if let Some(value) = value(&baseline_name(name, baseline), metric) {
                text += &format!("   {baseline} {value}");
            }
        }
        text.push('\n');
    }
    if protocol == Protocol::Recovery.name() {
        text += "  the labels are a function of the features: this only measures how well neighbours reproduce the rules\n";
    }
    text
}

/// What a BTYD model expected of the last horizon, beside what happened and its baseline.
fn describe_btyd(params: &BtydParams, manifest: &Manifest) -> String {
    let name = &params.name;
    let value = |model: &str, metric: &str| {
        let is_wanted = |m: &&MetricRecord| m.model == model && m.metric == metric;
        let value = manifest.metrics.iter().find(is_wanted)?.value?;
        Some(separate_thousands(&format!("{value:.0}")))
    };
    let baseline = baseline_name(name, PAST_RATE);
    let row = |title: &str, expected: &str, actual: &str| {
        let [expected, actual, past] = [(name, expected), (name, actual), (&baseline, expected)]
            .map(|(model, metric)| value(model, metric).unwrap_or_else(|| "–".to_owned()));
        format!("  {title:<10} expected {expected}   actual {actual}   past rate {past}\n")
    };
    if value(name, "purchases_expected").is_none() {
        return format!(
            "\nmodel {name}: not evaluated, since the source does not go back far enough\n"
        );
    }
    let days = params.horizon;
    format!(
        "\nmodel {name}, fitted {days} days before the snapshot, tested on the time after\n{}{}",
        row("purchases", "purchases_expected", "purchases_actual"),
        row("money", "spend_expected", "spend_actual")
    )
}

/// Numbers of returned units with and without a matched purchase.
fn describe_returns(returns: &DataFrame) -> PolarsResult<String> {
    let units = returns.column(UNITS)?.i64()?;
    let is_matched = returns.column(MATCHED_ORDER_ID)?.is_not_null();
    let sum = |mask: &BooleanChunked| -> PolarsResult<String> {
        Ok(separate_thousands(&units.filter(mask)?.sum().unwrap_or(0).to_string()))
    };
    let matched = sum(&is_matched)?;
    let unmatched = sum(&!&is_matched)?;
    Ok(format!(
        "\nreturned units: {matched} matched to an earlier purchase, {unmatched} without a purchase to match\n"
    ))
}

/// A value with thousands separators. Shares are percentages, money has two decimals.
pub(super) fn cell(name: &str, value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Float64(share) if name == SHARE || name == MONEY_SHARE => {
            format!("{:.1} %", share * 100.0)
        }
        // The money of rows that cannot be parsed.
        AnyValue::Null if name == MONEY_LEFT => "unknown".to_owned(),
        AnyValue::Float64(money) => separate_thousands(&format!("{money:.2}")),
        value if value.is_primitive_numeric() => separate_thousands(&value.to_string()),
        other => plain(name, other),
    }
}
