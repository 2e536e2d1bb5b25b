//! The head of the page: what is wrong first, then the numbers that everybody asks for, then where it all comes from.

use indicatif::BinaryBytes;
use polars::prelude::*;
use serde_json::Value;

use super::grid::Row;
use super::{Source, words};
use crate::columns::*;

/// Something to know before anything else is read.
#[derive(Debug)]
pub(super) struct Alert {
    /// `failed`, `warning` or `note`; the style sheet knows them.
    pub(super) level: &'static str,
    pub(super) text: String,
}

/// A number in large type.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) shown: String,
    pub(super) exact: f64,
}

/// Gates and checks that failed, warnings, and what is out of the common.
pub(super) fn alerts(source: &Source<'_>) -> PolarsResult<Vec<Alert>> {
    let mut alerts = Vec::new();
    let list = |key: &str| source.manifest[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let say = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(String::new, words::plain),
        _ => words::NOTHING.to_owned(),
    };
    for gate in list("gates").iter().filter(|gate| gate["passed"] != true) {
        let found = if gate["value"].is_null() {
            "could not be measured".to_owned()
        } else {
            format!("is {}", say(&gate["value"]))
        };
        let text = format!(
            "Gate failed: {} {found}, expected {}. Readers keep the run before, unless this one was published anyway.",
            say(&gate["gate"]),
            say(&gate["bound"])
        );
        alerts.push(Alert { level: "failed", text });
    }
    for check in list("checks").iter().filter(|check| check["passed"] != true) {
        let on = Some(say(&check["on"]))
            .filter(|on| !on.is_empty())
            .map(|on| format!(" of {on}"))
            .unwrap_or_default();
        let (level, word, end) = match check["severity"] == "fail" {
            true => ("failed", "Check failed", " Nothing was published."),
            false => ("warning", "Warning", ""),
        };
        let found = match (check["lines"].as_f64(), check["looked_at"].as_f64()) {
            (Some(lines), Some(all)) => format!(
                "{} of {} lines do not hold ({})",
                words::count(lines),
                words::count(all),
                words::share(lines / all.max(1.0))
            ),
            _ => format!("found {}", say(&check["measured"])),
        };
        let (name, of, expected) =
            (say(&check["check"]), say(&check["of"]), say(&check["expected"]));
        alerts.push(Alert {
            level,
            text: format!("{word}: {name}{on}, {of} lines: {found}, expected {expected}.{end}"),
        });
    }
    alerts.extend(no_better(source)?);
    let unknown = source.manifest["customers"]["unknown"].as_u64().unwrap_or_default();
    if unknown > 0 {
        let text = format!(
            "Warning: the customers’ source does not know {} of the customers.",
            words::count(unknown as f64)
        );
        alerts.push(Alert { level: "warning", text });
    }
    let (checks, gates) = (list("checks").len(), list("gates").len());
    if alerts.is_empty() {
        let all = |n: usize, what: &str| match n {
            0 => format!("no {what} declared"),
            1 => format!("1 {what} passed"),
            n => format!("all {n} {what}s passed"),
        };
        alerts.push(Alert {
            level: "note",
            text: format!("Nothing to warn of: {}, {}.", all(checks, "check"), all(gates, "gate")),
        });
    }
    if let Some(bins) = source.grid("score_bins")? {
        let mut told: Vec<&str> = Vec::new();
        for row in bins.rows().filter(|row| row.is(SNAPSHOT, &source.snapshot)) {
            let (Some(dimension), Some(asked), Some(achieved)) =
                (row.text(DIMENSION), row.number(ASKED_BINS), row.number(ACHIEVED_BINS))
            else {
                continue;
            };
            if achieved < asked && !told.contains(&dimension) {
                told.push(dimension);
                let text = format!(
                    "{dimension} fills {achieved} of the {asked} bins that were asked for: equal values are never parted."
                );
                alerts.push(Alert { level: "note", text });
            }
        }
    }
    Ok(alerts)
}

/// Models that are right less often than a baseline that asks nobody.
fn no_better(source: &Source<'_>) -> PolarsResult<Vec<Alert>> {
    let Some(metrics) = source.grid("metrics")? else { return Ok(Vec::new()) };
    let overall =
        metrics.rows().filter(|row| row.is(METRIC, "accuracy") && row.text(LABEL).is_none());
    let found: Vec<(&str, f64)> =
        overall.filter_map(|row| Some((row.text(MODEL)?, row.number(VALUE)?))).collect();
    let mut alerts = Vec::new();
    for (model, accuracy) in found.iter().filter(|(model, _)| !model.contains(':')) {
        let baselines = found.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(model)?.strip_prefix(':')?, *value))
        });
        let best =
            baselines.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, value)| value > accuracy);
        if let Some((baseline, value)) = best {
            let text = format!(
                "Warning: model {model} is right for {}, its baseline “{baseline}” for {}.",
                words::share(*accuracy),
                words::share(value)
            );
            alerts.push(Alert { level: "warning", text });
        }
    }
    Ok(alerts)
}

/// What everybody asks for first.
pub(super) fn facts(source: &Source<'_>) -> PolarsResult<Vec<Fact>> {
    let Some(profile) = source.grid("segment_profile")? else { return Ok(Vec::new()) };
    let rows: Vec<Row<'_>> =
        profile.rows().filter(|row| row.is(SNAPSHOT, &source.snapshot)).collect();
    let sum = |column: &str| rows.iter().filter_map(|row| row.number(column)).sum::<f64>();
    let (customers, money, orders) = (sum(CUSTOMERS), sum(MONEY), sum(ORDERS));
    let count = |name, value| Fact { name, shown: words::count(value), exact: value };
    let worth = |name, value| Fact { name, shown: source.money.round(value), exact: value };
    Ok(vec![
        count("customers", customers),
        worth("money", money),
        count("orders", orders),
        worth("money a customer", money / customers.max(1.0)),
        worth("money an order", money / orders.max(1.0)),
    ])
}

/// Where the page comes from.
pub(super) fn origin(source: &Source<'_>) -> Vec<(&'static str, String)> {
    let text = |key: &str| source.manifest[key].as_str().unwrap_or_default().to_owned();
    let rows = &source.manifest["rows"];
    let number = |key: &str| words::count(rows[key].as_f64().unwrap_or_default());
    let mut origin = vec![
        ("run", text("run_id")),
        ("pipeline", text("pipeline")),
        ("snapshot", source.snapshot.clone()),
        ("rows", format!("{} read, {} accepted", number("raw"), number("accepted"))),
        ("definitions", text("definition_hash").chars().take(16).collect()),
        ("custseg", text("version")),
    ];
    for input in source.manifest["inputs"].as_array().into_iter().flatten() {
        let bytes = BinaryBytes(input["bytes"].as_u64().unwrap_or_default());
        origin.push(("input", format!("{} ({bytes})", input["path"].as_str().unwrap_or_default())));
    }
    origin.retain(|(_, text)| !text.is_empty());
    // A source of thousands of files would fill the page.
    let shown = 12;
    if origin.len() > shown {
        let more = origin.len() - shown;
        origin.truncate(shown);
        origin.push(("input", format!("and {more} more, all in manifest.json")));
    }
    origin
}
