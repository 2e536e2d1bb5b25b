//! Checks a tree against the JSON Schema of a spec and reports every violation with its span.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use serde_json::Value as Json;

use super::diagnostics::{Diagnostic, Kind, Span, hint, nearest};
use super::reference;
use super::tree::{Node, Origin, escape_segment, pointer_segments};

#[derive(Debug)]
pub struct SchemaViolation {
    /// `None` if the problem was already reported.
    pub diagnostic: Option<Diagnostic>,
    /// JSON pointer of the value to leave out so that the rest can be read.
    pub pointer: String,
    /// For an unknown key, the pointer of the key that it probably means.
    means: Option<String>,
}

/// The JSON Schema of a `T`, from its doc comments, for editors. When a pipeline is loaded,
/// `compile` checks the rules under `allOf` instead, because its messages are better.
pub fn schema<T: JsonSchema>() -> Json {
    with_variables(without_nulls(schemars::schema_for!(T).to_value()))
}

/// The options of a `T` as a Markdown page.
pub fn reference<T: JsonSchema>() -> String {
    reference::page(&schemars::schema_for!(T).to_value())
}

/// Extends a schema so that numbers, bools and constrained texts may also be a variable.
fn with_variables(schema: Json) -> Json {
    let Json::Object(mut entries) = schema else { return schema };
    for (key, value) in &mut entries {
        let taken = value.take();
        *value = match (key.as_str(), taken) {
            ("properties" | "$defs", Json::Object(named)) => {
                named.into_iter().map(|(name, schema)| (name, with_variables(schema))).collect()
            }
            ("items" | "additionalProperties", schema @ Json::Object(_)) => with_variables(schema),
            ("anyOf" | "allOf" | "oneOf", Json::Array(all)) => {
                all.into_iter().map(with_variables).collect()
            }
            (_, other) => other,
        };
    }
    let is_type = |name: &str| match entries.get("type") {
        Some(Json::Array(types)) => types.iter().any(|entry| entry == name),
        entry => entry.is_some_and(|entry| entry == name),
    };
    let is_constrained_text = ["enum", "const", "pattern", "format", "minLength"]
        .into_iter()
        .any(|keyword| entries.contains_key(keyword));
    let is_scalar = ["integer", "number", "boolean"].into_iter().any(is_type);
    if !is_constrained_text && !is_scalar {
        return Json::Object(entries);
    }
    // Editors read these keywords from the outer schema.
    let mut outer = serde_json::Map::new();
    for key in ["title", "description", "default"] {
        outer.extend(entries.shift_remove_entry(key));
    }
    let variable = serde_json::json!({ "type": "string", "pattern": "\\$\\{.+\\}" });
    outer.insert("anyOf".to_owned(), Json::Array(vec![Json::Object(entries), variable]));
    Json::Object(outer)
}

/// JSON without the keys whose value is null: options that are not set.
pub(super) fn without_nulls(json: Json) -> Json {
    retain(json, |_, value| !value.is_null())
}

/// Keeps the entries of all objects that `keep` accepts.
fn retain(json: Json, keep: fn(&str, &Json) -> bool) -> Json {
    match json {
        Json::Object(entries) => entries
            .into_iter()
            .filter(|(key, value)| keep(key, value))
            .map(|(key, value)| (key, retain(value, keep)))
            .collect(),
        Json::Array(items) => items.into_iter().map(|item| retain(item, keep)).collect(),
        other => other,
    }
}

/// All schema violations of `tree` as a `T`.
#[expect(clippy::expect_used, reason = "schemars writes valid schemas; every load tests it")]
pub fn violations<T: JsonSchema>(tree: &Node) -> Vec<SchemaViolation> {
    // `compile` checks the rules under `allOf`.
    let schema = retain(schemars::schema_for!(T).to_value(), |key, _| key != "allOf");
    let validator = Validator::new(&schema).expect("a spec type has a valid schema");
    let json = tree.to_json();
    let errors = validator.iter_errors(&json);
    let mut violations: Vec<_> = errors.flat_map(|error| describe(&error, tree, &schema)).collect();
    // A misspelt key is one mistake: the key that it means is not reported as missing.
    let meant: Vec<String> = violations.iter().filter_map(|v| v.means.clone()).collect();
    for violation in violations.iter_mut().filter(|v| meant.contains(&v.pointer)) {
        violation.diagnostic = None;
    }
    violations
}

fn describe(error: &ValidationError<'_>, tree: &Node, schema: &Json) -> Vec<SchemaViolation> {
    let at = error.instance_path().as_str();
    let origin = tree.origin(at);
    // Values from the environment may be secret.
    let is_secret = matches!(origin, Origin::Environment | Origin::Variable);
    let found = match error.instance().as_ref() {
        _ if is_secret => "the value of a variable".to_owned(),
        value => describe_value(value),
    };
    let violation = |pointer: String, span: Span, message: String, hint: Option<String>| {
        let diagnostic = Diagnostic { kind: Kind::Config, span: Some(span), message, hint };
        let diagnostic = (origin != Origin::Missing).then_some(diagnostic);
        SchemaViolation { diagnostic, pointer, means: None }
    };
    let (message, hint) = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let valid = property_names(schema, error);
            let unknown_key = |key: &String| {
                let pointer = format!("{at}/{}", escape_segment(key));
                let span = tree.key_span(&pointer);
                let names = valid.iter().map(String::as_str);
                let means = nearest(key, names.clone());
                let means = means.map(|name| format!("{at}/{}", escape_segment(name)));
                let message = format!("unknown key `{key}`");
                let hint = Some(hint(key, names));
                SchemaViolation { means, ..violation(pointer, span, message, hint) }
            };
            return unexpected.iter().map(unknown_key).collect();
        }
        ValidationErrorKind::Required { property: Json::String(name) } => {
            let message = format!("key `{name}` is missing{}", in_section(at));
            return vec![violation(format!("{at}/{name}"), tree.key_span(at), message, None)];
        }
        ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context }
        | ValidationErrorKind::OneOfMultipleValid { context } => {
            // The intended branch accepts the value's type, or fails only deeper inside it.
            let intended = context.iter().find(|branch| {
                branch.iter().all(|e| {
                    e.instance_path().as_str().len() > at.len()
                        || !matches!(e.kind(), ValidationErrorKind::Type { .. })
                })
            });
            if let Some(branch) = intended {
                return branch.iter().flat_map(|e| describe(e, tree, schema)).collect();
            }
            let types = context.iter().flatten().filter_map(|e| match e.kind() {
                ValidationErrorKind::Type { kind } => Some(describe_type(kind)),
                _ => None,
            });
            let types: Vec<String> = types.collect();
            (format!("expected {}, found {found}", types.join(" or ")), None)
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().into_iter().flatten();
            let name = |option: &Json| match option {
                Json::Number(number) => Some(number.to_string()),
                option => option.as_str().map(str::to_owned),
            };
            let names: Vec<String> = options.filter_map(name).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            match error.instance().as_str() {
                Some(text) => {
                    let hint = hint(text, names.iter().copied());
                    (format!("{found} is not valid{}", in_section(at)), Some(hint))
                }
                None => (format!("expected one of {}, found {found}", names.join(", ")), None),
            }
        }
        ValidationErrorKind::Type { kind } => {
            let is_text = error.instance().is_string() && !is_secret;
            let text = if is_text { "the text " } else { "" };
            (format!("expected {}, found {text}{found}", describe_type(kind)), None)
        }
        _ => (format!("expected {}, found {found}", expected(error, schema)), None),
    };
    vec![violation(at.to_owned(), tree.value_span(at), message, hint)]
}

fn expected(error: &ValidationError<'_>, schema: &Json) -> String {
    let keys = || property_names(schema, error).join(", ");
    match error.kind() {
        ValidationErrorKind::Minimum { limit } => format!("at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("at most {limit}"),
        ValidationErrorKind::MinItems { limit } => format!("a list of {limit} or more items"),
        ValidationErrorKind::MaxItems { limit } => format!("a list of at most {limit} items"),
        ValidationErrorKind::MinLength { limit } => format!("text of {limit} or more characters"),
        ValidationErrorKind::MaxLength { limit } => format!("text of at most {limit} characters"),
        ValidationErrorKind::MinProperties { .. } => format!("one key of {}", keys()),
        ValidationErrorKind::MaxProperties { limit } => {
            format!("at most {limit} key of {}", keys())
        }
        ValidationErrorKind::Pattern { pattern } => format!("text that matches {pattern}"),
        _ => error.masked().to_string(),
    }
}

fn in_section(pointer: &str) -> String {
    match pointer.trim_start_matches('/').replace('/', ".") {
        path if path.is_empty() => String::new(),
        path => format!(" in `{path}`"),
    }
}

fn describe_type(kind: &TypeKind) -> String {
    let name = |json: &str| match json {
        "object" => "a section",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "nothing",
    };
    match kind {
        TypeKind::Single(json) => name(json.as_str()).to_owned(),
        TypeKind::Multiple(types) => {
            let names = types.iter().map(|json| name(json.as_str()));
            names.filter(|name| *name != "nothing").collect::<Vec<_>>().join(" or ")
        }
    }
}

/// A short description of a value, at most 40 characters of text.
fn describe_value(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::Bool(_) | Json::Number(_) => format!("`{value}`"),
        Json::String(text) if text.chars().count() > 40 => {
            format!("`{}…`", text.chars().take(40).collect::<String>())
        }
        Json::String(text) => format!("`{text}`"),
        Json::Array(items) => format!("a list of {}", items.len()),
        Json::Object(entries) => match entries.keys().next() {
            Some(key) if entries.len() == 1 => format!("a section with `{key}`"),
            _ => format!("a section with {} keys", entries.len()),
        },
    }
}

/// The keys that the schema allows in the object that `error` is about.
fn property_names(schema: &Json, error: &ValidationError<'_>) -> Vec<String> {
    // The schema path ends in the failed keyword, and its parent is the schema of the object. The
    // path names definitions directly, while the evaluation path would go through `$ref`.
    let mut node = schema;
    for segment in pointer_segments(error.schema_path().as_str()) {
        if let Some(target) = node.get("$ref").and_then(Json::as_str) {
            node = schema.pointer(target.trim_start_matches('#')).unwrap_or(node);
        }
        let child = match node {
            Json::Array(items) => segment.parse::<usize>().ok().and_then(|i| items.get(i)),
            _ => node.get(segment),
        };
        match child {
            Some(child) if child.is_object() || child.is_array() => node = child,
            _ => break,
        }
    }
    let names = node.get("properties").and_then(Json::as_object);
    names.into_iter().flat_map(|names| names.keys().cloned()).collect()
}
