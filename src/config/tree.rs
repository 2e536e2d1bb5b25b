//! YAML as a tree in which every key and value knows its place, so that any problem found later can point at its line.
//!
//! The one file that names the YAML crate.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};
use serde_yaml::{Location, Spanned};

use super::problem::{Kind, Place, Problem};

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where the value stands.
    pub place: Place,
    /// What it is.
    pub value: Value,
    /// Whether it comes from the environment.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// The text itself.
    #[default]
    Text,
    /// The environment in part, so that it may be a secret.
    Environment,
    /// The environment alone: nothing but one variable.
    Variable,
    /// A variable that cannot be had, which was told.
    Missing,
}

/// What a YAML node can be.
#[derive(Debug, Clone)]
pub enum Value {
    /// Null, bool, number or text.
    Scalar(Json),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping: key, place of the key, value, in the order of the text.
    Map(Vec<(String, Place, Node)>),
}

/// Parses one YAML document of the given source.
///
/// # Errors
/// A text that is not YAML, has a key twice or is not a single document is one [`Problem`].
pub fn parse(text: &str, source: usize) -> Result<Node, Problem> {
    let options = serde_yaml::options! { strict_booleans: true };
    let raw: Spanned<Raw> =
        serde_yaml::from_str_with_options(text, options).map_err(|error| Problem {
            kind: Kind::Config,
            place: Some(
                error.location().map_or(Place { source, span: 0..0 }, |at| place(at, source, text)),
            ),
            message: format!(
                "not valid YAML: {}",
                in_few_words(&error.without_snippet().to_string())
            ),
            hint: error.location().and_then(|at| {
                let line = text.lines().nth((at.line() as usize).saturating_sub(1))?;
                line.contains("${").then(|| {
                    "within { } and [ ] a variable stands in quotes: \"${NAME}\"".to_owned()
                })
            }),
        })?;
    Ok(raw_node(raw, source, text))
}

impl Node {
    /// What stands at a place of the text itself.
    pub fn new(place: Place, value: Value) -> Self {
        Self { place, value, origin: Origin::Text }
    }

    /// Takes the place of a variable that cannot be had.
    pub(super) fn take_for_missing(&mut self) {
        self.value = Value::Scalar(Json::Null);
        self.origin = Origin::Missing;
    }

    /// Marks the node, and gives all that is in it the node's place: it stands in no text.
    pub(super) fn take_from_environment(&mut self, alone: bool) {
        let own = self.place.clone();
        self.move_places(&mut |place| *place = own.clone());
        self.origin = if alone { Origin::Variable } else { Origin::Environment };
    }

    /// Moves the places of the node and of all in it.
    pub(super) fn move_places(&mut self, to: &mut impl FnMut(&mut Place)) {
        to(&mut self.place);
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.move_places(to)),
            Value::Map(entries) => {
                for (_, place, item) in entries {
                    to(place);
                    item.move_places(to);
                }
            }
        }
    }

    /// The text at a JSON pointer, where it comes from the environment.
    pub fn secret(&self, pointer: &str) -> Option<&str> {
        match &self.find(pointer).0 {
            Node {
                value: Value::Scalar(Json::String(text)),
                origin: Origin::Environment | Origin::Variable,
                ..
            } => Some(text),
            _ => None,
        }
    }

    /// Reads the text at a JSON pointer as YAML, where it is nothing but a variable and no text is wanted; tells whether it is
    /// something else then.
    pub(super) fn read_anew(&mut self, pointer: &str) -> bool {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match &mut node.value {
                Value::Map(entries) => {
                    entries.iter_mut().find(|(name, _, _)| *name == part).map(|(_, _, child)| child)
                }
                Value::List(items) => part.parse().ok().and_then(|i: usize| items.get_mut(i)),
                Value::Scalar(_) => None,
            };
            match next {
                Some(child) => node = child,
                None => return false,
            }
        }
        let Value::Scalar(Json::String(text)) = &node.value else { return false };
        let read = parse(text, node.place.source).ok().filter(|_| node.origin == Origin::Variable);
        match read.map(|read| read.value) {
            Some(Value::Scalar(scalar @ (Json::Number(_) | Json::Bool(_)))) => {
                node.value = Value::Scalar(scalar);
                true
            }
            _ => false,
        }
    }

    /// Where the value at a JSON pointer comes from, or what it stands in.
    pub fn origin(&self, pointer: &str) -> Origin {
        let above = pointer.match_indices('/').rev().map(|(at, _)| &pointer[..at]);
        let mut origins =
            [pointer].into_iter().chain(above).map(|pointer| self.find(pointer).0.origin);
        origins.find(|origin| *origin != Origin::Text).unwrap_or_default()
    }

    /// The value as JSON; a whole float such as `5.0` becomes the integer it is.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(Json::Number(n)) => match n.as_f64() {
                Some(x) if n.is_f64() && x.fract() == 0.0 && x.abs() < 9e15 => Json::from(x as i64),
                _ => Json::Number(n.clone()),
            },
            Value::Scalar(scalar) => scalar.clone(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let pairs = entries.iter().map(|(key, _, node)| (key.clone(), node.to_json()));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The place of the node at a JSON pointer, or of the nearest ancestor that exists.
    pub fn value_place(&self, pointer: &str) -> Place {
        let (node, key) = self.find(pointer);
        // An empty collection or a missing value has no text of its own: its key is the better place to show.
        if node.place.span.is_empty() { key.clone() } else { node.place.clone() }
    }

    /// The place of the key that leads to a JSON pointer's node, or the nearest place there is.
    pub fn key_place(&self, pointer: &str) -> Place {
        self.find(pointer).1.clone()
    }

    /// The node at a JSON pointer, or the nearest there is above it, and the place of the key that leads to it.
    fn find(&self, pointer: &str) -> (&Self, &Place) {
        let (mut node, mut key) = (self, &self.place);
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            match &node.value {
                Value::Map(entries) => match entries.iter().find(|(name, _, _)| *name == part) {
                    Some((_, at, child)) => (node, key) = (child, at),
                    None => break,
                },
                Value::List(items) => match part.parse().ok().and_then(|i: usize| items.get(i)) {
                    Some(child) => (node, key) = (child, &child.place),
                    None => break,
                },
                Value::Scalar(_) => break,
            }
        }
        (node, key)
    }

    /// Puts `value` at a dotted path, making the sections on the way.
    ///
    /// # Errors
    /// The part of the path that is not a section.
    pub fn set(&mut self, path: &str, value: Node) -> Result<(), String> {
        let (head, rest) = match path.split_once('.') {
            Some((head, rest)) => (head, Some(rest)),
            None => (path, None),
        };
        if matches!(self.value, Value::Scalar(Json::Null)) {
            self.value = Value::Map(Vec::new());
        }
        if let (Value::List(items), Ok(index)) = (&mut self.value, head.parse::<usize>()) {
            // One past the last item appends.
            if index == items.len() {
                items.push(Node::new(value.place.clone(), Value::Scalar(Json::Null)));
            }
            let count = items.len();
            let item =
                items.get_mut(index).ok_or(format!("there is no item {index} of {count}"))?;
            return match rest {
                Some(rest) => item.set(rest, value),
                None => {
                    *item = value;
                    Ok(())
                }
            };
        }
        let Value::Map(entries) = &mut self.value else {
            return Err(format!("`{head}` is not inside a section"));
        };
        if !entries.iter().any(|(name, _, _)| name == head) {
            let empty = Node::new(value.place.clone(), Value::Map(Vec::new()));
            entries.push((head.to_owned(), value.place.clone(), empty));
        }
        for (name, _, node) in entries {
            if name == head {
                match rest {
                    Some(rest) => return node.set(rest, value),
                    None => *node = value,
                }
                break;
            }
        }
        Ok(())
    }
}

/// The parser's words without its own advice and without the place, which the report shows anyway.
fn in_few_words(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let end = [" at line ", ", set ", "; use ", " rejected by"]
        .iter()
        .filter_map(|tail| line.find(tail))
        .min();
    &line[..end.unwrap_or(line.len())]
}

/// Places are bytes; the parser counts characters where it has no byte offset, which only differs after
/// text that is not ASCII.
fn place(at: Location, source: usize, text: &str) -> Place {
    let span = at.span();
    let start = span.byte_offset().unwrap_or(span.offset()) as usize;
    let len = span.byte_len().unwrap_or(span.len()) as usize;
    let mut start = start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (start + len).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let shown = text[start..end].trim_end();
    Place { source, span: start..start + shown.len() }
}

fn raw_node(raw: Spanned<Raw>, source: usize, text: &str) -> Node {
    let at = place(raw.referenced, source, text);
    let value = match raw.value {
        Raw::Scalar(scalar) => Value::Scalar(scalar),
        Raw::List(items) => {
            Value::List(items.into_iter().map(|item| raw_node(item, source, text)).collect())
        }
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, item)| {
                    (key.value, place(key.referenced, source, text), raw_node(item, source, text))
                })
                .collect(),
        ),
    };
    Node::new(at, value)
}

/// The tree as the deserializer hands it over, before its places become bytes of a source.
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
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<(Spanned<String>, Spanned<Raw>)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
