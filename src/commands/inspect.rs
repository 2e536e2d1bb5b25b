//! `custseg inspect`: what a Parquet file, or a run, is made of.

use std::io::Write;
use std::path::Path;

use indicatif::BinaryBytes;
use serde_json::json;

use super::table;
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
    writeln!(
        out,
        "run {} of pipeline {}, custseg {}",
        run.text("run_id"),
        run.text("pipeline"),
        run.text("version")
    )?;
    writeln!(out, "  folder      {}", run.folder.display())?;
    writeln!(
        out,
        "  snapshots   {}",
        run.snapshots().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )?;
    writeln!(
        out,
        "  rows        {} raw, {} accepted, {} of customers",
        rows["raw"], rows["accepted"], rows["segments"]
    )?;
    for input in run.manifest["inputs"].as_array().into_iter().flatten() {
        let bytes = BinaryBytes(input["bytes"].as_u64().unwrap_or_default());
        writeln!(out, "  input       {} ({bytes})", input["path"].as_str().unwrap_or_default())?;
    }
    writeln!(
        out,
        "  whole       {}",
        if run.is_whole() {
            "yes: every file has the bytes that it was written with"
        } else {
            "NO"
        }
    )?;
    writeln!(out)?;
    let outputs = run.manifest["outputs"].as_array().into_iter().flatten().map(|output| {
        [
            output["path"].as_str().unwrap_or_default().to_owned(),
            output["rows"].as_u64().map(|rows| rows.to_string()).unwrap_or_default(),
            BinaryBytes(output["bytes"].as_u64().unwrap_or_default()).to_string(),
        ]
    });
    Ok(writeln!(out, "{}", table::rows(["file", "rows", "size"], outputs, &[1, 2]))?)
}

/// A Parquet file.
fn drawn(path: &Path, found: &Anatomy, out: &mut impl Write) -> Result<(), Error> {
    let Anatomy { rows, bytes, created_by, metadata, row_groups, columns } = found;
    writeln!(
        out,
        "{}: {rows} rows, {} columns, {}",
        path.display(),
        columns.len(),
        BinaryBytes(*bytes)
    )?;
    if let Some(created_by) = created_by {
        writeln!(out, "  written by  {created_by}")?;
    }
    let groups: Vec<String> =
        row_groups.iter().take(8).map(|group| group.rows.to_string()).collect();
    let more = if row_groups.len() > groups.len() { ", …" } else { "" };
    let of = if groups.is_empty() {
        String::new()
    } else {
        format!(" of {}{more} rows", groups.join(", "))
    };
    writeln!(out, "  row groups  {}{of}", row_groups.len())?;
    for (key, value) in metadata {
        let mut shown: String = value.chars().take(120).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        writeln!(out, "  {key} = {shown}")?;
    }
    writeln!(out)?;
    let header = [
        "column",
        "type",
        "nulls",
        "smallest",
        "largest",
        "compression",
        "size",
        "share",
        "unpacked",
    ];
    let all: i64 = columns.iter().map(|column| column.bytes).sum();
    let short = |text: &Option<String>| {
        text.as_deref().unwrap_or_default().chars().take(24).collect::<String>()
    };
    let rows = columns.iter().map(|column| {
        [
            column.name.clone(),
            column.r#type.clone(),
            column.nulls.map(|nulls| nulls.to_string()).unwrap_or_default(),
            short(&column.min),
            short(&column.max),
            column.compression.clone(),
            BinaryBytes(column.bytes.unsigned_abs()).to_string(),
            format!("{:.1} %", 100.0 * column.bytes as f64 / all.max(1) as f64),
            BinaryBytes(column.uncompressed.unsigned_abs()).to_string(),
        ]
    });
    Ok(writeln!(out, "{}", table::rows(header, rows, &[2, 6, 7, 8]))?)
}
