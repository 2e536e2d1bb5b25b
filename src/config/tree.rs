//! YAML as a tree that keeps the span of every key and value for diagnostics.
//!
//! Only this file depends on the YAML crate.

use std::{fmt, iter};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value as Json};
use serde_yaml::{Location, Spanned};

use super::diagnostics::{Diagnostic, Kind, Span};

/// A value and its span.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Span,
    pub value: Value,
    pub origin: Origin,
}

/// Whether a value contains environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// No variable.
    Text,
    /// Text with variables in it, which may be secret.
    Environment,
    /// Exactly one variable and no other text.
    Variable,
    /// A variable that could not be resolved; already reported.
    Missing,
}

#[derive(Debug, Clone)]
pub enum Value {
    /// Null, bool, number or text.
    Scalar(Json),
    List(Vec<Node>),
    /// Key, span of the key and value, in the order of the text.
    Map(Vec<(String, Span, Node)>),
}

/// Parses one YAML document of the given source.
///
/// # Errors
/// A [`Diagnostic`] if the text is not YAML, repeats a key or is not a single document.
pub fn parse(text: &str, source: usize) -> Result<Node, Diagnostic> {
    let options = serde_yaml::options! { strict_booleans: true };
    let raw: Spanned<Raw> =
        serde_yaml::from_str_with_options(text, options).map_err(|error| Diagnostic {
            kind: Kind::Config,
            span: Some(match error.location() {
                Some(location) => span(location, source, text),
                None => Span { source, bytes: 0..0 },
            }),
            message: format!(
                "not valid YAML: {}",
                shorten_parser_message(&error.without_snippet().to_string())
            ),
            hint: error.location().and_then(|location| {
                let line = text.lines().nth((location.line() as usize).saturating_sub(1))?;
                line.contains("${")
                    .then(|| "inside { } and [ ], quote the variable: \"${NAME}\"".to_owned())
            }),
        })?;
    Ok(raw_node(raw, source, text))
}

/// The keys and indices of a JSON pointer, unescaped.
pub(super) fn pointer_segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

/// A key as a segment of a JSON pointer.
pub(super) fn escape_segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Node {
    /// A node without variables.
    pub fn new(span: Span, value: Value) -> Self {
        Self { span, value, origin: Origin::Text }
    }

    /// Sets the origin, and moves all inner spans to the node's own: the values of variables are
    /// not part of the text.
    pub(super) fn mark_environment(&mut self, origin: Origin) {
        let own = self.span.clone();
        self.update_spans(&mut |span| *span = own.clone());
        self.origin = origin;
    }

    /// Applies `update` to the spans of the node and of everything inside it.
    pub(super) fn update_spans(&mut self, update: &mut impl FnMut(&mut Span)) {
        update(&mut self.span);
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.update_spans(update)),
            Value::Map(entries) => {
                for (_, span, item) in entries {
                    update(span);
                    item.update_spans(update);
                }
            }
        }
    }

    /// The text at a JSON pointer if it contains environment variables.
    pub fn environment_text(&self, pointer: &str) -> Option<&str> {
        let (node, _) = self.find(pointer);
        let is_secret = matches!(node.origin, Origin::Environment | Origin::Variable);
        match &node.value {
            Value::Scalar(Json::String(text)) if is_secret => Some(text),
            _ => None,
        }
    }

    /// Replaces the text of a single variable at a JSON pointer by the number or bool that it
    /// spells as YAML. Returns false if nothing was replaced.
    pub(super) fn parse_variable(&mut self, pointer: &str) -> bool {
        let mut node = self;
        for segment in pointer_segments(pointer) {
            let Some(child) = node.child_mut(&segment) else { return false };
            node = child;
        }
        let Value::Scalar(Json::String(text)) = &node.value else { return false };
        if node.origin != Origin::Variable {
            return false;
        }
        match parse(text, node.span.source).map(|parsed| parsed.value) {
            Ok(Value::Scalar(scalar @ (Json::Number(_) | Json::Bool(_)))) => {
                node.value = Value::Scalar(scalar);
                true
            }
            _ => false,
        }
    }

    /// The origin of the value at a JSON pointer, or of its nearest ancestor with a variable.
    pub fn origin(&self, pointer: &str) -> Origin {
        let ancestors = pointer.match_indices('/').rev().map(|(end, _)| &pointer[..end]);
        let mut origins =
            iter::once(pointer).chain(ancestors).map(|pointer| self.find(pointer).0.origin);
        origins.find(|origin| *origin != Origin::Text).unwrap_or(Origin::Text)
    }

    /// The value as JSON. A whole float such as `5.0` becomes an integer.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(Json::Number(n)) => match n.as_f64() {
                Some(x) if n.is_f64() && x.fract() == 0.0 && x.abs() < 9e15 => Json::from(x as i64),
                _ => Json::Number(n.clone()),
            },
            Value::Scalar(scalar) => scalar.clone(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, _, node)| (key.clone(), node.to_json())).collect()
            }
        }
    }

    /// The span of the node at a JSON pointer, or of its nearest ancestor that exists.
    pub fn value_span(&self, pointer: &str) -> Span {
        let (node, key) = self.find(pointer);
        // Empty collections and missing values have no text of their own; their key has.
        if node.span.bytes.is_empty() { key.clone() } else { node.span.clone() }
    }

    /// The span of the key of the node at a JSON pointer, or of its nearest ancestor that exists.
    pub fn key_span(&self, pointer: &str) -> Span {
        self.find(pointer).1.clone()
    }

    /// The node at a JSON pointer or its nearest ancestor that exists, with the span of its key.
    fn find(&self, pointer: &str) -> (&Self, &Span) {
        let (mut node, mut key) = (self, &self.span);
        for segment in pointer_segments(pointer) {
            let Some(child) = node.child(&segment) else { break };
            (node, key) = child;
        }
        (node, key)
    }

    fn child(&self, segment: &str) -> Option<(&Self, &Span)> {
        match &self.value {
            Value::Map(entries) => {
                let (_, span, node) = entries.iter().find(|(key, _, _)| key == segment)?;
                Some((node, span))
            }
            Value::List(items) => {
                items.get(segment.parse::<usize>().ok()?).map(|item| (item, &item.span))
            }
            Value::Scalar(_) => None,
        }
    }

    fn child_mut(&mut self, segment: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|(key, _, _)| key == segment).map(|(_, _, node)| node)
            }
            Value::List(items) => items.get_mut(segment.parse::<usize>().ok()?),
            Value::Scalar(_) => None,
        }
    }

    /// JSON pointers of the values `TODO`, which `init` writes for open questions.
    pub(super) fn open_questions(&self) -> Vec<String> {
        let below = |segment: String, item: &Self| -> Vec<String> {
            let pointers = item.open_questions().into_iter();
            pointers.map(|pointer| format!("/{segment}{pointer}")).collect()
        };
        match &self.value {
            Value::Scalar(Json::String(text)) if text.trim() == "TODO" => vec![String::new()],
            Value::Scalar(_) => Vec::new(),
            Value::List(items) => {
                let items = items.iter().enumerate();
                items.flat_map(|(idx, item)| below(idx.to_string(), item)).collect()
            }
            Value::Map(entries) => {
                let entries = entries.iter();
                entries.flat_map(|(key, _, item)| below(escape_segment(key), item)).collect()
            }
        }
    }

    /// Makes a section of the text of `key`, with the text as its `option`.
    pub(super) fn expand(&mut self, key: &str, option: &str) {
        let Some(section) = self.child_mut(key) else { return };
        if matches!(section.value, Value::Scalar(Json::String(_))) {
            let (span, text) = (section.span.clone(), section.clone());
            section.value = Value::Map(vec![(option.to_owned(), span, text)]);
            section.origin = Origin::Text;
        }
    }

    /// Sets the value at a dotted path and creates the sections on the way. In lists, a part of the
    /// path is an index from 0; the index after the last item appends.
    ///
    /// # Errors
    /// A message if a part of the path is not a section or an existing item.
    pub fn set(&mut self, path: &str, value: Node) -> Result<(), String> {
        let mut node = self;
        for key in path.split('.') {
            node = node.child_or_insert(key, &value.span)?;
        }
        *node = value;
        Ok(())
    }

    fn child_or_insert(&mut self, key: &str, span: &Span) -> Result<&mut Self, String> {
        if matches!(self.value, Value::Scalar(Json::Null)) {
            self.value = Value::Map(Vec::new());
        }
        let null = Node::new(span.clone(), Value::Scalar(Json::Null));
        match &mut self.value {
            Value::List(items) => {
                let index: usize = key
                    .parse()
                    .map_err(|_| format!("`{key}` is inside a list: expected an index from 0"))?;
                let count = items.len();
                if index == count {
                    items.push(null);
                }
                items.get_mut(index).ok_or_else(|| {
                    format!("index {index} is out of range: expected 0 to {count} (appends)")
                })
            }
            Value::Map(entries) => {
                let index = entries.iter().position(|(name, _, _)| name == key);
                let index = index.unwrap_or_else(|| {
                    entries.push((key.to_owned(), span.clone(), null));
                    entries.len() - 1
                });
                Ok(&mut entries[index].2)
            }
            Value::Scalar(_) => Err(format!("`{key}` is not inside a section")),
        }
    }
}

/// The parser's message without its advice and its position, which the report prints anyway.
fn shorten_parser_message(text: &str) -> &str {
    let line = text.lines().next().unwrap_or(text);
    let tails = [" at line ", ", set ", "; use ", " rejected by"];
    let end = tails.iter().filter_map(|tail| line.find(tail)).min();
    &line[..end.unwrap_or(line.len())]
}

/// Bytes of a location. If the parser has no byte offset, its character offset is used, which
/// differs only after text that is not ASCII.
fn span(location: Location, source: usize, text: &str) -> Span {
    let parsed = location.span();
    let offset = parsed.byte_offset().unwrap_or(parsed.offset()) as usize;
    let len = parsed.byte_len().unwrap_or(parsed.len()) as usize;
    let start = text.floor_char_boundary(offset);
    let end = text.ceil_char_boundary((start + len).min(text.len()));
    let trimmed = text[start..end].trim_end();
    Span { source, bytes: start..start + trimmed.len() }
}

fn raw_node(raw: Spanned<Raw>, source: usize, text: &str) -> Node {
    let value = match raw.value {
        Raw::Scalar(scalar) => Value::Scalar(scalar),
        Raw::List(items) => {
            Value::List(items.into_iter().map(|item| raw_node(item, source, text)).collect())
        }
        Raw::Map(entries) => {
            let entry = |(key, item): (Spanned<String>, _)| {
                (key.value, span(key.referenced, source, text), raw_node(item, source, text))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node::new(span(raw.referenced, source, text), value)
}

/// The tree as deserialized, before locations become byte spans.
enum Raw {
    Scalar(Json),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Json::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Json::Bool(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Json::from(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Json::from(value)))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Raw, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Raw::Scalar(Json::Number(number)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Json::from(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let items = iter::from_fn(|| seq.next_element().transpose());
        items.collect::<Result<_, _>>().map(Raw::List)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let entries = iter::from_fn(|| map.next_entry().transpose());
        entries.collect::<Result<_, _>>().map(Raw::Map)
    }
}
