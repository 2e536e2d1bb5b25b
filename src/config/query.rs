//! Compiles queries over named tables, and the columns that are filled.

use std::collections::BTreeMap;

use polars::prelude::DataType;

use super::diagnostics::hint;
use super::files::{Paths, SeenFiles};
use super::files_spec::{FillSpec, TableSpec};
use super::ingest_spec::TransactionsSpec;
use super::text;
use super::validator::Validator;
use crate::ingest::fill::Fill;
use crate::ingest::query::Query;
use crate::ingest::{Columns, FileSet, SourceFile};

/// The named tables that a query reads.
pub(super) fn tables(
    specs: &BTreeMap<String, TableSpec>,
    seen: &mut SeenFiles,
    validator: &mut Validator<'_>,
) -> Option<Vec<(String, FileSet)>> {
    let mut tables = Vec::new();
    for (name, spec) in specs {
        let at = format!("/ingest/sources/{name}");
        let text = text::text(&spec.csv, &format!("{at}/csv"), validator);
        let TableSpec { paths, workbook, format, .. } = spec;
        let paths = Paths { patterns: paths, workbook, format: *format, at: &at };
        let set = text.and_then(|text| paths.file_set(text, &[], seen, validator));
        let set = set.filter(|set| {
            let differs = |file: &&SourceFile| file.columns != set.files[0].columns;
            let different = set.files.iter().find(differs);
            if let Some(file) = different {
                let message = format!(
                    "all files of a source of a query must have the same columns: `{}` and `{}` differ",
                    set.files[0].name, file.name
                );
                validator.report_invalid(&format!("{at}/paths"), message);
            }
            different.is_none()
        });
        tables.push(set.map(|set| (name.clone(), set)));
    }
    tables.into_iter().collect()
}

/// The query of a source, and the columns of its result.
pub(super) fn query(
    sql: &str,
    spec: &TransactionsSpec,
    (at, tables): (&str, &[(String, FileSet)]),
    validator: &mut Validator<'_>,
) -> Option<(Query, Vec<(String, DataType)>)> {
    let pointer = format!("{at}/query");
    if tables.is_empty() {
        let message = "a query needs the tables of `ingest.sources`";
        return validator.fail(&pointer, message);
    }
    let (sql, tables) = (sql.to_owned(), tables.to_vec());
    let max_rows_factor = spec.max_rows_factor.unwrap_or(1.0);
    let nulls = validator.sources.ids.nulls.clone();
    let query = Query { sql, tables, max_rows_factor, nulls };
    match query.schema() {
        Ok(columns) => Some((query, columns)),
        Err(message) => {
            let names: Vec<&str> = query.tables.iter().map(|(name, _)| name.as_str()).collect();
            let hint = format!(
                "the tables are {}; columns of CSV are text: CAST(x AS DOUBLE), or an expression in \
                 `columns`",
                names.join(", ")
            );
            validator.fail_with_hint(&pointer, format!("`query`: {message}"), hint)
        }
    }
}

/// The columns to fill, as columns of the source.
pub(super) fn filled(
    spec: &FillSpec,
    (at, columns): (&str, &Columns),
    set: &FileSet,
    validator: &mut Validator<'_>,
) -> Option<Fill> {
    let at = format!("{at}/fill");
    let mut column = |pointer: String, name: &str| {
        let mapped = columns.mapped().into_iter().find(|(ours, _)| *ours == name);
        let name = mapped.map_or(name, |(_, source)| source);
        for file in &set.files {
            if !file.columns.iter().any(|(own, _)| own == name) {
                let message = format!("`{}` has no column `{name}`", file.name);
                let hint = hint(name, file.columns.iter().map(|(name, _)| name.as_str()));
                return validator.fail_with_hint(&pointer, message, hint);
            }
        }
        Some(name.to_owned())
    };
    let by = column(format!("{at}/by"), &spec.by);
    let names = spec.columns.iter().enumerate();
    let names: Vec<_> = names.map(|(i, name)| column(format!("{at}/columns/{i}"), name)).collect();
    Some(Fill { by: by?, columns: names.into_iter().collect::<Option<_>>()? })
}
