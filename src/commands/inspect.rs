//! `custseg inspect`: what a Parquet file, or a run, is made of.

use std::io::Write;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::sizes;
use custseg::error::Error;
use custseg::publish::Published;
use custseg::publish::anatomy::{Anatomy, anatomy};

pub(super) fn inspect(path: &Path, as_json: bool, out: &mut impl Write) -> Result<(), Error> {
    if path.is_dir() {
        let run = Published::at(path).map_err(Error::Shown)?;
        return match as_json {
            true => Ok(writeln!(out, "{}", run.manifest)?),
            false => told(&run, out),
        };
    }
    let found = anatomy(path).map_err(Error::Shown)?;
    match as_json {
        true => Ok(writeln!(out, "{}", json!(found))?),
        false => drawn(path, &found, out),
    }
}

/// A run: its name and its files.
fn told(run: &Published, out: &mut impl Write) -> Result<(), Error> {
    let rows = &run.manifest["rows"];
    writeln!(out, "run {} of pipeline {}, custseg {}", run.text("run_id"), run.text("pipeline"), run.text("version"))?;
    writeln!(out, "  folder      {}", run.folder.display())?;
    writeln!(out, "  snapshots   {}", run.snapshots().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))?;
    writeln!(
        out,
        "  rows        {} raw, {} accepted, {} of customers",
        rows["raw"], rows["accepted"], rows["segments"]
    )?;
    for input in run.manifest["inputs"].as_array().into_iter().flatten() {
        let bytes = sizes::in_words(input["bytes"].as_u64().unwrap_or_default());
        writeln!(out, "  input       {} ({bytes})", input["path"].as_str().unwrap_or_default())?;
    }
    writeln!(
        out,
        "  whole       {}",
        if run.is_whole() { "yes: every file has the bytes that it was written with" } else { "NO" }
    )?;
    writeln!(out)?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["file", "rows", "size"]);
    for output in run.manifest["outputs"].as_array().into_iter().flatten() {
        table.add_row([
            output["path"].as_str().unwrap_or_default().to_owned(),
            output["rows"].as_u64().map(|rows| rows.to_string()).unwrap_or_default(),
            sizes::in_words(output["bytes"].as_u64().unwrap_or_default()),
        ]);
    }
    right(&mut table, &[1, 2]);
    Ok(writeln!(out, "{}", table.trim_fmt())?)
}

/// A Parquet file.
fn drawn(path: &Path, found: &Anatomy, out: &mut impl Write) -> Result<(), Error> {
    let Anatomy { rows, bytes, created_by, metadata, row_groups, columns } = found;
    writeln!(out, "{}: {rows} rows, {} columns, {}", path.display(), columns.len(), sizes::in_words(*bytes))?;
    if let Some(created_by) = created_by {
        writeln!(out, "  written by  {created_by}")?;
    }
    let groups: Vec<String> = row_groups.iter().take(8).map(|group| group.rows.to_string()).collect();
    let more = if row_groups.len() > groups.len() { ", …" } else { "" };
    let of = if groups.is_empty() { String::new() } else { format!(" of {}{more} rows", groups.join(", ")) };
    writeln!(out, "  row groups  {}{of}", row_groups.len())?;
    for (key, value) in metadata {
        let mut shown: String = value.chars().take(120).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        writeln!(out, "  {key} = {shown}")?;
    }
    writeln!(out)?;
    let mut table = Table::new();
    let header = ["column", "type", "nulls", "smallest", "largest", "compression", "size", "share", "unpacked"];
    table.load_preset(presets::NOTHING).set_header(header);
    let all: i64 = columns.iter().map(|column| column.bytes).sum();
    for column in columns {
        let short = |text: &Option<String>| text.as_deref().unwrap_or_default().chars().take(24).collect::<String>();
        table.add_row([
            column.name.clone(),
            column.r#type.clone(),
            column.nulls.map(|nulls| nulls.to_string()).unwrap_or_default(),
            short(&column.min),
            short(&column.max),
            column.compression.clone(),
            sizes::in_words(column.bytes.unsigned_abs()),
            format!("{:.1} %", 100.0 * column.bytes as f64 / all.max(1) as f64),
            sizes::in_words(column.uncompressed.unsigned_abs()),
        ]);
    }
    right(&mut table, &[2, 6, 7, 8]);
    Ok(writeln!(out, "{}", table.trim_fmt())?)
}

fn right(table: &mut Table, columns: &[usize]) {
    for idx in columns {
        if let Some(column) = table.column_mut(*idx) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
