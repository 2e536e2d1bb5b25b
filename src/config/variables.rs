//! Environment variables in the values of a YAML file: `${NAME}`, or `${NAME:-default}` where it may be unset or empty; `$${` is
//! written for `${` itself.

use serde_json::Value as Json;

use super::problem::{Kind, Problem};
use super::tree::{self, Node, Value};

/// Puts the values of variables where their names stand, and tells of those that are not set. A value that is nothing but one variable is text
/// where text is wanted, else it is read as YAML: `bins: ${BINS:-5}` is a number, in quotes or without.
pub(super) fn expand(
    node: &mut Node,
    lookup: &impl Fn(&str) -> Option<String>,
    problems: &mut impl FnMut(Problem),
) {
    let source = node.place.source;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, lookup, problems)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, _, item)| expand(item, lookup, problems))
        }
        Value::Scalar(Json::String(value)) if value.contains("${") => match filled(value, lookup) {
            Ok(found) => {
                let alone = value.starts_with("${") && value.find('}') == Some(value.len() - 1);
                // What begins as a list or a section is one; whether another value is text is for the schema to say.
                let read = if alone && found.starts_with(['[', '{']) {
                    tree::parse(&found, source).ok()
                } else {
                    None
                };
                node.value = read.map_or(Value::Scalar(Json::String(found)), |read| read.value);
                node.take_from_environment(alone);
            }
            Err((message, hint)) => {
                let place = Some(node.place.clone());
                node.take_for_missing();
                problems(Problem { kind: Kind::Config, place, message, hint: Some(hint) });
            }
        },
        Value::Scalar(_) => {}
    }
}

/// A text that stands for itself, whatever it says of variables.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// The text with its variables filled in, or what is wrong and what to do about it.
fn filled(
    text: &str,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<String, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        if let Some(before) = before.strip_suffix('$') {
            out += before;
            out += "${";
            rest = &rest[at + 2..];
            continue;
        }
        out += before;
        let after = &rest[at + 2..];
        let unclosed =
            || ("`${` without its `}`".to_owned(), "write $${ where ${ itself is meant".to_owned());
        let (inner, tail) = after.split_once('}').ok_or_else(unclosed)?;
        let (name, default) =
            inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        if default.is_some_and(|default| default.contains("${")) {
            let hint = "the default of a variable is text".to_owned();
            return Err(("variables do not stand in one another".to_owned(), hint));
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let hint = "expected ${NAME} or ${NAME:-default}; write $${ where ${ itself is meant"
                .to_owned();
            return Err((format!("`{name}` is no name of a variable"), hint));
        }
        let value = lookup(name).filter(|value| !value.is_empty() || default.is_none());
        match (value, default) {
            (Some(value), _) => out += &value,
            (None, Some(default)) => out += default,
            (None, None) => {
                let hint =
                    format!("export it, name it in an --env-file, or write ${{{name}:-default}}");
                return Err((format!("environment variable `{name}` is not set"), hint));
            }
        }
        rest = tail;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::{filled, literal};

    #[test]
    fn variables_are_filled_in_as_shells_do() {
        let lookup = |name: &str| match name {
            "NAME" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("${NAME}", Ok("value")),
            ("a ${NAME}-${NAME} b", Ok("a value-value b")),
            ("${NONE:-other}", Ok("other")),
            ("${NONE:-}", Ok("")),
            ("${EMPTY:-other}", Ok("other")),
            ("${EMPTY}", Ok("")),
            ("$NAME $ {NAME} ^[0-9]+$", Ok("$NAME $ {NAME} ^[0-9]+$")),
            ("$${NAME} ${NAME}", Ok("${NAME} value")),
            ("${NONE}", Err("environment variable `NONE` is not set")),
            ("${NAME", Err("`${` without its `}`")),
            ("${NONE:-${NAME}}", Err("variables do not stand in one another")),
            ("${NA ME}", Err("`NA ME` is no name of a variable")),
        ];
        for (text, expected) in cases {
            let found = filled(text, &lookup);
            let found = found.as_ref().map(String::as_str).map_err(|(message, _)| message.as_str());
            assert_eq!(found, expected, "{text}");
            assert_eq!(filled(&literal(text), &lookup).as_deref(), Ok(text));
        }
    }
}
