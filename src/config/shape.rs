//! The check of a tree's shape against the JSON Schema made from the spec: every fault at once, each at its line.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use serde_json::Value as Json;

use super::problem::{Kind, Place, Problem, hint};
use super::reference;
use super::tree::{Node, Origin};

/// A fault of shape: the problem, and the JSON pointer of what has to be left out for the rest to be read.
#[derive(Debug)]
pub struct Fault {
    /// What to tell; nothing where it was told already.
    pub problem: Option<Problem>,
    /// What is at fault.
    pub pointer: String,
}

/// The JSON Schema of a `T`, from its doc comments, for editors. What stands under `allOf` in it is left to `compile` when a
/// pipeline is loaded, whose words are better.
pub fn schema<T: JsonSchema>() -> Json {
    with_variables(schemars::schema_for!(T).to_value())
}

/// The options of a `T` as a page to read, in Markdown.
pub fn reference<T: JsonSchema>() -> String {
    reference::page(&schemars::schema_for!(T).to_value())
}

/// A schema that takes a variable, too, wherever it asks for a certain text, a number, or true or false.
fn with_variables(schema: Json) -> Json {
    let Json::Object(mut entries) = schema else { return schema };
    for (key, value) in &mut entries {
        let taken = value.take();
        *value = match (key.as_str(), taken) {
            ("properties" | "$defs", Json::Object(named)) => {
                named.into_iter().map(|(name, schema)| (name, with_variables(schema))).collect()
            }
            ("items" | "additionalProperties", schema @ Json::Object(_)) => with_variables(schema),
            ("anyOf" | "allOf", Json::Array(all)) => all.into_iter().map(with_variables).collect(),
            (_, other) => other,
        };
    }
    let says = |key: &str| entries.contains_key(key);
    let of_type = |name: &str| match entries.get("type") {
        Some(Json::Array(all)) => all.iter().any(|one| one == name),
        one => one.is_some_and(|one| one == name),
    };
    let certain = ["enum", "const", "pattern", "format", "minLength"].into_iter().any(says);
    let choice = entries.get("oneOf").and_then(Json::as_array).is_some_and(|all| {
        all.iter().all(|one| one.get("const").is_some() || one.get("enum").is_some())
    });
    if !certain && !choice && !["integer", "number", "boolean"].into_iter().any(of_type) {
        return Json::Object(entries);
    }
    // What an editor shows of a key stays where it is.
    let mut outer = serde_json::Map::new();
    for key in ["title", "description", "default"] {
        outer.extend(entries.shift_remove_entry(key));
    }
    let variable = serde_json::json!({ "type": "string", "pattern": "\\$\\{.+\\}" });
    outer.insert("anyOf".to_owned(), Json::Array(vec![Json::Object(entries), variable]));
    Json::Object(outer)
}

/// A schema without what `compile` tells of.
fn without_meaning(schema: Json) -> Json {
    match schema {
        Json::Object(entries) => {
            let shape = entries.into_iter().filter(|(key, _)| key != "allOf");
            shape.map(|(key, value)| (key, without_meaning(value))).collect()
        }
        Json::Array(items) => items.into_iter().map(without_meaning).collect(),
        other => other,
    }
}

/// All faults of shape that `tree` has as a `T`.
///
/// # Errors
/// Only where the schema of `T` itself is wrong, which the tests exclude.
pub fn faults<T: JsonSchema>(tree: &Node) -> Result<Vec<Fault>, String> {
    let schema = without_meaning(schemars::schema_for!(T).to_value());
    let validator = Validator::new(&schema).map_err(|error| error.to_string())?;
    let json = tree.to_json();
    let mut found = Vec::new();
    for error in validator.iter_errors(&json) {
        describe(&error, tree, &schema, &mut found);
    }
    Ok(found)
}

fn describe(error: &ValidationError<'_>, tree: &Node, schema: &Json, found: &mut Vec<Fault>) {
    let at = error.instance_path().as_str().to_owned();
    // What comes from the environment may be a secret.
    let origin = tree.origin(&at);
    let hidden = [Origin::Environment, Origin::Variable].contains(&origin);
    let shown = if hidden { "the value of a variable".to_owned() } else { shown(error.instance()) };
    let mut push = |pointer: String, place: Place, message: String, hint: Option<String>| {
        let problem = Problem { kind: Kind::Config, place: Some(place), message, hint };
        let problem = Some(problem).filter(|_| origin != Origin::Missing);
        found.push(Fault { problem, pointer });
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let valid = property_names(schema, error);
            for key in unexpected {
                let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                let place = tree.key_place(&pointer);
                let valid = valid.iter().map(String::as_str);
                push(pointer, place, format!("unknown key `{key}`"), Some(hint(key, valid)));
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            push(
                format!("{at}/{name}"),
                tree.key_place(&at),
                format!("key `{name}` is missing{}", inside(&at)),
                None,
            );
        }
        ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context }
        | ValidationErrorKind::OneOfMultipleValid { context } => {
            // The branch that the user meant is the one whose faults lie deepest, or that accepts the value's type.
            let meant = context.iter().find(|branch| {
                branch.iter().all(|e| {
                    e.instance_path().as_str().len() > at.len()
                        || !matches!(e.kind(), ValidationErrorKind::Type { .. })
                })
            });
            match meant {
                Some(branch) => branch.iter().for_each(|e| describe(e, tree, schema, found)),
                None => {
                    let kinds: Vec<String> =
                        context.iter().flatten().filter_map(wanted_type).collect();
                    let message = format!("expected {}, found {shown}", kinds.join(" or "));
                    push(at.clone(), tree.value_place(&at), message, None);
                }
            }
        }
        ValidationErrorKind::Enum { options } => {
            let names: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
            let hint = error.instance().as_str().map(|wrong| hint(wrong, names.iter().copied()));
            let message = match hint {
                Some(_) => format!("{shown} is not valid{}", inside(&at)),
                None => format!("expected one of {}, found {shown}", names.join(", ")),
            };
            push(at.clone(), tree.value_place(&at), message, hint);
        }
        kind => {
            let wanted = match kind {
                ValidationErrorKind::Type { .. } => wanted_type(error).unwrap_or_default(),
                ValidationErrorKind::Minimum { limit } => format!("at least {limit}"),
                ValidationErrorKind::Maximum { limit } => format!("at most {limit}"),
                ValidationErrorKind::MinItems { limit } => format!("a list of at least {limit}"),
                ValidationErrorKind::MaxItems { limit } => format!("a list of at most {limit}"),
                ValidationErrorKind::MinLength { limit } => {
                    format!("text of at least {limit} characters")
                }
                ValidationErrorKind::MaxLength { limit } => {
                    format!("text of at most {limit} characters")
                }
                ValidationErrorKind::MinProperties { .. } => {
                    format!("a key of {}", property_names(schema, error).join(", "))
                }
                ValidationErrorKind::MaxProperties { limit } => {
                    format!(
                        "no more than {limit} key of {}",
                        property_names(schema, error).join(", ")
                    )
                }
                ValidationErrorKind::Pattern { pattern } => format!("text that matches {pattern}"),
                _ => error.masked().to_string(),
            };
            let found = match (kind, error.instance().as_ref()) {
                (ValidationErrorKind::Type { .. }, Json::String(_)) if !hidden => {
                    format!("the text {shown}")
                }
                _ => shown,
            };
            push(
                at.clone(),
                tree.value_place(&at),
                format!("expected {wanted}, found {found}"),
                None,
            );
        }
    }
}

fn inside(pointer: &str) -> String {
    match pointer.trim_start_matches('/').replace('/', ".") {
        path if path.is_empty() => String::new(),
        path => format!(" in `{path}`"),
    }
}

fn wanted_type(error: &ValidationError<'_>) -> Option<String> {
    let ValidationErrorKind::Type { kind } = error.kind() else { return None };
    let name = |json: &str| match json {
        "object" => "a section",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "nothing",
    };
    Some(match kind {
        TypeKind::Single(one) => name(one.as_str()).to_owned(),
        TypeKind::Multiple(many) => {
            let names: Vec<&str> = many
                .iter()
                .map(|one| name(one.as_str()))
                .filter(|name| *name != "nothing")
                .collect();
            names.join(" or ")
        }
    })
}

/// A found value in few words.
fn shown(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::Bool(_) | Json::Number(_) => format!("`{value}`"),
        Json::String(text) if text.chars().count() > 40 => {
            format!("`{}…`", text.chars().take(40).collect::<String>())
        }
        Json::String(text) => format!("`{text}`"),
        Json::Array(items) => format!("a list of {}", items.len()),
        Json::Object(entries) => match entries.keys().next() {
            Some(first) if entries.len() == 1 => format!("a section with `{first}`"),
            _ => format!("a section with {} keys", entries.len()),
        },
    }
}

/// The keys that the schema allows where `error` was found.
fn property_names(schema: &Json, error: &ValidationError<'_>) -> Vec<String> {
    // The schema path ends in the keyword that failed; its parent is the object's schema. The absolute path names
    // definitions where the evaluation path would go through `$ref`.
    let mut node = schema;
    for part in error.schema_path().as_str().split('/').skip(1) {
        if let Some(target) = node.get("$ref").and_then(Json::as_str) {
            node = schema.pointer(target.trim_start_matches('#')).unwrap_or(node);
        }
        let next = match node {
            Json::Array(items) => part.parse::<usize>().ok().and_then(|i| items.get(i)),
            _ => node.get(part.replace("~1", "/").replace("~0", "~")),
        };
        match next {
            Some(child) if child.is_object() || child.is_array() => node = child,
            _ => break,
        }
    }
    let names = node.get("properties").and_then(Json::as_object);
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}
