//! Reports the parts of a pipeline that the Spark SQL cannot reproduce with the same numbers.

use std::collections::HashSet;
use std::path::Path;

use polars::prelude::{DataType, TimeUnit};

use super::text::parse_timestamp;
use crate::checks::Expectation;
use crate::clean::{Duplicates, Keep, ReturnRule, Step};
use crate::columns::{AMOUNT, ORDERED_AT, QUANTITY, RFM_SCORE, UNIT_PRICE};
use crate::error::{Class, StageError};
use crate::ingest::cell::is_text;
use crate::ingest::csv_layout::CsvLayout;
use crate::ingest::{Format, IdCase, OnBadRow, RejectColumns, Source, SourceFile, Timestamps};
use crate::model::{FeatureParams, Target};
use crate::pipeline::Pipeline;
use crate::rfm::Feature;
use crate::score::{CutPointSource, Dimension, Method};

/// Maximum number of relations of a source: the plan has one branch each.
const MAX_RELATIONS: usize = 500;

/// The options of a pipeline that are not supported on Spark.
#[derive(Debug, thiserror::Error)]
#[error("these options are not supported on Spark:\n  {}", .0.join("\n  "))]
pub(crate) struct UnsupportedError(Vec<String>);

impl StageError for UnsupportedError {
    const STAGE: Option<&'static str> = Some("spark");

    fn class(&self) -> Class {
        Class::Usage
    }
}

/// # Errors
/// Lists all options that are not supported on Spark.
pub(crate) fn check_supported(p: &Pipeline) -> Result<(), UnsupportedError> {
    let checks = p.checks.iter().filter(|check| {
        use Expectation::{Freshness, RowCount, StepShare};
        !matches!(check.expectation, RowCount { .. } | Freshness { .. } | StepShare { .. })
    });
    let targets = p.models.iter().filter(|model| !matches!(model.target, Target::Segment));
    let options = ingest(p)
        .into_iter()
        .chain(p.ingest.sources.iter().flat_map(source))
        .chain(p.clean.iter().filter_map(clean))
        .chain(checks.map(|check| format!("checks: {} (a check of single lines)", check.name)))
        .chain(score(p))
        .chain(targets.map(|model| format!("models.{}.target: other than `segment`", model.name)))
        .chain(other_stages(p));
    let mut unsupported = Vec::new();
    for option in options {
        if !unsupported.contains(&option) {
            unsupported.push(option);
        }
    }
    if unsupported.is_empty() { Ok(()) } else { Err(UnsupportedError(unsupported)) }
}

/// The options of a list that are used.
fn used(options: impl IntoIterator<Item = (&'static str, bool)>) -> Vec<String> {
    let used = options.into_iter().filter(|(_, is_used)| *is_used);
    used.map(|(option, _)| option.to_owned()).collect()
}

fn ingest(p: &Pipeline) -> Vec<String> {
    let ingest = &p.ingest;
    let has_csv = ingest.sources.iter().any(|source| source.set.format == Format::Csv);
    let first = ingest.files().next().map(|file| &file.columns);
    let columns_differ = ingest.files().any(|file| Some(&file.columns) != first);
    let rejects_rows = has_csv && ingest.on_bad_row == OnBadRow::Reject;
    let different_rows = columns_differ && ingest.whole_rows;
    let mut unsupported = used([
        ("ingest.transactions.csv.on_bad_row: reject (use `fail`, or Parquet)", rejects_rows),
        ("ingest.customers", ingest.customers.is_some()),
        ("ingest.customer_id_case: lower", ingest.ids.case == IdCase::Lower),
        ("ingest.money.rates", ingest.rates.is_some()),
        ("publish.rejects: other than `reasons`", ingest.rejects != RejectColumns::Reasons),
        ("clean: drop_duplicates: exact, for files with different columns", different_rows),
    ]);
    if ingest.files().count() > MAX_RELATIONS && super::ingest::relations(p).len() > MAX_RELATIONS {
        unsupported.push(format!(
            "ingest.transactions.paths: more than {MAX_RELATIONS} files that have different \
             columns or share their folder with other files"
        ));
    }
    unsupported
}

fn source(source: &Source) -> Vec<String> {
    let Source { set, columns, timestamps, filter, fill, query, is_summary } = source;
    // `config` refuses a summary on Spark.
    debug_assert!(!is_summary);
    let timestamps = *timestamps;
    let mapped = columns.mapped();
    let is_mapped = |name: &str| mapped.iter().any(|(_, column)| *column == name);
    let mapped_types = || {
        let in_file = |file: &SourceFile| {
            mapped
                .iter()
                .map(|(name, column)| (*name, file.dtype(column).cloned()))
                .collect::<Vec<_>>()
        };
        set.files.iter().flat_map(in_file)
    };
    let is_parquet = set.format == Format::Parquet;
    let is_parsed = |name: &str| [ORDERED_AT, QUANTITY, UNIT_PRICE, AMOUNT].contains(&name);
    let has_text_cells = is_parquet
        && mapped_types()
            .any(|(name, dtype)| is_parsed(name) && dtype.is_some_and(|d| is_text(&d)));
    let is_bytes = |dtype: DataType| matches!(dtype, DataType::Binary | DataType::Decimal(_, 1..));
    let has_byte_ids =
        mapped_types().any(|(name, dtype)| !is_parsed(name) && dtype.is_some_and(is_bytes));
    let uses_keys =
        set.files.iter().flat_map(|file| &file.partitions).any(|(key, _)| is_mapped(key));
    let mut file_columns = set.files.iter().flat_map(|file| &file.columns);
    let is_in_nanoseconds = file_columns.any(|(name, dtype)| {
        *name == columns.ordered_at && matches!(dtype, DataType::Datetime(TimeUnit::Nanoseconds, _))
    });
    let differ_in_case = set.files.iter().any(|file| {
        let names = file.columns.iter().map(|(name, _)| name.to_lowercase());
        names.collect::<HashSet<String>>().len() < file.columns.len()
    });
    let is_url = set.files.iter().any(|file| file.fetched.is_some());
    let is_special = set.files.iter().any(|file| !is_literal_path(&file.path));
    let is_csv = set.format == Format::Csv;
    let is_other_format = !is_csv && !is_parquet && query.is_none();
    let is_computed = set.files.iter().any(|file| !file.computed.is_empty());
    let has_layout = is_csv && set.text.layout != CsvLayout::default();
    let is_zstd = set.files.iter().any(|file| file.name.to_lowercase().ends_with(".zst"));
    let numbers = &set.text.numbers;
    let other_marks = is_csv
        && (numbers.decimal != '.'
            || numbers.thousands.is_some()
            || !numbers.currency_signs.is_empty());
    // Spark replaces undecodable bytes silently.
    let is_other_encoding = set.text.encoding != encoding_rs::UTF_8;
    let mut unsupported = used([
        ("ingest.transactions.paths: workbooks, JSON lines, Arrow", is_other_format),
        ("ingest.transactions.paths: .zip", set.files.iter().any(|file| file.unpacked.is_some())),
        ("ingest.transactions.where (use `clean`)", filter.is_some()),
        ("ingest.transactions.fill", fill.is_some()),
        ("ingest.transactions.query", query.is_some()),
        ("ingest.transactions.columns: SQL and paths of nested fields", is_computed),
        ("ingest.transactions.csv: layouts other than standard CSV", has_layout),
        ("ingest.transactions.timestamps: utc", timestamps == Timestamps::Utc),
        ("ingest.transactions.columns: dates or numbers as text in Parquet", has_text_cells),
        ("ingest.transactions.columns: ids of bytes or decimals", has_byte_ids),
        ("ingest.transactions.columns: keys of folders", uses_keys),
        ("ingest.transactions.columns.currency", columns.currency.is_some()),
        ("ingest.transactions.paths: URLs (use a path that the cluster shares)", is_url),
        ("ingest.transactions.paths: * ? [ ] { } \\ %, or _ or . before a file name", is_special),
        ("ingest.transactions.paths: columns that differ only in case", differ_in_case),
        ("ingest.transactions.columns.ordered_at: nanoseconds", is_in_nanoseconds),
        ("ingest.transactions.paths: .csv.zst (use .csv.gz)", is_csv && is_zstd),
        ("ingest.transactions.csv: number marks other than a decimal point", other_marks),
        ("ingest.transactions.csv.encoding: other than UTF-8", is_csv && is_other_encoding),
    ]);
    let formats = set.text.datetime_formats.iter();
    let formats = formats.map(|format| &format.declared);
    let formats = formats.filter(|format| is_csv && parse_timestamp(format, "").is_none());
    unsupported.extend(formats.map(|format| {
        let fields = "fields other than %Y %m %d %H %M %S";
        format!("ingest.transactions.csv.datetime_formats: {format} ({fields})")
    }));
    unsupported
}

/// Whether Spark reads a path literally and does not skip the file as hidden.
fn is_literal_path(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let hidden =
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.']));
    let special = ['*', '?', '[', ']', '{', '}', '\\', '%'];
    !hidden && path.to_str().is_some_and(|path| !path.contains(special))
}

fn clean(step: &Step) -> Option<String> {
    let is_portable = |c: char| c.is_ascii_alphanumeric() || " _-^$|()".contains(c);
    let part = match step {
        Step::Where(_) => "",
        Step::Cancellations { rule: ReturnRule::When(_), .. } => ": when",
        Step::Cancellations { .. } if step.matches_returns() => ": match",
        // Lines have no order on a cluster.
        Step::DropDuplicates(duplicates) if duplicates.keep == Keep::Last => ": keep: last",
        Step::DropDuplicates(Duplicates { by: Some(_), .. }) => " by columns",
        Step::NonProductLines { pattern: Some(pattern), .. }
            if !pattern.chars().all(is_portable) =>
        {
            ": pattern with other than letters, digits, space and _ - ^ $ | ( )"
        }
        _ => return None,
    };
    Some(format!("clean: {}{part}", step.name()))
}

fn score(p: &Pipeline) -> Vec<String> {
    let is_frozen_at_date = matches!(p.score.cut_points, CutPointSource::AsOf(_));
    let mut unsupported =
        used([("score.cut_points: frozen at a date (name a run)", is_frozen_at_date)]);
    for (dimension, params) in Dimension::ALL.into_iter().zip(&p.score.dimensions) {
        let name = dimension.value();
        if !matches!(params.method, Method::Quantile | Method::RRfm | Method::Fixed(_)) {
            unsupported.push(format!("score.method of {name}: ranks (use `quantile` or `fixed`)"));
        }
        if params.separate_zeros && dimension.reversed() {
            unsupported.push(format!("score.separate_zeros of {name}"));
        }
    }
    unsupported
}

fn other_stages(p: &Pipeline) -> Vec<String> {
    let mut features = p.models.iter().flat_map(|model| &model.features);
    let uses_rfm_score = features.any(|feature| feature.column == RFM_SCORE);
    let mut features = p.models.iter().flat_map(|model| &model.features);
    let uses_percentiles = features.any(FeatureParams::is_percentile);
    let uses_values = p.segment.rules.iter().any(|rule| rule.values.is_some());
    let to = p.publish.to.local_folder();
    let is_special = to.is_some_and(|to| {
        !is_literal_path(&to.canonicalize().unwrap_or_else(|_| to.to_owned()).join("runs"))
    });
    used([
        ("clean: cap_outliers", p.rfm.cap.is_some()),
        ("rfm.features: gap_days_std", p.rfm.features.contains(&Feature::GapDaysStd)),
        ("rfm.features: n_products", p.rfm.features.contains(&Feature::NProducts)),
        ("rfm.top_categories, rfm.categories", p.rfm.top_categories > 0),
        ("segment.map: values (conditions on values)", uses_values),
        ("segment.why", p.why),
        ("models: rfm_score", uses_rfm_score),
        ("models: kmeans", !p.clusterings.is_empty()),
        ("models: btyd", !p.btyd.is_empty()),
        ("models: scale: percentile", uses_percentiles),
        ("evaluate.sensitivity", p.sensitivity),
        ("evaluate.validity", p.validity.is_some()),
        ("evaluate.stability", p.stability.is_some()),
        ("evaluate.cohorts", p.cohorts.is_some()),
        ("evaluate.uplift", !p.uplift.is_empty()),
        ("publish.lists (use `custseg export`)", !p.publish.lists.is_empty()),
        ("evaluate.gates", !p.gates.is_empty()),
        ("publish.to: URLs (use a path that the cluster shares)", to.is_none()),
        ("publish.to: paths with * ? [ ] { } \\ %", is_special),
    ])
}
