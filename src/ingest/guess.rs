//! Guesses the formats of dates and numbers from cells.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

/// The formats of the timestamps of a column.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct DateGuess {
    /// Formats that read the values, the most frequent first.
    pub(crate) formats: Vec<String>,
    /// Day-first and month-first, if no value decides between them.
    pub(crate) undecided: Option<[String; 2]>,
    /// Number of values that decided between them.
    pub(crate) deciding: usize,
    /// A value that no format reads.
    pub(crate) unread: Option<String>,
    pub(crate) has_offset: bool,
}

const TIMES: [&str; 7] =
    ["", " %H:%M", " %H:%M:%S", "T%H:%M:%S", "T%H:%M", " %I:%M %p", " %I:%M:%S %p"];
const DAYS: [&str; 9] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%d/%b/%Y",
];
const DAY_FIRST: [&str; 6] =
    ["%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y"];
const OTHERS: [&str; 8] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y%m%d",
];
/// Most formats of one column.
const MOST_FORMATS: usize = 3;

fn parse(format: &str, text: &str) -> Option<NaiveDateTime> {
    let time = if format.contains("%z") {
        // `Z` is an offset, too.
        let text = text.strip_suffix('Z').map_or_else(|| text.to_owned(), |t| format!("{t}+0000"));
        DateTime::parse_from_str(&text, format).ok()?.naive_utc()
    } else if ["%H", "%I"].iter().any(|hour| format.contains(hour)) {
        NaiveDateTime::parse_from_str(text, format).ok()?
    } else {
        NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0)?
    };
    (1900..2200).contains(&time.year()).then_some(time)
}

/// The month-first form of a day-first format. With points, dates are day-first everywhere.
fn swapped(format: &str) -> Option<String> {
    let (day, month) = (format.find("%d")?, format.find("%m")?);
    let is_swappable = day < month && !format.starts_with("%Y") && !format.contains("%d.%m");
    is_swappable.then(|| format.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m"))
}

/// The formats that read all values, or most of them.
pub(crate) fn dates(values: &[&str]) -> DateGuess {
    let digits =
        |n: usize| values.iter().all(|v| v.len() == n && v.bytes().all(|b| b.is_ascii_digit()));
    for (length, format) in [(10, "epoch_s"), (13, "epoch_ms")] {
        if !values.is_empty() && digits(length) {
            return DateGuess {
                formats: vec![format.to_owned()],
                has_offset: true,
                ..DateGuess::default()
            };
        }
    }
    let with_times = |days: &[&str]| -> Vec<String> {
        days.iter().flat_map(|day| TIMES.map(|time| format!("{day}{time}"))).collect()
    };
    let day_first = with_times(&DAY_FIRST);
    let month_first: Vec<String> = day_first.iter().filter_map(|format| swapped(format)).collect();
    let mut all = with_times(&DAYS);
    all.extend(OTHERS.map(str::to_owned));
    all.extend(day_first.iter().cloned());
    all.extend(month_first);
    let mut guess = DateGuess::default();
    let mut rest: Vec<&str> = values.to_vec();
    while !rest.is_empty() && guess.formats.len() < MOST_FORMATS {
        let read = |format: &String| rest.iter().filter(|v| parse(format, v).is_some()).count();
        // The first of equally good formats.
        let Some((best, count)) = all.iter().map(|f| (f, read(f))).rev().max_by_key(|(_, n)| *n)
        else {
            break;
        };
        if count == 0 {
            break;
        }
        let other = swapped(best)
            .or_else(|| day_first.iter().find(|f| swapped(f).as_ref() == Some(best)).cloned());
        if let Some(other) = other {
            let differs =
                |v: &&&str| parse(best, v).is_some() && parse(best, v) != parse(&other, v);
            let decided = rest
                .iter()
                .filter(|v| parse(best, v).is_some() && parse(&other, v).is_none())
                .count();
            if decided == 0 && rest.iter().filter(differs).count() > 0 {
                guess.undecided = Some([best.clone(), other]);
            }
            guess.deciding += decided;
        }
        guess.has_offset |= best.contains("%z") || best.ends_with("UTC");
        rest.retain(|v| parse(best, v).is_none());
        guess.formats.push(best.clone());
    }
    guess.unread = rest.first().map(|v| (*v).to_owned());
    guess
}

/// How the numbers of a column are written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NumberGuess {
    /// `None` if nothing decides.
    pub(crate) decimal: Option<char>,
    pub(crate) thousands: Option<char>,
    pub(crate) signs: Vec<String>,
    /// Most digits after the decimal mark.
    pub(crate) decimals: usize,
    /// A value that may be a thousand times larger than another reading.
    pub(crate) undecided: Option<String>,
    pub(crate) has_negatives: bool,
}

/// The marks of numbers. `None` if most values are no numbers.
pub(crate) fn numbers(values: &[&str]) -> Option<NumberGuess> {
    let mut guess = NumberGuess::default();
    let mut bodies = Vec::new();
    for value in values {
        let is_number_sign =
            |c: char| c.is_ascii_digit() || " .,'-+()\u{a0}\u{202f}\u{2019}\u{2212}".contains(c);
        let sign = value.trim_matches(is_number_sign);
        let is_sign = !sign.is_empty()
            && !sign.contains(|c: char| c.is_ascii_digit())
            && sign.chars().count() <= 4;
        if is_sign && !guess.signs.iter().any(|known| known == sign) {
            guess.signs.push(sign.to_owned());
        }
        let body = value.replace(sign, "");
        guess.has_negatives |= body.contains(['-', '(', '\u{2212}']);
        bodies.push(body.trim_matches(|c: char| " -+()\u{a0}\u{2212}".contains(c)).to_owned());
    }
    let is_number = |body: &String| {
        body.chars().any(|c| c.is_ascii_digit())
            && body.chars().all(|c| c.is_ascii_digit() || " .,'\u{a0}\u{202f}\u{2019}".contains(c))
    };
    let numbers: Vec<&String> = bodies.iter().filter(|body| is_number(body)).collect();
    if numbers.len() * 10 < bodies.len() * 9 || numbers.is_empty() || guess.signs.len() > 5 {
        return None;
    }
    let mut marks: [Option<char>; 2] = [None, None];
    for body in &numbers {
        let found: Vec<(usize, char)> =
            body.char_indices().filter(|(_, c)| !c.is_ascii_digit()).collect();
        let Some((at, last)) = found.last().copied() else { continue };
        let after = body[at + last.len_utf8()..].len();
        let distinct = found.iter().any(|(_, c)| *c != last);
        let before = body[..at].trim_start_matches('0');
        if distinct {
            marks = [Some(last), found.iter().map(|(_, c)| *c).find(|c| *c != last)];
        } else if found.len() > 1 || !".,".contains(last) {
            marks[1] = marks[1].or(Some(last));
        } else if after != 3 || before.is_empty() || at > 3 {
            marks[0] = marks[0].or(Some(last));
        } else if guess.undecided.is_none() {
            guess.undecided = Some((*body).clone());
        }
    }
    let [decimal, thousands] = marks;
    // One mark that is known says what the other is.
    let of_undecided =
        guess.undecided.as_ref().and_then(|body| body.chars().find(|c| !c.is_ascii_digit()));
    let (decimal, thousands) = match (decimal, thousands, of_undecided) {
        (Some(decimal), None, Some(mark)) if mark != decimal => (Some(decimal), Some(mark)),
        known => (known.0, known.1),
    };
    if decimal.is_some() || thousands.is_some() {
        guess.undecided = None;
    }
    guess.decimal = decimal.or_else(|| thousands.map(|mark| if mark == '.' { ',' } else { '.' }));
    guess.thousands = thousands;
    let mark = guess.decimal.unwrap_or('.');
    let digits =
        numbers.iter().filter_map(|body| body.rsplit_once(mark)).map(|(_, digits)| digits.len());
    guess.decimals = digits.max().unwrap_or(0);
    Some(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_decided_by_values_or_left_open() {
        let decided = dates(&["03/04/2011", "25/04/2011", "30/12/2011"]);
        assert_eq!((decided.formats, decided.deciding), (vec!["%d/%m/%Y".to_owned()], 2));
        let open = dates(&["03/04/2011", "05/04/2011 ".trim()]);
        assert_eq!(open.undecided, Some(["%d/%m/%Y".to_owned(), "%m/%d/%Y".to_owned()]));
        let us = dates(&["3/4/2011 10:15", "4/25/2011 9:05"]);
        assert_eq!((us.formats, us.deciding), (vec!["%m/%d/%Y %H:%M".to_owned()], 1));
        let same = dates(&["03/03/2011"]);
        assert_eq!(same.undecided, None);
        for (value, format, has_offset) in [
            ("2024-03-01", "%Y-%m-%d", false),
            ("2024-03-01 10:15:22", "%Y-%m-%d %H:%M:%S", false),
            ("2024-03-01 10:15:22 +0100", "%Y-%m-%d %H:%M:%S %z", true),
            ("2024-03-01T10:15:22Z", "%Y-%m-%dT%H:%M:%S%z", true),
            ("20240301", "%Y%m%d", false),
            ("1709335800", "epoch_s", true),
            ("1 Mar 2024", "%d %b %Y", false),
            ("31.12.2023", "%d.%m.%Y", false),
        ] {
            let guess = dates(&[value]);
            assert_eq!(
                (guess.formats, guess.has_offset),
                (vec![format.to_owned()], has_offset),
                "{value}"
            );
        }
        assert_eq!(dates(&["yesterday"]).unread.as_deref(), Some("yesterday"));
    }

    #[test]
    fn marks_of_numbers_are_decided_by_values_or_left_open() {
        for (values, decimal, thousands, is_open) in [
            (vec!["1.50", "20"], Some('.'), None, false),
            (vec!["1,50", "20,00"], Some(','), None, false),
            (vec!["1.234,50"], Some(','), Some('.'), false),
            (vec!["1,234.50", "1,234"], Some('.'), Some(','), false),
            (vec!["1,234,567"], Some('.'), Some(','), false),
            (vec!["1.234", "2.500"], None, None, true),
            (vec!["1.234", "0.500"], Some('.'), None, false),
            (vec!["1.234", "10,50"], Some(','), Some('.'), false),
            (vec!["1'234.50"], Some('.'), Some('\''), false),
            (vec!["10", "20"], None, None, false),
        ] {
            let guess = numbers(&values).unwrap();
            assert_eq!((guess.decimal, guess.thousands), (decimal, thousands), "{values:?}");
            assert_eq!(guess.undecided.is_some(), is_open, "{values:?}");
        }
        let signs = numbers(&["\u{20ac} 1,50", "-2,00 \u{20ac}"]).unwrap();
        assert_eq!((signs.signs, signs.has_negatives), (vec!["\u{20ac}".to_owned()], true));
        assert_eq!(numbers(&["Ana", "Bo", "3"]), None);
    }
}
