//! Parses YAML, as `LibreChat` and Continue write it. It is limited, because each alias repeats its value,
//! and a short text could expand to a very long one.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::config::clients::{
    ClientSyntaxError,
    tree::{At, SpannedField, SpannedValue, ValueContent, last_of_each},
};

/// The maximum length of a text.
const BYTES_MAX: usize = 1 << 20;
/// The maximum number of values, counting repetitions.
const NODES_MAX: usize = 50_000;
/// The maximum nesting depth.
const DEPTH_MAX: usize = 64;
/// The key that merges the fields of another map.
const MERGE: &str = "<<";

/// Parses the single document of a text. `None` means that it contains nothing but comments.
pub(super) fn parse(text: &str) -> Result<Option<SpannedValue>, ClientSyntaxError> {
    if text.len() > BYTES_MAX {
        let message = format!("the YAML is larger than {} MiB", BYTES_MAX >> 20);
        return Err(ClientSyntaxError { at: 0..0, message });
    }
    let places = ByteOffsets::new(text);
    let mut builder = YamlTreeBuilder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = places.byte(error.marker().index());
            ClientSyntaxError {
                at: at..at,
                message: format!("the YAML is not valid: {}", error.info()),
            }
        })?;
        builder.take(event, places.at(&span))?;
    }
    Ok(builder.root)
}

/// Converts character positions, which the parser counts, to byte positions.
struct ByteOffsets {
    /// The start of each character; empty if all characters are one byte long.
    starts: Vec<usize>,
    length: usize,
}

impl ByteOffsets {
    fn new(text: &str) -> Self {
        let starts = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            starts,
            length: text.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        if self.starts.is_empty() {
            return character.min(self.length);
        }
        self.starts.get(character).copied().unwrap_or(self.length)
    }

    fn at(&self, span: &Span) -> At {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// A list or map that is not complete yet.
struct OpenCollection {
    at: At,
    /// The number of its anchor; 0 if it has none.
    anchor: usize,
    inner: CollectionContent,
}

enum CollectionContent {
    List(Vec<SpannedValue>),
    /// The fields, and a name that waits for its value.
    Map(Vec<SpannedField>, Option<(String, At)>),
}

/// The values so far.
#[derive(Default)]
struct YamlTreeBuilder {
    root: Option<SpannedValue>,
    open: Vec<OpenCollection>,
    anchors: BTreeMap<usize, SpannedValue>,
    nodes: usize,
}

impl YamlTreeBuilder {
    fn take(&mut self, event: Event<'_>, at: At) -> Result<(), ClientSyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let tree = if is_plain {
                    plain(&text)
                } else {
                    ValueContent::Text(text.into_owned())
                };
                self.add(SpannedValue { at, tree }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(at, anchor, CollectionContent::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(at, anchor, CollectionContent::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&at),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    let message = "this alias refers to a value that contains it".to_owned();
                    return Err(ClientSyntaxError { at, message });
                };
                let node = SpannedValue {
                    at,
                    tree: node.tree.clone(),
                };
                self.nodes += count(&node);
                self.add(node, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err(ClientSyntaxError {
                at,
                message: "the file has several YAML documents; keep one of them".to_owned(),
            }),
            // The start and end of the document, and events that later versions of the parser may add.
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        at: At,
        anchor: usize,
        inner: CollectionContent,
    ) -> Result<(), ClientSyntaxError> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("values are nested more than {DEPTH_MAX} deep");
            return Err(ClientSyntaxError { at, message });
        }
        self.open.push(OpenCollection { at, anchor, inner });
        Ok(())
    }

    fn close(&mut self, end: &At) -> Result<(), ClientSyntaxError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let tree = match open.inner {
            CollectionContent::List(elements) => ValueContent::List(elements),
            CollectionContent::Map(fields, _) => ValueContent::Map(merged(fields)),
        };
        let at = open.at.start..end.end.max(open.at.start);
        self.add(SpannedValue { at, tree }, open.anchor)
    }

    /// Adds a value to its parent.
    fn add(&mut self, node: SpannedValue, anchor: usize) -> Result<(), ClientSyntaxError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message =
                format!("the YAML has more than {NODES_MAX} values, repeated ones counted");
            return Err(ClientSyntaxError {
                at: node.at,
                message,
            });
        }
        if anchor > 0 {
            self.nodes += count(&node);
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inner) {
            None => self.root = Some(node),
            Some(CollectionContent::List(elements)) => elements.push(node),
            Some(CollectionContent::Map(fields, waiting)) => {
                if let Some((name, at)) = waiting.take() {
                    fields.push(SpannedField {
                        name,
                        at,
                        value: node,
                    });
                } else {
                    *waiting = Some(name_of(node)?);
                }
            }
        }
        Ok(())
    }
}

/// Returns the name that a value represents, and its position.
fn name_of(node: SpannedValue) -> Result<(String, At), ClientSyntaxError> {
    let null = (node.tree == ValueContent::Null).then(|| "null".to_owned());
    match node.scalar().or(null) {
        Some(name) => Ok((name, node.at)),
        None => Err(ClientSyntaxError {
            at: node.at,
            message: "a list or a map cannot be the name of a value".to_owned(),
        }),
    }
}

/// The number of values.
fn count(node: &SpannedValue) -> usize {
    match &node.tree {
        ValueContent::List(elements) => 1 + elements.iter().map(count).sum::<usize>(),
        ValueContent::Map(fields) => {
            1 + fields
                .iter()
                .map(|field| count(&field.value))
                .sum::<usize>()
        }
        ValueContent::Null
        | ValueContent::Switch(_)
        | ValueContent::Number(_)
        | ValueContent::Text(_) => 1,
    }
}

/// Merges the fields of `<<` below the map's own.
fn merged(fields: Vec<SpannedField>) -> Vec<SpannedField> {
    if !fields.iter().any(|field| field.name == MERGE) {
        return fields;
    }
    let mut kept = Vec::new();
    let mut others = Vec::new();
    for field in fields {
        match field.value.tree {
            ValueContent::Map(inner) if field.name == MERGE => others.extend(inner),
            ValueContent::List(maps) if field.name == MERGE => {
                // Of several maps the first one takes precedence.
                for map in maps.into_iter().rev() {
                    if let ValueContent::Map(inner) = map.tree {
                        others.extend(inner);
                    }
                }
            }
            tree => kept.push(SpannedField {
                value: SpannedValue {
                    at: field.value.at,
                    tree,
                },
                name: field.name,
                at: field.at,
            }),
        }
    }
    let missing: Vec<SpannedField> = last_of_each(&others)
        .into_iter()
        .filter(|other| !kept.iter().any(|field| field.name == other.name))
        .cloned()
        .collect();
    kept.extend(missing);
    kept
}

/// Interprets an unquoted word by the core schema of YAML 1.2.
fn plain(text: &str) -> ValueContent {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ValueContent::Null,
        "true" | "True" | "TRUE" => ValueContent::Switch(true),
        "false" | "False" | "FALSE" => ValueContent::Switch(false),
        text => {
            let is_number = text.bytes().any(|byte| byte.is_ascii_digit())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
                && text.parse::<f64>().is_ok();
            if is_number {
                ValueContent::Number(text.to_owned())
            } else {
                ValueContent::Text(text.to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> (usize, String) {
        let broken = parse(text).unwrap_err();
        let line = text.get(..broken.at.start).unwrap().matches('\n').count() + 1;
        (line, broken.message)
    }

    #[test]
    fn words_lists_and_maps_are_read_with_their_places() {
        let text = "# é\na: [1, '2', true, ~]\n\"b\":\n  - x: |\n      two\n      lines\n";
        let root = parse(text).unwrap().unwrap();
        let list = root.get("a").unwrap();
        let trees: Vec<_> = list
            .list()
            .unwrap()
            .iter()
            .map(|node| node.tree.clone())
            .collect();
        assert_eq!(
            trees,
            [
                ValueContent::Number("1".to_owned()),
                ValueContent::Text("2".to_owned()),
                ValueContent::Switch(true),
                ValueContent::Null
            ]
        );
        let first = &list.list().unwrap()[0];
        assert_eq!(text.get(first.at.clone()), Some("1"));
        let inner = &root.get("b").unwrap().list().unwrap()[0];
        assert_eq!(inner.get("x").unwrap().text(), Some("two\nlines\n"));
        assert_eq!(parse("# nothing\n").unwrap(), None);
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        let text = "base: &b\n  command: npx\n  args: [a]\none:\n  <<: *b\n  args: [b]\ntwo: *b\n";
        let root = parse(text).unwrap().unwrap();
        let one = root.get("one").unwrap();
        assert_eq!(one.get("command").unwrap().text(), Some("npx"));
        assert_eq!(
            one.get("args").unwrap().list().unwrap()[0].text(),
            Some("b")
        );
        assert_eq!(
            root.get("two").unwrap().get("command").unwrap().text(),
            Some("npx")
        );
    }

    #[test]
    fn a_broken_text_is_told_with_its_line() {
        let (line, message) = broken("mcpServers:\n  a:\n    command: npx\n   args: []\n");
        assert_eq!(line, 4, "{message}");
        assert!(message.starts_with("the YAML is not valid: "), "{message}");
        assert_eq!(broken("a:\n\tb: 1\n").0, 2);
        assert_eq!(
            broken("a: 1\n---\nb: 2\n").1,
            "the file has several YAML documents; keep one of them"
        );
        assert!(broken("a: &a [*a]\n").1.contains("that contains it"));
        assert!(broken("? [a]\n: b\n").1.contains("cannot be the name"));
    }

    #[test]
    fn a_bomb_is_refused_before_it_grows() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            let aliases = vec![below; 9].join(", ");
            text.push_str(
                &[
                    "a",
                    &level.to_string(),
                    ": &a",
                    &level.to_string(),
                    " [",
                    &aliases,
                    "]\n",
                ]
                .concat(),
            );
        }
        assert!(broken(&text).1.contains("more than 50000 values"));
        assert!(
            broken(&("- ".repeat(100) + "x"))
                .1
                .contains("more than 64 deep")
        );
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(
            broken(&"a".repeat(BYTES_MAX + 1))
                .1
                .contains("larger than 1 MiB")
        );
    }
}
