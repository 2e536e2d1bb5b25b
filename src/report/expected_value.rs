//! What customers will buy and spend: BTYD models.

use polars::prelude::*;

use super::chart::{self, Axis, Data};
use super::figure::{Figure, Kind, Section, TableOf};
use super::grid::{Grid, distinct};
use super::{Source, format};
use crate::columns::*;
use crate::evaluate::model_metrics::baseline_name;
use crate::evaluate::value::PAST_RATE;
use crate::tables::TableId;

const DECIMALS: Kind = Kind::Decimals(3);
/// Metrics of a trial with their titles.
const METRICS: [(&str, &str, Kind); 8] = [
    ("purchases_expected", "purchases expected", Kind::Decimals(1)),
    ("purchases_actual", "purchases actual", Kind::Decimals(1)),
    ("spend_expected", "money expected", Kind::Decimals(2)),
    ("spend_actual", "money actual", Kind::Decimals(2)),
    ("auc", "AUC", DECIMALS),
    ("correlation", "correlation", DECIMALS),
    ("mean_absolute_error", "mean absolute error of purchases", DECIMALS),
    ("spend_mean_absolute_error", "mean absolute error of money", Kind::Decimals(2)),
];

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(tracking) = source.grid(TableId::Tracking)? else { return Ok(None) };
    let metrics = source.grid(TableId::Metrics)?;
    let profile = source.grid(TableId::SegmentProfile)?;
    let mut figures = Vec::new();
    for model in distinct(tracking.rows(), MODEL) {
        figures.extend(profile.as_ref().map(|profile| by_segment(model, profile, source)));
        figures.push(curve(model, &tracking));
        figures.extend(metrics.as_ref().and_then(|metrics| trial(model, metrics)));
    }
    let lead = "What customers are expected to buy and spend, from when and how often they bought. \
                The model assumes that nothing else changes: it knows neither seasons nor campaigns.";
    Ok(Some(Section {
        id: "expected-value",
        title: "Expected value",
        lead: lead.to_owned(),
        figures,
    }))
}

/// Expected money of each segment at the newest snapshot.
fn by_segment(model: &str, profile: &Grid, source: &Source<'_>) -> Figure {
    let rows = profile.rows_with(SNAPSHOT, source.snapshot);
    let (spend, clv) = (sum_of(&spend(model)), sum_of(&clv(model)));
    let mean = |row: &super::grid::Row<'_>| Some(row.number(&spend)? / row.number(CUSTOMERS)?);
    let money = Kind::Decimals(source.money.scale.min(2));
    let total: f64 = rows.iter().filter_map(|row| row.number(&spend)).sum();
    let table = TableOf::new(rows)
        .text("segment", SEGMENT)
        .number("customers", CUSTOMERS, Kind::Count)
        .number("expected money", &spend, money)
        .number_of("a customer", MEAN, money, mean)
        .number("discounted", &clv, money);
    let caption = format!(
        "Money that the customers of each segment are expected to spend within the horizon of the \
         model, {} {} in all.",
        format::count(total.round()),
        source.money.currency
    );
    Figure::new("by-segment", "expected value by segment", caption, table).of_model(model)
}

/// Cumulative repeat purchases, actual and expected.
fn curve(model: &str, tracking: &Grid) -> Figure {
    let rows = tracking.rows_with(MODEL, model);
    let weeks: Vec<f64> = rows.iter().filter_map(|row| row.number(WEEK)).collect();
    let data = [("actual", ACTUAL), ("expected", EXPECTED)]
        .map(|(title, column)| Data::new(title, rows.iter().map(|row| row.number(column))));
    let axis = Axis::new("repeat purchases up to the week");
    let chart = chart::lines(&[weeks.clone(), weeks], &data, &Axis::new("week"), &axis);
    let forecast = rows.iter().find(|row| row.number(IS_FORECAST) == Some(1.0));
    let last = rows.last();
    let mut caption = "Repeat purchases of all customers, added up week by week.".to_owned();
    if let Some(week) = forecast.and_then(|row| row.number(WEEK)) {
        caption += &format!(" The model is fitted to the weeks before week {week}.");
    }
    if let Some((actual, expected)) =
        last.and_then(|row| Some((row.number(ACTUAL)?, row.number(EXPECTED)?)))
    {
        let difference = 100.0 * (expected - actual) / actual;
        caption += &format!(
            " At the end, {} purchases are expected and {} happened ({difference:+.1} %).",
            format::count(expected.round()),
            format::count(actual)
        );
    }
    let table = TableOf::new(rows)
        .number("week", WEEK, Kind::Count)
        .number("actual", ACTUAL, Kind::Count)
        .number("expected", EXPECTED, Kind::Decimals(1));
    Figure::new("tracking", "purchases over time", caption, table).of_model(model).with_chart(chart)
}

/// The model beside its baseline. `None` without a trial.
fn trial(model: &str, metrics: &Grid) -> Option<Figure> {
    let baseline = baseline_name(model, PAST_RATE);
    let value = |model: &str, metric: &str| {
        metrics.find(&[(MODEL, model), (METRIC, metric)])?.number(VALUE)
    };
    value(model, "purchases_expected")?;
    let models = [model, baseline.as_str()];
    let table = TableOf::new(models).text_of("model or baseline", MODEL, |model| *model);
    let table = METRICS.into_iter().fold(table, |table, (metric, title, kind)| {
        table.number_of(title, metric, kind, |model| value(model, metric))
    });
    let better = value(model, "correlation") > value(&baseline, "correlation");
    let ranks =
        if better { "ranks customers better than" } else { "does not rank customers better than" };
    let caption = format!(
        "The model fitted before the last horizon, compared with what customers did in it. The \
         baseline takes it that every customer goes on as before. By correlation, the model {ranks} \
         the baseline."
    );
    Some(Figure::new("trial", "test on the last horizon", caption, table).of_model(model))
}
