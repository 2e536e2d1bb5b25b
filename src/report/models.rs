//! What the KNN models are worth, by the three protocols, beside their baselines.

use polars::prelude::*;

use super::chart::{self, Axis, Data, Ink};
use super::figure::{Cell, Figure, Section, Table, number, text};
use super::grid::{Grid, Row, numbers, texts};
use super::{Source, slug, words};
use crate::columns::*;

/// Metrics over all labels, with their places.
const METRICS: [(&str, &str, usize); 6] = [
    ("accuracy", "accuracy", 3),
    ("balanced_accuracy", "balanced accuracy", 3),
    ("macro_f1", "macro F1", 3),
    ("weighted_f1", "weighted F1", 3),
    ("log_loss", "log loss", 3),
    ("brier", "Brier score", 3),
];
/// Metrics by label.
const BY_LABEL: [(&str, &str); 3] =
    [("precision", "precision"), ("recall", "recall"), ("f1", "F1")];
/// How many of the most and of the least certain customers are named.
const NAMED: usize = 5;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(metrics) = source.grid("metrics")? else { return Ok(None) };
    let models: Vec<String> =
        metrics.distinct(MODEL).into_iter().filter(|model| !model.contains(':')).collect();
    if models.is_empty() {
        return Ok(None);
    }
    let mut figures = vec![protocols(&metrics), in_short(&metrics)];
    let (confusion, reliability, sweep) =
        (source.grid("confusion")?, source.grid("reliability")?, source.grid("k_sweep")?);
    for model in &models {
        if let Some(grid) = &confusion {
            figures.push(confused(model, grid, &metrics, source));
        }
        if let Some(grid) = &reliability {
            figures.push(reliable(model, grid));
        }
        figures.push(by_label(model, &metrics));
        figures.extend(certain(model, source)?);
        if let Some(grid) = &sweep {
            figures.extend(tuned(model, grid));
        }
    }
    let lead = "Three questions that are easily taken for one. Recovery: how well do neighbours re-learn the rules that made the \
                labels? High by construction, and no forecast. Holdout: how well is a label told from what the rules do not know? Out \
                of time: how well is the label of a later day told, learnt from earlier days alone? Only the last one says what a \
                forecast is worth, and only beside its baselines."
        .to_owned();
    Ok(Some(Section { id: "models", title: "Models", lead, figures }))
}

/// Every model and baseline in its protocol, the baselines after their model.
fn contenders(metrics: &Grid) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for row in metrics.rows() {
        let (Some(model), Some(protocol)) = (row.text(MODEL), row.text(PROTOCOL)) else { continue };
        if !found.contains(&(model, protocol)) {
            found.push((model, protocol));
        }
    }
    found
}

fn overall<'a>(
    metrics: &'a Grid,
    (model, protocol): (&str, &str),
    metric: &str,
) -> Option<Row<'a>> {
    metrics.rows().find(|row| {
        row.is(MODEL, model)
            && row.is(PROTOCOL, protocol)
            && row.is(METRIC, metric)
            && row.text(LABEL).is_none()
    })
}

fn protocols(metrics: &Grid) -> Figure {
    let contenders = contenders(metrics);
    let names: Vec<String> = contenders
        .iter()
        .map(|(model, protocol)| match model.split_once(':') {
            Some((_, baseline)) => baseline.to_owned(),
            None => format!("{model} ({})", protocol.replace('_', " ")),
        })
        .collect();
    let data = |metric: &str, name: &str, ink: Ink| {
        let rows: Vec<Option<Row<'_>>> =
            contenders.iter().map(|of| overall(metrics, *of, metric)).collect();
        let mut data =
            Data::new(name, rows.iter().map(|row| row.and_then(|row| row.number(VALUE))), ink);
        data.bounds = rows
            .iter()
            .map(|row| row.and_then(|row| Some((row.number(LOW)?, row.number(HIGH)?))))
            .collect();
        data
    };
    let series =
        [data("accuracy", "accuracy", Ink::First), data("macro_f1", "macro F1", Ink::Second)];
    // Some metrics have no interval.
    let has_ends = |metric: &str| {
        let mut rows = contenders.iter().filter_map(|of| overall(metrics, *of, metric));
        rows.any(|row| row.number(LOW).is_some())
    };
    let with_ends = METRICS.map(|(metric, ..)| has_ends(metric));
    let mut columns = vec![text("model or baseline", MODEL), text("protocol", PROTOCOL)];
    for ((metric, title, _), ends) in METRICS.into_iter().zip(with_ends) {
        columns.push(number(title, metric));
        if ends {
            columns.extend([number("from", "interval"), number("to", "interval")]);
        }
    }
    columns.push(number("customers", N));
    let rows = contenders.iter().map(|of| {
        let mut cells = vec![Cell::text(of.0), Cell::text(of.1)];
        let mut n = None;
        for ((metric, _, places), ends) in METRICS.into_iter().zip(with_ends) {
            let row = overall(metrics, *of, metric);
            let value = |column: &str| Cell::places(row.and_then(|row| row.number(column)), places);
            cells.push(value(VALUE));
            if ends {
                cells.extend([value(LOW), value(HIGH)]);
            }
            n = n.or(row.and_then(|row| row.number(N)));
        }
        cells.push(Cell::count(n));
        cells
    });
    let reading = "Accuracy and macro F1 of every model, each with its baselines to the right of it and 95 % intervals: always the most \
                   frequent label (majority), and for what lies ahead the label of today (persistence)."
        .to_owned();
    Figure::new(
        "protocols",
        "Three protocols, side by side",
        reading,
        Table::new(columns, rows.collect()),
    )
    .drawn(chart::columns(&names, &series, "", &Axis::unit("0 to 1"), false))
}

/// The same, as few numbers as say it.
fn in_short(metrics: &Grid) -> Figure {
    let columns = vec![
        text("model or baseline", MODEL),
        text("protocol", PROTOCOL),
        number("accuracy", "accuracy"),
        number("macro F1", "macro_f1"),
        number("customers", N),
    ];
    let rows = contenders(metrics).into_iter().map(|of| {
        let row = |metric: &str| overall(metrics, of, metric);
        let value = |metric: &str| Cell::places(row(metric).and_then(|row| row.number(VALUE)), 3);
        vec![
            Cell::text(of.0),
            Cell::text(of.1),
            value("accuracy"),
            value("macro_f1"),
            Cell::count(row("accuracy").and_then(|row| row.number(N))),
        ]
    });
    let reading = "A model is worth something where it does better than its baselines; accuracies of different protocols do not compare.";
    Figure::new(
        "protocols-short",
        "Models and baselines",
        reading,
        Table::new(columns, rows.collect()),
    )
}

/// The confidence below which a model says nothing, where there is one.
fn abstains(model: &str, source: &Source<'_>) -> Option<f64> {
    source.manifest["definition"]["models"][model]["abstain"].as_f64()
}

/// What a model's protocol is called; a model has one.
fn protocol<'a>(model: &str, grid: &'a Grid) -> &'a str {
    grid.rows()
        .find(|row| row.is(MODEL, model))
        .and_then(|row| row.text(PROTOCOL))
        .unwrap_or_default()
}

fn confused(model: &str, confusion: &Grid, metrics: &Grid, source: &Source<'_>) -> Figure {
    let rows: Vec<Row<'_>> = confusion.rows().filter(|row| row.is(MODEL, model)).collect();
    let mut labels: Vec<String> = Vec::new();
    for label in rows.iter().flat_map(|row| [row.text(ACTUAL), row.text(PREDICTED)]).flatten() {
        if !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    source.ordered(&mut labels);
    let mut cells = vec![0.0; labels.len() * labels.len()];
    for row in &rows {
        let at = |column: &str| labels.iter().position(|label| row.is(column, label));
        if let (Some(i), Some(j)) = (at(ACTUAL), at(PREDICTED)) {
            cells[i * labels.len() + j] = row.number(CUSTOMERS).unwrap_or_default();
        }
    }
    let mut columns = vec![text("in truth", ACTUAL)];
    columns.extend(labels.iter().map(|label| number(label, "")));
    let table = labels.iter().zip(cells.chunks(labels.len().max(1))).map(|(label, cells)| {
        let mut row = vec![Cell::text(label)];
        row.extend(cells.iter().map(|customers| Cell::count(Some(*customers))));
        row
    });
    let mut reading = format!(
        "Customers by their label in truth (rows) and by the model’s answer (columns), {}.",
        protocol(model, metrics).replace('_', " ")
    );
    if let Some(least) = abstains(model, source) {
        reading += &format!(" It abstains below a confidence of {least}; here it had to answer.");
    }
    let figure = Figure::new(
        format!("confusion-{}", slug(model)),
        format!("{model}: what it takes for what"),
        reading,
        Table::new(columns, table.collect()),
    );
    if labels.len() > chart::CELLS {
        return figure;
    }
    figure.drawn(chart::heatmap(&labels, &labels, &cells, "the model’s answer"))
}

fn by_label(model: &str, metrics: &Grid) -> Figure {
    let rows: Vec<Row<'_>> =
        metrics.rows().filter(|row| row.is(MODEL, model) && row.text(LABEL).is_some()).collect();
    let mut labels: Vec<&str> = rows.iter().filter_map(|row| row.text(LABEL)).collect();
    labels.dedup();
    let value = |label: &str, metric: &str| {
        rows.iter()
            .find(|row| row.is(LABEL, label) && row.is(METRIC, metric))
            .and_then(|row| row.number(VALUE))
    };
    let mut columns = vec![text("label", LABEL)];
    columns.extend(BY_LABEL.map(|(metric, title)| number(title, metric)));
    columns.push(number("customers", "support"));
    let cells = labels.iter().map(|label| {
        let mut row = vec![Cell::text(*label)];
        row.extend(BY_LABEL.map(|(metric, _)| Cell::places(value(label, metric), 3)));
        row.push(Cell::count(value(label, "support")));
        row
    });
    Figure::new(
        format!("labels-{}", slug(model)),
        format!("{model}: label by label"),
        format!(
            "Precision, recall and F1 of each label, {}.",
            protocol(model, metrics).replace('_', " ")
        ),
        Table::new(columns, cells.collect()),
    )
}

fn reliable(model: &str, reliability: &Grid) -> Figure {
    let rows: Vec<Row<'_>> = reliability.rows().filter(|row| row.is(MODEL, model)).collect();
    let met: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.number(CONFIDENCE)?, row.number(ACCURACY)?)))
        .collect();
    let x: Vec<f64> = met.iter().map(|(confidence, _)| *confidence).collect();
    let data = [
        Data::new(model, met.iter().map(|(_, accuracy)| Some(*accuracy)), Ink::First),
        Data::new("as sure as right", [Some(0.0), Some(1.0)], Ink::Muted).dashed(),
    ];
    let columns = vec![
        number("confidence from", "reliability.lower"),
        number("to", "reliability.upper"),
        number("customers", CUSTOMERS),
        number("mean confidence", CONFIDENCE),
        number("share right", ACCURACY),
    ];
    let cells = rows.iter().map(|row| {
        vec![
            Cell::places(row.number(LOWER), 1),
            Cell::places(row.number(UPPER), 1),
            Cell::count(row.number(CUSTOMERS)),
            Cell::places(row.number(CONFIDENCE), 3),
            Cell::places(row.number(ACCURACY), 3),
        ]
    });
    Figure::new(
        format!("reliability-{}", slug(model)),
        format!("{model}: is it as sure as it is right?"),
        "Share of right answers by confidence. Below the dashed line it is surer than it is right.",
        Table::new(columns, cells.collect()),
    )
    .drawn(chart::lines(
        &[x, vec![0.0, 1.0]],
        &data,
        &Axis::unit("confidence"),
        &Axis::unit("share of right answers"),
    ))
}

/// How the number of neighbours was chosen, where it was.
fn tuned(model: &str, sweep: &Grid) -> Option<Figure> {
    let rows: Vec<Row<'_>> = sweep.rows().filter(|row| row.is(MODEL, model)).collect();
    let metric = rows.first()?.text(METRIC)?;
    let taken = rows.iter().find(|row| row.number(CHOSEN) == Some(1.0))?.number(K)?;
    let name =
        METRICS.iter().find(|(key, ..)| *key == metric).map_or(metric, |(_, title, _)| *title);
    let percent = |value: f64| 100.0 * value;
    let mut data =
        Data::new(name, rows.iter().map(|row| row.number(VALUE).map(percent)), Ink::First);
    data.bounds = rows
        .iter()
        .map(|row| {
            let (value, error) = (row.number(VALUE)?, row.number(STANDARD_ERROR)?);
            Some((percent(value - error), percent(value + error)))
        })
        .collect();
    let labels: Vec<String> = rows
        .iter()
        .filter_map(|row| row.number(K))
        .map(|k| if k == taken { format!("{k} (taken)") } else { k.to_string() })
        .collect();
    let columns = vec![
        number("neighbours", K),
        number(name, metric),
        number("standard error", STANDARD_ERROR),
        text("chosen", CHOSEN),
    ];
    let cells = rows.iter().map(|row| {
        vec![
            Cell::count(row.number(K)),
            Cell::places(row.number(VALUE), 4),
            Cell::places(row.number(STANDARD_ERROR), 4),
            Cell::text(if row.number(CHOSEN) == Some(1.0) { "yes" } else { "" }),
        ]
    });
    let figure = Figure::new(
        format!("tuning-{}", slug(model)),
        format!("{model}: how many neighbours"),
        format!(
            "The {name} over the folds of the training customers alone, a standard error to either side; {taken} were taken."
        ),
        Table::new(columns, cells.collect()),
    );
    let axis = Axis { format: "{c} %", ..Axis::new(name) };
    Some(figure.drawn(chart::tried(&labels, &data, "neighbours", &axis)))
}

/// The customers that a model is surest of, and those that it is least sure of.
fn certain(model: &str, source: &Source<'_>) -> PolarsResult<Option<Figure>> {
    let names = [label(model), confidence(model), margin(model), novelty(model)];
    if source.newest.column(&names[0]).is_err() {
        return Ok(None);
    }
    let figures = |name: &String| numbers(source.newest.column(name)?);
    let (confidences, margins, novelties) =
        (figures(&names[1])?, figures(&names[2])?, figures(&names[3])?);
    // Surest first; of equals, those that are nearest to what was learnt, and then the first by id.
    let rank = |at: &usize| (confidences[*at], margins[*at], novelties[*at].map(|far| -far));
    let surer = |a: &usize, b: &usize| {
        let by = |a: Option<f64>, b: Option<f64>| {
            b.unwrap_or(f64::MIN).total_cmp(&a.unwrap_or(f64::MIN))
        };
        let (a_rank, b_rank) = (rank(a), rank(b));
        by(a_rank.0, b_rank.0)
            .then(by(a_rank.1, b_rank.1))
            .then(by(a_rank.2, b_rank.2))
            .then(a.cmp(b))
    };
    let mut asked: Vec<usize> =
        (0..confidences.len()).filter(|at| confidences[*at].is_some()).collect();
    if asked.len() > 2 * NAMED {
        let last = asked.len() - NAMED;
        asked.select_nth_unstable_by(NAMED, surer);
        asked[NAMED..].select_nth_unstable_by(last - NAMED, surer);
        asked.drain(NAMED..last);
    }
    asked.sort_by(surer);
    let at: IdxCa = asked.iter().map(|at| Some(*at as IdxSize)).collect();
    let frame = source.newest.select([CUSTOMER_ID, SEGMENT, &names[0]])?.take(&at)?;
    let named = |name: &str| texts(frame.column(name)?);
    let (ids, segments, labels) = (named(CUSTOMER_ID)?, named(SEGMENT)?, named(&names[0])?);
    let rows = asked.iter().enumerate().map(|(row, at)| {
        let said =
            |texts: &[Option<String>]| Cell::text(texts[row].as_deref().unwrap_or("(no answer)"));
        vec![
            said(&ids),
            said(&segments),
            said(&labels),
            Cell::places(confidences[*at], 3),
            Cell::places(margins[*at], 3),
            Cell::places(novelties[*at], 3),
        ]
    });
    let unanswered = source.newest.column(&names[0])?.null_count();
    let silent = match abstains(model, source) {
        Some(_) => format!(
            " It abstains on {} of {}.",
            words::count(unanswered as f64),
            words::count(confidences.len() as f64)
        ),
        None => String::new(),
    };
    let columns = vec![
        text("customer", CUSTOMER_ID),
        text("segment", SEGMENT),
        text("the model’s answer", &names[0]),
        number("confidence", &names[1]),
        number("margin", &names[2]),
        number("novelty", &names[3]),
    ];
    Ok(Some(Figure::new(
        format!("certain-{}", slug(model)),
        format!("{model}: the most and the least certain customers"),
        format!(
            "The {NAMED} customers that the model is surest of, and the {NAMED} that it is least sure of, at {}: people to ask first. Of equals, \
             the first by customer id stand here.{silent}",
            source.snapshot
        ),
        Table::new(columns, rows.collect()),
    )))
}
