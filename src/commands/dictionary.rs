//! `custseg inspect --columns`: what stands in the tables of a run.

use std::io::Write;
use std::path::Path;

use custseg::columns;
use custseg::error::Error;
use custseg::evaluate::SEGMENTS;
use custseg::publish::Published;
use custseg::publish::anatomy::anatomy;

/// Every table of a run: what a row is, and of every column its type and what it means. Of the artefact's tables nothing is told.
pub(super) fn dictionary(run: &Path, out: &mut impl Write) -> Result<(), Error> {
    let run = Published::at(run).map_err(Error::Shown)?;
    let mut told = Vec::new();
    for output in run.manifest["outputs"].as_array().into_iter().flatten() {
        let path = output["path"].as_str().unwrap_or_default();
        let Some(table) =
            path.strip_suffix(".parquet").map(|table| table.split('/').next().unwrap_or_default())
        else {
            continue;
        };
        let (Some(grain), false) = (columns::grain(table), told.contains(&table)) else { continue };
        told.push(table);
        let file = if table == SEGMENTS {
            format!("{SEGMENTS}/snapshot=…/part-0.parquet")
        } else {
            path.to_owned()
        };
        writeln!(out, "## `{file}`\n\n{grain}\n\n| column | type | |\n|---|---|---|")?;
        for column in anatomy(&run.folder.join(path)).map_err(Error::Shown)?.columns {
            let meaning = columns::meaning_in(table, &column.name)
                .unwrap_or("A column of the source, carried along.");
            writeln!(
                out,
                "| `{}` | `{}` | {} |",
                column.name,
                column.r#type,
                meaning.replace('|', "\\|")
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}
