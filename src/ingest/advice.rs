//! What to do about cells that cannot be parsed: the options that would read them.

use super::decimal::decimal_of_text;
use super::fault::{
    AMBIGUOUS_TIMESTAMP, FOREIGN_CURRENCY, NO_RATE, QUANTITY_LIMIT, RECORD_FAULTS, UNDECODABLE,
};
use super::guess::{self, DateGuess, NumberGuess};
use super::{NumberFormat, Source};

/// Words for a missing value that `null_values` does not have by default.
pub(crate) const NULL_WORDS: [&str; 8] =
    ["NA", "#N/A", "-", "n.a.", "(null)", "undefined", "nil", "<NA>"];

/// Whether a source has other rows, which can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherRows {
    Readable,
    None,
}

/// The option that decides whether rows with a fault can be read. `cells` are texts of a source
/// that have it.
pub(crate) fn advice(
    reason: &str,
    cells: &[&str],
    source: Option<&Source>,
    others: OtherRows,
) -> Option<String> {
    let text = source.map(|source| &source.set.text);
    let is_null_word = |cell: &&str| NULL_WORDS.iter().any(|word| word.eq_ignore_ascii_case(cell));
    if reason.ends_with("not a number") {
        if let Some(word) = cells.first().filter(|_| cells.iter().all(is_null_word)) {
            return Some(format!("`ingest.null_values` may list `{word}`"));
        }
        let guess = guess::numbers(cells);
        if guess.is_none() && others == OtherRows::None {
            return Some("these are no numbers: is the right column mapped?".to_owned());
        }
        let options = text
            .zip(guess)
            .and_then(|(text, guess)| number_options(cells, &text.numbers, &guess, others));
        return Some(match options {
            Some(options) => format!("`csv: {{ {options} }}` would read them"),
            None => {
                "`csv.decimal`, `csv.thousands` and `csv.currency_signs` describe numbers".into()
            }
        });
    }
    if reason == "ordered_at not in any declared format" {
        let tried = text.map(|text| {
            let formats = text.datetime_formats.iter().map(|format| &*format.declared);
            format!("tried: {}; ", formats.collect::<Vec<_>>().join(", "))
        });
        let DateGuess { mut formats, undecided, unread, .. } = guess::dates(cells);
        if others == OtherRows::Readable && !formats.is_empty() {
            let declared = text.map_or(&[][..], |text| &text.datetime_formats).iter();
            formats.splice(0..0, declared.map(|format| format.declared.clone()));
        }
        let advice = match undecided {
            Some([one, other]) if unread.is_none() => {
                format!("`csv.datetime_formats` may list \"{one}\" or \"{other}\": both read them")
            }
            None if unread.is_none() && !formats.is_empty() => {
                format!("`csv.datetime_formats: [\"{}\"]` would read them", formats.join("\", \""))
            }
            _ => "`csv.datetime_formats` lists the formats".to_owned(),
        };
        return Some(tried.unwrap_or_default() + &advice);
    }
    let advice = match reason {
        UNDECODABLE => "`csv.encoding` must match the file",
        reason if RECORD_FAULTS.contains(&reason) => {
            "`csv.separator`, `csv.quote` and `csv.escape` must match the file; if each record ends with \
             a separator, set `csv.trailing_separator: true`"
        }
        reason if reason.ends_with("missing") => "the cell is empty or one of `ingest.null_values`",
        reason if reason.ends_with("finer than money.scale") => {
            "set a finer `ingest.money.scale`, or `auto`"
        }
        QUANTITY_LIMIT => {
            "quantities have at most 6 decimals, none with `frequency: units`, `match` or Spark"
        }
        AMBIGUOUS_TIMESTAMP => "keep one of the two in `csv.datetime_formats`",
        FOREIGN_CURRENCY | NO_RATE => "`ingest.money.rates` converts currencies",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// The options of `csv` under which all cells are numbers. `None` if there are none, or if they
/// would change the numbers of other rows.
fn number_options(
    cells: &[&str],
    known: &NumberFormat,
    guess: &NumberGuess,
    others: OtherRows,
) -> Option<String> {
    let is_symbol =
        |sign: &String| sign.chars().all(|c| c == '$' || (!c.is_ascii() && !c.is_alphanumeric()));
    if !guess.signs.iter().all(is_symbol) {
        return None;
    }
    let decimal = guess.decimal.unwrap_or(known.decimal);
    if others == OtherRows::Readable && decimal != known.decimal {
        return None;
    }
    let thousands = guess.thousands.or(known.thousands.filter(|mark| *mark != decimal));
    let currency_signs = known.currency_signs.iter().chain(&guess.signs).cloned().collect();
    let format = NumberFormat { decimal, thousands, currency_signs };
    if !cells.iter().all(|cell| decimal_of_text(cell, &format).is_some()) {
        return None;
    }
    let mut options = Vec::new();
    if decimal != known.decimal {
        options.push(format!("decimal: \"{decimal}\""));
    }
    if let Some(mark) = thousands.filter(|mark| Some(*mark) != known.thousands) {
        options.push(format!("thousands: \"{mark}\""));
    }
    if !guess.signs.is_empty() {
        options.push(format!("currency_signs: [\"{}\"]", guess.signs.join("\", \"")));
    }
    let is_writable = thousands.is_none_or(|mark| [',', '.', '\'', ' '].contains(&mark));
    (is_writable && !options.is_empty()).then(|| options.join(", "))
}
