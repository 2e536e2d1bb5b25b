//! What a run tells people: the ledger, the segments of the newest snapshot, and the models beside their baselines.

use std::io::Write;

use polars::prelude::*;
use tracing::enabled;

use super::table::drawn;
use custseg::checks;
use custseg::columns::*;
use custseg::error::Error;
use custseg::evaluate::Tables;
use custseg::evaluate::protocols::{MAJORITY, PERSISTENCE};
use custseg::model::Protocol;
use custseg::pipeline::Pipeline;
use custseg::publish::{CustomersRead, Manifest};

/// Prints the summary, unless the user asked for quiet.
pub(super) fn print(
    p: &Pipeline,
    tables: &Tables,
    manifest: &Manifest,
    out: &mut impl Write,
) -> Result<(), Error> {
    if !enabled!(tracing::Level::INFO) {
        return Ok(());
    }
    let ledger = [STEP, REASON, ROWS, ROWS_LEFT, CUSTOMERS_LEFT, ORDERS_LEFT, MONEY_LEFT];
    let profile = [SEGMENT, CUSTOMERS, SHARE, ORDERS, MONEY, MONEY_SHARE];
    let which = match manifest.snapshots.len() {
        1 => String::new(),
        n => format!(", the newest of {n} snapshots"),
    };
    let newest = manifest.snapshots.last().map_or("", String::as_str);
    let currency = p.ingest.money.currency.as_deref().unwrap_or("no currency named");
    let engine = Error::engine("run");
    let text = (|| -> PolarsResult<String> {
        let mut text = String::new();
        if let Some(table) = tables.get("ledger") {
            text += &format!("\nledger, money in {currency}\n{}\n", drawn(table, &ledger, cell)?);
        }
        if let Some(table) = tables.get("segment_profile") {
            let of_newest =
                table.clone().lazy().filter(col(SNAPSHOT).cast(DataType::String).eq(lit(newest)));
            if let Some(returns) = tables.get("returns") {
                text += &returns_in_words(returns)?;
            }
            if let Some(outliers) = tables.get("outliers") {
                let columns = [SNAPSHOT, QUANTILE, LIMIT, CUSTOMERS, MONEY_BEYOND];
                text += &format!("\nmonetary outliers\n{}\n", drawn(outliers, &columns, cell)?);
            }
            text += &format!(
                "\nsegments at {newest}{which} ({})\n{}\n",
                p.segment.name,
                drawn(&of_newest.collect()?, &profile, cell)?
            );
        }
        Ok(text)
    })()
    .map_err(engine)?;
    write!(out, "{text}")?;
    if !manifest.checks.is_empty() {
        write!(out, "\nchecks\n{}", checks::in_words(&manifest.checks))?;
    }
    if let Some(CustomersRead { rows, without_key, repeated_keys, unknown }) = manifest.customers {
        writeln!(
            out,
            "\ncustomers' source: {rows} rows, {without_key} without a key, {repeated_keys} keys repeated; \
             {unknown} customers of the segments are not in it"
        )?;
    }
    for params in &p.models {
        write!(out, "{}", model_in_words(&params.name, manifest))?;
    }
    writeln!(out)?;
    Ok(())
}

/// What a model did on what it had not seen, beside its baselines.
fn model_in_words(name: &str, manifest: &Manifest) -> String {
    let of_model = |suffix: &str, protocol: &str, metric: &str| {
        let model = format!("{name}{suffix}");
        let found = manifest
            .metrics
            .iter()
            .find(|m| m.model == model && m.protocol == protocol && m.metric == metric);
        found.and_then(|found| found.value)
    };
    let tried = manifest.metrics.iter().find(|found| found.model == name);
    let Some(protocol) = tried.map(|found| found.protocol.as_str()) else {
        return format!(
            "\nmodel {name}: the source does not go back far enough to try it on a later time\n"
        );
    };
    let on = match Protocol::ALL.into_iter().find(|known| known.name() == protocol) {
        Some(Protocol::OutOfTime) => "learnt from the time before, tried on the time after",
        _ => "on held-out customers",
    };
    let n = tried.map_or(0, |found| found.n);
    let mut text = format!("\nmodel {name}, {on}: {} customers\n", grouped(&n.to_string()));
    for metric in ["accuracy", "balanced_accuracy", "macro_f1"] {
        let figure =
            |suffix: &str| of_model(suffix, protocol, metric).map(|value| format!("{value:.3}"));
        let own = figure("").unwrap_or_else(|| "–".to_owned());
        text += &format!("  {:<30} {own}", format!("{protocol}.{metric}"));
        for (words, suffix) in [("majority", MAJORITY), ("as before", PERSISTENCE)] {
            text += &figure(suffix).map_or_else(String::new, |value| format!("   {words} {value}"));
        }
        text.push('\n');
    }
    if protocol == Protocol::Recovery.name() {
        text += "  the labels are a function of these features: this says how well neighbours re-learn the rules, no more\n";
    }
    text
}

/// How many returned units undid a purchase, and how many none.
fn returns_in_words(returns: &DataFrame) -> PolarsResult<String> {
    let matched = col(UNDONE_ORDER_ID).is_not_null();
    let by_fate = returns
        .clone()
        .lazy()
        .group_by([matched.alias(UNDONE_ORDER_ID)])
        .agg([col(UNITS).sum()])
        .collect()?;
    let (mut paired, mut unpaired) = (0, 0);
    for (fate, units) in
        by_fate.column(UNDONE_ORDER_ID)?.bool()?.iter().zip(by_fate.column(UNITS)?.i64()?.iter())
    {
        match fate {
            Some(true) => paired = units.unwrap_or(0),
            _ => unpaired = units.unwrap_or(0),
        }
    }
    let [paired, unpaired] = [paired, unpaired].map(|units: i64| grouped(&units.to_string()));
    Ok(format!(
        "\nreturned units: {paired} undo an earlier purchase, {unpaired} have none to undo\n"
    ))
}

pub(super) fn cell(name: &str, value: AnyValue<'_>) -> String {
    if let Some(text) = value.get_str() {
        return text.to_owned();
    }
    match value {
        AnyValue::Null => String::new(),
        AnyValue::Float64(share) if name == SHARE || name == MONEY_SHARE => {
            format!("{:.1} %", share * 100.0)
        }
        AnyValue::Float64(money) => {
            let text = format!("{money:.2}");
            let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
            format!("{}.{part}", grouped(whole))
        }
        AnyValue::Date(_) => value.to_string(),
        other => grouped(&other.to_string()),
    }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}
