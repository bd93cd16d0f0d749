//! Names the tools of a document after their paths. Pure.

use super::names::UniqueNames;
use crate::name::{TOOL_NAME_BYTES_MAX, is_hidden};

/// The longest name that is made from a path, in bytes: the limit of MCP.
const PATH_NAME_BYTES_MAX: usize = 128;

/// The characters that a name from a path may contain, besides letters and digits.
const PUNCTUATION: &str = "-_.~:@+ ";

/// The parts of an operation that its name is made from. Operations of one path are adjacent.
#[derive(Debug, Clone, Copy)]
pub struct NameParts<'a> {
    /// The path.
    pub path: &'a str,
    /// The method, in lower case.
    pub method: &'a str,
    /// The operation id.
    pub id: Option<&'a str>,
}

/// Returns one name for each operation.
///
/// The first operation of a path is named after the path. Further operations of the same path have their
/// method appended. If a path has no valid name, or another path has the same name, the operation id is used.
pub fn names(operations: &[NameParts<'_>]) -> Vec<String> {
    let mut names = UniqueNames::default();
    let mut given: Vec<Option<String>> = vec![None; operations.len()];
    // Names of paths take precedence over names with a method, in any order of the document.
    for wants_first in [true, false] {
        for (index, called) in operations.iter().enumerate() {
            let is_first = is_first(operations, index);
            if is_first != wants_first {
                continue;
            }
            let wish = path_name(called.path).map(|name| with_method(name, called, is_first));
            if let (Some(wish), Some(place)) = (wish, given.get_mut(index)) {
                *place = names.take(&wish).then_some(wish);
            }
        }
    }
    let rest = operations.iter().zip(given).enumerate();
    rest.map(|(index, (called, given))| {
        given.unwrap_or_else(|| other(&mut names, called, is_first(operations, index)))
    })
    .collect()
}

/// Returns the operation id, or the words of the path and a number.
fn other(names: &mut UniqueNames, called: &NameParts<'_>, is_first: bool) -> String {
    if let Some(id) = called.id.filter(|id| names.take(id)) {
        return id.to_owned();
    }
    let words = with_method(words(called.path), called, is_first);
    names.free(&words, |name, number| format!("{name}_{number}"))
}

/// Whether it is the first operation of its path.
fn is_first(operations: &[NameParts<'_>], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|it| operations.get(it));
    before.map(|it| it.path) != operations.get(index).map(|it| it.path)
}

/// Appends the method, unless the operation is the first of its path.
fn with_method(name: String, called: &NameParts<'_>, is_first: bool) -> String {
    if is_first {
        name
    } else {
        format!("{name}_{}", called.method)
    }
}

/// Returns the operation id if it is a valid tool name.
pub fn usable_id(id: &str) -> Option<&str> {
    let is_usable = !id.trim().is_empty()
        && id.len() <= TOOL_NAME_BYTES_MAX
        && !id.chars().any(|it| it.is_control() || is_hidden(it));
    is_usable.then_some(id)
}

/// Converts `/items/{id}/move` to `items_id_move`. Returns `None` if the result is not a valid name.
fn path_name(path: &str) -> Option<String> {
    let name = path.trim_matches('/').replace('/', "_");
    let name = name.replace(['{', '}'], "");
    let is_usable = name.len() <= PATH_NAME_BYTES_MAX
        && name.chars().any(char::is_alphanumeric)
        && name
            .chars()
            .all(|it| (it.is_alphanumeric() || PUNCTUATION.contains(it)) && !is_hidden(it));
    is_usable.then_some(name)
}

/// Returns the words of a path without a valid name.
fn words(path: &str) -> String {
    let words: Vec<&str> = path
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| !word.is_empty())
        .collect();
    let name: String = words.join("_").chars().take(PATH_NAME_BYTES_MAX).collect();
    if name.is_empty() {
        "root".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names for lines of `method path [id]`.
    fn named(lines: &[&str]) -> Vec<String> {
        let operations: Vec<_> = lines
            .iter()
            .map(|line| {
                let mut words = line.split(' ');
                NameParts {
                    method: words.next().unwrap(),
                    path: words.next().unwrap(),
                    id: words.next(),
                }
            })
            .collect();
        names(&operations)
    }

    #[test]
    fn a_tool_is_called_after_its_path() {
        let long = format!("post /{} id", "x".repeat(129));
        for (line, name) in [
            (
                "get /items/{item_id} read_item_items__item_id__get",
                "items_item_id",
            ),
            ("post /get_time", "get_time"),
            ("post /a/b/ x", "a_b"),
            ("post a/b x", "a_b"),
            ("post /v1/models:predict x", "v1_models:predict"),
            ("post /größe x", "größe"),
            ("post / home", "home"),
            ("post /", "root"),
            ("post /Users('{id}')", "Users_id"),
            ("post /Users('{id}') getUser", "getUser"),
            ("post /{_} x", "x"),
            (&long, "id"),
        ] {
            assert_eq!(named(&[line]), [name], "{line}");
        }
    }

    #[test]
    fn further_operations_of_a_path_have_their_method_in_their_name() {
        let lines = [
            "post /pet a",
            "put /pet b",
            "get /pet/{id} c",
            "delete /pet/{id} d",
            "post / e",
            "get / e",
            "put /",
        ];
        let names = [
            "pet",
            "pet_put",
            "pet_id",
            "pet_id_delete",
            "e",
            "root_get",
            "root_put",
        ];
        assert_eq!(named(&lines), names);
    }

    #[test]
    fn no_two_tools_have_one_name() {
        // The name of a path takes precedence over one with a method, and both over a number.
        let lines = [
            "post /pet",
            "put /pet",
            "post /pet_put",
            "get /pet/put",
            "get /pet/put/ other",
        ];
        assert_eq!(
            named(&lines),
            ["pet", "pet_put_2", "pet_put", "pet_put_3", "other"]
        );
        let many: Vec<String> = (0..20_000)
            .map(|it| format!("get /{}x", "/".repeat(it % 7)))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let begun = std::time::Instant::now();
        let given: std::collections::BTreeSet<_> = named(&many).into_iter().collect();
        assert_eq!(given.len(), many.len());
        assert!(begun.elapsed().as_secs() < 5);
    }
}
