//! Confusion matrices: rows are true labels, columns predicted ones.

use polars::prelude::*;

use crate::columns::*;
use crate::model::Trial;
use crate::model::figures::counts;

/// One row a (model, protocol, true label, predicted label), empty cells included: `model`, `protocol`, `actual`,
/// `predicted` text, `customers` u32.
///
/// # Errors
/// What Polars says.
pub fn confusion(trials: &[Trial]) -> PolarsResult<DataFrame> {
    let (mut models, mut protocols, mut actual, mut predicted) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut customers = Vec::<u32>::new();
    for trial in trials {
        let answers: Vec<usize> = trial.answers.iter().map(|answer| answer.vote.label).collect();
        let cells = counts(&trial.actual, &answers, trial.labels.len());
        for (truth, row) in cells.iter().enumerate() {
            for (answer, &count) in row.iter().enumerate() {
                models.push(trial.model.as_str());
                protocols.push(trial.protocol.name());
                actual.push(trial.labels[truth].as_str());
                predicted.push(trial.labels[answer].as_str());
                customers.push(count);
            }
        }
    }
    df![MODEL => models, PROTOCOL => protocols, ACTUAL => actual, PREDICTED => predicted, CUSTOMERS => customers]
}
