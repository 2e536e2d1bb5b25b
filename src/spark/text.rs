//! Pieces of SQL that Spark and Sail read alike: names, literals, choices.

use chrono::NaiveDate;

/// A name in backticks.
pub(super) fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// Text as a literal. Both engines take the backslash for an escape.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0' => quoted.push_str("\\0"),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A day as a literal.
pub(super) fn day(date: NaiveDate) -> String {
    format!("DATE'{date}'")
}

/// A float as a literal that reads back as the very same one.
pub(super) fn double(value: f64) -> String {
    match value {
        _ if value.is_nan() => "CAST('NaN' AS DOUBLE)".to_owned(),
        f64::INFINITY => "CAST('Infinity' AS DOUBLE)".to_owned(),
        f64::NEG_INFINITY => "CAST('-Infinity' AS DOUBLE)".to_owned(),
        // The shortest decimal that is nearest to it and to no other float.
        _ => format!("{value:?}D"),
    }
}

/// The value of the first condition that holds.
pub(super) fn first_of(
    cases: impl IntoIterator<Item = (String, String)>,
    otherwise: &str,
) -> String {
    let whens: Vec<String> =
        cases.into_iter().map(|(holds, value)| format!("WHEN {holds} THEN {value}")).collect();
    match whens.is_empty() {
        true => otherwise.to_owned(),
        false => format!("CASE {} ELSE {otherwise} END", whens.join(" ")),
    }
}

/// Whether one of several conditions holds.
pub(super) fn any(conditions: impl IntoIterator<Item = String>) -> String {
    joined(conditions, " OR ", "false")
}

/// Whether all of several conditions hold.
pub(super) fn all(conditions: impl IntoIterator<Item = String>) -> String {
    joined(conditions, " AND ", "true")
}

fn joined(conditions: impl IntoIterator<Item = String>, by: &str, of_none: &str) -> String {
    let conditions: Vec<String> = conditions.into_iter().collect();
    match conditions.as_slice() {
        [] => of_none.to_owned(),
        [one] => one.clone(),
        _ => format!("({})", conditions.join(by)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_told_apart_from_what_surrounds_them() {
        assert_eq!(quoted("Can't \\ 'x'"), r"'Can\'t \\ \'x\''");
        assert_eq!(name("a`b"), "`a``b`");
        assert_eq!(
            [double(250.194), double(1000.0), double(1e300)],
            ["250.194D", "1000.0D", "1e300D"]
        );
        assert_eq!(double(f64::NEG_INFINITY), "CAST('-Infinity' AS DOUBLE)");
    }
}
