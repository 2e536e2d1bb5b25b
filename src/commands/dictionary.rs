//! `custseg inspect --columns`: the data dictionary of a run, in Markdown.

use std::io::Write;
use std::path::Path;

use crate::error::Error;
use crate::publish::Published;
use crate::publish::parquet_metadata::parquet_metadata;
use crate::tables::TableId;

/// Every table of a run: what a row is, and type and meaning of every column. Tables of the artefact
/// are left out.
pub(super) fn dictionary(run: &Path, out: &mut impl Write) -> Result<(), Error> {
    let run = Published::open(run).map_err(Error::reading)?;
    let mut written = Vec::new();
    for output in &run.manifest.outputs {
        let Some(path) = output.path.strip_suffix(".parquet") else { continue };
        let name = path.split('/').next().unwrap_or(path);
        let Some(id) = TableId::named(name) else { continue };
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
