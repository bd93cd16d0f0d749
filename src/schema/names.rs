//! [`ArgumentNames`]: argument names that model providers reject, and their published replacements.
//!
//! A single such name makes a provider reject the whole request, so that all tools become unusable. A name
//! has the same replacement in the whole schema, so that references to it stay correct.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::meter::charge;
use crate::plain_text;

/// The longest name that providers accept, in characters.
const NAME_CHARS_MAX: usize = 64;

/// How much of the server's name is kept, in characters. The rest is for a number.
const STEM_CHARS_MAX: usize = 56;

/// The maximum number of names in a warning.
const TOLD_MAX: usize = 5;

/// How much of a name a warning shows, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// The replaced names of one schema.
#[derive(Debug, Default)]
pub struct ArgumentNames {
    /// The published name for each server's name.
    published: HashMap<String, String>,
    /// The server's name for each published name.
    own: HashMap<String, String>,
    /// The server's names, in its order.
    order: Vec<String>,
}

impl ArgumentNames {
    /// Finds the names that providers reject, and chooses replacements that do not occur in the schema.
    pub fn of(schema: &Value) -> Self {
        let found = named(schema);
        let refused: Vec<&str> = found
            .iter()
            .copied()
            .filter(|name| !is_taken(name))
            .collect();
        let mut names = Self::default();
        if refused.is_empty() {
            return names;
        }
        let mut taken: HashSet<String> = found.iter().map(|name| (*name).to_owned()).collect();
        // The number of uses of each stem. Counting from one each time would be slow for many names.
        let mut used: HashMap<String, usize> = HashMap::new();
        for name in refused {
            let stem = stem(name);
            let count = used.entry(stem.clone()).or_insert(1);
            let mut chosen = stem.clone();
            while !taken.insert(chosen.clone()) {
                charge(1);
                *count += 1;
                chosen = format!("{stem}_{count}");
            }
            names.own.insert(chosen.clone(), name.to_owned());
            names.published.insert(name.to_owned(), chosen);
            names.order.push(name.to_owned());
        }
        names
    }

    /// Whether all names are published unchanged.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the published form of a server's name, if it differs.
    pub fn published(&self, own: &str) -> Option<&str> {
        self.published.get(own).map(String::as_str)
    }

    /// Returns the server's name for a replacement.
    pub fn own(&self, published: &str) -> Option<&str> {
        self.own.get(published).map(String::as_str)
    }

    /// Returns a warning for the operator.
    pub fn warning(&self) -> Option<String> {
        let told: Vec<String> = self
            .order
            .iter()
            .take(TOLD_MAX)
            .filter_map(|own| Some(format!("`{}` as `{}`", shown(own), self.published(own)?)))
            .collect();
        let more = self.order.len() - told.len();
        let mut told = told.join(", ");
        if more > 0 {
            told = format!("{told}, and {more} more");
        }
        (!self.is_empty()).then(|| {
            format!("model providers refuse names of its arguments; it is published with {told}")
        })
    }
}

/// Returns a name, shortened for a sentence.
pub fn shown(name: &str) -> String {
    let begin: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    plain_text::line(&begin).into_owned()
}

/// Whether the strictest provider accepts a name: `^[a-zA-Z0-9_.-]{1,64}$`.
fn is_taken(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Returns the names of all properties, without duplicates, in the order of the schema. Keys that are not
/// properties, such as those in a default, do no harm: they are only excluded as replacements.
fn named(schema: &Value) -> Vec<&str> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        charge(1);
        match value {
            Value::Object(members) => {
                let properties = members.get("properties").and_then(Value::as_object);
                let keys = properties
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.as_str());
                let required = members.get("required").and_then(Value::as_array);
                let required = required.into_iter().flatten().filter_map(Value::as_str);
                found.extend(keys.chain(required).filter(|name| seen.insert(*name)));
                open.extend(members.values().rev().filter(|value| is_nested(value)));
            }
            Value::Array(elements) => {
                open.extend(elements.iter().rev().filter(|value| is_nested(value)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// Whether a value can contain others.
fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// Makes a similar name of letters, digits and `_`, which all providers accept.
fn stem(name: &str) -> String {
    let mut stem = String::new();
    for character in name.chars().take(NAME_CHARS_MAX) {
        match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' => stem.push(character),
            // Keeps Twilio's `StartTime<` and `StartTime>` distinct.
            '<' => stem.push_str("_lt_"),
            '>' => stem.push_str("_gt_"),
            '=' => stem.push_str("_eq_"),
            '!' => stem.push_str("_not_"),
            _ => stem.push('_'),
        }
    }
    let words: Vec<&str> = stem.split('_').filter(|word| !word.is_empty()).collect();
    let mut stem: String = words.join("_").chars().take(STEM_CHARS_MAX).collect();
    if stem.is_empty() {
        stem.push_str("argument");
    } else if stem.starts_with(|first: char| first.is_ascii_digit()) {
        stem.insert(0, '_');
    }
    stem
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns the published names for these properties.
    fn published(names: &[&str]) -> Vec<String> {
        let properties = names.iter().map(|name| ((*name).to_owned(), json!({})));
        let properties: serde_json::Map<_, _> = properties.collect();
        let found = ArgumentNames::of(&json!({ "properties": properties }));
        let name = |name: &&str| found.published(name).unwrap_or(name).to_owned();
        names.iter().map(name).collect()
    }

    #[test]
    fn only_names_that_a_provider_refuses_are_changed() {
        let long = "a".repeat(65);
        let fine = "a".repeat(64);
        let cases = [
            ("StartTime<", "StartTime_lt"),
            ("StartTime>=", "StartTime_gt_eq"),
            ("uids[]", "uids"),
            ("$filter", "filter"),
            ("projects.any", "projects.any"),
            ("x-y_1", "x-y_1"),
            ("1st", "1st"),
            ("1st!", "_1st_not"),
            ("a b/c", "a_b_c"),
            ("größe", "gr_e"),
            ("名前", "argument"),
            ("", "argument"),
            ("@type", "type"),
            (&long, &"a".repeat(56)),
            (&fine, &fine),
        ];
        for (name, expected) in cases {
            assert_eq!(published(&[name]), [expected], "{name:?}");
        }
    }

    #[test]
    fn no_two_names_become_one() {
        assert_eq!(
            published(&["filter", "$filter", "filter[]", "filter_2", "名", "前"]),
            [
                "filter",
                "filter_3",
                "filter_4",
                "filter_2",
                "argument",
                "argument_2"
            ]
        );
        let many: Vec<String> = (0..20_000)
            .map(|number| "$".repeat(number % 7 + 1) + &"é".repeat(number))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let chosen: HashSet<String> = published(&many[..3_000]).into_iter().collect();
        assert_eq!(chosen.len(), 3_000);
        assert!(chosen.iter().all(|name| is_taken(name)));
    }

    #[test]
    fn a_warning_tells_some_of_them() {
        let names: serde_json::Map<_, _> = (0..9).map(|it| (format!("${it}"), json!({}))).collect();
        let warning = ArgumentNames::of(&json!({ "properties": names }))
            .warning()
            .unwrap();
        assert!(
            warning.contains("`$0` as `_0`") && warning.ends_with("and 4 more"),
            "{warning}"
        );
        assert_eq!(
            ArgumentNames::of(&json!({"properties": {"a": {}}})).warning(),
            None
        );
    }
}
