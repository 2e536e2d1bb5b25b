//! `ingest` in SQL: maps source columns to typed fields and marks lines that cannot be parsed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use polars::prelude::DataType;

use super::Statement;
use super::text::{
    all, any, double, first_match, is_blank_text, joined, name, parse_timestamp, quoted,
};
use crate::clean::Reason;
use crate::columns::{
    AMOUNT, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, REASON, UNIT_PRICE,
};
use crate::ingest::cell::is_text;
use crate::ingest::fault::{
    AMBIGUOUS_TIMESTAMP, AMOUNT_OUT_OF_RANGE, MONEY_LIMIT, QUANTITY_LIMIT, UNDECODABLE,
};
use crate::ingest::parse::YEARS;
use crate::ingest::schema_mapping::all_columns;
use crate::ingest::{self, Format, LineAmount, Source, SourceFile};
use crate::pipeline::Pipeline;

pub(super) const LINES: &str = "custseg_lines";
/// The number fields of a line.
const NUMBERS: [&str; 3] = [QUANTITY, UNIT_PRICE, AMOUNT];
/// Characters around a cell that are no part of it.
const BLANKS: &str = " \t\n\r\u{a0}\u{2009}\u{202f}\u{feff}";
/// Pattern of a number. Spark alone would also accept `1d` and surrounding spaces.
const NUMBER: &str = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\\z";

/// Files that are read as one relation: a whole source if its files share their columns and have a
/// folder of their own, and a single file otherwise.
pub(super) struct Relation<'a> {
    source: &'a Source,
    /// The first file, for its columns.
    file: &'a SourceFile,
    path: String,
}

/// The views of the CSV files, and of [`ingest::Lines`]: all lines of all files.
pub(super) fn statements(p: &Pipeline, reasons: &[Reason]) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut selects = Vec::new();
    for (index, Relation { source, file, path }) in (1..).zip(relations(p)) {
        let from = if source.set.format == Format::Csv {
            let view = format!("custseg_file_{index}");
            let columns = file.columns.iter().map(|(column, _)| format!("{} STRING", name(column)));
            // `multiLine`: cells may contain line breaks. The file is then read by one task.
            // `columnPruning`: detects broken records in unused columns too.
            let definition = format!(
                "({}) USING csv OPTIONS (path {}, header 'true', sep {}, quote '\"', escape '\"', \
                 multiLine 'true', mode 'FAILFAST', columnPruning 'false')",
                joined(columns, ", "),
                quoted(&path),
                quoted(&char::from(source.set.text.separator).to_string())
            );
            statements.push(Statement::new(ingest::STAGE, &view, definition));
            view
        } else {
            format!("parquet.{}", name(&path))
        };
        selects.push(LineQuery { p, source, file, reasons }.select(&from));
    }
    statements.push(Statement::view(ingest::STAGE, LINES, &selects.join("\nUNION ALL\n")));
    statements
}

/// The relations of all sources. Walks the folders of the files.
pub(super) fn relations(p: &Pipeline) -> Vec<Relation<'_>> {
    let mut relations = Vec::new();
    for source in &p.ingest.sources {
        let files = &source.set.files;
        let same_columns = files.iter().all(|file| file.columns == files[0].columns);
        let relation = |file, path: PathBuf| {
            let path = super::url(&path.display().to_string());
            Relation { source, file, path }
        };
        match own_folder(files) {
            Some(folder) if same_columns => relations.push(relation(&files[0], folder)),
            _ => relations.extend(files.iter().map(|file| relation(file, absolute_path(file)))),
        }
    }
    relations
}

fn absolute_path(file: &SourceFile) -> PathBuf {
    file.path.canonicalize().unwrap_or_else(|_| file.path.clone())
}

/// The folder that contains these files and no others, if there is one. Only `key=value` folders
/// may be in between, and no key may be a column name: engines would read it as the column.
fn own_folder(files: &[SourceFile]) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = files.iter().map(absolute_path).collect();
    paths.sort();
    let (first, last) = (paths.first()?, paths.last()?);
    let common = first.components().zip(last.components()).take_while(|(a, b)| a == b);
    let common: PathBuf = common.map(|(component, _)| component).collect();
    let pattern = format!("{}/**/*", glob::Pattern::escape(common.to_str()?));
    let mut visible: Vec<PathBuf> = glob::glob(&pattern)
        .ok()?
        .filter_map(Result::ok)
        .filter(|path| path.is_file() && path.strip_prefix(&common).is_ok_and(is_visible))
        .collect();
    visible.sort();
    let is_partition = |folder: &OsStr| {
        let key = folder.to_str().and_then(|folder| folder.split_once('=')).map(|(key, _)| key);
        key.is_some_and(|key| files[0].columns.iter().all(|(column, _)| column != key))
    };
    let is_partitioned = |path: &PathBuf| {
        let folders = path.parent().and_then(|parent| parent.strip_prefix(&common).ok());
        folders.is_some_and(|folders| folders.iter().all(is_partition))
    };
    let is_own = files.len() > 1 && visible == paths && paths.iter().all(is_partitioned);
    is_own.then_some(common)
}

/// Whether engines read a file: they skip names that begin with `.` or `_`.
fn is_visible(path: &Path) -> bool {
    !path.iter().any(|part| part.to_string_lossy().starts_with(['.', '_']))
}

/// The source columns that are carried along to compare whole rows, with their new names.
pub(super) fn carried(p: &Pipeline) -> Vec<(String, String)> {
    if !p.ingest.whole_rows {
        return Vec::new();
    }
    let columns = (1..).zip(all_columns(p.ingest.files()));
    columns.map(|(index, column)| (column, format!("source_{index}"))).collect()
}

struct LineQuery<'a> {
    p: &'a Pipeline,
    source: &'a Source,
    file: &'a SourceFile,
    reasons: &'a [Reason],
}

/// A condition and the code of the reason that it gives.
type Fault = (String, String);

impl LineQuery<'_> {
    fn select(&self, from: &str) -> String {
        let carried = carried(self.p);
        let mapped = self.source.columns.mapped();
        let numbers: Vec<(&str, &str)> =
            mapped.iter().copied().filter(|(field, _)| NUMBERS.contains(field)).collect();
        let mut cells = Vec::new();
        for field in [CUSTOMER_ID, ORDER_ID, PRODUCT_ID] {
            let column = mapped.iter().find(|(mapped, _)| *mapped == field);
            let id = column.map_or_else(|| null("STRING"), |(_, column)| self.id(column));
            cells.push(format!("{id} AS {field}"));
        }
        cells.push(format!("{} AS {ORDERED_AT}", self.timestamp()));
        let ordered_at = name(&self.source.columns.ordered_at);
        cells.push(format!("{ordered_at} AS cell_{ORDERED_AT}"));
        for (field, column) in &numbers {
            cells.push(format!("{} AS cell_{field}", self.number(column)));
            cells.push(format!("{} AS blank_{field}", self.is_blank(column)));
        }
        cells.extend(carried.iter().map(|(column, carried)| {
            // Adding zero turns -0.0 into 0.0, which some engines treat as a different value.
            let is_float = self.file.dtype(column).is_some_and(DataType::is_float);
            format!("{}{} AS {carried}", name(column), if is_float { " + 0.0D" } else { "" })
        }));
        if self.source.set.format == Format::Csv {
            // Engines replace undecodable bytes with this character.
            let columns = self.file.columns.iter().map(|(column, _)| name(column));
            cells.push(format!(
                "instr(concat_ws('', {}), '\u{fffd}') > 0 AS undecodable",
                joined(columns, ", ")
            ));
        }
        let values = NUMBERS.map(|field| {
            if numbers.iter().any(|(known, _)| *known == field) {
                // Values that do not fit are rejected, and null here.
                let units = self.units(field);
                format!(
                    "CASE WHEN abs({units}) <= {MONEY_LIMIT:?}D \
                     THEN CAST({units} AS BIGINT) END AS {field}"
                )
            } else {
                format!("{} AS {field}", null("BIGINT"))
            }
        });
        let money = match self.source.columns.line_amount {
            LineAmount::Priced { .. } => format!("{QUANTITY} * {UNIT_PRICE}"),
            LineAmount::Amount { .. } => AMOUNT.to_owned(),
        };
        let known = (0..self.reasons.len()).filter(|&code| self.reasons[code].has_money);
        let known = known.map(|code| format!("{REASON} = {code}"));
        let has_money = any([format!("{REASON} IS NULL")].into_iter().chain(known));
        let ids = [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT].join(", ");
        let carried_names: String =
            carried.iter().map(|(_, carried)| format!(", {carried}")).collect();
        format!(
            "SELECT {ids}, CAST({ORDERED_AT} AS DATE) AS {DAY}, {}, {REASON}{carried_names},\n\
             \x20 CASE WHEN {has_money} THEN {money} ELSE CAST(0 AS BIGINT) END AS {MONEY}\n\
             FROM (\n\
             \x20 SELECT {ids}{carried_names}, {},\n\
             \x20   CAST({} AS INT) AS {REASON}\n\
             \x20 FROM (\n\
             \x20   SELECT {}\n\
             \x20   FROM {from}\n\
             \x20 )\n\
             )",
            NUMBERS.join(", "),
            values.join(", "),
            first_match(self.faults(&numbers), "NULL"),
            cells.join(",\n      ")
        )
    }

    /// An id as text, in the spelling of [`ingest::IdFormat`].
    fn id(&self, column: &str) -> String {
        let cell = name(column);
        match self.file.dtype(column) {
            // Pandas stores integers with nulls as floats, which become integers again.
            Some(dtype) if dtype.is_float() => {
                let is_exact =
                    format!("abs({cell}) <= 9007199254740992D AND rint({cell}) = {cell}");
                format!("CASE WHEN {is_exact} THEN CAST(CAST({cell} AS BIGINT) AS STRING) END")
            }
            Some(dtype) if !is_text(dtype) => format!("CAST({cell} AS STRING)"),
            _ => {
                let trimmed = format!("btrim({cell}, {})", quoted(BLANKS));
                let whole = format!("regexp_replace({trimmed}, '^([0-9]+)[.]0+$', '$1')");
                let nulls = self.p.ingest.ids.nulls.words().iter();
                let nulls = nulls.map(|word| quoted(&word.to_lowercase())).chain([quoted("")]);
                let is_null = format!("lower({trimmed}) IN ({})", joined(nulls, ", "));
                format!("CASE WHEN NOT {is_null} THEN {whole} END")
            }
        }
    }

    /// A cell. An empty CSV cell is null, whether quoted or not.
    fn cell(&self, column: &str) -> String {
        match self.source.set.format {
            Format::Csv => format!("NULLIF({}, '')", name(column)),
            _ => name(column),
        }
    }

    fn is_text(&self, column: &str) -> bool {
        self.file.dtype(column).is_none_or(is_text)
    }

    fn is_blank(&self, column: &str) -> String {
        if self.is_text(column) {
            is_blank_text(&name(column))
        } else {
            format!("{} IS NULL", name(column))
        }
    }

    fn number(&self, column: &str) -> String {
        let cell = self.cell(column);
        if self.is_text(column) {
            let pattern = quoted(NUMBER);
            format!("CASE WHEN {cell} RLIKE {pattern} THEN TRY_CAST({cell} AS DOUBLE) END")
        } else if self.file.dtype(column) == Some(&DataType::Float32) {
            // The shortest decimal of the stored float.
            format!("CAST(CAST({cell} AS STRING) AS DOUBLE)")
        } else {
            format!("CAST({cell} AS DOUBLE)")
        }
    }

    /// Decimals of a number field.
    fn scale(&self, field: &str) -> u8 {
        if field == QUANTITY { 0 } else { self.p.ingest.money.read_scale() }
    }

    /// A number in whole units of its last place.
    fn units(&self, field: &str) -> String {
        match self.scale(field) {
            0 => format!("rint(cell_{field})"),
            scale => format!("rint(cell_{field} * {})", double(10f64.powi(scale.into()))),
        }
    }

    /// The faults of a line. The first that applies is its reason.
    fn faults(&self, numbers: &[(&str, &str)]) -> Vec<Fault> {
        let is_csv = self.source.set.format == Format::Csv;
        let mut faults = Vec::new();
        if is_csv {
            faults.push(self.fault("undecodable", UNDECODABLE));
        }
        for (field, _) in numbers {
            faults.extend(self.number_faults(field));
            if *field == UNIT_PRICE {
                let units = [QUANTITY, UNIT_PRICE].map(|field| self.units(field));
                let money = format!("abs({})", units.join(" * "));
                let is_too_much = format!("{money} > {MONEY_LIMIT:?}D");
                faults.push(self.fault(&is_too_much, AMOUNT_OUT_OF_RANGE));
            }
        }
        let is_null = format!("{ORDERED_AT} IS NULL");
        let missing = format!("{ORDERED_AT} missing");
        if is_csv {
            let cell = format!("cell_{ORDERED_AT}");
            let candidates = self.timestamps(&format!("NULLIF({cell}, '')"));
            let differs = |other: &String| format!("coalesce({other} <> {ORDERED_AT}, false)");
            let ambiguous = any(candidates.iter().skip(1).map(differs));
            faults.push(self.fault(&is_blank_text(&cell), &missing));
            faults.push(self.fault(&is_null, &format!("{ORDERED_AT} not in any declared format")));
            faults.push(self.fault(&ambiguous, AMBIGUOUS_TIMESTAMP));
        } else {
            faults.push(self.fault(&is_null, &missing));
        }
        let (first, last) = (YEARS.start(), YEARS.end());
        let out_of_range = any([
            format!("{ORDERED_AT} < DATE'{first}-01-01'"),
            format!("{ORDERED_AT} >= DATE'{}-01-01'", last + 1),
        ]);
        let reason = format!("{ORDERED_AT} before {first} or after {last}");
        faults.push(self.fault(&out_of_range, &reason));
        faults
    }

    #[expect(clippy::expect_used, reason = "`mark` lists every reason of ingest for every source")]
    fn fault(&self, condition: &str, reason: &str) -> Fault {
        let code = self
            .reasons
            .iter()
            .position(|known| known.step == ingest::STAGE && known.reason == reason)
            .expect("every fault of ingest has a reason code");
        (format!("coalesce({condition}, false)"), code.to_string())
    }

    fn number_faults(&self, field: &str) -> Vec<Fault> {
        let cell = format!("cell_{field}");
        let is_missing = format!("(blank_{field} OR isnan({cell}))");
        let is_no_number = format!("{cell} IS NULL");
        let units = self.units(field);
        let factor = double(10f64.powi(self.scale(field).into()));
        // A decimal of the scale, or rounding noise around it.
        let is_exact = any([
            format!("{units} / {factor} = {cell}"),
            all([
                format!("abs({units}) < 1e12D"),
                format!("abs({cell} - {units} / {factor}) <= 8.881784197001252e-16D * abs({cell})"),
            ]),
        ]);
        let is_out_of_range =
            any([format!("abs({units}) > {MONEY_LIMIT:?}D"), format!("NOT {is_exact}")]);
        let limit = if field == QUANTITY {
            QUANTITY_LIMIT.to_owned()
        } else {
            format!("{field} out of range or finer than money.scale")
        };
        let is_optional = field == QUANTITY
            && matches!(self.source.columns.line_amount, LineAmount::Amount { .. });
        let mut faults = Vec::new();
        let present = |condition: String| {
            if is_optional {
                // Beside an amount the quantity is optional, but must be valid if present.
                all([format!("NOT coalesce({is_missing}, false)"), condition])
            } else {
                condition
            }
        };
        if !is_optional {
            faults.push(self.fault(&is_missing, &format!("{field} missing")));
        }
        faults.push(self.fault(&present(is_no_number), &format!("{field} not a number")));
        faults.push(self.fault(&present(is_out_of_range), &limit));
        faults
    }

    /// The timestamps that the declared formats give for a cell, in their order. A timestamp column
    /// gives one.
    fn timestamps(&self, cell: &str) -> Vec<String> {
        let column = &self.source.columns.ordered_at;
        match (self.source.set.format, self.file.dtype(column)) {
            (Format::Csv, _) => {
                let formats = self.source.set.text.datetime_formats.iter();
                formats.filter_map(|format| parse_timestamp(&format.declared, cell)).collect()
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let zone = quoted(self.p.ingest.timezone.name());
                vec![format!("convert_timezone('UTC', {zone}, CAST({cell} AS TIMESTAMP_NTZ))")]
            }
            _ => vec![format!("CAST({cell} AS TIMESTAMP_NTZ)")],
        }
    }

    fn timestamp(&self) -> String {
        match self.timestamps(&self.cell(&self.source.columns.ordered_at)).as_slice() {
            [timestamp] => timestamp.clone(),
            candidates => format!("coalesce({})", candidates.join(", ")),
        }
    }
}

fn null(dtype: &str) -> String {
    format!("CAST(NULL AS {dtype})")
}
