//! `custseg inspect`: the contents of a Parquet file, or the files or the data dictionary of a run.

use std::io::Write;
use std::path::Path;

use indicatif::BinaryBytes;
use serde_json::json;

use super::table::draw_rows;
use crate::error::Error;
use crate::manifest::{Manifest, Output};
use crate::publish::Published;
use crate::publish::parquet_metadata::{ColumnMetadata, FileMetadata, parquet_metadata};
use crate::tables::TableId;

/// Longest shown metadata value and longest shown extreme of a column, in characters.
const METADATA_CHARS: usize = 120;
const VALUE_CHARS: usize = 24;
/// Number of row groups whose sizes are listed.
const ROW_GROUPS: usize = 8;

pub(super) fn text(path: &Path, out: &mut impl Write) -> Result<(), Error> {
    if path.is_dir() {
        return draw_run(&Published::open(path).map_err(Error::reading)?, out);
    }
    draw_file(path, &parquet_metadata(path).map_err(Error::reading)?, out)
}

pub(super) fn json(path: &Path, out: &mut impl Write) -> Result<(), Error> {
    let json = if path.is_dir() {
        json!(Published::open(path).map_err(Error::reading)?.manifest)
    } else {
        json!(parquet_metadata(path).map_err(Error::reading)?)
    };
    Ok(writeln!(out, "{json}")?)
}

/// Every table of a run in Markdown: what a row is, and type and meaning of every column. Tables of
/// the artefact are left out.
pub(super) fn dictionary(run: &Path, out: &mut impl Write) -> Result<(), Error> {
    let run = Published::open(run).map_err(Error::reading)?;
    let mut written = Vec::new();
    for output in &run.manifest.outputs {
        let Some(path) = output.path.strip_suffix(".parquet") else { continue };
        let Some(id) = path.split('/').next().and_then(TableId::named) else { continue };
        if written.contains(&id) {
            continue;
        }
        written.push(id);
        let table = id.table();
        let file = match id {
            TableId::Segments => format!("{}/snapshot=…/part-0.parquet", table.name),
            _ => output.path.clone(),
        };
        writeln!(out, "## `{file}`\n\n{}\n\n| column | type | |\n|---|---|---|", table.grain)?;
        let metadata = parquet_metadata(&run.folder.join(&output.path)).map_err(Error::reading)?;
        for column in metadata.columns {
            let meaning = table.meaning(&column.name).unwrap_or("").replace('|', "\\|");
            writeln!(out, "| `{}` | `{}` | {meaning} |", column.name, column.r#type)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn draw_run(run: &Published, out: &mut impl Write) -> Result<(), Error> {
    let Manifest { run_id, pipeline, version, snapshots, rows, .. } = &run.manifest;
    writeln!(out, "run {run_id} of pipeline {pipeline}, custseg {version}")?;
    writeln!(out, "  folder      {}", run.folder.display())?;
    writeln!(out, "  snapshots   {}", snapshots.join(", "))?;
    writeln!(
        out,
        "  rows        {} raw, {} accepted, {} of customers",
        rows.raw, rows.accepted, rows.segments
    )?;
    for input in &run.manifest.inputs {
        writeln!(out, "  input       {} ({})", input.path, BinaryBytes(input.bytes))?;
    }
    let complete = if run.is_complete() { "yes: all files match their hashes" } else { "NO" };
    writeln!(out, "  complete    {complete}\n")?;
    let row = |output: &Output| {
        let rows = output.rows.map_or_else(String::new, |rows| rows.to_string());
        [output.path.clone(), rows, BinaryBytes(output.bytes as u64).to_string()]
    };
    let rows = run.manifest.outputs.iter().map(row);
    Ok(writeln!(out, "{}", draw_rows(["file", "rows", "size"], rows, &[1, 2]))?)
}

fn draw_file(path: &Path, metadata: &FileMetadata, out: &mut impl Write) -> Result<(), Error> {
    let FileMetadata { rows, bytes, created_by, metadata, row_groups, columns } = metadata;
    let size = BinaryBytes(*bytes);
    writeln!(out, "{}: {rows} rows, {} columns, {size}", path.display(), columns.len())?;
    if let Some(created_by) = created_by {
        writeln!(out, "  written by  {created_by}")?;
    }
    let groups: Vec<String> =
        row_groups.iter().take(ROW_GROUPS).map(|group| group.rows.to_string()).collect();
    write!(out, "  row groups  {}", row_groups.len())?;
    if !groups.is_empty() {
        let more = if row_groups.len() > groups.len() { ", …" } else { "" };
        write!(out, " of {}{more} rows", groups.join(", "))?;
    }
    writeln!(out)?;
    for (key, value) in metadata {
        let short = truncate(value, METADATA_CHARS);
        let more = if short.len() < value.len() { "…" } else { "" };
        writeln!(out, "  {key} = {short}{more}")?;
    }
    writeln!(out)?;
    let header =
        ["column", "type", "nulls", "min", "max", "compression", "size", "share", "uncompressed"];
    let total: i64 = columns.iter().map(|column| column.bytes).sum();
    let rows = columns.iter().map(|column| cells(column, total));
    Ok(writeln!(out, "{}", draw_rows(header, rows, &[2, 6, 7, 8]))?)
}

fn cells(column: &ColumnMetadata, total: i64) -> [String; 9] {
    let extreme = |text: &Option<String>| {
        text.as_deref().map_or("", |text| truncate(text, VALUE_CHARS)).to_owned()
    };
    [
        column.name.clone(),
        column.r#type.clone(),
        column.nulls.map_or_else(String::new, |nulls| nulls.to_string()),
        extreme(&column.min),
        extreme(&column.max),
        column.compression.clone(),
        BinaryBytes(column.bytes.unsigned_abs()).to_string(),
        format!("{:.1} %", 100.0 * column.bytes as f64 / total.max(1) as f64),
        BinaryBytes(column.uncompressed.unsigned_abs()).to_string(),
    ]
}

fn truncate(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}
