//! Reads tables into plain structs, reports each problem, and resolves the values.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::{Deserialize, de};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    Diagnostic, Environment,
    diagnostic::{DiagnosticCollector, Span, nearest},
    load::DisabledPart,
    reference::{ReferenceExpansion, ReferenceScope, variables_in},
};
use crate::secret::Secret;

/// A string with its position.
pub(super) type Text = Spanned<String>;

/// The maximum of all durations, which keeps calculations with clocks safe.
const DURATION_MAX: Duration = Duration::from_hours(24 * 366);

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

/// The context of reading a configuration, and its results.
#[derive(Debug)]
pub(super) struct ConfigReader<'a> {
    /// The variables for references.
    pub(super) environment: &'a Environment,
    /// The folder of the file.
    pub(super) folder: PathBuf,
    /// Whether mcpo's rules apply.
    pub(super) lenient: bool,
    /// Whether an unset reference stays as written, as with mcpo's command line.
    pub(super) keeps_unset: bool,
    /// The problems.
    pub(super) problems: DiagnosticCollector,
    /// The files that references named.
    pub(super) files: BTreeSet<PathBuf>,
    /// The parts that a blank value disables.
    pub(super) off: Vec<DisabledPart>,
    /// Values that must never be shown.
    pub(super) referenced: Vec<Secret>,
    /// The variables that the texts since the start of the last bridge refer to.
    pub(super) variables: BTreeSet<String>,
}

impl ConfigReader<'_> {
    /// Reads a table into a struct of optional fields. Invalid keys are reported and dropped, so that one of
    /// them does not hide the next.
    pub(super) fn table<'i, T: Deserialize<'i>>(
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
            self.misfit(name, key.as_deref(), &at, error.message());
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
    pub(super) fn unknown_key(&mut self, table: &str, written: &str, at: &Span, known: &[&str]) {
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
        self.problems
            .error(at, format!("unknown key `{written}` {place}"))
            .hint(hint);
    }

    /// Replaces the references of a string. A malformed one is reported and returns `None`.
    pub(super) fn expand(&mut self, text: &Text) -> Option<ReferenceExpansion> {
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
                self.problems
                    .error(&text.span(), bad.to_string())
                    .hint(bad.hint());
                None
            }
        }
    }

    /// Replaces the references of a string outside of bridges, where a missing value is an error.
    pub(super) fn required(&mut self, text: &Text) -> Option<Text> {
        let expansion = self.expand(text)?;
        if expansion.missing.is_empty() {
            return Some(Spanned::new(text.span(), expansion.text));
        }
        self.problems
            .error(&text.span(), expansion.missing.join(", "))
            .hint("set it, or give a default: `${NAME:-default}`");
        None
    }

    /// Records what is disabled, and why.
    pub(super) fn turn_off(&mut self, what: &str, why: String) {
        self.off.push(DisabledPart {
            what: what.to_owned(),
            why,
        });
    }

    /// Reads `30s`, `5m`, `1h 30m`; must be more than zero.
    pub(super) fn duration(&mut self, key: &str, text: &Text) -> Option<Duration> {
        self.duration_up_to(key, text, DURATION_MAX)
    }

    /// The same with a given maximum.
    pub(super) fn duration_up_to(
        &mut self,
        key: &str,
        text: &Text,
        most: Duration,
    ) -> Option<Duration> {
        let duration = self.duration_from_zero(key, text, most)?;
        if duration.is_zero() {
            self.not_within(key, text, most);
            return None;
        }
        Some(duration)
    }

    /// The same, but zero is allowed.
    pub(super) fn duration_from_zero(
        &mut self,
        key: &str,
        text: &Text,
        most: Duration,
    ) -> Option<Duration> {
        let written = text.get_ref().trim();
        let Ok(duration) = humantime::parse_duration(written) else {
            let hint = match written.parse::<u64>() {
                Ok(seconds) => format!("write the unit: `\"{seconds}s\"`"),
                Err(_) => "write `\"500ms\"`, `\"30s\"`, `\"5m\"` or `\"1h 30m\"`".to_owned(),
            };
            self.problems
                .error(
                    &text.span(),
                    format!("`{key}`: `{written}` is not a valid duration"),
                )
                .hint(hint);
            return None;
        };
        if duration > most {
            self.not_within(key, text, most);
            return None;
        }
        Some(duration)
    }

    /// Reports a duration that is too short or too long.
    fn not_within(&mut self, key: &str, text: &Text, most: Duration) {
        let most = span_of_time(most);
        let words = format!("`{key}` must be more than zero and at most {most}");
        self.problems
            .error(&text.span(), words)
            .hint(format!("leave `{key}` out for its default"));
    }

    /// Reads one of several words, ignoring case, dashes and underscores.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        text: &Text,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
        let written = text.get_ref();
        let found = choices
            .iter()
            .find(|(word, _)| plain(word) == plain(written));
        if let Some((_, choice)) = found {
            return Some(*choice);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let hint = match nearest(written, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("write one of {}", list(&words)),
        };
        self.problems
            .error(&text.span(), format!("`{key}`: there is no `{written}`"))
            .hint(hint);
        None
    }

    /// Reads a whole number, or a size such as `10 MiB`.
    pub(super) fn count(
        &mut self,
        key: &str,
        scalar: &Spanned<ScalarSetting>,
        least: usize,
    ) -> Option<usize> {
        let span = scalar.span();
        let number = match scalar.get_ref() {
            ScalarSetting::Integer(number) => usize::try_from(*number).ok(),
            ScalarSetting::Text(text) => {
                let text = self.required(&Spanned::new(span.clone(), text.clone()))?;
                bytes(text.get_ref())
            }
        };
        if let Some(number) = number.filter(|number| *number >= least) {
            return Some(number);
        }
        self.problems
            .error(
                &span,
                format!("`{key}` must be a whole number, at least {least}"),
            )
            .hint(format!("leave `{key}` out for its default"));
        None
    }

    /// Adds diagnostics that have their position already.
    pub(super) fn add_all(&mut self, diagnostics: Vec<Diagnostic>) {
        for diagnostic in diagnostics {
            self.problems.add(diagnostic);
        }
    }
}

/// A number, or a string that contains one, so that references work.
#[derive(Debug, Clone)]
pub(super) enum ScalarSetting {
    /// `10`
    Integer(i64),
    /// `"${N:-10}"`, `"10 MiB"`
    Text(String),
}

impl<'de> Deserialize<'de> for ScalarSetting {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl de::Visitor<'_> for ScalarVisitor {
            type Value = ScalarSetting;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a whole number")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ScalarSetting, E> {
                Ok(ScalarSetting::Integer(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ScalarSetting, E> {
                Ok(ScalarSetting::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Describes a maximum.
fn span_of_time(time: Duration) -> String {
    match time.as_secs() / DURATION_MAX.as_secs() {
        0 => humantime::format_duration(time).to_string(),
        1 => "a year".to_owned(),
        years => format!("{years} years"),
    }
}

/// `` `a`, `b` ``
pub(super) fn list(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// Reads `1024`, `64 KiB`, `10MiB`, `1 GiB`.
fn bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.strip_prefix(digits)?.trim();
    let scale: usize = match unit.to_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(scale)
}

/// Returns the key whose value caused an error.
fn key_at(table: &DeTable<'_>, at: &Span) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, at),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => None,
        };
        inner.or_else(|| holds(&value.span(), at).then(|| key.get_ref().to_string()))
    })
}

/// Removes the innermost key that caused an error.
fn remove_at(table: &mut DeTable<'_>, at: &Span) -> bool {
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && remove_at(inner, at)
        {
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
