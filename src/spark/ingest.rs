//! `ingest` in SQL: maps source columns to typed fields and marks lines that cannot be parsed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use polars::prelude::DataType;

use super::text::{all, any, first_match, name, quoted};
use super::{Body, Statement, timestamps};
use crate::clean::Reason;
use crate::columns::{
    AMOUNT, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, REASON, UNIT_PRICE,
};
use crate::ingest::fault::{AMBIGUOUS_TIMESTAMP, AMOUNT_OUT_OF_RANGE, MONEY_LIMIT, UNDECODABLE};
use crate::ingest::numbers::MINOR_TOLERANCE;
use crate::ingest::parse::YEARS;
use crate::ingest::schema_mapping::all_columns;
use crate::ingest::{self, Format, LineAmount, Source, SourceFile};
use crate::pipeline::Pipeline;

/// The view of all lines.
pub(super) const LINES: &str = "custseg_lines";
/// Pattern of a number. Spark alone would also accept `1d` and surrounding spaces.
const NUMBER: &str = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\\z";

/// Files that are read as one relation: a whole source if its files share their columns and have a
/// folder of their own, and a single file otherwise.
pub(super) struct Relation<'a> {
    source: &'a Source,
    /// The first file, for its columns.
    file: &'a SourceFile,
    path: String,
    view: String,
}

/// The views of the CSV files.
pub(super) fn csv_views(relations: &[Relation<'_>]) -> Vec<Statement> {
    let csv = relations.iter().filter(|relation| relation.source.set.format == Format::Csv);
    csv.map(|Relation { source, file, path, view }| {
        let columns = file.columns.iter().map(|(column, _)| column.clone()).collect();
        let options = vec![
            ("path", path.clone()),
            ("header", "true".to_owned()),
            ("sep", char::from(source.set.text.separator).to_string()),
            ("quote", "\"".to_owned()),
            ("escape", "\"".to_owned()),
            // Cells may contain line breaks. The file is then read by one task.
            ("multiLine", "true".to_owned()),
            ("mode", "FAILFAST".to_owned()),
            // Detects broken records in unused columns too.
            ("columnPruning", "false".to_owned()),
        ];
        let body = Body::Csv { columns, options };
        Statement { stage: ingest::STAGE, name: view.clone(), body }
    })
    .collect()
}

/// The view of [`ingest::Lines`]: all lines of all files.
pub(super) fn lines(p: &Pipeline, relations: &[Relation<'_>], reasons: &[Reason]) -> Statement {
    let selects = relations.iter().map(|Relation { source, file, path, view }| {
        let from = match source.set.format {
            Format::Csv => view.clone(),
            _ => format!("parquet.{}", name(path)),
        };
        LineQuery { p, source, file, reasons }.select(&from)
    });
    Statement::view(ingest::STAGE, LINES, selects.collect::<Vec<_>>().join("\nUNION ALL\n"))
}

/// The relations of all sources. Walks the folders of the files.
pub(super) fn relations(p: &Pipeline) -> Vec<Relation<'_>> {
    let mut paths: Vec<(&Source, &SourceFile, String)> = Vec::new();
    for source in &p.ingest.sources {
        let files = &source.set.files;
        let same_columns = files.iter().all(|file| file.columns == files[0].columns);
        match own_folder(files) {
            Some(folder) if same_columns => paths.push((source, &files[0], folder)),
            _ => paths.extend(
                files.iter().map(|file| (source, file, absolute_path(file).display().to_string())),
            ),
        }
    }
    let relation = |(index, (source, file, path)): (usize, (_, _, String))| Relation {
        source,
        file,
        path: super::url(&path),
        view: format!("custseg_file_{index}"),
    };
    (1..).zip(paths).map(relation).collect()
}

fn absolute_path(file: &SourceFile) -> PathBuf {
    file.path.canonicalize().unwrap_or_else(|_| file.path.clone())
}

/// The folder that contains these files and no others, if there is one. Only `key=value` folders
/// may be in between, and no key may be a column name: engines would read it as the column.
fn own_folder(files: &[SourceFile]) -> Option<String> {
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
    is_own.then(|| common.display().to_string())
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

/// The query of the lines of one relation.
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
        let numbers = self.number_columns();
        let mut cells = self.id_cells();
        for (field, column) in &numbers {
            let scaled =
                if *field == QUANTITY { String::new() } else { format!(" * {}", self.factor()) };
            cells.push(format!("{}{scaled} AS cell_{field}", self.number(column)));
            cells.push(format!("{} AS blank_{field}", self.is_blank(column)));
        }
        cells.extend(carried.iter().map(|(column, carried)| {
            // Adding zero turns -0.0 into 0.0, which some engines treat as a different value.
            let is_float = self.source.set.dtype(column).is_some_and(DataType::is_float);
            format!("{}{} AS {carried}", name(column), if is_float { " + 0.0D" } else { "" })
        }));
        if self.source.set.format == Format::Csv {
            // Engines replace undecodable bytes with this character.
            let columns = self.file.columns.iter().map(|(column, _)| name(column));
            cells.push(format!(
                "instr(concat_ws('', {}), '\u{fffd}') > 0 AS undecodable",
                columns.collect::<Vec<_>>().join(", ")
            ));
        }
        let values = [QUANTITY, UNIT_PRICE, AMOUNT].map(|field| {
            if numbers.iter().any(|(known, _)| *known == field) {
                // Values that do not fit are rejected, and null here.
                format!(
                    "CASE WHEN abs(cell_{field}) <= {MONEY_LIMIT:?}D \
                     THEN CAST(rint(cell_{field}) AS BIGINT) END AS {field}"
                )
            } else {
                format!("{} AS {field}", null("BIGINT"))
            }
        });
        let money = match self.source.columns.line_amount {
            LineAmount::Priced { .. } => format!("{QUANTITY} * {UNIT_PRICE}"),
            LineAmount::Amount { .. } => AMOUNT.to_owned(),
        };
        let ids = [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT].join(", ");
        let carried_names: String =
            carried.iter().map(|(_, carried)| format!(", {carried}")).collect();
        format!(
            "SELECT {ids}, CAST({ORDERED_AT} AS DATE) AS {DAY}, {}, {REASON}{carried_names},\n\
             \x20 CASE WHEN {REASON} IS NULL THEN {money} ELSE CAST(0 AS BIGINT) END AS {MONEY}\n\
             FROM (\n\
             \x20 SELECT {ids}{carried_names}, {},\n\
             \x20   CAST({} AS INT) AS {REASON}\n\
             \x20 FROM (\n\
             \x20   SELECT {}\n\
             \x20   FROM {from}\n\
             \x20 )\n\
             )",
            [QUANTITY, UNIT_PRICE, AMOUNT].join(", "),
            values.join(", "),
            first_match(self.faults(&numbers), "NULL"),
            cells.join(",\n      ")
        )
    }

    fn id_cells(&self) -> Vec<String> {
        let columns = &self.source.columns;
        let optional = |column: &Option<String>| {
            column.as_ref().map_or_else(|| null("STRING"), |column| self.id(column))
        };
        vec![
            format!("{} AS {CUSTOMER_ID}", self.id(&columns.customer_id)),
            format!("{} AS {ORDER_ID}", optional(&columns.order_id)),
            format!("{} AS {PRODUCT_ID}", optional(&columns.product_id)),
            format!("{} AS {ORDERED_AT}", self.timestamp()),
            format!("{} AS cell_{ORDERED_AT}", name(&columns.ordered_at)),
        ]
    }

    /// The number fields of a line and their source columns.
    fn number_columns(&self) -> Vec<(&'static str, &str)> {
        match &self.source.columns.line_amount {
            LineAmount::Priced { quantity, unit_price } => {
                vec![(QUANTITY, quantity.as_str()), (UNIT_PRICE, unit_price.as_str())]
            }
            LineAmount::Amount { amount, quantity } => {
                let quantity = quantity.iter().map(|quantity| (QUANTITY, quantity.as_str()));
                quantity.chain([(AMOUNT, amount.as_str())]).collect()
            }
        }
    }

    /// An id as text. Pandas stores integers with nulls as floats, which become integers again.
    fn id(&self, column: &str) -> String {
        let cell = self.cell(column);
        if self.source.set.dtype(column).is_some_and(DataType::is_float) {
            format!(
                "CASE WHEN abs({cell}) < 9.2e18D THEN CAST(CAST({cell} AS BIGINT) AS STRING) END"
            )
        } else {
            format!("CAST({cell} AS STRING)")
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
        matches!(self.source.set.dtype(column), Some(DataType::String) | None)
    }

    fn is_blank(&self, column: &str) -> String {
        if self.is_text(column) {
            format!("coalesce({} = '', true)", name(column))
        } else {
            format!("{} IS NULL", name(column))
        }
    }

    fn number(&self, column: &str) -> String {
        let cell = self.cell(column);
        if self.is_text(column) {
            let pattern = quoted(NUMBER);
            format!("CASE WHEN {cell} RLIKE {pattern} THEN TRY_CAST({cell} AS DOUBLE) END")
        } else {
            format!("CAST({cell} AS DOUBLE)")
        }
    }

    fn factor(&self) -> String {
        format!("{:?}D", self.p.ingest.money.factor())
    }

    /// The faults of a line. The first that applies is its reason.
    fn faults(&self, numbers: &[(&'static str, &str)]) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.source.set.format == Format::Csv {
            faults.push(self.fault("undecodable", UNDECODABLE));
        }
        for (field, _) in numbers {
            faults.extend(self.number_faults(field));
            if *field == UNIT_PRICE {
                let money = format!("abs(rint(cell_{QUANTITY}) * rint(cell_{UNIT_PRICE}))");
                faults
                    .push(self.fault(&format!("{money} > {MONEY_LIMIT:?}D"), AMOUNT_OUT_OF_RANGE));
            }
        }
        faults.extend(self.timestamp_faults());
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
        let is_missing = format!("blank_{field}");
        let is_no_number = [format!("{cell} IS NULL"), format!("isnan({cell})")];
        let is_too_large = format!("abs({cell}) > {MONEY_LIMIT:?}D");
        let missing = || self.fault(&is_missing, &format!("{field} missing"));
        if field == QUANTITY {
            let is_fraction = format!("rint({cell}) <> {cell}");
            let is_not_whole = any(is_no_number.into_iter().chain([is_fraction, is_too_large]));
            let reason = format!("{field} not a whole number");
            if matches!(self.source.columns.line_amount, LineAmount::Amount { .. }) {
                // Beside an amount the quantity is optional, but must be valid if present.
                let is_invalid = self.fault(&is_not_whole, &reason);
                let condition = all([format!("NOT {is_missing}"), is_invalid.0]);
                return vec![(condition, is_invalid.1)];
            }
            return vec![missing(), self.fault(&is_not_whole, &reason)];
        }
        let is_too_fine = format!("abs({cell} - rint({cell})) > {MINOR_TOLERANCE:?}D");
        vec![
            missing(),
            self.fault(&any(is_no_number), &format!("{field} not a number")),
            self.fault(
                &any([is_too_large, is_too_fine]),
                &format!("{field} out of range or finer than money.scale"),
            ),
        ]
    }

    /// The timestamps that the declared formats give for a cell, in their order. A timestamp column
    /// gives one.
    fn timestamps(&self, cell: &str) -> Vec<String> {
        let column = &self.source.columns.ordered_at;
        match (self.source.set.format, self.source.set.dtype(column)) {
            (Format::Csv | Format::Xlsx, _) => {
                let formats = &self.source.set.text.datetime_formats;
                formats.iter().filter_map(|format| timestamps::parse_sql(format, cell)).collect()
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let zone = quoted(self.p.ingest.timezone.name());
                vec![format!("convert_timezone('UTC', {zone}, CAST({cell} AS TIMESTAMP_NTZ))")]
            }
            (Format::Parquet, _) => vec![format!("CAST({cell} AS TIMESTAMP_NTZ)")],
        }
    }

    fn timestamp(&self) -> String {
        match self.timestamps(&self.cell(&self.source.columns.ordered_at)).as_slice() {
            [timestamp] => timestamp.clone(),
            candidates => format!("coalesce({})", candidates.join(", ")),
        }
    }

    fn timestamp_faults(&self) -> Vec<Fault> {
        let (first, last) = (YEARS.start(), YEARS.end());
        let is_null = format!("{ORDERED_AT} IS NULL");
        let missing = format!("{ORDERED_AT} missing");
        let mut faults = Vec::new();
        if self.source.set.format == Format::Csv {
            let is_blank = format!("coalesce(cell_{ORDERED_AT} = '', true)");
            let unparsed = format!("{ORDERED_AT} not in any declared format");
            faults.push(self.fault(&is_blank, &missing));
            faults.push(self.fault(&is_null, &unparsed));
            let candidates = self.timestamps(&format!("NULLIF(cell_{ORDERED_AT}, '')"));
            let differs = |other: &String| format!("coalesce({other} <> {ORDERED_AT}, false)");
            faults.push(
                self.fault(&any(candidates.iter().skip(1).map(differs)), AMBIGUOUS_TIMESTAMP),
            );
        } else {
            faults.push(self.fault(&is_null, &missing));
        }
        let out_of_range = any([
            format!("{ORDERED_AT} < DATE'{first}-01-01'"),
            format!("{ORDERED_AT} >= DATE'{}-01-01'", last + 1),
        ]);
        let reason = format!("{ORDERED_AT} before {first} or after {last}");
        faults.push(self.fault(&out_of_range, &reason));
        faults
    }
}

fn null(dtype: &str) -> String {
    format!("CAST(NULL AS {dtype})")
}
