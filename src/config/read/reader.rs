//! Reads tables into plain structs, reports each problem, and resolves the values.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, de};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use crate::{
    config::{
        Diagnostic, Environment,
        read::{
            diagnostic::{DiagnosticCollector, Span, list, nearest},
            reference::{ReferenceExpansion, ReferenceScope, variables_in},
            value::{BadValue, ValueForms},
        },
    },
    secret::Secret,
};

/// A string with its position.
pub type Text = Spanned<String>;

/// Keys of other programs, and the corresponding keys here.
const FOREIGN_KEYS: &[(&str, &str)] = &[
    ("type", "`transport`"),
    ("server_type", "`transport`"),
    ("environment", "`env`"),
    ("cmd", "`command`"),
    ("arguments", "`args`"),
    ("disabled", "`enabled = false`"),
    ("disabledtools", "`tools_deny`"),
    ("disabled_tools", "`tools_deny`"),
    ("allowed_tools", "`tools_allow`"),
    ("httpurl", "`url`"),
    ("serverurl", "`url`"),
    ("endpoint", "`url`"),
    ("host", "`listen = \"HOST:PORT\"`"),
    ("port", "`listen = \"HOST:PORT\"`"),
    ("bind", "`listen`"),
    ("api_key", "`key` in a table `[identity.keys.NAME]`"),
    ("mcpservers", "`[bridges.NAME]`"),
    ("servers", "`[bridges.NAME]`"),
    ("bridge", "`[bridges.NAME]`"),
    ("log_level", "`level` in `[telemetry]`"),
];

/// A disabled part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledPart {
    /// The part: a key by its name, or a way to authenticate.
    pub what: String,
    /// The reason: `MCP_API_KEY is not set`.
    pub why: String,
}

/// The context of reading a configuration, and its results.
#[derive(Debug)]
pub struct ConfigReader<'a> {
    /// The variables for references.
    pub environment: &'a Environment,
    /// The folder of the file.
    pub folder: PathBuf,
    /// Whether mcpo's rules apply.
    pub lenient: bool,
    /// Whether an unset reference stays as written, as with mcpo's command line.
    pub keeps_unset: bool,
    /// The problems.
    pub problems: DiagnosticCollector,
    /// The files that references named.
    pub files: BTreeSet<PathBuf>,
    /// The parts that a blank value disables.
    pub off: Vec<DisabledPart>,
    /// Values that must never be shown.
    pub referenced: Vec<Secret>,
    /// The variables that the texts since the start of the last bridge refer to.
    pub variables: BTreeSet<String>,
}

impl ConfigReader<'_> {
    /// Reads a table into a struct of optional fields. Invalid keys are reported and dropped, so that one of
    /// them does not hide the next.
    pub fn table<'i, T: Deserialize<'i>>(
        &mut self,
        name: &str,
        span: &Span,
        mut table: DeTable<'i>,
    ) -> Option<T> {
        loop {
            let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(value)) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let at = error.span().unwrap_or_else(|| span.clone());
            let key = key_at(&table, &at);
            // A missing value is reported where the section is read.
            if !error.message().starts_with("missing field") {
                self.misfit(name, key.as_deref(), &at, error.message());
            }
            if !remove_at(&mut table, &at) {
                return None;
            }
        }
    }

    /// Rewrites serde's message about a key.
    fn misfit(&mut self, table: &str, key: Option<&str>, at: &Span, message: &str) {
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let (written, known) = rest.split_once('`').unwrap_or((rest, ""));
            let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
            self.unknown_key(table, written, at, &known);
            return;
        }
        if let Some((message, hint)) = BadValue::of_serde(message, key.unwrap_or_default()) {
            self.problems.error(at, message).hint = hint;
            return;
        }
        let Some((found, expected)) = message
            .strip_prefix("invalid type: ")
            .and_then(|rest| rest.rsplit_once(", expected "))
        else {
            self.problems.error(at, message);
            return;
        };
        // A string in the wrong place may be a secret.
        let found = found
            .split_once('"')
            .map_or(found, |(kind, _)| kind.trim_end());
        let expected = match expected {
            "a sequence" => "a list",
            "a map" => "a table",
            "path string" => "a string",
            "a boolean" => "`true` or `false`",
            other if other.starts_with("struct ") => "a table",
            other => other,
        };
        let key = key.map_or_else(String::new, |key| format!("`{key}`: "));
        let hint = match (expected, found.split_once('`')) {
            ("a string", Some(("integer ", number)))
                if key.contains("time") || key.contains("idle_stop") =>
            {
                Some(format!(
                    "write the unit: `\"{}s\"`",
                    number.trim_end_matches('`')
                ))
            }
            ("a string", Some(_)) => Some("put it in double quotes".to_owned()),
            ("a string", None) if key == "`command`: " && found == "sequence" => {
                Some("put the program in `command` and the rest in `args`".to_owned())
            }
            ("a list", None) if found == "string" => {
                Some("put it in brackets: `[\"…\"]`".to_owned())
            }
            ("a table", Some(("boolean ", "true`"))) if key == "`oauth`: " => {
                Some("an empty table is enough: `oauth = {}`".to_owned())
            }
            _ => None,
        };
        let found = match found {
            "sequence" => "a list".to_owned(),
            "map" => "a table".to_owned(),
            "string" => "a string".to_owned(),
            other => other.to_owned(),
        };
        let problem = self
            .problems
            .error(at, format!("{key}expected {expected}, found {found}"));
        if let Some(hint) = hint {
            problem.hint(hint);
        }
    }

    /// Reports an unknown key of a table.
    pub fn unknown_key(&mut self, table: &str, written: &str, at: &Span, known: &[&str]) {
        let place = if table.is_empty() {
            "at the top".to_owned()
        } else {
            format!("in `[{table}]`")
        };
        let lower = written.to_lowercase();
        let foreign = FOREIGN_KEYS
            .iter()
            .find(|(foreign, _)| *foreign == lower && !known.contains(foreign))
            .map(|(_, ours)| (*ours).to_owned());
        let hint = nearest(written, known.iter().copied())
            .map(|word| format!("did you mean `{word}`?"))
            .or_else(|| foreign.map(|ours| format!("write {ours}")))
            .unwrap_or_else(|| format!("the keys are {}", list(known)));
        self.refuse(at, format!("unknown key `{written}` {place}"), hint);
    }

    /// Returns a table and its position, or reports that the value is something else.
    pub fn table_in<'i>(
        &mut self,
        value: Spanned<DeValue<'i>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<(Span, DeTable<'i>)> {
        let at = value.span();
        if let DeValue::Table(table) = value.into_inner() {
            return Some((at, table));
        }
        self.refuse(&at, message, hint);
        None
    }

    /// Reports an error with a hint.
    pub fn refuse(&mut self, at: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.error(at, message).hint(hint);
    }

    /// Reports a warning with a hint.
    pub fn warn(&mut self, at: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.warning(at, message).hint(hint);
    }

    /// Replaces the references of a string. A malformed one is reported and returns `None`.
    pub fn expand(&mut self, text: &Text) -> Option<ReferenceExpansion> {
        let scope = ReferenceScope {
            environment: self.environment,
            folder: &self.folder,
            lenient: self.keeps_unset,
        };
        match scope.expand(text.get_ref()) {
            Ok(expansion) => {
                self.files.extend(expansion.files.iter().cloned());
                self.referenced.extend(expansion.values.iter().cloned());
                variables_in(text.get_ref(), &mut self.variables);
                Some(expansion)
            }
            Err(bad) => {
                self.refuse(&text.span(), bad.to_string(), bad.hint());
                None
            }
        }
    }

    /// Replaces the references of a string outside of bridges, where a missing value is an error.
    pub fn required(&mut self, text: &Text) -> Option<Text> {
        let expansion = self.expand(text)?;
        if expansion.missing.is_empty() {
            return Some(Spanned::new(text.span(), expansion.text));
        }
        self.refuse(
            &text.span(),
            expansion.missing.join(", "),
            "set it, or give a default: `${NAME:-default}`",
        );
        None
    }

    /// Records what is disabled, and why.
    pub fn turn_off(&mut self, what: &str, why: String) {
        self.off.push(DisabledPart {
            what: what.to_owned(),
            why,
        });
    }

    /// Adds diagnostics that have their position already.
    pub fn add_all(&mut self, diagnostics: Vec<Diagnostic>) {
        for diagnostic in diagnostics {
            self.problems.add(diagnostic);
        }
    }
}

/// A number, or a string that contains one, so that references work.
#[derive(Debug, Clone)]
pub enum ScalarSetting {
    /// `10`
    Integer(i64),
    /// `"${N:-10}"`, `"10 MiB"`
    Text(String),
}

impl<'de> Deserialize<'de> for ScalarSetting {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = ValueForms {
            expected: "a whole number",
            text: |text| Ok(Self::Text(text.to_owned())),
            number: Some(|number| Ok(Self::Integer(number))),
            switch: None,
        };
        forms.read(deserializer)
    }
}

/// Returns the key whose value caused an error.
fn key_at(table: &DeTable<'_>, at: &Span) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let (inner, is_item) = match value.get_ref() {
            DeValue::Table(inner) => (key_at(inner, at), false),
            DeValue::Array(items) => (None, items.iter().any(|item| holds(&item.span(), at))),
            _ => (None, false),
        };
        let is_here = is_item || holds(&value.span(), at);
        inner.or_else(|| is_here.then(|| key.get_ref().to_string()))
    })
}

/// Removes the innermost key that caused an error, or the value in its list.
fn remove_at(table: &mut DeTable<'_>, at: &Span) -> bool {
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && remove_at(inner, at)
        {
            return true;
        }
        let is_bad = |item: &Spanned<DeValue<'_>>| holds(&item.span(), at);
        if let DeValue::Array(items) = value.get_mut()
            && items.iter().any(is_bad)
        {
            *items = items.iter().filter(|item| !is_bad(item)).cloned().collect();
            return true;
        }
    }
    let key = table
        .iter()
        .find(|(key, value)| holds(&key.span(), at) || holds(&value.span(), at))
        .map(|(key, _)| key.clone());
    key.is_some_and(|key| table.remove(&key).is_some())
}

fn holds(outer: &Span, inner: &Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && !outer.is_empty()
}
