//! The top of the page: problems first, then key figures; and the provenance at the end.

use indicatif::BinaryBytes;
use polars::prelude::*;

use super::grid::Grid;
use super::{Source, format, values};
use crate::checks::{CheckResult, Scope};
use crate::columns::*;
use crate::evaluate::gates::GateResult;
use crate::ingest;
use crate::manifest::Manifest;
use crate::tables::TableId;

/// Rows of the provenance list.
const MAX_PROVENANCE: usize = 12;

#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) shown: String,
    pub(super) exact: f64,
}

/// Failed gates and checks, warnings, and notes, each with its CSS class.
pub(super) fn alerts(source: &Source<'_>) -> PolarsResult<Vec<(&'static str, String)>> {
    let mut alerts = Vec::new();
    let mut add = |class, text| alerts.push((class, text));
    let Manifest { gates, checks, warnings, .. } = source.manifest;
    if let Some(ledger) = source.grid(TableId::Ledger)?
        && let Some(text) = unparsed_rows(&ledger)
    {
        add("warning", text);
    }
    for warning in warnings {
        add("warning", format!("Warning: {}.", warning.replace('`', "")));
    }
    for gate in gates.iter().filter(|gate| !gate.passed) {
        add("failed", failed_gate(gate));
    }
    for check in checks.iter().filter(|check| !check.passed) {
        if check.fails() {
            add("failed", format!("Check failed: {} Nothing was published.", failed_check(check)));
        } else {
            add("warning", format!("Warning: {}", failed_check(check)));
        }
    }
    if let Some(metrics) = source.grid(TableId::Metrics)? {
        models_below_baseline(&metrics, source.snapshot)
            .into_iter()
            .for_each(|text| add("warning", text));
    }
    let unknown = source.manifest.customers.map_or(0, |customers| customers.unknown);
    if unknown > 0 {
        let n = format::count(f64::from(unknown));
        add("warning", format!("Warning: {n} customers are missing in the customers’ source."));
    }
    if alerts.is_empty() && !(checks.is_empty() && gates.is_empty()) {
        let [checks, gates] =
            [(checks.len(), "check"), (gates.len(), "gate")].map(|(n, noun)| all_passed(n, noun));
        alerts.push(("note", format!("No warnings: {checks}, {gates}.")));
    }
    if let Some(bins) = source.grid(TableId::ScoreBins)? {
        let notes = empty_bins(&bins, source.snapshot).into_iter();
        alerts.extend(notes.map(|text| ("note", text)));
    }
    Ok(alerts)
}

/// The rows that could not be parsed, with the most frequent reasons.
fn unparsed_rows(ledger: &Grid) -> Option<String> {
    const SHOWN: usize = 3;
    let read = ledger.rows().next()?.number(ROWS_LEFT)?;
    let mut reasons: Vec<(f64, &str)> = ledger
        .rows()
        .filter(|row| row.is(STEP, ingest::STAGE))
        .filter_map(|row| Some((row.number(ROWS).filter(|rows| *rows > 0.0)?, row.text(REASON)?)))
        .collect();
    let rows: f64 = reasons.iter().map(|(rows, _)| rows).sum();
    if rows == 0.0 {
        return None;
    }
    reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown = reasons.iter().take(SHOWN);
    let shown: Vec<String> =
        shown.map(|(rows, reason)| format!("{reason} ({})", format::count(*rows))).collect();
    let others = if reasons.len() > SHOWN { " and others" } else { "" };
    Some(format!(
        "Warning: {} of {} rows ({}) could not be read and are missing in all numbers: {}{others}.",
        format::count(rows),
        format::count(read),
        format::share(rows / read),
        shown.join(", ")
    ))
}

fn all_passed(n: usize, noun: &str) -> String {
    match n {
        0 => format!("no {noun} declared"),
        1 => format!("1 {noun} passed"),
        n => format!("all {n} {noun}s passed"),
    }
}

fn failed_gate(gate: &GateResult) -> String {
    let not_measured = || "could not be measured".to_owned();
    let result =
        gate.value.map_or_else(not_measured, |value| format!("is {}", format::plain(value)));
    format!(
        "Gate failed: {} {result}, expected {}. The previous run stays the current one, unless \
         this run was published anyway.",
        gate.gate, gate.bound
    )
}

fn failed_check(check: &CheckResult) -> String {
    let mut name = check.check.clone();
    if !check.on.is_empty() {
        name += &format!(" of {}", check.on);
    }
    let result = match check.lines {
        Some(lines) => format!(
            "{} of {} lines fail ({})",
            format::count(lines as f64),
            format::count(check.inspected as f64),
            format::share(lines as f64 / check.inspected.max(1) as f64)
        ),
        None => format!("found {}", format::plain(check.measured)),
    };
    let lines = match check.of {
        Scope::Raw => "raw",
        Scope::Accepted => "accepted",
    };
    format!("{name}, {lines} lines: {result}, expected {}.", check.expected)
}

/// A warning for each model with a lower accuracy at the newest snapshot than one of its baselines.
fn models_below_baseline(metrics: &Grid, snapshot: &str) -> Vec<String> {
    let accuracies: Vec<(&str, f64)> = metrics
        .rows()
        .filter(|row| row.is(METRIC, "accuracy") && row.is(SNAPSHOT, snapshot))
        .filter(|row| row.text(LABEL).is_none())
        .filter_map(|row| Some((row.text(MODEL)?, row.number(VALUE)?)))
        .collect();
    let mut warnings = Vec::new();
    for (model, accuracy) in accuracies.iter().filter(|(name, _)| !name.contains(':')) {
        let baselines = accuracies.iter().filter_map(|(name, accuracy)| {
            Some((name.strip_prefix(model)?.strip_prefix(':')?, *accuracy))
        });
        let best = baselines.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((baseline, best)) = best.filter(|(_, best)| best > accuracy) {
            warnings.push(format!(
                "Warning: model {model} is correct for {} of the customers, its baseline \
                 “{baseline}” for {}.",
                format::share(*accuracy),
                format::share(best)
            ));
        }
    }
    warnings
}

/// A note for each dimension with fewer scores than requested.
fn empty_bins(bins: &Grid, snapshot: &str) -> Vec<String> {
    let notes = bins.rows_with(SNAPSHOT, snapshot).into_iter().filter_map(|row| {
        let (requested, effective) = values::missing_scores(row)?;
        Some(format!(
            "{} has {effective} of the {requested} requested scores, because customers with equal \
             values have the same score.",
            row.text(DIMENSION)?
        ))
    });
    let mut notes: Vec<String> = notes.collect();
    notes.dedup();
    notes
}

/// The key figures of the newest snapshot.
pub(super) fn facts(source: &Source<'_>) -> PolarsResult<Vec<Fact>> {
    let Some(profile) = source.grid(TableId::SegmentProfile)? else { return Ok(Vec::new()) };
    let rows = profile.rows_with(SNAPSHOT, source.snapshot);
    let sum = |column: &str| rows.iter().filter_map(|row| row.number(column)).sum::<f64>();
    let (customers, money, orders) = (sum(CUSTOMERS), sum(MONEY), sum(ORDERS));
    let count = |name, value| Fact { name, shown: format::count(value), exact: value };
    let amount = |name, value| Fact { name, shown: source.money.round(value), exact: value };
    Ok(vec![
        count("customers", customers),
        amount("revenue", money),
        count("orders", orders),
        amount("revenue per customer", money / customers.max(1.0)),
        amount("revenue per order", money / orders.max(1.0)),
    ])
}

/// Run, pipeline, version and input files, as names with values.
pub(super) fn provenance(source: &Source<'_>) -> Vec<(&'static str, String)> {
    let manifest = source.manifest;
    let rows = [manifest.rows.raw, manifest.rows.accepted];
    let [raw, accepted] = rows.map(|rows| format::count(rows as f64));
    let mut provenance = vec![
        ("run", manifest.run_id.clone()),
        ("pipeline", manifest.pipeline.clone()),
        ("snapshot", source.snapshot.to_owned()),
        ("rows", format!("{raw} read, {accepted} accepted")),
        ("definitions", manifest.definition_hash.chars().take(16).collect()),
        ("custseg", manifest.version.clone()),
    ];
    for input in &manifest.inputs {
        provenance.push(("input", format!("{} ({})", input.path, BinaryBytes(input.bytes))));
    }
    provenance.retain(|(_, value)| !value.is_empty());
    if provenance.len() > MAX_PROVENANCE {
        let hidden = provenance.len() - MAX_PROVENANCE;
        provenance.truncate(MAX_PROVENANCE);
        provenance.push(("input", format!("and {hidden} more, listed in manifest.json")));
    }
    provenance
}
