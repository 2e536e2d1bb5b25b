//! The options of a YAML file as a page to read, made from the same doc comments as its JSON Schema.

use serde_json::{Map, Value as Json};

/// One option, as a row of a table.
struct Row {
    path: String,
    takes: String,
    default: String,
    says: String,
}

/// A page in Markdown: a table for every section of a schema.
pub(super) fn page(schema: &Json) -> String {
    let title =
        schema["title"].as_str().unwrap_or_default().trim_end_matches("Spec").to_lowercase();
    let mut page = format!("# Options of a {title}\n\n{}\n", in_one_line(schema));
    let none = Map::new();
    let sections = schema["properties"].as_object().unwrap_or(&none);
    let required = required(schema);
    page += &table(&rows_of(schema, schema, "", &required, 0, false));
    for (name, section) in sections {
        let mut rows = Vec::new();
        descend(schema, section, name, 0, &mut rows);
        if !rows.is_empty() {
            page += &format!("\n## `{name}`\n\n{}\n{}", in_one_line(section), table(&rows));
        }
    }
    page
}

fn table(rows: &[Row]) -> String {
    let mut text = "\n| option | takes | default | |\n|---|---|---|---|\n".to_owned();
    for Row { path, takes, default, says } in rows {
        text += &format!("| `{path}` | {takes} | {default} | {says} |\n");
    }
    text
}

/// Rows of what is below a value.
fn descend(root: &Json, schema: &Json, path: &str, depth: usize, rows: &mut Vec<Row>) {
    let schema = resolved(root, schema);
    // No section is that deep, unless it stood in itself.
    if depth > 6 {
        return;
    }
    if schema.get("properties").is_some() {
        rows.extend(rows_of(root, schema, path, &required(schema), depth, true));
    }
    let mut below = |schema: &Json, path: &str| descend(root, schema, path, depth + 1, rows);
    if let Some(items) = schema.get("items") {
        below(items, &format!("{path}[]"));
    }
    if let Some(named) = schema.get("additionalProperties").filter(|named| named.is_object()) {
        below(named, &format!("{path}.<name>"));
    }
    let alone: Vec<&Json> = choices(schema).filter_map(|choice| choice.get("$ref")).collect();
    for choice in choices(schema) {
        // A list of what may also stand alone says nothing new.
        if !choice["items"].get("$ref").is_some_and(|items| alone.contains(&items)) {
            below(choice, path);
        }
    }
}

/// A row a property, each followed by what is below it where that is wanted.
fn rows_of(
    root: &Json,
    schema: &Json,
    path: &str,
    required: &[&str],
    depth: usize,
    below: bool,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let own = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = match property.get("default") {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Some(default @ (Json::String(_) | Json::Number(_) | Json::Bool(_)))
                if *default != "" =>
            {
                format!("`{}`", bare(default))
            }
            _ => String::new(),
        };
        rows.push(Row {
            takes: takes(root, property),
            default,
            says: cell(&in_one_line(property)),
            path: own.clone(),
        });
        if below {
            let mut deeper = Vec::new();
            descend(root, property, &own, depth + 1, &mut deeper);
            rows.extend(deeper);
        }
    }
    rows
}

/// What a value may be, in words.
fn takes(root: &Json, schema: &Json) -> String {
    let schema = resolved(root, schema);
    let mut named: Vec<String> = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| format!("`{}`", bare(one)))
        .collect();
    named.extend(schema.get("const").map(|one| format!("`{}`", bare(one))));
    if !named.is_empty() {
        return named.join(", ");
    }
    let choices: Vec<String> = choices(schema)
        .map(|choice| takes(root, choice))
        .filter(|words| !words.is_empty())
        .collect();
    if !choices.is_empty() {
        let mut distinct: Vec<String> = Vec::new();
        choices.into_iter().filter(|one| one != "nothing").for_each(|one| {
            if !distinct.contains(&one) {
                distinct.push(one);
            }
        });
        return distinct.join(", ");
    }
    let types = match &schema["type"] {
        Json::Array(all) => all.iter().filter_map(Json::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    let words = types.into_iter().filter(|name| *name != "null").map(|name| match name {
        "object" => "section".to_owned(),
        "array" => format!(
            "list of {}",
            schema.get("items").map_or("anything".to_owned(), |items| takes(root, items))
        ),
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        other => other.to_owned(),
    });
    let words = words.collect::<Vec<_>>().join(", ");
    let (least, most) = (schema.get("minimum"), schema.get("maximum"));
    match (least, most) {
        (Some(least), Some(most)) => format!("{words}, {} to {}", whole(least), whole(most)),
        (Some(least), None) if whole(least) != "0" => format!("{words}, at least {}", whole(least)),
        (None, Some(most)) => format!("{words}, at most {}", whole(most)),
        _ => words,
    }
}

/// A bound as people write it.
fn whole(bound: &Json) -> String {
    bound.as_f64().map_or_else(|| bound.to_string(), |bound| bound.to_string())
}

fn bare(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a schema may be one of.
fn choices(schema: &Json) -> impl Iterator<Item = &Json> {
    ["anyOf", "oneOf"]
        .into_iter()
        .flat_map(|key| schema[key].as_array().into_iter().flatten())
        .filter(|one| one["type"] != "null")
}

fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let target =
        schema["$ref"].as_str().and_then(|target| root.pointer(target.trim_start_matches('#')));
    target.unwrap_or(schema)
}

fn required(schema: &Json) -> Vec<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

fn in_one_line(schema: &Json) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
