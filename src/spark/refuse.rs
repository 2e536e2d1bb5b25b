//! What has no form in SQL that gives the very same numbers, by name.

use std::collections::HashSet;
use std::path::Path;

use polars::prelude::{DataType, TimeUnit};

use super::moments;
use crate::checks::{Check, Holds};
use crate::clean::Step;
use crate::clean::steps::Repeated;
use crate::columns::RFM_SCORE;
use crate::ingest::{Format, OnBadRow, RejectColumns, Source};
use crate::model::Target;
use crate::pipeline::Pipeline;
use crate::rfm::Feature;
use crate::score::{Cutting, Dimension, Method};

/// Parts of a source beyond which a plan of one branch each is no plan.
const MOST_FILES: usize = 500;

/// A part of a pipeline that has no form in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its key in the YAML.
    pub key: String,
    /// Why not, or what to do instead.
    pub why: &'static str,
}

/// All of a pipeline that has no form in SQL.
pub fn refused(p: &Pipeline) -> Vec<Refusal> {
    let mut found = Found(Vec::new());
    ingest(p, &mut found);
    p.clean.iter().for_each(|step| clean(step, p, &mut found));
    p.checks.iter().for_each(|check| checks(check, &mut found));
    rfm(p, &mut found);
    score(p, &mut found);
    for rule in &p.segment.rules {
        found.told(
            rule.values.is_some(),
            "segment.map: values",
            "conditions on values are Polars' dialect of SQL",
        );
    }
    let to = p.publish.to.canonicalize().unwrap_or_else(|_| p.publish.to.clone());
    let why = "has characters that mean something else to a cluster: * ? [ ] { } \\ %";
    found.told(!plain(&to.join("runs")), "publish.to", why);
    let why =
        "names a store; the cluster and this machine have to see the same folder by the same path";
    found.told(p.publish.mirror.is_some(), "publish.to", why);
    found.told(p.why, "segment.why", "is told by this machine alone");
    models(p, &mut found);
    found.told(
        !p.clusterings.is_empty(),
        "models: kmeans",
        "is fitted to all customers, which stay on the cluster",
    );
    found.told(p.sensitivity, "evaluate.sensitivity", "is found by this machine alone");
    found.told(p.validity.is_some(), "evaluate.validity", "is found by this machine alone");
    found.told(
        !p.gates.is_empty(),
        "evaluate.gates",
        "judge tables that are made by this machine alone",
    );
    found.0
}

struct Found(Vec<Refusal>);

impl Found {
    fn told(&mut self, holds: bool, key: &str, why: &'static str) {
        let refusal = Refusal { key: key.to_owned(), why };
        if holds && !self.0.contains(&refusal) {
            self.0.push(refusal);
        }
    }
}

fn ingest(p: &Pipeline, found: &mut Found) {
    let csv = p.ingest.sources.iter().any(|source| source.set.format == Format::Csv);
    let why = "an engine does not say which records are broken; `fail`, or Parquet";
    found.told(
        csv && p.ingest.on_bad_row == OnBadRow::Reject,
        "ingest.transactions.csv.on_bad_row: reject",
        why,
    );
    let why = "are more than 500 files without a folder to themselves, or of different columns";
    let many =
        p.ingest.files().count() > MOST_FILES && super::ingest::relations(p).len() > MOST_FILES;
    found.told(many, "ingest.transactions.paths", why);
    found.told(
        p.ingest.customers.is_some(),
        "ingest.customers",
        "its attributes are joined by this machine alone",
    );
    found.told(p.ingest.rates.is_some(), "ingest.money.rates", "are applied by this machine alone");
    let kept = p.ingest.rejects != RejectColumns::Reasons;
    found.told(
        kept,
        "publish.rejects",
        "rejected lines stay on the cluster; the ledger counts them",
    );
    p.ingest.sources.iter().for_each(|source| of_source(source, found));
    let first = p.ingest.files().next().map(|file| &file.columns);
    let differ = p.ingest.files().any(|file| Some(&file.columns) != first);
    let why = "compares files of equal columns alone";
    found.told(differ && p.ingest.whole_rows, "clean: drop_duplicates: exact", why);
}

fn of_source(source: &Source, found: &mut Found) {
    let at = "ingest.transactions";
    let (set, columns) = (&source.set, &source.columns);
    found.told(
        set.format == Format::Xlsx,
        &format!("{at}.paths: .xlsx"),
        "engines read no workbooks",
    );
    found.told(
        columns.currency.is_some(),
        &format!("{at}.columns.currency"),
        "is looked at by this machine alone",
    );
    found.told(
        set.files.iter().any(|file| file.fetched.is_some()),
        &format!("{at}.paths"),
        "name a store; the cluster and this machine have to see the same files by the same paths",
    );
    let odd = set.files.iter().any(|file| !plain(&file.path));
    let why = "have characters that mean something else to a cluster (* ? [ ] { } \\ %), or names that it passes over (_ .)";
    found.told(odd, &format!("{at}.paths"), why);
    let twice = set.files.iter().any(|file| {
        let lower: HashSet<String> =
            file.columns.iter().map(|(name, _)| name.to_lowercase()).collect();
        lower.len() < file.columns.len()
    });
    found.told(
        twice,
        &format!("{at}.paths"),
        "have columns that differ in upper and lower case alone",
    );
    let moments = || {
        set.files
            .iter()
            .flat_map(|file| &file.columns)
            .filter(|(name, _)| *name == columns.ordered_at)
    };
    let nanos =
        moments().any(|(_, dtype)| matches!(dtype, DataType::Datetime(TimeUnit::Nanoseconds, _)));
    found.told(
        nanos,
        &format!("{at}.columns.ordered_at"),
        "is in nanoseconds, which Spark does not read",
    );
    if set.format != Format::Csv {
        return;
    }
    let zst = set.files.iter().any(|file| file.name.to_lowercase().ends_with(".zst"));
    found.told(
        zst,
        &format!("{at}.paths: .csv.zst"),
        "is not unpacked by every engine; .csv.gz is",
    );
    let numbers = &set.text.numbers;
    let plain =
        numbers.decimal == '.' && numbers.thousands.is_none() && numbers.currency_signs.is_empty();
    found.told(!plain, &format!("{at}.csv"), "numbers with other marks than a decimal point");
    let why = "engines replace bytes that are none of the encoding, without a word";
    found.told(set.text.encoding != encoding_rs::UTF_8, &format!("{at}.csv.encoding"), why);
    for format in &set.text.datetime_formats {
        let key = format!("{at}.csv.datetime_formats: {format}");
        found.told(
            moments::moment(format, "").is_none(),
            &key,
            "has parts other than %Y %m %d %H %M %S",
        );
    }
}

/// Whether a cluster takes a path for what it is.
fn plain(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let hidden =
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.']));
    !hidden
        && path
            .to_str()
            .is_some_and(|path| !path.contains(['*', '?', '[', ']', '{', '}', '\\', '%']))
}

fn clean(step: &Step, p: &Pipeline, found: &mut Found) {
    let key = format!("clean: {}", step.name());
    match step {
        Step::Where(_) => found.told(true, &key, "is Polars' dialect of SQL"),
        Step::Cancellations { .. } if step.matches_returns() => {
            found.told(true, &format!("{key}: match"), "pairs returns one after the other");
        }
        Step::DropDuplicates(Repeated::By(_)) => {
            found.told(
                true,
                &format!("{key} by columns"),
                "lines have no order on a cluster, so that none is the first",
            );
        }
        Step::NonProductLines { pattern: Some(pattern), .. } => {
            let same = |c: char| c.is_ascii_alphanumeric() || " _-^$|()".contains(c);
            found.told(
                !pattern.chars().all(same),
                &format!("{key}: pattern"),
                "engines read such patterns differently",
            );
        }
        _ => {}
    }
    found.told(p.rfm.cap.is_some(), "clean: cap_outliers", "is done by this machine alone");
}

fn checks(check: &Check, found: &mut Found) {
    let by_count = matches!(
        check.holds,
        Holds::RowCount { .. } | Holds::Freshness { .. } | Holds::StepShare { .. }
    );
    found.told(
        !by_count,
        &format!("checks: {}", check.name),
        "asks single lines, as this machine alone does",
    );
}

fn models(p: &Pipeline, found: &mut Found) {
    for model in &p.models {
        let key = format!("models.{}.target", model.name);
        let why =
            "is learnt from other snapshots or tables than the sample that comes here; `segment`";
        found.told(!matches!(model.target, Target::Segment), &key, why);
    }
    let weighed = p
        .models
        .iter()
        .flat_map(|model| &model.features)
        .any(|feature| feature.column == RFM_SCORE);
    found.told(weighed, "models: rfm_score", "is not among what is piped through the nodes");
}

fn rfm(p: &Pipeline, found: &mut Found) {
    for (feature, name) in
        [(Feature::GapDaysStd, "gap_days_std"), (Feature::NProducts, "n_products")]
    {
        let key = format!("rfm.features: {name}");
        found.told(p.rfm.features.contains(&feature), &key, "is measured by this machine alone");
    }
    found.told(p.rfm.top_categories > 0, "rfm.top_categories", "are found by this machine alone");
}

fn score(p: &Pipeline, found: &mut Found) {
    let frozen = matches!(p.score.cutting, Cutting::AsOf(_));
    found.told(
        frozen,
        "score.cut_points: frozen at a date",
        "name a run whose cut points are to hold",
    );
    for (dimension, params) in Dimension::ALL.into_iter().zip(&p.score.dimensions) {
        let told = matches!(params.method, Method::Quantile | Method::RRfm | Method::Fixed(_));
        let key = format!("score.method of {}", dimension.value());
        found.told(!told, &key, "goes by ranks over all customers; `quantile` or `fixed`");
        let reversed = params.zero_apart && dimension.reversed();
        found.told(reversed, &key, "no recency is zero");
    }
}
