//! Markdown page of a YAML file's options, generated from the doc comments of its JSON Schema.

use serde_json::Value as Json;

/// Levels of nested sections that are listed. No section is deeper.
const MAX_DEPTH: usize = 6;

/// The page of a schema: one table per section.
pub(super) fn page(schema: &Json) -> String {
    let name = schema["title"].as_str().map_or("file", |title| title.trim_end_matches("Spec"));
    let mut page = format!("# Options of a {}\n\n{}\n", name.to_lowercase(), description(schema));
    let options =
        properties(schema).map(|(name, property)| row(schema, schema, name, name, property));
    page += &table(&options.collect::<Vec<_>>());
    for (name, section) in properties(schema) {
        let mut rows = Vec::new();
        descend(schema, section, name, 0, &mut rows);
        if !rows.is_empty() {
            page += &format!("\n## `{name}`\n\n{}\n{}", description(section), table(&rows));
        }
    }
    page
}

fn table(rows: &[String]) -> String {
    format!("\n| option | takes | default | |\n|---|---|---|---|\n{}", rows.concat())
}

/// Adds rows of everything inside a value.
fn descend(root: &Json, schema: &Json, path: &str, depth: usize, rows: &mut Vec<String>) {
    if depth > MAX_DEPTH {
        return;
    }
    let schema = resolve(root, schema);
    for (name, property) in properties(schema) {
        let path = format!("{path}.{name}");
        rows.push(row(root, schema, &path, name, property));
        descend(root, property, &path, depth + 1, rows);
    }
    let mut nested = |schema: &Json, path: &str| descend(root, schema, path, depth + 1, rows);
    if let Some(items) = schema.get("items") {
        nested(items, &format!("{path}[]"));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|schema| schema.is_object()) {
        nested(values, &format!("{path}.<name>"));
    }
    let single: Vec<&Json> = choices(schema).filter_map(|choice| choice.get("$ref")).collect();
    for choice in choices(schema) {
        // A list of a type that is also allowed alone would repeat its rows.
        if !choice["items"].get("$ref").is_some_and(|items| single.contains(&items)) {
            nested(choice, path);
        }
    }
}

/// One option.
fn row(root: &Json, parent: &Json, path: &str, name: &str, property: &Json) -> String {
    let mut required = parent["required"].as_array().into_iter().flatten();
    let default = match property.get("default") {
        _ if required.any(|required| required == name) => "required".to_owned(),
        Some(default @ (Json::String(_) | Json::Number(_) | Json::Bool(_))) if *default != "" => {
            format!("`{}`", plain(default))
        }
        _ => String::new(),
    };
    // Escaped for a cell of a Markdown table.
    let description = description(property).replace('|', "\\|").replace('<', "&lt;");
    format!("| `{path}` | {} | {default} | {description} |\n", values(root, property))
}

/// The values that a schema accepts.
fn values(root: &Json, schema: &Json) -> String {
    let schema = resolve(root, schema);
    let names = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    let names: Vec<String> = names.map(|name| format!("`{}`", plain(name))).collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    let mut alternatives: Vec<String> = Vec::new();
    for alternative in choices(schema).map(|choice| values(root, choice)) {
        if !alternative.is_empty() && !alternatives.contains(&alternative) {
            alternatives.push(alternative);
        }
    }
    if !alternatives.is_empty() {
        return alternatives.join(", ");
    }
    let types = match &schema["type"] {
        Json::Array(types) => types.iter().filter_map(Json::as_str).collect(),
        name => name.as_str().into_iter().collect::<Vec<_>>(),
    };
    let types = types.into_iter().filter(|name| *name != "null").map(|name| match name {
        "object" => "section".to_owned(),
        "array" => match schema.get("items") {
            Some(items) => format!("list of {}", values(root, items)),
            None => "list of anything".to_owned(),
        },
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        other => other.to_owned(),
    });
    let types = types.collect::<Vec<_>>().join(", ");
    match (schema.get("minimum").map(number), schema.get("maximum").map(number)) {
        (Some(min), Some(max)) => format!("{types}, {min} to {max}"),
        (Some(min), None) if min != "0" => format!("{types}, at least {min}"),
        (None, Some(max)) => format!("{types}, at most {max}"),
        _ => types,
    }
}

/// A number without a trailing `.0`.
fn number(value: &Json) -> String {
    value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string())
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// The alternatives of a schema, without null.
fn choices(schema: &Json) -> impl Iterator<Item = &Json> {
    ["anyOf", "oneOf"]
        .into_iter()
        .flat_map(|key| schema[key].as_array().into_iter().flatten())
        .filter(|choice| choice["type"] != "null")
}

fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let target =
        schema["$ref"].as_str().and_then(|target| root.pointer(target.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// The description in one line.
fn description(schema: &Json) -> String {
    let words = schema["description"].as_str().into_iter().flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}
