//! The confusion matrix: rows are true labels, columns predicted ones.

use polars::prelude::*;

use crate::columns::*;
use crate::model::Trial;

/// Counts of (true, predicted) label codes, shape (n_labels, n_labels).
pub fn counts(actual: &[usize], predicted: &[usize], n_labels: usize) -> Vec<Vec<u32>> {
    let mut cells = vec![vec![0u32; n_labels]; n_labels];
    for (&row, &column) in actual.iter().zip(predicted) {
        cells[row][column] += 1;
    }
    cells
}

/// One row a (model, protocol, true label, predicted label), zeros included, so that a matrix can be drawn from it.
///
/// Columns: `model`, `protocol`, `actual`, `predicted` text, `customers` u32.
///
/// # Errors
/// What Polars says.
pub fn confusion(trials: &[Trial]) -> PolarsResult<DataFrame> {
    let (mut models, mut protocols, mut actuals, mut predicteds) = (vec![], vec![], vec![], vec![]);
    let mut customers = Vec::<u32>::new();
    for trial in trials {
        let cells = counts(&trial.actual, &trial.predicted, trial.labels.len());
        for (actual, row) in trial.labels.iter().zip(&cells) {
            for (predicted, count) in trial.labels.iter().zip(row) {
                models.push(trial.model.as_str());
                protocols.push(trial.protocol.name());
                actuals.push(actual.as_str());
                predicteds.push(predicted.as_str());
                customers.push(*count);
            }
        }
    }
    df![MODEL => models, PROTOCOL => protocols, ACTUAL => actuals, PREDICTED => predicteds, CUSTOMERS => customers]
}
