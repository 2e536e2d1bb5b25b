//! Recency, frequency and monetary value of all customers at the newest snapshot.

use polars::prelude::*;

use super::chart::{self, Axis, Bars, Data};
use super::figure::{Figure, Kind, Section, TableOf};
use super::grid::{Grid, Row};
use super::{Source, format};
use crate::columns::*;
use crate::score::Dimension;
use crate::tables::TableId;

/// Bars of a histogram with equal steps.
const MAX_BARS: f64 = 24.0;
/// Bar edges within a power of ten of a histogram with growing steps.
const DECADE_EDGES: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0];
/// Shares of customers in the table of the Pareto curve.
const PARETO_SHARES: [f64; 6] = [0.01, 0.05, 0.1, 0.2, 0.5, 1.0];

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(bins) = source.grid(TableId::ScoreBins)? else { return Ok(None) };
    let mut figures = Vec::new();
    for dimension in Dimension::ALL {
        figures.push(distribution(dimension, &bins, source)?);
    }
    figures.push(cut_points(&bins, source));
    let lead = format!(
        "All {} customers at {}. Scores start at 1. Recent, frequent and high-spending customers \
         have high scores. Monetary value is {}.",
        format::count(source.newest.height() as f64),
        source.snapshot,
        monetary(source)
    );
    Ok(Some(Section { id: "values", title: "Recency, frequency and money", lead, figures }))
}

/// A column of the customers without null.
pub(super) fn column(source: &Source<'_>, name: &str) -> PolarsResult<Vec<f64>> {
    let column = source.newest.column(name)?.cast(&DataType::Float64)?;
    Ok(column.f64()?.iter().flatten().collect())
}

/// Number of scores of a dimension: the requested bins, even if the best of them are empty.
pub(super) fn score_count(dimension: Dimension, bins: &Grid, scores: &[f64]) -> usize {
    let rows = bins.rows_with(DIMENSION, dimension.value());
    let requested = rows.iter().filter_map(|row| row.number(REQUESTED_BINS));
    requested.chain(scores.iter().copied()).fold(1.0, f64::max) as usize
}

/// Concentration of money. `None` if monetary value is a mean, or if the total is not positive.
pub(super) fn pareto(source: &Source<'_>) -> PolarsResult<Option<Figure>> {
    if !["", "net", "gross"].contains(&source.monetary()) {
        return Ok(None);
    }
    let mut values = column(source, MONETARY)?;
    values.sort_by(|a, b| b.total_cmp(a));
    let mut total = 0.0;
    let mut sums = vec![total];
    sums.extend(values.iter().map(|money| {
        total += money;
        total
    }));
    if total <= 0.0 {
        return Ok(None);
    }
    // A fraction of a customer counts as a whole one.
    let money_share = |customers: f64| {
        sums[((customers * values.len() as f64).ceil() as usize).min(values.len())] / total
    };
    // Finer steps at the start, which is often steep.
    let tenths = (0..20).map(|tenth| f64::from(tenth) / 10.0);
    let x: Vec<f64> = tenths.chain((2..=100).map(f64::from)).collect();
    let y: Vec<f64> = x.iter().map(|x| 100.0 * money_share(x / 100.0)).collect();
    // With returns, the first customers may have more than 100 %.
    let max = y.iter().all(|share| *share <= 100.0).then_some(100.0);
    let data = [
        Data::new("revenue", y.into_iter().map(Some)),
        Data::reference("equal distribution", [0.0, 100.0]),
    ];
    let table = TableOf::new(PARETO_SHARES)
        .number_of("customers, highest value first", "pareto", Kind::Share, |share| *share)
        .number_of("share of revenue", "pareto", Kind::Share, |share| money_share(*share));
    let caption = format!(
        "The top 20 % of the customers bring {} of revenue, which is {}.",
        format::share(money_share(0.2)),
        monetary(source)
    );
    let x_axis = Axis::percent("share of customers, highest value first").range(0.0, 100.0);
    let y_axis = Axis { max, ..Axis::percent("share of revenue") };
    let figure = Figure::new("pareto", "Concentration of revenue", caption, table);
    Ok(Some(figure.with_chart(chart::lines(&[x, vec![0.0, 100.0]], &data, &x_axis, &y_axis))))
}

/// Histogram of a dimension, coloured by score.
fn distribution(dimension: Dimension, bins: &Grid, source: &Source<'_>) -> PolarsResult<Figure> {
    let values = column(source, dimension.value())?;
    let scores = column(source, dimension.score())?;
    let edges = edges(&values, dimension);
    let highest = scores.iter().copied().fold(1.0, f64::max) as usize;
    let mut counts_by_score = vec![vec![0.0; edges.len()]; highest];
    for (value, score) in values.iter().zip(&scores) {
        let bar = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        if let Some(counts) = counts_by_score.get_mut((*score as usize).saturating_sub(1)) {
            counts[bar] += 1.0;
        }
    }
    let series = counts_by_score.iter().enumerate().rev().map(|(index, counts)| {
        let shade = if highest > 1 { index as f64 / (highest - 1) as f64 } else { 1.0 };
        let heights = counts.iter().map(|count| (*count > 0.0).then_some(*count));
        let series = Data::new(&format!("score {}", index + 1), heights);
        Data { color: Some(0), shade, ..series }
    });
    let data: Vec<Data> = series.collect();
    let (title, x_title) = match dimension {
        Dimension::Recency => ("Recency", "days since the last order".to_owned()),
        Dimension::Frequency => ("Frequency", source.frequency().to_owned()),
        Dimension::Monetary => ("Monetary value", source.money.title("monetary value")),
    };
    let from_title = format!("{x_title} from");
    let count = |score: usize, bar: usize| counts_by_score[score - 1][bar];
    let all = |bar: &usize| counts_by_score.iter().map(|counts| counts[*bar]).sum::<f64>();
    let table = TableOf::new(0..edges.len())
        .number_of(&from_title, dimension.value(), Kind::Short, |bar| edges[*bar])
        .number_of("customers", CUSTOMERS, Kind::Count, all);
    let table = (1..=highest).rev().fold(table, |table, score| {
        let title = format!("score {score}");
        table.number_of(&title, dimension.score(), Kind::Count, |bar| count(score, *bar))
    });
    let mut caption = format!(
        "Customers by {x_title}. Each bar starts at the value of its label, and its shade shows \
         the score."
    );
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    if let Some(median) = sorted.get(sorted.len() / 2) {
        caption += &format!(" Half of the customers have {} or more.", format::plain(*median));
    }
    let first_bin = bins.find(&[(DIMENSION, dimension.value()), (SNAPSHOT, source.snapshot)]);
    if let Some((requested, effective)) = first_bin.and_then(missing_scores) {
        caption += &format!(" Of the {requested} requested scores, {effective} have customers.");
    }
    let labels: Vec<String> = edges.iter().map(|edge| abbreviate(*edge)).collect();
    let axis = Axis { min: Some(0.0), ..Axis::new("customers") };
    let chart = chart::bars(&labels, &data, &x_title, &axis, Bars::Stacked);
    let id = format!("values-{}", dimension.value());
    Ok(Figure::new(&id, title, caption, table).with_chart(chart))
}

/// Requested and effective bins of a dimension, if customers with equal values left bins empty.
pub(super) fn missing_scores(bin: Row<'_>) -> Option<(f64, f64)> {
    let (requested, effective) = (bin.number(REQUESTED_BINS)?, bin.number(EFFECTIVE_BINS)?);
    (effective < requested).then_some((requested, effective))
}

fn cut_points(bins: &Grid, source: &Source<'_>) -> Figure {
    let money = Kind::Decimals(source.money.decimals());
    let kind = |row: &Row<'_>| if row.is(DIMENSION, MONETARY) { money } else { Kind::Short };
    let table = TableOf::new(bins.rows_with(SNAPSHOT, source.snapshot))
        .text("dimension", DIMENSION)
        .number("score", SCORE, Kind::Count)
        .cells("from", LOWER, |row| kind(row).cell(row.number(LOWER)))
        .cells("to", UPPER, |row| kind(row).cell(row.number(UPPER)))
        .number("customers", CUSTOMERS, Kind::Count);
    let caption = "The range of values and the number of customers of each score. The lowest and \
                   the highest range are open.";
    Figure::new("cuts", "Cut points", caption, table)
}

/// The definition of monetary value, to complete "Monetary value is …".
pub(super) fn monetary(source: &Source<'_>) -> String {
    let manifest = source.manifest;
    let policy = manifest.step_option("cancellations", "policy");
    let measure = match (source.monetary(), policy.unwrap_or("drop")) {
        ("mean_per_order", _) => "the mean per order",
        ("mean_per_day", _) => "the mean per day with a purchase",
        (_, "drop") => "all money spent",
        ("gross", _) | ("", "separate") => "all money spent, without deducting returns",
        _ => "all money spent, minus returns",
    };
    let window = manifest.rfm_option("window").filter(|window| *window != "all");
    let within = window.map_or_else(String::new, |window| format!(" within {window}"));
    let is_capped = manifest.step_option("cap_outliers", "policy") == Some("winsorise");
    format!("{measure}{within}{}", if is_capped { ", capped at a quantile" } else { "" })
}

/// Lower edges of histogram bars: equal steps for days, and steps that grow with the value for
/// skewed dimensions.
fn edges(values: &[f64], dimension: Dimension) -> Vec<f64> {
    if values.is_empty() {
        return vec![0.0];
    }
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    if dimension == Dimension::Recency || high <= 0.0 {
        let mut steps =
            (0..12).flat_map(|power| [1.0, 2.0, 5.0].map(|unit| unit * 10f64.powi(power)));
        let Some(step) = steps.find(|step| (high - low) / step <= MAX_BARS) else {
            return vec![low];
        };
        let first = (low / step).floor() * step;
        let bars = ((high - first) / step) as usize + 1;
        return (0..bars).map(|bar| first + step * bar as f64).collect();
    }
    let whole = dimension == Dimension::Frequency;
    let decades = (-2..13).flat_map(|power| DECADE_EDGES.map(|edge| edge * 10f64.powi(power)));
    let mut edges: Vec<f64> =
        decades.filter(|edge| *edge <= high && !(whole && edge.fract() != 0.0)).collect();
    let smallest =
        values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    edges.drain(..edges.partition_point(|edge| *edge <= smallest).saturating_sub(1));
    if low <= 0.0 {
        edges.insert(0, low.floor());
    }
    edges
}

/// A number in few characters: `1.5k`.
fn abbreviate(value: f64) -> String {
    let (divisor, suffix) = match value.abs() {
        size if size >= 1e9 => (1e9, "bn"),
        size if size >= 1e6 => (1e6, "m"),
        size if size >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let text = format!("{:.2}", value / divisor);
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{abbreviate, edges};
    use crate::score::Dimension;

    #[test]
    fn histogram_edges_cover_all_values() {
        for (values, dimension, expected) in [
            (&[1.0, 374.0][..], Dimension::Recency, 19),
            (&[1.0, 1.0], Dimension::Recency, 1),
            (&[7.0], Dimension::Frequency, 1),
            (&[1.0, 12.0], Dimension::Frequency, 6),
            (&[-3.5, 0.0, 20.0], Dimension::Monetary, 2),
            (&[3.75, 30.0], Dimension::Monetary, 7),
            (&[-3.0, -1.0], Dimension::Monetary, 3),
            (&[0.0, 0.0], Dimension::Monetary, 1),
        ] {
            let edges = edges(values, dimension);
            assert_eq!(edges.len(), expected, "{values:?}: {edges:?}");
            assert!(
                edges.is_sorted() && values.iter().all(|value| edges[0] <= *value),
                "{values:?}: {edges:?}"
            );
        }
    }

    #[test]
    fn large_numbers_are_abbreviated() {
        assert_eq!(
            [0.0, 1.5, 15.0, 1500.0, 2e6, -0.5].map(abbreviate),
            ["0", "1.5", "15", "1.5k", "2m", "-0.5"]
        );
    }
}
