//! Quality of the KNN models, by protocol, compared with their baselines.

use polars::prelude::*;

use super::figure::*;
use super::grid::{Grid, Row, Sweep, distinct};
use super::series::{Axis, Bars, Data};
use super::{Source, certainty, chart};
use crate::columns::*;
use crate::tables::TableId;

/// Metrics over all labels with their titles.
const METRICS: [(&str, &str); 6] = [
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("weighted_f1", "weighted F1"),
    ("log_loss", "log loss"),
    ("brier", "Brier score"),
];
/// Metrics of one label with their titles.
const LABEL_METRICS: [(&str, &str); 3] =
    [("precision", "precision"), ("recall", "recall"), ("f1", "F1")];
pub(super) const DECIMALS: Kind = Kind::Decimals(3);

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(metrics) = source.grid(TableId::Metrics)? else { return Ok(None) };
    let confusion = source.grid(TableId::Confusion)?;
    let reliability = source.grid(TableId::Reliability)?;
    let sweep = source.grid(TableId::KSweep)?;
    let mut figures = comparisons(&metrics);
    for name in distinct(metrics.rows(), MODEL).into_iter().filter(|name| !name.contains(':')) {
        let protocol = protocol(&metrics, name).replace('_', " ");
        let model = Model { name, protocol, source };
        figures.extend(confusion.as_ref().map(|confusion| model.confusion(confusion)));
        figures.extend(reliability.as_ref().map(|reliability| model.reliability(reliability)));
        figures.push(model.label_metrics(&metrics));
        figures.extend(certainty::figure(&model)?);
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
fn comparisons(metrics: &Grid) -> Vec<Figure> {
    let models = distinct(metrics.rows(), MODEL);
    let number = |model: &str, metric: &str, column: &str| {
        metrics.find(&[(MODEL, model), (METRIC, metric)])?.number(column)
    };
    let series = |metric: &str, title: &str| {
        let bounds = models
            .iter()
            .map(|model| Some((number(model, metric, LOW)?, number(model, metric, HIGH)?)));
        let values = models.iter().map(|model| number(model, metric, VALUE));
        Data::new(title, values).with_bounds(bounds)
    };
    let column = |title: &str, term: &str, metric: &'static str, column: &'static str| {
        number_of(title, term, DECIMALS, move |model: &&str| number(model, metric, column))
    };
    let table = |metrics_columns| {
        let mut columns = vec![
            text_of("model or baseline", MODEL, |model: &&str| (*model).to_owned()),
            text_of("protocol", PROTOCOL, |model: &&str| protocol(metrics, model).to_owned()),
        ];
        columns.extend(metrics_columns);
        columns.push(number_of("customers", N, Kind::Count, |model: &&str| {
            number(model, "accuracy", N)
        }));
        Table::new(models.iter().copied(), columns)
    };
    let mut all_columns = Vec::new();
    for (metric, title) in METRICS {
        all_columns.push(column(title, metric, metric, VALUE));
        // Some metrics have no interval.
        if models.iter().any(|model| number(model, metric, LOW).is_some()) {
            all_columns.push(column("from", "interval", metric, LOW));
            all_columns.push(column("to", "interval", metric, HIGH));
        }
    }
    let short_columns = vec![
        column("accuracy", "accuracy", "accuracy", VALUE),
        column("macro F1", "macro_f1", "macro_f1", VALUE),
    ];
    let data = [series("accuracy", "accuracy"), series("macro_f1", "macro F1")];
    let names = models.iter().map(|model| match model.split_once(':') {
        Some((_, baseline)) => baseline.to_owned(),
        None => format!("{model} ({})", protocol(metrics, model).replace('_', " ")),
    });
    let names: Vec<String> = names.collect();
    vec![
        Figure::new(
            "protocols",
            "Models and baselines by protocol",
            "Accuracy and macro F1 of each model with 95 % intervals, followed by its baselines: \
             the most frequent label (majority) and, for forecasts, the label of today \
             (persistence).",
            table(all_columns),
        )
        .with_chart(chart::bars(
            &names,
            &data,
            "",
            &Axis::unit("0 to 1"),
            Bars::SideBySide,
        )),
        Figure::new(
            "protocols-short",
            "Main results",
            "A model is useful only if it is better than its baselines. Do not compare results of \
             different protocols.",
            table(short_columns),
        ),
    ]
}

/// One model, with what its figures have in common.
pub(super) struct Model<'a> {
    pub(super) name: &'a str,
    protocol: String,
    pub(super) source: &'a Source<'a>,
}

impl Model<'_> {
    pub(super) fn figure(&self, id: &str, title: &str, caption: String, table: Table) -> Figure {
        Figure::new(id, title, caption, table).of_model(self.name)
    }

    /// Minimum confidence for a label, if the pipeline sets one.
    pub(super) fn min_confidence(&self) -> Option<f64> {
        self.source.manifest.min_confidence(self.name)
    }

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
        if let Some(min) = self.min_confidence() {
            caption += &format!(
                " The model gives no label below a confidence of {min}; this table contains all \
                 predictions."
            );
        }
        let table = matrix.table("actual label", ACTUAL);
        self.figure("confusion", "actual and predicted labels", caption, table)
            .with_chart(matrix.heatmap("predicted label"))
    }

    fn label_metrics(&self, metrics: &Grid) -> Figure {
        let column = |title: &str, metric: &'static str, kind| {
            number_of(title, metric, kind, move |label: &&str| {
                metrics.find(&[(MODEL, self.name), (LABEL, label), (METRIC, metric)])?.number(VALUE)
            })
        };
        let mut columns = vec![text_of("label", LABEL, |label: &&str| (*label).to_owned())];
        columns.extend(LABEL_METRICS.map(|(metric, title)| column(title, metric, DECIMALS)));
        columns.push(column("customers", "support", Kind::Count));
        let labels = distinct(metrics.rows_with(MODEL, self.name), LABEL);
        let caption =
            format!("Precision, recall and F1 of each label, protocol {}.", self.protocol);
        self.figure("labels", "quality by label", caption, Table::new(labels, columns))
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
        let columns = vec![
            number("confidence from", LOWER, Kind::Decimals(1)).with_term("reliability.lower"),
            number("to", UPPER, Kind::Decimals(1)).with_term("reliability.upper"),
            number("customers", CUSTOMERS, Kind::Count),
            number("mean confidence", CONFIDENCE, DECIMALS),
            number("share correct", ACCURACY, DECIMALS),
        ];
        let x_axis = Axis::unit("confidence");
        let y_axis = Axis::unit("share of correct predictions");
        let caption = "Share of correct predictions by confidence. Below the dashed line, the \
                       model is too confident.";
        let table = Table::new(rows, columns);
        self.figure("reliability", "confidence and accuracy", caption.to_owned(), table)
            .with_chart(chart::lines(&[confidence, vec![0.0, 1.0]], &data, &x_axis, &y_axis))
    }

    /// The choice of the number of neighbours. `None` if it is fixed.
    fn tuning(&self, sweep: &Grid) -> Option<Figure> {
        let sweep = Sweep::new(self.name, sweep);
        let chosen = sweep.chosen()?;
        let metric = sweep.rows.first()?.text(METRIC)?;
        let known = METRICS.iter().find(|(name, _)| *name == metric);
        let title = known.map_or(metric, |(_, title)| title);
        let values = sweep.rows.iter().map(|row| row.percent(VALUE));
        let bounds = sweep.rows.iter().map(|row| {
            let (value, error) = (row.number(VALUE)?, row.number(STANDARD_ERROR)?);
            Some((100.0 * (value - error), 100.0 * (value + error)))
        });
        let data = Data::new(title, values).with_bounds(bounds);
        let columns = vec![
            number("neighbours", K, Kind::Count),
            number(title, VALUE, Kind::Decimals(4)).with_term(metric),
            number("standard error", STANDARD_ERROR, Kind::Decimals(4)),
            text_of("chosen", CHOSEN, |row: &Row<'_>| sweep.yes_if_chosen(row.number(K))),
        ];
        let caption = format!(
            "Mean {title} in cross-validation on the training customers, with one standard error \
             on each side. The model uses {chosen} neighbours."
        );
        let axis = Axis { format: "{c} %", ..Axis::new(title) };
        let table = Table::new(sweep.rows.iter().copied(), columns);
        let labels: Vec<String> = sweep.ks.iter().map(|k| sweep.label(*k)).collect();
        let figure = self.figure("tuning", "number of neighbours", caption, table);
        Some(figure.with_chart(chart::sweep(&labels, data, "neighbours", &axis)))
    }
}
