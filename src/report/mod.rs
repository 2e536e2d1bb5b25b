//! `report`: [`Source`] → one page of HTML, for people who look before they read.
//!
//! The page is drawn from the published tables and the manifest alone, so that it can be drawn again from them, byte for byte. It needs
//! no network and no script: charts are inline SVG, every one with its numbers in a table beneath it, and every number is told of in the
//! guide at the end. What is deliberately absent: files, which `publish` writes; and numbers that stand in no table.

use std::collections::BTreeMap;

use askama::Template;
use polars::prelude::*;
use serde_json::Value;

use crate::columns::{FREQUENCY, MONETARY};

mod chart;
mod clusters;
mod figure;
mod grid;
mod guide;
mod head;
mod ledger;
mod models;
mod segments;
mod time;
mod values;
mod words;

use figure::{Picture, Section};
use grid::Grid;
use guide::Definition;
use head::{Alert, Fact};
use words::Money;

/// Tables that are drawn, beside the segments.
pub const TABLES: [&str; 14] = [
    "ledger",
    "segment_profile",
    "score_bins",
    "metrics",
    "confusion",
    "reliability",
    "k_sweep",
    "cohesion",
    "silhouettes",
    "clusters",
    "migration",
    "drift",
    "validity",
    "sensitivity",
];

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A table that lacks a column, or holds something else there.
    #[error(transparent)]
    Table(#[from] PolarsError),
    /// The template refused.
    #[error(transparent)]
    Page(#[from] askama::Error),
}

/// What a page is drawn from.
pub struct Source<'a> {
    manifest: &'a Value,
    tables: BTreeMap<&'static str, DataFrame>,
    newest: DataFrame,
    snapshot: String,
    money: Money,
}

impl<'a> Source<'a> {
    /// The manifest of a run, those of its [`TABLES`] that it has, and the segments of its newest snapshot.
    pub fn new(
        manifest: &'a Value,
        tables: BTreeMap<&'static str, DataFrame>,
        newest: DataFrame,
    ) -> Self {
        let snapshots = manifest["snapshots"].as_array();
        let snapshot = snapshots
            .and_then(|all| all.last())
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let of_money = &manifest["definition"]["money"];
        let money = Money {
            scale: of_money["scale"].as_u64().map_or(2, |scale| scale as usize),
            currency: of_money["currency"].as_str().unwrap_or_default().to_owned(),
        };
        Self { manifest, tables, newest, snapshot, money }
    }

    /// Names in the order of the segment map, where they are its segments; else by the number that they begin with, as clusters do, and by
    /// the alphabet.
    fn ordered(&self, names: &mut [String]) {
        let segments = self.manifest["definition"]["segment"]["segments"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let place = |name: &str| {
            segments.iter().position(|segment| segment["name"] == *name).unwrap_or(segments.len())
        };
        let number =
            |name: &str| name.split(' ').next().and_then(|first| first.parse::<u64>().ok());
        names.sort_by_cached_key(|name| (place(name), number(name), name.clone()));
    }

    /// What frequency counts.
    fn frequency(&self) -> &str {
        self.manifest["definition"]["rfm"][FREQUENCY].as_str().unwrap_or("orders")
    }

    /// What monetary value is, where the pipeline says so.
    fn monetary(&self) -> &str {
        self.manifest["definition"]["rfm"][MONETARY].as_str().unwrap_or_default()
    }

    fn table(&self, name: &str) -> Option<&DataFrame> {
        self.tables.get(name)
    }

    /// A small table, to be gone through row by row; none where the run does not have it, or has nothing in it.
    fn grid(&self, name: &str) -> PolarsResult<Option<Grid>> {
        self.table(name).filter(|table| table.height() > 0).map(Grid::of).transpose()
    }
}

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    pipeline: &'a str,
    snapshot: &'a str,
    alerts: Vec<Alert>,
    facts: Vec<Fact>,
    origin: Vec<(&'static str, String)>,
    sections: Vec<Section>,
    guide: Vec<Definition>,
}

/// Draws the page of a run.
///
/// # Errors
/// A table that is not as this version writes it.
pub fn page(source: &Source<'_>) -> Result<String, ReportError> {
    let made = [
        ledger::section(source)?,
        segments::section(source)?,
        values::section(source)?,
        time::section(source)?,
        models::section(source)?,
        clusters::section(source)?,
    ];
    let sections: Vec<Section> = made.into_iter().flatten().collect();
    let page = Page {
        pipeline: source.manifest["pipeline"].as_str().unwrap_or_default(),
        snapshot: &source.snapshot,
        alerts: head::alerts(source)?,
        facts: head::facts(source)?,
        origin: head::origin(source),
        guide: guide::guide(&sections),
        sections,
    };
    Ok(page.render()?)
}

/// A name as part of an anchor, distinct for distinct names.
fn slug(name: &str) -> String {
    let each = |c: char| {
        if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:x}", u32::from(c)) }
    };
    name.chars().map(each).collect()
}
