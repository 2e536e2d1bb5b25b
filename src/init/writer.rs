//! Writes a pipeline from what a sample shows.

use polars::prelude::*;

use super::layouts::Layout;
use super::sample::{DEFAULT_NULLS, Sample};
use super::yaml::quoted;
use super::{Draft, roles};
use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE,
};
use crate::error::Error;
use crate::ingest::Format;
use crate::ingest::advice::NULL_WORDS;
use crate::ingest::cell::has_text;
use crate::ingest::guess;

/// Writes the pipeline of one kind of files.
pub(super) struct Writer<'a> {
    pub(super) sample: &'a Sample,
    pub(super) paths: &'a [String],
    pub(super) name: &'a str,
    pub(super) questions: Vec<String>,
    pub(super) csv: Vec<String>,
    pub(super) clean: Vec<String>,
    /// Lines of `ingest` after the transactions.
    pub(super) rest: Vec<String>,
    /// Options of `money`.
    pub(super) money: Vec<String>,
    /// Whether times without an offset are in UTC.
    pub(super) is_utc: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(sample: &'a Sample, paths: &'a [String], name: &'a str) -> Self {
        let (questions, csv, clean, rest, money) = Default::default();
        Self { sample, paths, name, questions, csv, clean, rest, money, is_utc: false }
    }

    pub(super) fn write(mut self) -> Result<Draft, Error> {
        // Lists and structs are no ids, times or numbers.
        let names = self.sample.names();
        let is_cell = |name: &&str| has_text(&self.sample.dtype(name));
        let names: Vec<&str> = names.into_iter().filter(is_cell).collect();
        let layout = Layout::of(&names).unwrap_or_default();
        let mut columns: Vec<(&str, String, &str)> = Vec::new();
        for ours in [CUSTOMER_ID, ORDER_ID, ORDERED_AT] {
            self.column(ours, &names, &layout, &mut columns);
        }
        let has =
            |ours: &str| layout.column(ours).is_some() || roles::column(ours, &names).is_some();
        let is_priced = layout.column(AMOUNT).is_none() && has(QUANTITY) && has(UNIT_PRICE);
        let money: &[&str] = if is_priced { &[QUANTITY, UNIT_PRICE] } else { &[AMOUNT] };
        for ours in money.iter().chain(&[PRODUCT_ID, CATEGORY, CURRENCY]) {
            self.column(ours, &names, &layout, &mut columns);
        }
        let missing = [CUSTOMER_ID, ORDERED_AT].into_iter().chain(money.iter().copied());
        let is_mapped = |ours: &&str| columns.iter().any(|(known, ..)| known == ours);
        let missing: Vec<&str> = missing.filter(|ours| !is_mapped(ours)).collect();
        for ours in &missing {
            self.questions
                .push(format!("which column is `{ours}`? The file has {}", names.join(", ")));
            columns.push((ours, "TODO".to_owned(), "TODO: no column has a known name"));
        }
        self.layout_of_csv();
        let own = |ours: &str| {
            let column = columns.iter().find(|(known, ..)| *known == ours)?.1.clone();
            names.contains(&column.as_str()).then_some(column)
        };
        if let Some(column) =
            layout.source(ORDERED_AT).map(str::to_owned).or_else(|| own(ORDERED_AT))
        {
            let has_offset = self.dates(&column);
            let name = column.to_lowercase();
            self.is_utc = layout.is_utc() || name.contains("utc") || name.contains("gmt");
            if has_offset || self.is_utc {
                self.zone();
            }
        }
        let numbers: Vec<String> = money.iter().filter_map(|ours| own(ours)).collect();
        let numbers = if numbers.is_empty() { layout.numbers(&names) } else { numbers };
        self.numbers(&numbers, own(QUANTITY));
        self.null_words(&columns);
        if let Some(customer) = own(CUSTOMER_ID) {
            let values = self.sample.values(&customer);
            let is_address = |value: &&&str| value.contains('@');
            let has_capital = |value: &&str| value.chars().any(char::is_uppercase);
            let addresses = values.iter().filter(is_address).count();
            if addresses * 2 > values.len() && values.iter().any(has_capital) {
                self.rest.push(
                    "  customer_id_case: lower   # guess: addresses are compared without case"
                        .to_owned(),
                );
            }
            let missing = self.sample.count_missing(&customer);
            if missing > 0 {
                let rows = self.sample.cells.height();
                self.clean.push(format!(
                    "  - drop_missing: [customer_id]      # {missing} of {rows} sampled rows have no customer"
                ));
            }
        }
        self.returns(&own, money[0], &layout);
        if !layout.is_complete() {
            self.doubts(&names, &own);
        }
        self.currency(&own);
        let has_versions = self.versions(&names, &own);
        let mut status = self.status(&names, &layout);
        if has_versions && let Some((filter, comment)) = status.take() {
            // The state that counts is that of the row that is kept.
            self.clean.push(format!("  - where: {}   # {comment}", quoted(&filter)));
        }
        let fill = layout.fill(&names);
        Ok(self.yaml(&columns, &layout, fill.as_deref(), status))
    }

    /// Maps a column by the layout, or by its name.
    fn column(
        &mut self,
        ours: &'static str,
        names: &[&str],
        layout: &Layout,
        columns: &mut Vec<(&'static str, String, &'static str)>,
    ) {
        if let Some(mapped) = layout.column(ours) {
            columns.push((ours, mapped.to_owned(), ""));
        } else if layout.is_complete() && ours != CURRENCY {
        } else if let Some((name, is_exact)) = roles::column(ours, names)
            && columns.iter().all(|(_, other, _)| other != name)
        {
            if is_exact {
                columns.push((ours, name.to_owned(), ""));
            } else if [CUSTOMER_ID, ORDERED_AT, AMOUNT, QUANTITY, UNIT_PRICE].contains(&ours) {
                self.questions.push(format!(
                    "is `{name}` the column `{ours}`? The file has {}",
                    names.join(", ")
                ));
                columns.push((ours, "TODO".to_owned(), "TODO: no column has exactly such a name"));
            }
        }
    }

    fn layout_of_csv(&mut self) {
        let Some(csv) = &self.sample.csv else { return };
        let mut add = |line: String| self.csv.push(line);
        if csv.separator != "," {
            add(format!("separator: {}", quoted(&csv.separator)));
        }
        if let Some(encoding) = csv.encoding {
            let doubt = if csv.is_encoding_guessed {
                "   # guess: the bytes are no UTF-8; check the names"
            } else {
                ""
            };
            add(format!("encoding: {encoding}{doubt}"));
        }
        if csv.skip_rows > 0 {
            add(format!("skip_rows: {}   # lines above the header", csv.skip_rows));
        }
        if !csv.has_header {
            add("header: false   # the first row has values; name the columns with `names`"
                .to_owned());
        }
        if csv.quote != '"' {
            add(format!("quote: {}", quoted(&csv.quote.to_string())));
        }
        if csv.has_escapes {
            add("escape: \"\\\\\"".to_owned());
        }
        if csv.trailing_separator {
            add("trailing_separator: true".to_owned());
        }
    }

    /// Whether the times of a column are instants.
    fn dates(&mut self, column: &str) -> bool {
        let dtype = self.sample.dtype(column);
        let zoned = matches!(&dtype, DataType::Datetime(_, Some(_)));
        let mut has_offset = zoned;
        let is_typed = dtype.is_temporal() || self.sample.format == Format::Workbook;
        if !is_typed {
            let values = self.sample.values(column);
            let guess = guess::dates(&values);
            has_offset |= guess.has_offset;
            let evidence = match (&guess.undecided, guess.deciding, &guess.unread) {
                (Some([day, month]), ..) => {
                    let example = values.first().copied().unwrap_or_default();
                    self.questions.push(format!(
                        "`{column}`: {example} reads as day or month first, and no sampled value decides: \
                         `datetime_formats: [\"{day}\"]` or `[\"{month}\"]`"
                    ));
                    self.csv.push(format!(
                        "datetime_formats: [TODO]   # TODO: \"{day}\" or \"{month}\": {example} reads as both"
                    ));
                    return has_offset;
                }
                (None, n, None) if n > 0 => {
                    format!("   # {n} sampled values decide between day and month first")
                }
                (None, _, Some(unread)) => {
                    format!("   # guess: {unread:?} is in none of these formats")
                }
                _ => String::new(),
            };
            if guess.formats.is_empty() {
                self.questions.push(format!(
                    "`{column}`: in which format are values such as {:?}?",
                    guess.unread
                ));
                self.csv.push("datetime_formats: [TODO]   # TODO: strftime notation".to_owned());
            } else {
                let formats: Vec<String> =
                    guess.formats.iter().map(|format| format!("\"{format}\"")).collect();
                self.csv.push(format!("datetime_formats: [{}]{evidence}", formats.join(", ")));
            }
        }
        has_offset
    }

    /// Asks for the time zone, which decides about days if times have offsets or are in UTC.
    fn zone(&mut self) {
        self.questions.push(
            "`timezone`: times are instants; whose days are those of the shop? Such as Europe/Berlin"
                .to_owned(),
        );
        self.rest.push(
            "  timezone: TODO   # TODO: the store's, such as Europe/Berlin: it decides on which day an \
             order is"
                .to_owned(),
        );
    }

    /// `quantity` is the one of the columns that has no money.
    fn numbers(&mut self, columns: &[String], quantity: Option<String>) {
        let (mut decimals, mut marks) = (0, None::<guess::NumberGuess>);
        for column in columns.iter().filter(|column| self.sample.dtype(column) == DataType::String)
        {
            let texts = self.sample.texts(column);
            if texts.is_empty() {
                continue;
            }
            let Some(guess) = guess::numbers(&texts) else { continue };
            if marks.as_ref().is_none_or(|known| known.decimal.is_none()) {
                marks = Some(guess);
            }
        }
        for column in columns.iter().filter(|column| Some(*column) != quantity.as_ref()) {
            let mark = marks.as_ref().and_then(|marks| marks.decimal).unwrap_or('.');
            let texts = self.sample.values(column);
            let digits = |value: &&str| {
                let (_, digits) = value.rsplit_once(mark)?;
                Some(digits.trim_end_matches(|c: char| !c.is_ascii_digit()).len())
            };
            decimals = decimals.max(texts.iter().filter_map(digits).max().unwrap_or(0));
            if self.sample.format == Format::Workbook {
                let typed = texts.iter().filter_map(|text| text.parse::<f64>().ok().map(|_| text));
                let typed = typed.filter_map(|text| Some(text.rsplit_once('.')?.1.len()));
                decimals = decimals.max(typed.max().unwrap_or(0));
            }
        }
        if decimals > 2 {
            // Some amounts have more than two decimals.
            self.money.push("scale: auto".to_owned());
        }
        let Some(marks) = marks else { return };
        if let Some(value) = &marks.undecided {
            self.questions.push(format!(
                "amounts such as {value}: is the mark a decimal mark or one of thousands? `decimal` or `thousands`"
            ));
            self.csv
                .push(format!("decimal: TODO   # TODO: {value} may be a thousand times larger"));
        } else {
            if marks.decimal == Some(',') {
                self.csv.push("decimal: \",\"".to_owned());
            }
            if let Some(mark) = marks.thousands {
                self.csv.push(format!(
                    "thousands: {}",
                    quoted(&if mark.is_whitespace() { ' ' } else { mark }.to_string())
                ));
            }
        }
        if !marks.signs.is_empty() {
            let signs: Vec<String> = marks.signs.iter().map(|sign| quoted(sign)).collect();
            self.csv.push(format!("currency_signs: [{}]", signs.join(", ")));
        }
    }

    fn null_words(&mut self, columns: &[(&str, String, &str)]) {
        let mut words: Vec<&str> = Vec::new();
        for (_, column, _) in columns {
            let Ok(cells) = self.sample.cells.column(column).and_then(|c| c.str()) else {
                continue;
            };
            let found = NULL_WORDS
                .into_iter()
                .filter(|word| cells.iter().flatten().any(|cell| cell.trim() == *word));
            words.extend(found);
        }
        words.sort_unstable();
        words.dedup();
        if !words.is_empty() {
            let all: Vec<String> =
                DEFAULT_NULLS.iter().chain(&words).map(|word| quoted(word)).collect();
            self.rest.push(format!(
                "  null_values: [{}]   # guess: {} stand for missing values",
                all.join(", "),
                words.join(" and ")
            ));
        }
    }
}
