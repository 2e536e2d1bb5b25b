//! Lists of customers that every run writes, and groups of earlier lists: options and their checks.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostics::{Kind, hint};
use super::rfm::days;
use super::tree::escape_segment;
use super::validator::Validator;
use crate::columns::CUSTOMER_ID;
use crate::evaluate::UpliftParams;
use crate::export::{ExportParams, Layout, ListParams, Selection};
use crate::publish::groups_name;
use crate::segment::SegmentMap;

/// A list of customers that every run writes into `lists`, with the same options as `custseg
/// export`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["file"]))]
pub struct ListSpec {
    /// Name of the file: `.csv`, `.xlsx` or `.parquet`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(csv|xlsx|parquet)$"))]
    pub file: String,
    /// Segments. Default: all.
    #[schemars(length(min = 1))]
    pub segments: Vec<String>,
    /// `all` (default), or those who `entered`, `left` or `moved` since the snapshot before or, of a
    /// run with one snapshot, since the run before.
    pub what: Selection,
    /// Columns of the list: `csv` (default), `google_ads`, `meta`, `klaviyo`, `mailchimp` or
    /// `hubspot`. `xlsx` has those of `csv`.
    #[serde(rename = "for")]
    pub layout: Layout,
    /// Contacts of the customers: CSV with a header, or Parquet, relative to this file.
    pub contacts: Option<String>,
    /// Column of the customer id in `contacts` and `suppress`.
    pub key: String,
    /// Write SHA-256 hashes of the trimmed, lower-case contacts.
    pub hash: bool,
    /// File of customers who are never on the list: CSV or Parquet with the key or `email`.
    pub suppress: Option<String>,
    /// Share of the customers that is held back as a control group, such as 0.1. The file
    /// `<name>.groups.csv` has the groups, for `evaluate.uplift`.
    #[schemars(range(min = 0, max = 0.9))]
    pub control: f64,
    /// Further columns of the segments or of the contacts.
    pub columns: Vec<String>,
}

impl Default for ListSpec {
    fn default() -> Self {
        Self {
            file: String::new(),
            segments: Vec::new(),
            what: Selection::All,
            layout: Layout::Csv,
            contacts: None,
            key: CUSTOMER_ID.to_owned(),
            hash: false,
            suppress: None,
            control: 0.0,
            columns: Vec::new(),
        }
    }
}

/// A campaign whose treated customers are compared with its control group.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["groups", "since", "horizon"]))]
pub struct UpliftSpec {
    /// The groups of the list, by `custseg export --groups-to` or a copy of those in `lists`: CSV or
    /// Parquet with `customer_id` and `group` (`treated` or `control`), relative to this file.
    pub groups: String,
    /// First day of the campaign.
    #[schemars(extend("format" = "date"))]
    pub since: String,
    /// Length of the period from then on, in days, such as `30d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub horizon: String,
}

/// The lists by the name of their file; reports unknown segments and missing files.
pub(super) fn lists(
    specs: &[ListSpec],
    map: Option<&SegmentMap>,
    validator: &mut Validator<'_>,
) -> Vec<(String, ListParams)> {
    let mut lists = Vec::with_capacity(specs.len());
    let mut names = HashSet::new();
    for (i, spec) in specs.iter().enumerate() {
        let at = format!("/publish/lists/{i}");
        for name in [spec.file.clone(), groups_name(&spec.file)] {
            if !names.insert(name.to_lowercase()) {
                validator.report_invalid(&format!("{at}/file"), "two lists have one file");
            }
        }
        if !spec.layout.is_plain() && spec.contacts.is_none() {
            let message = "this format requires `contacts`: a file of addresses";
            validator.report_invalid(&format!("{at}/for"), message);
        }
        if spec.hash && !spec.layout.takes_hashes() {
            let message = "this platform reads plain addresses only";
            validator.report_invalid(&format!("{at}/hash"), message);
        }
        if spec.layout == Layout::Xlsx && !spec.file.ends_with(".xlsx") {
            let message = "`for: xlsx` requires a name that ends in .xlsx";
            validator.report_invalid(&format!("{at}/file"), message);
        }
        let known = map.map_or(&[][..], |map| &map.segments);
        let is_known = |name: &String| known.iter().any(|segment| segment.name == *name);
        for (j, name) in spec.segments.iter().enumerate() {
            if map.is_some() && !is_known(name) {
                let hint = hint(name, known.iter().map(|segment| segment.name.as_str()));
                let message = format!("the map has no segment `{name}`");
                validator.report_with_hint(&format!("{at}/segments/{j}"), message, hint);
            }
        }
        let mut path = |option: &str, path: &Option<String>| {
            file(&format!("{at}/{option}"), path.as_deref()?, validator)
        };
        let [contacts, suppress] =
            [("contacts", &spec.contacts), ("suppress", &spec.suppress)].map(|(o, p)| path(o, p));
        let export = ExportParams {
            selection: spec.what,
            segments: spec.segments.clone(),
            layout: spec.layout,
            hash: spec.hash,
            control: spec.control,
            columns: spec.columns.clone(),
        };
        let params = ListParams { export, contacts, key: spec.key.clone(), suppress };
        lists.push((spec.file.clone(), params));
    }
    lists
}

/// The campaigns, by name; reports invalid dates and missing files.
pub(super) fn uplift(
    specs: &BTreeMap<String, UpliftSpec>,
    validator: &mut Validator<'_>,
) -> Vec<UpliftParams> {
    let campaign = |(name, spec): (&String, &UpliftSpec)| {
        let at = format!("/evaluate/uplift/{}", escape_segment(name));
        let hint = "expected a date such as 2011-09-01";
        let since = validator.date(&format!("{at}/since"), &spec.since, hint);
        let groups = file(&format!("{at}/groups"), &spec.groups, validator);
        let horizon_days = days(&spec.horizon)?;
        Some(UpliftParams { name: name.clone(), groups: groups?, since: since?, horizon_days })
    };
    specs.iter().filter_map(campaign).collect()
}

/// A file of this machine, relative to the YAML.
fn file(pointer: &str, path: &str, validator: &mut Validator<'_>) -> Option<PathBuf> {
    let full = validator.document.base(pointer).join(path);
    if !full.is_file() {
        let message = format!("file not found: `{}`", full.display());
        validator.report(Kind::Input, pointer, message, None);
        return None;
    }
    Some(full)
}
