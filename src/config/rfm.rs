//! Compiles `rfm`: snapshot dates, measures, and the columns that they require.

use chrono::NaiveDate;

use super::ingest_spec::ColumnsSpec;
use super::spec::{RfmSpec, SnapshotsSpec};
use super::validator::Validator;
use crate::clean::ReturnPolicy;
use crate::columns::{CATEGORY, PRODUCT_ID, QUANTITY};
use crate::rfm::{
    CapOutliers, Feature, Fitted, Frequency, Grid, Interval, Monetary, Ratio, RfmParams,
    SnapshotDates,
};

pub(super) fn rfm(
    spec: &RfmSpec,
    columns: &[&ColumnsSpec],
    cap: Option<CapOutliers>,
    returns: ReturnPolicy,
    validator: &mut Validator<'_>,
) -> Option<RfmParams> {
    let snapshots = snapshot_dates(&spec.snapshots, validator);
    if spec.frequency == Frequency::Units {
        validator.require_columns("/rfm/frequency", "units", &[QUANTITY], columns);
    }
    let default_monetary =
        if returns == ReturnPolicy::Separate { Monetary::Gross } else { Monetary::Net };
    features(spec, columns, validator);
    let ratios = ratios(spec, validator);
    if spec.top_categories > 0 {
        validator.require_columns("/rfm/top_categories", "top_categories", &[CATEGORY], columns);
    }
    let categories = categories(spec, columns, validator);
    Some(RfmParams {
        snapshots: snapshots?,
        frequency: spec.frequency,
        monetary: spec.monetary.unwrap_or(default_monetary),
        window: days(&spec.window),
        min_history_days: spec.min_history_days,
        features: spec.features.clone(),
        ratios,
        top_categories: usize::from(spec.top_categories).max(spec.categories.len()),
        negative_orders: spec.negative_orders,
        cap,
        fitted: Fitted { categories, ..Fitted::default() },
    })
}

/// The number in a text such as `91d`.
pub(super) fn days(text: &str) -> Option<u32> {
    text.strip_suffix('d')?.parse().ok()
}

fn snapshot_dates(spec: &SnapshotsSpec, validator: &mut Validator<'_>) -> Option<SnapshotDates> {
    const HINT: &str = "expected an exclusive date such as 2011-12-10, or `last`: the day after \
                        the last accepted line";
    match spec {
        SnapshotsSpec::One(text) if text == "last" => Some(SnapshotDates::Last),
        SnapshotsSpec::One(text) => {
            Some(SnapshotDates::Given(vec![validator.date("/rfm/snapshots", text, HINT)?]))
        }
        SnapshotsSpec::Many(texts) => {
            // All dates are parsed before the first failure returns, so that each is reported.
            let mut date = |(i, text): (usize, &String)| {
                validator.date(&format!("/rfm/snapshots/{i}"), text, HINT)
            };
            let dates: Vec<_> = texts.iter().enumerate().map(&mut date).collect();
            let mut dates: Vec<NaiveDate> = dates.into_iter().collect::<Option<_>>()?;
            dates.sort();
            dates.dedup();
            Some(SnapshotDates::Given(dates))
        }
        SnapshotsSpec::Grid(grid) => {
            let from = validator.date("/rfm/snapshots/from", &grid.from, HINT);
            let until = match grid.until.as_str() {
                "last" => Some(None),
                text => validator.date("/rfm/snapshots/until", text, HINT).map(Some),
            };
            let from = from?;
            let until = until?;
            if until.is_some_and(|until| until < from) {
                let message = format!("`until` is before `from`: expected {from} or later");
                validator.report_invalid("/rfm/snapshots/until", message);
            }
            Some(SnapshotDates::Grid(Grid { from, every: interval(&grid.every)?, until }))
        }
    }
}

/// The interval of a grid, such as `1mo`.
fn interval(text: &str) -> Option<Interval> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "d" => Some(Interval::Days(count)),
        "w" => Some(Interval::Days(7 * count)),
        "mo" => Some(Interval::Months(count)),
        "q" => Some(Interval::Months(3 * count)),
        _ => None,
    }
}

/// The categories that are given by name.
fn categories(
    spec: &RfmSpec,
    columns: &[&ColumnsSpec],
    validator: &mut Validator<'_>,
) -> Option<Vec<String>> {
    let names = &spec.categories;
    if names.is_empty() {
        return None;
    }
    validator.require_columns("/rfm/categories", "categories", &[CATEGORY], columns);
    if spec.top_categories > 0 {
        let message = "expected one of `categories` and `top_categories`";
        validator.report_invalid("/rfm/categories", message);
    }
    if let Some(idx) = (0..names.len()).find(|idx| names[..*idx].contains(&names[*idx])) {
        let message = format!("duplicate category `{}`", names[idx]);
        validator.report_invalid(&format!("/rfm/categories/{idx}"), message);
    }
    Some(names.clone())
}

fn ratios(spec: &RfmSpec, validator: &mut Validator<'_>) -> Vec<Ratio> {
    let mut ratios = Vec::with_capacity(spec.ratios.len());
    for (i, ratio) in spec.ratios.iter().enumerate() {
        let pointer = format!("/rfm/ratios/{i}");
        let (Some(recent), Some(over)) = (days(&ratio.recent), days(&ratio.over)) else { continue };
        if recent >= over {
            let message =
                format!("`recent` must be shorter than `over`, found {recent} and {over} days");
            validator.report_invalid(&pointer, message);
        }
        if spec.ratios[..i].contains(ratio) {
            validator.report_invalid(&pointer, "duplicate ratio");
        }
        ratios.push(Ratio { of: ratio.of, recent, over });
    }
    ratios
}

fn features(spec: &RfmSpec, columns: &[&ColumnsSpec], validator: &mut Validator<'_>) {
    for (i, feature) in spec.features.iter().enumerate() {
        let pointer = format!("/rfm/features/{i}");
        if spec.features[..i].contains(feature) {
            validator.report_invalid(&pointer, "duplicate feature");
        }
        if *feature == Feature::NProducts {
            validator.require_columns(&pointer, "n_products", &[PRODUCT_ID], columns);
            if days(&spec.window).is_some() {
                let message = "`n_products` cannot be combined with `rfm.window`";
                validator.report_invalid(&pointer, message);
            }
        }
    }
}
