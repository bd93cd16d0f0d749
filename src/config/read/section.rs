//! Reads one table outside of bridges: replaces its references, and deserializes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{
    Deserialize, Deserializer,
    de::{self, value::Error},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::read::{
    diagnostic::Span,
    reader::{ConfigReader, Text},
    setting::{is_blank, why_blank},
};

/// What a section allows, besides the fields of its type. A value that is blank, or refers to a missing
/// variable without a default, is an error in all other settings.
#[derive(Debug)]
pub struct SectionRules {
    /// Settings that count as left out while they are blank.
    pub optional: &'static [&'static str],
    /// Lists and texts that are empty while they are blank, and switches that are off.
    pub empty: &'static [&'static str],
    /// Secrets, which count as left out while they are blank.
    pub secrets: &'static [SecretRule],
    /// Fields of the type that are several keys in the file. Without the first key, the others have no effect.
    pub groups: &'static [(&'static str, &'static [&'static str])],
    /// Whether a missing variable turns off what the section describes, instead of being an error.
    pub missing_turns_off: bool,
}

impl SectionRules {
    /// No setting may be blank.
    pub const NONE: Self = Self {
        optional: &[],
        empty: &[],
        secrets: &[],
        groups: &[],
        missing_turns_off: false,
    };
}

/// A secret of a section.
#[derive(Debug)]
pub struct SecretRule {
    key: &'static str,
    /// The variable that usually contains it.
    variable: &'static str,
    /// A shorter one, in bytes, can be guessed by trying, which is a warning.
    bytes_min: usize,
}

impl SecretRule {
    /// Creates a rule.
    pub const fn new(key: &'static str, variable: &'static str, bytes_min: usize) -> Self {
        Self {
            key,
            variable,
            bytes_min,
        }
    }
}

/// The minimum length of a secret, in bytes. A shorter one can be guessed by trying (RFC 7518 requires 32 for
/// HS256, but keys in practice are shorter).
pub const SECRET_BYTES_MIN: usize = 16;

/// What later rules need to know of a section that was read.
#[derive(Debug, Default)]
pub struct SectionNotes {
    /// The position of each value, good or not.
    spans: BTreeMap<String, Span>,
    /// Why values are blank.
    blank: BTreeMap<String, String>,
    /// Settings with a text that is not blank and has no reference.
    literal: BTreeSet<String>,
    /// What is missing, if it is not an error: `GITHUB_TOKEN is not set`.
    pub missing: Vec<String>,
    /// The number of problems before the section.
    first: usize,
}

impl SectionNotes {
    /// The position of a value, if the file contains it.
    pub fn at(&self, key: &str) -> Option<&Span> {
        self.spans.get(key)
    }

    /// Why a value is blank: `WEBUI_SECRET_KEY is not set`.
    pub fn why_blank(&self, key: &str) -> Option<&String> {
        self.blank.get(key)
    }

    /// Whether a value is written in the file itself.
    pub fn is_literal(&self, key: &str) -> bool {
        self.literal.contains(key)
    }

    /// Whether the section has no errors so far.
    pub fn is_whole(&self, reader: &ConfigReader<'_>) -> bool {
        !reader.problems.has_errors_since(self.first)
    }
}

impl ConfigReader<'_> {
    /// Reads a section. `None` if a value that its type requires is missing or invalid; this is reported.
    pub fn section<'i, T: Deserialize<'i>>(
        &mut self,
        name: &str,
        at: &Span,
        mut table: DeTable<'i>,
        rules: &SectionRules,
    ) -> (Option<T>, SectionNotes) {
        let mut notes = SectionNotes {
            first: self.problems.len(),
            ..SectionNotes::default()
        };
        let own = keys_of::<T>().iter().flat_map(|key| {
            let group = rules.groups.iter().find(|(field, _)| field == key);
            group.map_or(std::slice::from_ref(key), |(_, keys)| *keys)
        });
        let known: Vec<&str> = own.copied().collect();
        self.refuse_unknown(name, &mut table, &known);
        let keys: Vec<String> = table.keys().map(|key| key.get_ref().to_string()).collect();
        for key in keys {
            let Some(value) = table.get_mut(key.as_str()) else {
                continue;
            };
            notes.spans.insert(key.clone(), value.span());
            if !self.expand_value(&key, value, rules, &mut notes) {
                table.remove(key.as_str());
            }
        }
        for (field, keys) in rules.groups {
            group(&mut table, field, keys);
        }
        (self.table(name, at, table), notes)
    }

    /// Reports and removes all keys but the known ones.
    pub fn refuse_unknown(&mut self, name: &str, table: &mut DeTable<'_>, known: &[&str]) {
        let unknown = table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()));
        for key in unknown.cloned().collect::<Vec<_>>() {
            self.unknown_key(name, key.get_ref(), &key.span(), known);
            table.remove(&key);
        }
    }

    /// Replaces the references of a value. False if it is to be removed.
    fn expand_value(
        &mut self,
        key: &str,
        value: &mut Spanned<DeValue<'_>>,
        rules: &SectionRules,
        notes: &mut SectionNotes,
    ) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => {
                let written = Text::new(span, text.to_string());
                match self.expand_text(key, &written, rules, notes) {
                    Some(expanded) => *text = expanded.into(),
                    None => return false,
                }
            }
            DeValue::Array(items) => {
                let is_list = rules.empty.contains(&key);
                let mut kept = Vec::with_capacity(items.len());
                for mut item in items.iter().cloned() {
                    let is_kept = self.expand_value(key, &mut item, rules, notes);
                    let is_empty =
                        matches!(item.get_ref(), DeValue::String(text) if text.is_empty());
                    kept.extend((is_kept && !(is_list && is_empty)).then_some(item));
                }
                *items = kept.into_iter().collect();
            }
            DeValue::Table(inner) => {
                let keys: Vec<String> = inner.keys().map(|key| key.get_ref().to_string()).collect();
                for key in keys {
                    if let Some(value) = inner.get_mut(key.as_str())
                        && !self.expand_value(&key, value, &SectionRules::NONE, notes)
                    {
                        inner.remove(key.as_str());
                    }
                }
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
        true
    }

    /// Returns the text of a value with its references replaced. `None` if it counts as left out, or was
    /// reported.
    fn expand_text(
        &mut self,
        key: &str,
        text: &Text,
        rules: &SectionRules,
        notes: &mut SectionNotes,
    ) -> Option<String> {
        let secret = rules.secrets.iter().find(|rule| rule.key == key);
        let may_be_empty = rules.empty.contains(&key);
        let may_be_blank = secret.is_some() || may_be_empty || rules.optional.contains(&key);
        if !may_be_blank && !rules.missing_turns_off {
            return self.required(text).map(Spanned::into_inner);
        }
        let expansion = self.expand(text)?;
        if rules.missing_turns_off && !expansion.missing.is_empty() {
            notes.missing.extend(expansion.missing);
            return None;
        }
        if !may_be_blank {
            return Some(expansion.text);
        }
        if let (Some(rule), true, false) = (secret, is_blank(&expansion), expansion.has_references)
        {
            let variable = rule.variable;
            self.refuse(&text.span(), format!("`{key}` is empty, so it protects nothing"), format!(
                    "write `{key} = \"${{{variable}}}\"`, which is off while {variable} is not set, or leave `{key}` out"
                ));
            return None;
        }
        if is_blank(&expansion) {
            notes.blank.insert(key.to_owned(), why_blank(&expansion));
            return may_be_empty.then(String::new);
        }
        let value = expansion.text.trim().to_owned();
        if !expansion.has_references {
            notes.literal.insert(key.to_owned());
        }
        if let Some(rule) = secret {
            self.warn_of_weak_secret(rule, text, &value, expansion.has_references);
        }
        Some(value)
    }

    /// Warns of a secret in the file, and of a short one.
    fn warn_of_weak_secret(
        &mut self,
        rule: &SecretRule,
        text: &Text,
        value: &str,
        has_references: bool,
    ) {
        let SecretRule {
            key,
            variable,
            bytes_min,
        } = rule;
        if !has_references {
            self.warn(
                &text.span(),
                format!("`{key}` is written in plain text in the file"),
                format!("move it to the environment: `{key} = \"${{{variable}}}\"`"),
            );
        }
        if value.len() < *bytes_min {
            let characters = value.chars().count();
            self.warn(
                &text.span(),
                format!("`{key}` has only {characters} characters, so it can be guessed"),
                "`openssl rand -hex 32` makes a good one",
            );
        }
    }
}

/// Moves keys into a table of their own, which is one field of the type.
fn group(table: &mut DeTable<'_>, field: &'static str, keys: &[&str]) {
    let mut entries = keys.iter().map(|key| table.remove_entry(*key));
    let first = entries.next().flatten();
    let others: Vec<_> = entries.flatten().collect();
    if let Some((key, value)) = first {
        let (at, span) = (key.span(), value.span());
        let mut inner = DeTable::new();
        inner.insert(key, value);
        inner.extend(others);
        let value = Spanned::new(span, DeValue::Table(inner));
        table.insert(Spanned::new(at, field.into()), value);
    }
}

/// Moves keys into a table of their own.
pub fn take<'i>(table: &mut DeTable<'i>, keys: &[&str]) -> DeTable<'i> {
    keys.iter()
        .filter_map(|key| table.remove_entry(*key))
        .collect()
}

/// Returns the keys that serde's derived code reads for a type.
pub fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct KeyProbe<'k>(&'k mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for KeyProbe<'_> {
        type Error = Error;

        fn deserialize_any<V: de::Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
            Err(de::Error::custom("this is not a struct"))
        }

        fn deserialize_struct<V: de::Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
            unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut keys: &'static [&'static str] = &[];
    drop(T::deserialize(KeyProbe(&mut keys)));
    keys
}
