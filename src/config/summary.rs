//! Customers that are aggregated already, as a source of transactions.

use super::clean_spec::CleanStepSpec;
use super::ingest_spec::*;
use super::model_spec::TargetSpec;
use super::spec::{PipelineSpec, SnapshotsSpec};
use super::validator::Validator;
use crate::rfm::{Feature, Frequency, Monetary};

/// The pipeline with a source of one line per customer instead of the summary, of which `ingest`
/// makes as many orders as the customer has. `None` if the pipeline has no summary.
pub(super) fn as_transactions(
    spec: &PipelineSpec,
    validator: &mut Validator<'_>,
) -> Option<PipelineSpec> {
    let summary = spec.ingest.customers_summary.as_ref()?;
    report_unsupported(spec, validator);
    let SummarySpec { paths, format, csv, workbook, columns } = summary.clone();
    let columns = ColumnsSpec {
        customer_id: columns.customer_id,
        ordered_at: columns.last_order_at,
        quantity: Some(columns.frequency),
        amount: Some(columns.monetary),
        ..ColumnsSpec::default()
    };
    let predicate = Some("quantity >= 1".to_owned());
    let source =
        TransactionsSpec { paths, format, csv, workbook, columns, predicate, ..Default::default() };
    let mut spec = spec.clone();
    spec.ingest.transactions = TransactionSources::Summary(Box::new(source));
    Some(spec)
}

/// Reports the options that need single orders or lines.
fn report_unsupported(spec: &PipelineSpec, validator: &mut Validator<'_>) {
    let PipelineSpec { ingest, rfm, evaluate, engine, .. } = spec;
    let used = |is_used: bool, pointer: &str| is_used.then(|| pointer.to_owned());
    let has_transactions = ingest
        .transactions
        .each()
        .iter()
        .any(|(_, source)| !source.paths.is_empty() || source.query.is_some());
    let feature = rfm.features.iter().position(|f| *f != Feature::AverageOrderValue);
    let compares_lines = |step: &CleanStepSpec| {
        step.cancellations.is_some()
            || step.drop_duplicates.is_some()
            || step.non_product_lines.is_some()
    };
    let step = spec.clean.iter().position(compares_lines);
    let is_forecast = |target: &TargetSpec| match target {
        TargetSpec::Segment => false,
        TargetSpec::Other(other) => other.segment_in.is_some() || other.buys_in.is_some(),
    };
    let forecasts = spec.models.iter();
    let forecasts = forecasts.filter(|(_, model)| model.target.as_ref().is_some_and(is_forecast));
    let needed = [
        used(has_transactions, "/ingest/transactions"),
        used(!ingest.sources.is_empty(), "/ingest/sources"),
        used(!matches!(rfm.snapshots, SnapshotsSpec::One(_)), "/rfm/snapshots"),
        used(rfm.frequency != Frequency::Orders, "/rfm/frequency"),
        used(rfm.monetary == Some(Monetary::MeanPerDay), "/rfm/monetary"),
        feature.map(|i| format!("/rfm/features/{i}")),
        used(!rfm.ratios.is_empty(), "/rfm/ratios"),
        used(rfm.top_categories > 0, "/rfm/top_categories"),
        used(rfm.window != "all", "/rfm/window"),
        used(rfm.min_history_days > 0, "/rfm/min_history_days"),
        used(evaluate.validity.is_some(), "/evaluate/validity"),
        used(evaluate.cohorts.is_some(), "/evaluate/cohorts"),
        used(evaluate.sensitivity, "/evaluate/sensitivity"),
        used(engine.spark.is_some(), "/engine/spark"),
        step.map(|i| format!("/clean/{i}")),
    ];
    let forecasts = forecasts.map(|(name, _)| format!("/models/{name}/target"));
    for pointer in needed.into_iter().flatten().chain(forecasts) {
        let option = pointer.trim_start_matches('/').replace('/', ".");
        let message =
            format!("`{option}` needs single orders or lines, which a summary does not have");
        validator.report_invalid(&pointer, message);
    }
}
