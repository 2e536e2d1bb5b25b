//! SQL fragments that Spark and Sail read alike: names, literals, conditions.

use chrono::NaiveDate;

pub(super) fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A string literal. Both engines use the backslash as the escape character.
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

pub(super) fn first_match(
    cases: impl IntoIterator<Item = (String, String)>,
    otherwise: &str,
) -> String {
    let whens: Vec<String> = cases
        .into_iter()
        .map(|(condition, value)| format!("WHEN {condition} THEN {value}"))
        .collect();
    if whens.is_empty() {
        otherwise.to_owned()
    } else {
        format!("CASE {} ELSE {otherwise} END", whens.join(" "))
    }
}

pub(super) fn any(conditions: impl IntoIterator<Item = String>) -> String {
    join(conditions, " OR ", "false")
}

pub(super) fn all(conditions: impl IntoIterator<Item = String>) -> String {
    join(conditions, " AND ", "true")
}

fn join(conditions: impl IntoIterator<Item = String>, operator: &str, if_empty: &str) -> String {
    let conditions: Vec<String> = conditions.into_iter().collect();
    match conditions.as_slice() {
        [] => if_empty.to_owned(),
        [condition] => condition.clone(),
        _ => format!("({})", conditions.join(operator)),
    }
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
}
