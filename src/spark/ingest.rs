//! `ingest` in SQL: source columns get their meaning and type; what cannot be parsed is marked.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use polars::prelude::DataType;

use super::text::{all, any, first_of, name, quoted};
use super::{Statement, moments};
use crate::clean::Reason;
use crate::columns::{
    AMOUNT, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, REASON, UNIT_PRICE,
};
use crate::ingest::conform::{AMBIGUOUS, BEYOND, all_columns};
use crate::ingest::numbers::{MINOR_TOLERANCE, MONEY_LIMIT};
use crate::ingest::parse::YEARS;
use crate::ingest::{self, Format, Source, SourceFile, Worth};
use crate::pipeline::Pipeline;

/// The view of all lines.
pub(super) const LINES: &str = "custseg_lines";
/// What a cell has to look like to be a number: Spark would take `1d` for one, and spaces around it.
const NUMBER: &str = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\\z";

/// The views of CSV files.
pub(super) fn files(relations: &[Relation<'_>]) -> Vec<Statement> {
    let csv = relations.iter().filter(|relation| relation.source.set.format == Format::Csv);
    let view = |Relation { source, file, path, view }: &Relation<'_>| {
        let columns = file.columns.iter().map(|(column, _)| column.clone()).collect();
        let options = vec![
            ("path", path.clone()),
            ("header", "true".to_owned()),
            ("sep", char::from(source.set.text.separator).to_string()),
            ("quote", "\"".to_owned()),
            ("escape", "\"".to_owned()),
            // A cell may hold line ends; the file is then read by one task.
            ("multiLine", "true".to_owned()),
            ("mode", "FAILFAST".to_owned()),
            // A record is broken in whichever column it is.
            ("columnPruning", "false".to_owned()),
        ];
        Statement::csv(ingest::STAGE, view, columns, options)
    };
    csv.map(view).collect()
}

/// The view of all lines of all files, as [`ingest::Lines`] has them.
pub(super) fn lines(p: &Pipeline, relations: &[Relation<'_>], reasons: &[Reason]) -> Statement {
    let of_files = relations.iter().map(|Relation { source, file, path, view }| {
        let from = match source.set.format {
            Format::Csv => view.clone(),
            _ => format!("parquet.{}", name(path)),
        };
        Cells { p, source, file, reasons }.lines(&from)
    });
    Statement::view(ingest::STAGE, LINES, of_files.collect::<Vec<_>>().join("\nUNION ALL\n"))
}

/// Files that are read as one: all of a source, where they have the same columns and a folder to themselves.
pub(super) struct Relation<'a> {
    source: &'a Source,
    /// One of them.
    file: &'a SourceFile,
    path: String,
    view: String,
}

/// What the source is read by; the folders of its files are walked.
pub(super) fn relations(p: &Pipeline) -> Vec<Relation<'_>> {
    let mut found: Vec<(&Source, &SourceFile, String)> = Vec::new();
    for source in &p.ingest.sources {
        let files = &source.set.files;
        let alike = files.iter().all(|file| file.columns == files[0].columns);
        match folder(files).filter(|_| alike) {
            Some(folder) => found.push((source, &files[0], folder)),
            None => found
                .extend(files.iter().map(|file| (source, file, place(file).display().to_string()))),
        }
    }
    let relation = |(idx, (source, file, path)): (usize, (_, _, String))| Relation {
        source,
        file,
        path: super::url(&path),
        view: format!("custseg_file_{}", idx + 1),
    };
    found.into_iter().enumerate().map(relation).collect()
}

/// Where a file is, seen from everywhere.
fn place(file: &SourceFile) -> PathBuf {
    file.path.canonicalize().unwrap_or_else(|_| file.path.clone())
}

/// The folder that holds these files and no others, in folders of `key=value` as engines expect them, if there is one. Where a key is
/// the name of a column, engines would take it for the column.
fn folder(files: &[SourceFile]) -> Option<String> {
    let mut places: Vec<PathBuf> = files.iter().map(place).collect();
    places.sort();
    let (first, last) = (places.first()?, places.last()?);
    let common =
        first.components().zip(last.components()).take_while(|(a, b)| a == b).map(|(a, _)| a);
    let common: PathBuf = common.collect();
    let below = |path: &Path| path.strip_prefix(&common).map(Path::to_owned).ok();
    let hidden =
        |path: &Path| path.iter().any(|part| part.to_string_lossy().starts_with(['.', '_']));
    let all = glob::glob(&format!("{}/**/*", glob::Pattern::escape(common.to_str()?))).ok()?;
    let all = all
        .filter_map(Result::ok)
        .filter(|path| path.is_file() && !below(path).is_none_or(|path| hidden(&path)));
    let mut all: Vec<PathBuf> = all.collect();
    all.sort();
    let is_key = |part: &OsStr| {
        let key = part.to_str().and_then(|part| part.split_once('=')).map(|(key, _)| key);
        key.is_some_and(|key| files[0].columns.iter().all(|(column, _)| column != key))
    };
    let keyed = |path: &PathBuf| below(path.parent()?).map(|folders| folders.iter().all(is_key));
    let sound =
        files.len() > 1 && all == places && places.iter().all(|path| keyed(path) == Some(true));
    sound.then(|| common.display().to_string())
}

/// Names under which whole source rows are carried along, where duplicates are compared by them.
pub(super) fn carried(p: &Pipeline) -> Vec<(String, String)> {
    let columns = all_columns(p.ingest.files()).into_iter().filter(|_| p.ingest.whole_rows);
    columns.enumerate().map(|(idx, column)| (column, format!("source_{}", idx + 1))).collect()
}

/// The cells of one file.
struct Cells<'a> {
    p: &'a Pipeline,
    source: &'a Source,
    file: &'a SourceFile,
    reasons: &'a [Reason],
}

impl Cells<'_> {
    fn lines(&self, from: &str) -> String {
        let columns = &self.source.columns;
        let none = |dtype: &str| format!("CAST(NULL AS {dtype})");
        let mut cells = vec![
            format!("{} AS {CUSTOMER_ID}", self.id(&columns.customer_id)),
            format!(
                "{} AS {ORDER_ID}",
                columns.order_id.as_ref().map_or(none("STRING"), |column| self.id(column))
            ),
            format!(
                "{} AS {PRODUCT_ID}",
                columns.product_id.as_ref().map_or(none("STRING"), |column| self.id(column))
            ),
            format!("{} AS {ORDERED_AT}", self.moment()),
            format!("{} AS cell_{ORDERED_AT}", name(&columns.ordered_at)),
        ];
        let numbers = match &columns.worth {
            Worth::Priced { quantity, unit_price } => {
                vec![(QUANTITY, quantity), (UNIT_PRICE, unit_price)]
            }
            Worth::Amount { amount, quantity } => quantity
                .iter()
                .map(|quantity| (QUANTITY, quantity))
                .chain([(AMOUNT, amount)])
                .collect(),
        };
        for (ours, theirs) in &numbers {
            let scaled =
                if *ours == QUANTITY { String::new() } else { format!(" * {}", self.factor()) };
            cells.push(format!("{}{scaled} AS cell_{ours}", self.number(theirs)));
            cells.push(format!("{} AS blank_{ours}", self.blank(theirs)));
        }
        cells.extend(carried(self.p).iter().map(|(column, carried)| {
            // To some engines zero is not its own negative.
            let is_float = self.source.set.dtype(column).is_some_and(DataType::is_float);
            format!("{}{} AS {carried}", name(column), if is_float { " + 0.0D" } else { "" })
        }));
        let mut faults = Vec::new();
        if self.source.set.format == Format::Csv {
            // Engines put this mark where bytes are no text, in whichever column that is.
            let all: Vec<String> =
                self.file.columns.iter().map(|(column, _)| name(column)).collect();
            cells.push(format!(
                "instr(concat_ws('', {}), '\u{fffd}') > 0 AS undecodable",
                all.join(", ")
            ));
            faults.push(self.fault("undecodable".to_owned(), ingest::UNDECODABLE));
        }
        let mut sized = Vec::new();
        for (ours, _) in &numbers {
            faults.extend(self.number_faults(ours));
            if *ours == UNIT_PRICE {
                let worth = format!("abs(rint(cell_{QUANTITY}) * rint(cell_{UNIT_PRICE}))");
                faults.push(self.fault(format!("{worth} > {MONEY_LIMIT:?}D"), BEYOND));
            }
        }
        faults.extend(self.moment_faults());
        for ours in [QUANTITY, UNIT_PRICE, AMOUNT] {
            let known = numbers.iter().any(|(known, _)| *known == ours);
            // What does not fit is marked above, and no number here.
            let fits = format!("abs(cell_{ours}) <= {MONEY_LIMIT:?}D");
            let value = match known {
                true => format!("CASE WHEN {fits} THEN CAST(rint(cell_{ours}) AS BIGINT) END"),
                false => none("BIGINT"),
            };
            sized.push(format!("{value} AS {ours}"));
        }
        let money = match columns.worth {
            Worth::Priced { .. } => format!("{QUANTITY} * {UNIT_PRICE}"),
            Worth::Amount { .. } => AMOUNT.to_owned(),
        };
        let ids = [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT].join(", ");
        let carried: String =
            carried(self.p).iter().map(|(_, carried)| format!(", {carried}")).collect();
        let numbers = [QUANTITY, UNIT_PRICE, AMOUNT].join(", ");
        format!(
            "SELECT {ids}, CAST({ORDERED_AT} AS DATE) AS {DAY}, {numbers}, {REASON}{carried},\n\
             \x20 CASE WHEN {REASON} IS NULL THEN {money} ELSE CAST(0 AS BIGINT) END AS {MONEY}\n\
             FROM (\n\
             \x20 SELECT {ids}{carried}, {},\n\
             \x20   CAST({} AS INT) AS {REASON}\n\
             \x20 FROM (\n\
             \x20   SELECT {}\n\
             \x20   FROM {from}\n\
             \x20 )\n\
             )",
            sized.join(", "),
            first_of(faults, "NULL"),
            cells.join(",\n      ")
        )
    }

    /// Identities are text; floats, which pandas makes of integers with gaps, are integers.
    fn id(&self, column: &str) -> String {
        let cell = self.cell(column);
        match self.source.set.dtype(column) {
            Some(dtype) if dtype.is_float() => {
                format!(
                    "CASE WHEN abs({cell}) < 9.2e18D THEN CAST(CAST({cell} AS BIGINT) AS STRING) END"
                )
            }
            _ => format!("CAST({cell} AS STRING)"),
        }
    }

    /// A cell; one of a CSV file without anything in it is null, whether quoted or not.
    fn cell(&self, column: &str) -> String {
        match self.source.set.format {
            Format::Csv => format!("NULLIF({}, '')", name(column)),
            _ => name(column),
        }
    }

    fn is_text(&self, column: &str) -> bool {
        matches!(self.source.set.dtype(column), Some(DataType::String) | None)
    }

    fn blank(&self, column: &str) -> String {
        match self.is_text(column) {
            true => format!("coalesce({0} = '', true)", name(column)),
            false => format!("{} IS NULL", name(column)),
        }
    }

    fn number(&self, column: &str) -> String {
        let cell = self.cell(column);
        match self.is_text(column) {
            true => format!(
                "CASE WHEN {cell} RLIKE {} THEN TRY_CAST({cell} AS DOUBLE) END",
                quoted(NUMBER)
            ),
            false => format!("CAST({cell} AS DOUBLE)"),
        }
    }

    fn factor(&self) -> String {
        format!("{:?}D", self.p.ingest.money.factor())
    }

    fn fault(&self, holds: String, reason: &str) -> (String, String) {
        let code = self
            .reasons
            .iter()
            .position(|known| known.step == ingest::STAGE && known.reason == reason);
        (format!("coalesce({holds}, false)"), code.unwrap_or_default().to_string())
    }

    fn number_faults(&self, ours: &str) -> Vec<(String, String)> {
        let cell = format!("cell_{ours}");
        let far = format!("abs({cell}) > {MONEY_LIMIT:?}D");
        let mut faults = vec![self.fault(format!("blank_{ours}"), &format!("{ours} missing"))];
        if ours == QUANTITY {
            let wrong = any([
                format!("{cell} IS NULL"),
                format!("isnan({cell})"),
                format!("rint({cell}) <> {cell}"),
                far,
            ]);
            faults.push(self.fault(wrong, &format!("{ours} not a whole number")));
            if matches!(self.source.columns.worth, Worth::Amount { .. }) {
                // Beside an amount the units are a remark: a line without them is as good, one with nonsense is not.
                faults.remove(0);
                faults[0].0 = all([format!("NOT blank_{ours}"), faults[0].0.clone()]);
            }
        } else {
            let none = any([format!("{cell} IS NULL"), format!("isnan({cell})")]);
            faults.push(self.fault(none, &format!("{ours} not a number")));
            let finer = format!("abs({cell} - rint({cell})) > {MINOR_TOLERANCE:?}D");
            let words = format!("{ours} out of range or finer than money.scale");
            faults.push(self.fault(any([far, finer]), &words));
        }
        faults
    }

    /// The moments that the declared formats read of the cell, in their order; of a column of moments the one.
    fn moments(&self, cell: &str) -> Vec<String> {
        let column = &self.source.columns.ordered_at;
        match (self.source.set.format, self.source.set.dtype(column)) {
            (Format::Csv | Format::Xlsx, _) => {
                let formats = &self.source.set.text.datetime_formats;
                formats.iter().filter_map(|format| moments::moment(format, cell)).collect()
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let zone = quoted(self.p.ingest.timezone.name());
                vec![format!("convert_timezone('UTC', {zone}, CAST({cell} AS TIMESTAMP_NTZ))")]
            }
            (Format::Parquet, _) => vec![format!("CAST({cell} AS TIMESTAMP_NTZ)")],
        }
    }

    fn moment(&self) -> String {
        match self.moments(&self.cell(&self.source.columns.ordered_at)).as_slice() {
            [one] => one.clone(),
            several => format!("coalesce({})", several.join(", ")),
        }
    }

    fn moment_faults(&self) -> Vec<(String, String)> {
        let (first, last) = (YEARS.start(), YEARS.end());
        let mut faults = Vec::new();
        if self.source.set.format == Format::Csv {
            let blank = format!("coalesce(cell_{ORDERED_AT} = '', true)");
            faults.push(self.fault(blank, &format!("{ORDERED_AT} missing")));
            faults.push(self.fault(
                format!("{ORDERED_AT} IS NULL"),
                &format!("{ORDERED_AT} not in any declared format"),
            ));
            let others = self.moments(&format!("NULLIF(cell_{ORDERED_AT}, '')"));
            let differs = |other: &String| format!("coalesce({other} <> {ORDERED_AT}, false)");
            faults.push(self.fault(any(others.iter().skip(1).map(differs)), AMBIGUOUS));
        } else {
            faults.push(
                self.fault(format!("{ORDERED_AT} IS NULL"), &format!("{ORDERED_AT} missing")),
            );
        }
        let beyond = any([
            format!("{ORDERED_AT} < DATE'{first}-01-01'"),
            format!("{ORDERED_AT} >= DATE'{}-01-01'", last + 1),
        ]);
        faults.push(self.fault(beyond, &format!("{ORDERED_AT} before {first} or after {last}")));
        faults
    }
}
