//! Confusion matrices of the models.

use polars::prelude::*;

use super::column;
use crate::columns::*;
use crate::model::EvaluationRun;
use crate::model::metrics::confusion_matrix;

/// The table `confusion`: one row per (model, protocol, true label, predicted label), including
/// empty cells: `model`, `protocol`, `actual`, `predicted` text, `customers` u32.
pub fn confusion(evaluation_runs: &[EvaluationRun]) -> PolarsResult<DataFrame> {
    let mut rows = Vec::new();
    for run in evaluation_runs {
        let predicted: Vec<usize> =
            run.predictions.iter().map(|prediction| prediction.vote.label).collect();
        let cells = confusion_matrix(&run.actual, &predicted, run.labels.len());
        for (actual, row) in run.labels.iter().zip(cells) {
            let cells = run.labels.iter().zip(row);
            rows.extend(cells.map(|(predicted, customers)| (run, actual, predicted, customers)));
        }
    }
    df![
        MODEL => column(&rows, |(run, ..)| run.model.as_str()),
        PROTOCOL => column(&rows, |(run, ..)| run.protocol.name()),
        ACTUAL => column(&rows, |(_, actual, ..)| actual.as_str()),
        PREDICTED => column(&rows, |(_, _, predicted, _)| predicted.as_str()),
        CUSTOMERS => column(&rows, |(.., customers)| *customers),
    ]
}
