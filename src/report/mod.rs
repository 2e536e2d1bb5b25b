//! `report`: [`Source`] → a self-contained HTML page about a run.
//!
//! The page is drawn from the published tables and the manifest alone, so that `custseg report`
//! reproduces it byte for byte. It needs no network: charts are inline SVG, each with a table of its
//! numbers, and a glossary explains the columns. A small inlined script sorts and filters tables; the
//! page is whole without it. This module writes no files and computes no metrics.

use std::collections::BTreeMap;

use askama::Template;
use polars::prelude::*;

use crate::columns::{FREQUENCY, MONETARY};
use crate::manifest::{ListRecord, Manifest};
use crate::tables::TableId;

mod cells;
mod chart;
mod clusters;
mod cohorts;
mod expected_value;
mod figure;
mod format;
mod glossary;
mod grid;
mod headline;
mod ledger;
mod models;
mod segments;
mod summary;
mod time;
mod values;

use figure::Section;
use format::Money;
pub(crate) use format::separate_thousands;
use glossary::Definition;
use grid::Grid;
use headline::Card;
use summary::Fact;

/// Tables that the page shows, besides the segments.
pub(crate) const TABLES: [TableId; 20] = [
    TableId::Ledger,
    TableId::SegmentProfile,
    TableId::ScoreBins,
    TableId::Metrics,
    TableId::Confusion,
    TableId::Reliability,
    TableId::Lift,
    TableId::Tracking,
    TableId::KSweep,
    TableId::ClusterQuality,
    TableId::Silhouettes,
    TableId::Clusters,
    TableId::Migration,
    TableId::Drift,
    TableId::Validity,
    TableId::Sensitivity,
    TableId::Stability,
    TableId::Cohorts,
    TableId::Changes,
    TableId::Uplift,
];

/// Why a page could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A table lacks a column, or a column has another type.
    #[error(transparent)]
    Table(#[from] PolarsError),
    /// The template could not be rendered.
    #[error(transparent)]
    Page(#[from] askama::Error),
}

/// Whom a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The sections for analysts are closed.
    Plain,
    /// They are open.
    Technical,
}

/// The input of a page.
pub(crate) struct Source<'a> {
    manifest: &'a Manifest,
    tables: BTreeMap<TableId, DataFrame>,
    newest: DataFrame,
    snapshot: &'a str,
    money: Money,
}

impl<'a> Source<'a> {
    /// Takes the manifest of a run, its tables among [`TABLES`], and the segments of its newest
    /// snapshot.
    pub(crate) fn new(
        manifest: &'a Manifest,
        tables: BTreeMap<TableId, DataFrame>,
        newest: DataFrame,
    ) -> Self {
        let (scale, currency) = manifest.money();
        let money = Money { scale, currency: currency.to_owned() };
        let snapshot = manifest.snapshots.last().map_or("", String::as_str);
        Self { manifest, tables, newest, snapshot, money }
    }

    /// Sorts segments in the order of the map, and clusters by their leading number, then by name.
    fn sort_key(&self, name: &str) -> (usize, Option<u64>, String) {
        let mut segments = self.manifest.segment_names().into_iter();
        let rank = segments.position(|segment| segment == name).unwrap_or(usize::MAX);
        let number = name.split(' ').next().and_then(|first| first.parse().ok());
        (rank, number, name.to_owned())
    }

    /// What `rfm.frequency` counts, such as `orders`.
    fn frequency(&self) -> &str {
        self.manifest.rfm_option(FREQUENCY).unwrap_or("orders")
    }

    /// `rfm.monetary`; empty if it is not set.
    fn monetary(&self) -> &str {
        self.manifest.rfm_option(MONETARY).unwrap_or("")
    }

    /// A small table. `None` if it is missing or empty.
    fn grid(&self, id: TableId) -> PolarsResult<Option<Grid>> {
        self.tables.get(&id).filter(|table| table.height() > 0).map(Grid::new).transpose()
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: &'a str,
    snapshot: &'a str,
    sentence: Option<String>,
    changes: Option<String>,
    alerts: Vec<(&'static str, String)>,
    cards: Vec<Card>,
    facts: Vec<Fact>,
    provenance: Vec<(&'static str, String)>,
    /// For readers of segments.
    sections: Vec<Section>,
    notes: Vec<String>,
    /// For analysts: models, clusters, and how stable the segments are.
    details: Vec<Section>,
    /// Whether the details are open.
    technical: bool,
    /// For all readers, and for analysts.
    glossary: [Vec<Definition>; 2],
    lists: &'a [ListRecord],
}

/// Draws the page of a run as HTML.
pub(crate) fn page(source: &Source<'_>, detail: Detail) -> Result<String, ReportError> {
    let sections = [
        segments::section(source)?,
        time::section(source)?,
        cohorts::section(source)?,
        values::section(source)?,
        expected_value::section(source)?,
        ledger::section(source)?,
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    let details =
        [segments::stability(source)?, models::section(source)?, clusters::section(source)?];
    let details: Vec<Section> = details.into_iter().flatten().collect();
    let (notes, alerts): (Vec<_>, Vec<_>) =
        summary::alerts(source)?.into_iter().partition(|(class, _)| *class == "note");
    let page = Page {
        title: source.manifest.title(),
        snapshot: source.snapshot,
        sentence: headline::sentence(source)?,
        changes: headline::changes(source)?,
        alerts,
        cards: headline::cards(source)?,
        facts: summary::facts(source)?,
        provenance: summary::provenance(source),
        glossary: glossary::glossary(sections.iter().chain(&details)),
        sections,
        notes: notes.into_iter().map(|(_, text)| text).collect(),
        details,
        technical: detail == Detail::Technical,
        lists: &source.manifest.lists,
    };
    Ok(page.render()?)
}

/// A name as part of an anchor. Distinct names have distinct slugs.
fn slug(name: &str) -> String {
    let escape = |c: char| format!("_{:x}", u32::from(c));
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { escape(c) })
        .collect()
}
