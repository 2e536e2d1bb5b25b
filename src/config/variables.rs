//! Environment variables in YAML values: `${NAME}`, or `${NAME:-default}` if it may be unset or
//! empty. `$${` escapes a literal `${`.

use serde_json::Value as Json;

use super::diagnostics::{Diagnostic, Diagnostics, Kind};
use super::tree::{self, Node, Origin, Value};

/// Replaces variables by their values and reports unset ones. A value that is exactly one variable
/// stays text if the schema expects text, and is read as YAML otherwise: `bins: ${BINS:-5}` is a
/// number, with or without quotes.
pub(super) fn expand(
    node: &mut Node,
    lookup: &impl Fn(&str) -> Option<String>,
    diagnostics: &mut Diagnostics,
) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, lookup, diagnostics)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, _, item)| expand(item, lookup, diagnostics))
        }
        Value::Scalar(Json::String(text)) if text.contains("${") => {
            match substitute(text, lookup) {
                Ok(expanded) => {
                    let is_variable =
                        text.starts_with("${") && text.find('}') == Some(text.len() - 1);
                    // Lists and sections are parsed here; the schema decides about other values.
                    let is_collection = is_variable && expanded.starts_with(['[', '{']);
                    node.value = match tree::parse(&expanded, node.span.source) {
                        Ok(parsed) if is_collection => parsed.value,
                        _ => Value::Scalar(Json::String(expanded)),
                    };
                    let origin = if is_variable { Origin::Variable } else { Origin::Environment };
                    node.mark_environment(origin);
                }
                Err((message, hint)) => {
                    let (kind, span) = (Kind::Config, Some(node.span.clone()));
                    node.value = Value::Scalar(Json::Null);
                    node.origin = Origin::Missing;
                    diagnostics.list.push(Diagnostic { kind, span, message, hint: Some(hint) });
                }
            }
        }
        Value::Scalar(_) => {}
    }
}

/// Escapes a text so that [`expand`] returns it unchanged.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// The text with its variables replaced, or a message and a hint.
fn substitute(
    text: &str,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<String, (String, String)> {
    const ESCAPE: &str = "write $${ for a literal ${";
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out += before;
            out += "${";
            rest = after;
            continue;
        }
        out += before;
        let Some((inner, tail)) = after.split_once('}') else {
            return Err(("`${` has no closing `}`".to_owned(), ESCAPE.to_owned()));
        };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if default.is_some_and(|default| default.contains("${")) {
            let hint = "the default of a variable must be plain text".to_owned();
            return Err(("nested variables are not supported".to_owned(), hint));
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let hint = format!("expected ${{NAME}} or ${{NAME:-default}}; {ESCAPE}");
            return Err((format!("`{name}` is not a valid variable name"), hint));
        }
        match (lookup(name), default) {
            (Some(value), default) if !value.is_empty() || default.is_none() => out += &value,
            (_, Some(default)) => out += default,
            (_, None) => {
                let hint =
                    format!("export it, set it in an --env-file, or write ${{{name}:-default}}");
                return Err((format!("environment variable `{name}` is not set"), hint));
            }
        }
        rest = tail;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::{escape, substitute};

    #[test]
    fn substitutes_variables_like_a_shell() {
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
            ("${NAME", Err("`${` has no closing `}`")),
            ("${NONE:-${NAME}}", Err("nested variables are not supported")),
            ("${NA ME}", Err("`NA ME` is not a valid variable name")),
        ];
        for (text, expected) in cases {
            let found = substitute(text, &lookup);
            let found = found.as_ref().map(String::as_str).map_err(|(message, _)| message.as_str());
            assert_eq!(found, expected, "{text}");
            assert_eq!(substitute(&escape(text), &lookup).as_deref(), Ok(text));
        }
    }
}
