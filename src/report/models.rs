//! Quality of the KNN models, by protocol, compared with their baselines.

use polars::prelude::*;

use super::chart::{self, Axis, Data};
use super::figure::{Figure, Kind, Matrix, Section, TableOf};
use super::grid::{Grid, Row, Sweep, distinct};
use super::{Source, format};
use crate::columns::*;
use crate::evaluate::model_metrics::baseline_name;
use crate::tables::TableId;

/// Metrics over all labels with their titles. The last four are of probabilities.
const METRICS: [(&str, &str); 10] = [
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("weighted_f1", "weighted F1"),
    ("balanced_accuracy_frequent", "balanced accuracy (labels of 30 customers and more)"),
    ("macro_f1_frequent", "macro F1 (labels of 30 customers and more)"),
    ("log_loss", "log loss"),
    ("brier", "Brier score (0 to 2)"),
    ("auc", "AUC"),
    ("average_precision", "average precision"),
];
/// Baselines that a backtest shows beside a model.
const BACKTEST_BASELINES: [&str; 3] = ["majority", "persistence", "markov"];
const MAIN_METRICS: [(&str, &str); 2] = [METRICS[0], METRICS[2]];
/// Customers in each half of the table of certainty.
const SHOWN_CUSTOMERS: usize = 5;
const DECIMALS: Kind = Kind::Decimals(3);

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(metrics) = source.grid(TableId::Metrics)? else { return Ok(None) };
    let confusion = source.grid(TableId::Confusion)?;
    let reliability = source.grid(TableId::Reliability)?;
    let lift = source.grid(TableId::Lift)?;
    let sweep = source.grid(TableId::KSweep)?;
    let mut figures = Vec::from(comparisons(&metrics));
    figures.extend(sources(source));
    let with_labels = metrics.rows().filter(|row| row.is(METRIC, "accuracy"));
    for name in distinct(with_labels, MODEL).into_iter().filter(|name| !name.contains(':')) {
        let protocol = protocol(&metrics, name).replace('_', " ");
        let model = Model { name, protocol, source };
        figures.extend(confusion.as_ref().map(|confusion| model.confusion(confusion)));
        figures.extend(reliability.as_ref().map(|reliability| model.reliability(reliability)));
        figures.extend(lift.as_ref().and_then(|lift| model.lift(lift)));
        figures.extend(model.backtest(&metrics));
        figures.push(model.label_metrics(&metrics));
        figures.extend(model.certainty()?);
        figures.extend(sweep.as_ref().and_then(|sweep| model.tuning(sweep)));
    }
    let lead = "There are three ways to test a model, and their results mean different things. \
                Recovery: how well does the model reproduce the rules that created the labels? The \
                result is high by design, and it is no forecast. Holdout: how well does the model \
                predict labels that do not come from the rules? Out of time: how well does a model \
                trained on earlier days predict the labels of later days? Only out of time shows \
                how good a forecast is. Always compare a model with its baselines.";
    Ok(Some(Section { id: "models", title: "Models", lead: lead.to_owned(), figures }))
}

fn protocol<'a>(metrics: &'a Grid, model: &str) -> &'a str {
    metrics.find(&[(MODEL, model)]).and_then(|row| row.text(PROTOCOL)).unwrap_or("")
}

/// All models with their metrics over all labels, each followed by its baselines.
fn comparisons(metrics: &Grid) -> [Figure; 2] {
    // BTYD models have no labels.
    let is_accuracy = |row: &Row<'_>| row.is(METRIC, "accuracy");
    let models = distinct(metrics.rows().filter(is_accuracy), MODEL);
    let number = |model: &str, metric: &str, column: &str| {
        metrics.find(&[(MODEL, model), (METRIC, metric)])?.number(column)
    };
    let table = |shown: &[(&str, &str)], with_interval: &[&str]| {
        let table = TableOf::new(models.iter().copied())
            .text_of("model or baseline", MODEL, |model| *model)
            .text_of("protocol", PROTOCOL, |model| protocol(metrics, model));
        let table = shown.iter().fold(table, |table, (metric, title)| {
            let table =
                table.number_of(title, metric, DECIMALS, |model| number(model, metric, VALUE));
            if !with_interval.contains(metric) {
                return table;
            }
            table
                .number_of("from", "interval", DECIMALS, |model| number(model, metric, LOW))
                .number_of("to", "interval", DECIMALS, |model| number(model, metric, HIGH))
        });
        table.number_of("customers", N, Kind::Count, |model| number(model, "accuracy", N))
    };
    let has_interval =
        |metric: &&str| models.iter().any(|model| number(model, metric, LOW).is_some());
    let with_interval: Vec<&str> =
        METRICS.iter().map(|(metric, _)| *metric).filter(has_interval).collect();
    let data = MAIN_METRICS.map(|(metric, title)| {
        Data::new(title, models.iter().map(|model| number(model, metric, VALUE)))
    });
    let names = models.iter().map(|model| match model.split_once(':') {
        Some((_, baseline)) => baseline.to_owned(),
        None => format!("{model} ({})", protocol(metrics, model).replace('_', " ")),
    });
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let chart = chart::horizontal_bars(&names, &data, &Axis::unit("0 to 1"));
    let title = "Models and baselines by protocol";
    let caption = "Accuracy and macro F1 of each model, followed by its \
                   baselines: the most frequent label (majority), and for forecasts the label of \
                   today (persistence) and the most frequent change from it (markov). For \
                   purchases also the rate of the past (prior) and the rate by recency alone.";
    let all = Figure::new("protocols", title, caption, table(&METRICS, &with_interval));
    let mut caption = "A model is useful only if it is better than its baselines. Do not compare \
                       results of different protocols."
        .to_owned();
    caption += &better_baselines(&models, number);
    let main = Figure::new("protocols-short", "Main results", caption, table(&MAIN_METRICS, &[]));
    [all.with_chart(chart), main]
}

/// The metrics in which a baseline is better than its model, as a sentence. Empty if none is.
fn better_baselines(models: &[&str], number: impl Fn(&str, &str, &str) -> Option<f64>) -> String {
    let mut found = Vec::new();
    for name in models {
        let Some((model, baseline)) = name.split_once(':') else { continue };
        for (metric, title) in METRICS {
            let (Some(own), Some(other)) =
                (number(model, metric, VALUE), number(name, metric, VALUE))
            else {
                continue;
            };
            let is_loss = ["log_loss", "brier"].contains(&metric);
            let is_better = if is_loss { other < own } else { other > own };
            if is_better {
                found.push(format!("{model}, {title}: {baseline}"));
            }
        }
    }
    if found.is_empty() {
        String::new()
    } else {
        format!(" A baseline is better in: {}.", found.join("; "))
    }
}

/// Sources of the predictions of each model. `None` without a model.
fn sources(source: &Source<'_>) -> Option<Figure> {
    let models = &source.manifest.models;
    let rows = models.iter().flat_map(|model| {
        let held_out = model.held_out.map(|counts| (model, "held out", counts));
        held_out.into_iter().chain([(model, "newest snapshot", model.newest)])
    });
    let rows: Vec<_> = rows.collect();
    let table = TableOf::new(rows)
        .text_of("model", MODEL, |(model, ..)| &model.model)
        .text_of("customers", CUSTOMERS, |(_, customers, _)| *customers)
        .number_of("trained on", N, Kind::Count, |(model, ..)| {
            Some(model.training_customers as f64)
        })
        .number_of("classifier", "sources", Kind::Count, |row| Some(row.2.classifier as f64))
        .number_of("neighbour search", "sources", Kind::Count, |row| {
            Some(row.2.neighbour_search as f64)
        })
        .number_of("exact index", "sources", Kind::Count, |row| Some(row.2.index as f64));
    let caption = "Customers by what predicted them. smartcore's KNN classifier predicts customers \
                   that the model was not trained on. For the others, smartcore finds the \
                   neighbours without their own rows. An exact index decides ties at the last \
                   neighbour, and replaces smartcore for large training sets.";
    (!models.is_empty())
        .then(|| Figure::new("sources", "Sources of the predictions", caption, table))
}

/// One model, with what its figures have in common.
struct Model<'a> {
    name: &'a str,
    protocol: String,
    source: &'a Source<'a>,
}

impl Model<'_> {
    fn confusion(&self, confusion: &Grid) -> Figure {
        let rows = confusion.rows_with(MODEL, self.name);
        let columns = [ACTUAL, PREDICTED];
        let mut labels = columns.map(|column| distinct(rows.iter().copied(), column)).concat();
        labels.sort_by_cached_key(|label| self.source.sort_key(label));
        labels.dedup();
        let labels: Vec<Option<&str>> = labels.into_iter().map(Some).collect();
        let matrix = Matrix::new(&rows, columns, &labels, [""; 2]);
        let mut caption = format!(
            "Customers by actual label (rows) and predicted label (columns), protocol {}.",
            self.protocol
        );
        if let Some(min) = self.source.manifest.min_confidence(self.name) {
            caption += &format!(
                " The model gives no label below a confidence of {min}; this table contains all \
                 predictions."
            );
        }
        caption += &matrix.diagonal_note();
        let table = matrix.table("actual label", ACTUAL);
        Figure::new("confusion", "actual and predicted labels", caption, table).of_model(self.name)
    }

    fn label_metrics(&self, metrics: &Grid) -> Figure {
        let value = |label: &str, metric: &str| {
            metrics.find(&[(MODEL, self.name), (LABEL, label), (METRIC, metric)])?.number(VALUE)
        };
        let labels = distinct(metrics.rows_with(MODEL, self.name), LABEL);
        let table = TableOf::new(labels)
            .text_of("label", LABEL, |label| *label)
            .number_of("precision", "precision", DECIMALS, |label| value(label, "precision"))
            .number_of("recall", "recall", DECIMALS, |label| value(label, "recall"))
            .number_of("F1", "f1", DECIMALS, |label| value(label, "f1"))
            .number_of("customers", "support", Kind::Count, |label| value(label, "support"));
        let caption =
            format!("Precision, recall and F1 of each label, protocol {}.", self.protocol);
        Figure::new("labels", "quality by label", caption, table).of_model(self.name)
    }

    fn reliability(&self, reliability: &Grid) -> Figure {
        let rows = reliability.rows_with(MODEL, self.name);
        let points =
            rows.iter().filter_map(|row| Some((row.number(CONFIDENCE)?, row.number(ACCURACY)?)));
        let (confidence, accuracy): (Vec<f64>, Vec<f64>) = points.unzip();
        let data = [
            Data::new(self.name, accuracy.into_iter().map(Some)),
            Data::reference("ideal", [0.0, 1.0]),
        ];
        let x_axis = Axis::unit("confidence");
        let y_axis = Axis::unit("share of correct predictions");
        let chart = chart::lines(&[confidence, vec![0.0, 1.0]], &data, &x_axis, &y_axis);
        let customers = |row: &Row<'_>| row.number(CUSTOMERS).unwrap_or(0.0);
        let mean = |column: &str| {
            let sum: f64 =
                rows.iter().filter_map(|row| Some(customers(row) * row.number(column)?)).sum();
            sum / rows.iter().map(customers).sum::<f64>().max(1.0)
        };
        let caption = format!(
            "Share of correct predictions by confidence. Below the dashed line, the model is too \
             confident. On average its confidence is {:.3}, and {:.3} of the predictions are correct.",
            mean(CONFIDENCE),
            mean(ACCURACY)
        );
        let table = TableOf::new(rows)
            .number_as("confidence from", "reliability.lower", LOWER, Kind::Decimals(1))
            .number_as("to", "reliability.upper", UPPER, Kind::Decimals(1))
            .number("customers", CUSTOMERS, Kind::Count)
            .number("mean confidence", CONFIDENCE, DECIMALS)
            .number("share correct", ACCURACY, DECIMALS);
        Figure::new("reliability", "confidence and accuracy", caption, table)
            .of_model(self.name)
            .with_chart(chart)
    }

    /// Lift and gain by decile. `None` if the model has more than two labels.
    fn lift(&self, lift: &Grid) -> Option<Figure> {
        let rows = lift.rows_with(MODEL, self.name);
        let label = rows.first()?.text(LABEL)?.to_owned();
        let mut customers = vec![0.0];
        let mut gains = vec![Some(0.0)];
        for row in &rows {
            customers.push(customers[customers.len() - 1] + row.number(CUSTOMERS).unwrap_or(0.0));
            gains.push(row.percent(GAIN));
        }
        let all = customers[customers.len() - 1];
        let first_gain = rows.first().and_then(|row| row.number(GAIN));
        let shares: Vec<f64> = customers.iter().map(|customers| 100.0 * customers / all).collect();
        let data = [Data::new(self.name, gains), Data::reference("at random", [0.0, 100.0])];
        let x_axis = Axis::percent("share of customers, most probable first");
        let y_axis = Axis::percent(format!("share of all with the label {label}"));
        let chart = chart::lines(&[shares, vec![0.0, 100.0]], &data, &x_axis, &y_axis);
        let table = TableOf::new(rows)
            .number("tenth", DECILE, Kind::Count)
            .number("customers", CUSTOMERS, Kind::Count)
            .number("mean probability", PREDICTED, DECIMALS)
            .number("share with the label", ACTUAL, DECIMALS)
            .number("lift", LIFT, Kind::Decimals(2))
            .number("gain", GAIN, DECIMALS);
        let caption = format!(
            "Customers by tenths of their probability of {label}, protocol {}. Lift: how many \
             times more often the label is true than among all customers. Gain: the share of all \
             with the label who are reached by contacting this tenth and those above it.",
            self.protocol
        );
        let caption = match first_gain {
            Some(gain) => {
                format!("{caption} The first tenth reaches {} of them.", format::share(gain))
            }
            None => caption,
        };
        let figure = Figure::new("lift", "lift and gain", caption, table);
        Some(figure.of_model(self.name).with_chart(chart))
    }

    /// Accuracy at earlier dates, beside the baselines. `None` without a backtest.
    fn backtest(&self, metrics: &Grid) -> Option<Figure> {
        let rows = metrics.rows_with(MODEL, self.name);
        let mut dates = distinct(rows.iter().copied(), SNAPSHOT);
        dates.sort_unstable();
        if dates.len() < 2 {
            return None;
        }
        let value = |model: &str, metric: &str, date: &str| {
            metrics.find(&[(MODEL, model), (METRIC, metric), (SNAPSHOT, date)])?.number(VALUE)
        };
        let mut table = TableOf::new(dates.iter().copied())
            .text_of("snapshot", SNAPSHOT, |date| *date)
            .number_of("accuracy", "accuracy", DECIMALS, |date| value(self.name, "accuracy", date));
        for baseline in BACKTEST_BASELINES {
            let name = baseline_name(self.name, baseline);
            table = table
                .number_of(baseline, "accuracy", DECIMALS, |date| value(&name, "accuracy", date));
        }
        let table = table
            .number_of("macro F1", "macro_f1", DECIMALS, |date| value(self.name, "macro_f1", date));
        let accuracies = dates.iter().filter_map(|date| value(self.name, "accuracy", date));
        let accuracies: Vec<f64> = accuracies.collect();
        let (low, high) = accuracies
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        let caption = format!(
            "The model as of {} dates, each time trained on the time before. Its accuracy is \
             between {low:.3} and {high:.3}.",
            dates.len()
        );
        let figure = Figure::new("backtest", "backtest", caption, table);
        Some(figure.of_model(self.name))
    }

    /// The choice of the number of neighbours. `None` if it is fixed.
    fn tuning(&self, sweep: &Grid) -> Option<Figure> {
        let sweep = Sweep::new(self.name, sweep);
        let chosen = sweep.chosen?;
        let metric = sweep.rows.first()?.text(METRIC)?;
        let known = METRICS.iter().find(|(name, _)| *name == metric);
        let title = known.map_or(metric, |(_, title)| title);
        let values = sweep.rows.iter().map(|row| row.percent(VALUE));
        let bounds = sweep.rows.iter().map(|row| {
            let (value, error) = (row.number(VALUE)?, row.number(STANDARD_ERROR)?);
            Some((100.0 * (value - error), 100.0 * (value + error)))
        });
        let data = Data::new(title, values).with_bounds(bounds);
        let table = TableOf::new(sweep.rows.iter().copied())
            .number("neighbours", K, Kind::Count)
            .number_as(title, metric, VALUE, Kind::Decimals(4))
            .number("standard error", STANDARD_ERROR, Kind::Decimals(4))
            .text_of("chosen", CHOSEN, |row| row.number(K).map_or("", |k| sweep.yes_if_chosen(k)));
        let caption = format!(
            "Mean {title} in cross-validation on the training customers, with one standard error \
             on each side. The model uses {chosen} neighbours (*)."
        );
        let axis = Axis { format: "{c} %", ..Axis::new(title) };
        let labels: Vec<String> = sweep.ks.iter().map(|k| sweep.label(*k)).collect();
        let chart = chart::sweep(&labels, &data, "neighbours", &axis);
        let figure = Figure::new("tuning", "number of neighbours", caption, table);
        Some(figure.of_model(self.name).with_chart(chart))
    }

    /// The customers with the highest and the lowest confidence.
    fn certainty(&self) -> PolarsResult<Option<Figure>> {
        let newest = &self.source.newest;
        let label_column = &label(self.name);
        let Ok(labels) = newest.column(label_column) else { return Ok(None) };
        let measures = [confidence(self.name), margin(self.name), novelty(self.name)];
        let [confidence, margin, novelty] = &measures;
        // Ties: nearest to the training customers, then first row.
        let order = SortMultipleOptions::default()
            .with_order_descending_multi([true, true, false])
            .with_nulls_last(true)
            .with_maintain_order(true);
        let ranked = newest
            .select([CUSTOMER_ID, SEGMENT, label_column, confidence, margin, novelty])?
            .drop_nulls(Some(&[confidence]))?
            .sort(&measures, order)?;
        let last = ranked.height().saturating_sub(SHOWN_CUSTOMERS).min(SHOWN_CUSTOMERS);
        let shown = ranked.head(Some(SHOWN_CUSTOMERS)).vstack(&ranked.tail(Some(last)))?;
        let customers = Grid::new(&shown)?;
        let table = TableOf::new(customers.rows())
            .text("customer", CUSTOMER_ID)
            .text("segment", SEGMENT)
            .text_of("predicted label", label_column, |row| {
                row.text(label_column).unwrap_or("(no label)")
            })
            .number("confidence", confidence, DECIMALS)
            .number("margin", margin, DECIMALS)
            .number("novelty", novelty, DECIMALS);
        let mut caption = format!(
            "The {SHOWN_CUSTOMERS} customers with the highest and the {SHOWN_CUSTOMERS} with the \
             lowest confidence at {}. Of equal customers, the first by customer id are listed.",
            self.source.snapshot
        );
        if self.source.manifest.min_confidence(self.name).is_some() {
            caption += &format!(
                " The model gives no label to {} of {} customers.",
                format::count(labels.null_count() as f64),
                format::count(newest.height() as f64)
            );
        }
        let figure = Figure::new("certain", "most and least certain customers", caption, table);
        Ok(Some(figure.of_model(self.name)))
    }
}
