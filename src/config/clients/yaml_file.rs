//! Parses YAML, as `LibreChat` and Continue write it. It is limited, because each alias repeats its value,
//! and a short text could expand to a very long one.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::config::clients::{
    Broken,
    tree::{At, Field, Node, Tree, last_of_each},
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
pub(super) fn parse(text: &str) -> Result<Option<Node>, Broken> {
    if text.len() > BYTES_MAX {
        let message = format!("the YAML is larger than {} MiB", BYTES_MAX >> 20);
        return Err(Broken { at: 0..0, message });
    }
    let places = Places::new(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = places.byte(error.marker().index());
            Broken {
                at: at..at,
                message: format!("the YAML is not valid: {}", error.info()),
            }
        })?;
        builder.take(event, places.at(&span))?;
    }
    Ok(builder.root)
}

/// Converts character positions, which the parser counts, to byte positions.
struct Places {
    /// The start of each character; empty if all characters are one byte long.
    starts: Vec<usize>,
    length: usize,
}

impl Places {
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
struct Open {
    at: At,
    /// The number of its anchor; 0 if it has none.
    anchor: usize,
    inner: Inner,
}

enum Inner {
    List(Vec<Node>),
    /// The fields, and a name that waits for its value.
    Map(Vec<Field>, Option<(String, At)>),
}

/// The values so far.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: At) -> Result<(), Broken> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let tree = if is_plain {
                    plain(&text)
                } else {
                    Tree::Text(text.into_owned())
                };
                self.add(Node { at, tree }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Inner::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.open(at, anchor, Inner::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&at),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    let message = "this alias refers to a value that contains it".to_owned();
                    return Err(Broken { at, message });
                };
                let node = Node {
                    at,
                    tree: node.tree.clone(),
                };
                self.nodes += count(&node);
                self.add(node, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err(Broken {
                at,
                message: "the file has several YAML documents; keep one of them".to_owned(),
            }),
            // The start and end of the document, and events that later versions of the parser may add.
            _ => Ok(()),
        }
    }

    fn open(&mut self, at: At, anchor: usize, inner: Inner) -> Result<(), Broken> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("values are nested more than {DEPTH_MAX} deep");
            return Err(Broken { at, message });
        }
        self.open.push(Open { at, anchor, inner });
        Ok(())
    }

    fn close(&mut self, end: &At) -> Result<(), Broken> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let tree = match open.inner {
            Inner::List(elements) => Tree::List(elements),
            Inner::Map(fields, _) => Tree::Map(merged(fields)),
        };
        let at = open.at.start..end.end.max(open.at.start);
        self.add(Node { at, tree }, open.anchor)
    }

    /// Adds a value to its parent.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Broken> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message =
                format!("the YAML has more than {NODES_MAX} values, repeated ones counted");
            return Err(Broken {
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
            Some(Inner::List(elements)) => elements.push(node),
            Some(Inner::Map(fields, waiting)) => {
                if let Some((name, at)) = waiting.take() {
                    fields.push(Field {
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
fn name_of(node: Node) -> Result<(String, At), Broken> {
    let null = (node.tree == Tree::Null).then(|| "null".to_owned());
    match node.scalar().or(null) {
        Some(name) => Ok((name, node.at)),
        None => Err(Broken {
            at: node.at,
            message: "a list or a map cannot be the name of a value".to_owned(),
        }),
    }
}

/// The number of values.
fn count(node: &Node) -> usize {
    match &node.tree {
        Tree::List(elements) => 1 + elements.iter().map(count).sum::<usize>(),
        Tree::Map(fields) => {
            1 + fields
                .iter()
                .map(|field| count(&field.value))
                .sum::<usize>()
        }
        Tree::Null | Tree::Switch(_) | Tree::Number(_) | Tree::Text(_) => 1,
    }
}

/// Merges the fields of `<<` below the map's own.
fn merged(fields: Vec<Field>) -> Vec<Field> {
    if !fields.iter().any(|field| field.name == MERGE) {
        return fields;
    }
    let mut kept = Vec::new();
    let mut others = Vec::new();
    for field in fields {
        match field.value.tree {
            Tree::Map(inner) if field.name == MERGE => others.extend(inner),
            Tree::List(maps) if field.name == MERGE => {
                // Of several maps the first one takes precedence.
                for map in maps.into_iter().rev() {
                    if let Tree::Map(inner) = map.tree {
                        others.extend(inner);
                    }
                }
            }
            tree => kept.push(Field {
                value: Node {
                    at: field.value.at,
                    tree,
                },
                name: field.name,
                at: field.at,
            }),
        }
    }
    let missing: Vec<Field> = last_of_each(&others)
        .into_iter()
        .filter(|other| !kept.iter().any(|field| field.name == other.name))
        .cloned()
        .collect();
    kept.extend(missing);
    kept
}

/// Interprets an unquoted word by the core schema of YAML 1.2.
fn plain(text: &str) -> Tree {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Tree::Null,
        "true" | "True" | "TRUE" => Tree::Switch(true),
        "false" | "False" | "FALSE" => Tree::Switch(false),
        text => {
            let is_number = text.bytes().any(|byte| byte.is_ascii_digit())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
                && text.parse::<f64>().is_ok();
            if is_number {
                Tree::Number(text.to_owned())
            } else {
                Tree::Text(text.to_owned())
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
                Tree::Number("1".to_owned()),
                Tree::Text("2".to_owned()),
                Tree::Switch(true),
                Tree::Null
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
