//! SQL fragments that Spark and Sail read alike: names, literals, conditions, timestamps.

use chrono::NaiveDate;

pub(super) fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A string literal. Both engines use the backslash as the escape character.
pub(super) fn quoted(text: &str) -> String {
    // The backslash is first: the other escapes contain one.
    let escapes =
        [("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\0", "\\0")];
    let escaped = escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    format!("'{escaped}'")
}

pub(super) fn day(date: NaiveDate) -> String {
    format!("DATE'{date}'")
}

/// A float literal that parses to the same bits.
pub(super) fn double(value: f64) -> String {
    match value {
        _ if value.is_nan() => "CAST('NaN' AS DOUBLE)".to_owned(),
        f64::INFINITY => "CAST('Infinity' AS DOUBLE)".to_owned(),
        f64::NEG_INFINITY => "CAST('-Infinity' AS DOUBLE)".to_owned(),
        // `{:?}` prints the shortest decimal that identifies the float.
        _ => format!("{value:?}D"),
    }
}

pub(super) fn joined(parts: impl IntoIterator<Item = String>, separator: &str) -> String {
    parts.into_iter().collect::<Vec<_>>().join(separator)
}

pub(super) fn first_match(
    cases: impl IntoIterator<Item = (String, String)>,
    otherwise: &str,
) -> String {
    let cases = cases.into_iter();
    match joined(cases.map(|(condition, value)| format!("WHEN {condition} THEN {value}")), " ") {
        none if none.is_empty() => otherwise.to_owned(),
        whens => format!("CASE {whens} ELSE {otherwise} END"),
    }
}

pub(super) fn any(conditions: impl IntoIterator<Item = String>) -> String {
    combined(conditions, " OR ", "false")
}

pub(super) fn all(conditions: impl IntoIterator<Item = String>) -> String {
    combined(conditions, " AND ", "true")
}

fn combined(
    conditions: impl IntoIterator<Item = String>,
    operator: &str,
    if_empty: &str,
) -> String {
    let conditions: Vec<String> = conditions.into_iter().collect();
    match conditions.as_slice() {
        [] => if_empty.to_owned(),
        [condition] => condition.clone(),
        _ => format!("({})", conditions.join(operator)),
    }
}

/// A condition for text that is null or empty.
pub(super) fn is_blank_text(column: &str) -> String {
    format!("coalesce({column} = '', true)")
}

/// The SQL expression that parses a text cell as a timestamp, null if the text does not match.
///
/// `None` for a format that engines interpret differently: month names, two-digit years, fractions
/// and zones.
pub(super) fn parse_timestamp(format: &str, cell: &str) -> Option<String> {
    let spelled_out =
        format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").replace("%R", "%H:%M");
    let mut pattern = String::from("^");
    let mut fields = Vec::new();
    let mut chars = spelled_out.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => {
                let field = chars.next().filter(|field| "YmdHMS".contains(*field))?;
                if fields.contains(&field) {
                    return None;
                }
                fields.push(field);
                pattern.push_str(if field == 'Y' { "([0-9]{4})" } else { "([0-9]{1,2})" });
            }
            '.' => pattern.push_str("[.]"),
            c if c.is_ascii_alphanumeric() || " /-:,_".contains(c) => pattern.push(c),
            _ => return None,
        }
    }
    if !['Y', 'm', 'd'].iter().all(|field| fields.contains(field)) {
        return None;
    }
    let pattern = quoted(&(pattern + "\\z"));
    let padded = |field: char| match fields.iter().position(|other| *other == field) {
        None => "'00'".to_owned(),
        Some(index) => format!(
            "lpad(regexp_extract({cell}, {pattern}, {}), {}, '0')",
            index + 1,
            if field == 'Y' { 4 } else { 2 }
        ),
    };
    let [year, month, day, hour, minute, second] = ['Y', 'm', 'd', 'H', 'M', 'S'].map(padded);
    Some(format!(
        "TRY_CAST(concat({year}, '-', {month}, '-', {day}, ' ', {hour}, ':', {minute}, ':', \
         {second}) AS TIMESTAMP_NTZ)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_names_are_escaped() {
        assert_eq!(quoted("Can't \\ 'x'"), r"'Can\'t \\ \'x\''");
        assert_eq!(name("a`b"), "`a``b`");
        assert_eq!(
            [double(250.194), double(1000.0), double(1e300)],
            ["250.194D", "1000.0D", "1e300D"]
        );
        assert_eq!(double(f64::NEG_INFINITY), "CAST('-Infinity' AS DOUBLE)");
    }

    #[test]
    fn only_formats_of_plain_numbers_are_supported() {
        for format in ["%Y-%m-%d", "%m/%d/%Y %H:%M", "%F %T", "%d.%m.%Y"] {
            assert!(parse_timestamp(format, "c").is_some(), "{format}");
        }
        for format in [
            "%d %b %Y",
            "%y-%m-%d",
            "%Y-%m-%dT%H:%M:%S%z",
            "%H:%M",
            "%Y-%m-%d %d",
            "%s",
            "%%F %Y-%m-%d",
        ] {
            assert!(parse_timestamp(format, "c").is_none(), "{format}");
        }
    }
}
