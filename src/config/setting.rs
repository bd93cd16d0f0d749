//! Settings outside of bridges that may be blank: secrets that enable a way to authenticate, lists from one
//! variable, and switches from a variable.

use std::{fmt, num::NonZeroU32};

use globset::{Glob, GlobBuilder};
use http::HeaderName;
use serde::{Deserialize, de};
use toml::Spanned;
use url::Url;

use super::{
    reader::{Reader, Scalar, Text},
    reference::Expansion,
};
use crate::secret::Secret;

/// The minimum length of a secret, in bytes. A shorter one can be guessed by trying (RFC 7518 requires 32 for
/// HS256, but keys in practice are shorter).
const SECRET_BYTES_MIN: usize = 16;

/// A value that enables something, or the reason why it is off.
pub(super) type Setting<T> = Result<T, String>;

/// One string with commas, or a list of such strings.
#[derive(Debug, Clone)]
pub(super) enum List {
    /// `"a, b"`
    One(String),
    /// `["a", "b, c"]`
    Many(Vec<Text>),
}

/// A switch, or a string that contains one, so that references work.
#[derive(Debug, Clone)]
pub(super) enum Flag {
    /// `true`
    Plain(bool),
    /// `"${API_GATEWAY_MODE:-false}"`
    Text(String),
}

impl Reader<'_> {
    /// Reads the text of a setting that is off while it is blank. `None`: malformed, and already reported.
    pub(super) fn optional(&mut self, text: &Text) -> Option<Setting<Text>> {
        let expansion = self.expand(text)?;
        if is_blank(&expansion) {
            return Some(Err(why_blank(&expansion)));
        }
        let value = expansion.text.trim().to_owned();
        Some(Ok(Spanned::new(text.span(), value)))
    }

    /// Reads a secret that is off while its variable is blank. Warns of short ones.
    pub(super) fn secret(
        &mut self,
        key: &str,
        variable: &str,
        text: &Text,
    ) -> Option<Setting<Secret>> {
        let found = self.secret_of_any_length(key, variable, text)?;
        if let Ok(value) = &found
            && value.expose().len() < SECRET_BYTES_MIN
        {
            self.problems
                .warning(
                    &text.span(),
                    format!(
                        "`{key}` has only {} characters, so it can be guessed",
                        value.expose().chars().count()
                    ),
                )
                .hint("`openssl rand -hex 32` makes a good one");
        }
        Some(found)
    }

    /// Reads a secret that is off while its variable is blank. A literal value is a mistake, empty or not: an
    /// empty secret admits every caller, and files are committed.
    pub(super) fn secret_of_any_length(
        &mut self,
        key: &str,
        variable: &str,
        text: &Text,
    ) -> Option<Setting<Secret>> {
        let expansion = self.expand(text)?;
        let is_literal = !expansion.has_references;
        if is_blank(&expansion) && is_literal {
            self.problems
                .error(
                    &text.span(),
                    format!("`{key}` is empty, so it protects nothing"),
                )
                .hint(format!(
                    "write `{key} = \"${{{variable}}}\"`, which is off while {variable} is not set, or leave `{key}` out"
                ));
            return None;
        }
        if is_blank(&expansion) {
            return Some(Err(why_blank(&expansion)));
        }
        let value = expansion.text.trim();
        if is_literal {
            self.problems
                .warning(
                    &text.span(),
                    format!("`{key}` is written in plain text in the file"),
                )
                .hint(format!(
                    "move it to the environment: `{key} = \"${{{variable}}}\"`"
                ));
        }
        Some(Ok(Secret::new(value)))
    }

    /// Reads the words of a list without blank ones. `key` is used only for problems.
    pub(super) fn words(&mut self, list: &Spanned<List>) -> Vec<Text> {
        let texts = match list.get_ref() {
            List::One(text) => vec![Spanned::new(list.span(), text.clone())],
            List::Many(texts) => texts.clone(),
        };
        let mut words = Vec::new();
        for text in texts {
            let Some(Ok(value)) = self.optional(&text) else {
                continue;
            };
            let inner = value.get_ref().split(',').map(str::trim);
            let inner = inner.filter(|word| !word.is_empty());
            words.extend(inner.map(|word| Spanned::new(text.span(), word.to_owned())));
        }
        words
    }

    /// Reads the words of a list that must not be empty, each once.
    pub(super) fn names(
        &mut self,
        key: &str,
        list: Option<&Spanned<List>>,
        default: &[&str],
    ) -> Vec<String> {
        let Some(list) = list else {
            return default.iter().map(|&word| word.to_owned()).collect();
        };
        let words = plain(self.words(list));
        if words.is_empty() {
            self.problems
                .error(&list.span(), format!("`{key}` names nothing"))
                .hint(format!("leave `{key}` out for its default"));
        }
        words
    }

    /// Reads a switch; blank means off.
    pub(super) fn flag(&mut self, key: &str, flag: &Spanned<Flag>) -> Option<bool> {
        let text = match flag.get_ref() {
            Flag::Plain(value) => return Some(*value),
            Flag::Text(text) => Spanned::new(flag.span(), text.clone()),
        };
        let Ok(value) = self.optional(&text)? else {
            return Some(false);
        };
        match value.get_ref().to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            other => {
                self.problems
                    .error(
                        &flag.span(),
                        format!("`{key}`: `{other}` is neither true nor false"),
                    )
                    .hint("write `true` or `false`");
                None
            }
        }
    }

    /// Reads the name of a header, or returns the default.
    pub(super) fn header_name(
        &mut self,
        key: &str,
        text: Option<&Text>,
        default: &'static str,
    ) -> HeaderName {
        let default = HeaderName::from_bytes(default.as_bytes()).unwrap_or(http::header::HOST);
        let Some(Some(Ok(text))) = text.map(|text| self.optional(text)) else {
            return default;
        };
        HeaderName::from_bytes(text.get_ref().as_bytes()).unwrap_or_else(|_| {
            self.problems
                .error(
                    &text.span(),
                    format!("`{key}`: {:?} is not a valid header name", text.get_ref()),
                )
                .hint("write letters, digits and `-`: `X-User-Email`");
            default
        })
    }

    /// Reads an `http:` or `https:` URL. Problems are reported without showing the URL.
    pub(super) fn web_url(&mut self, key: &str, text: &Text, example: &str) -> Option<Url> {
        let problem = match Url::parse(text.get_ref()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => return Some(url),
            Ok(url) => format!(
                "`{key}`: `{}:` is neither `http:` nor `https:`",
                url.scheme()
            ),
            Err(error) => format!("`{key}` is not a valid URL: {error}"),
        };
        self.problems
            .error(&text.span(), problem)
            .hint(format!("write `\"{example}\"`"));
        None
    }

    /// Reads a number of calls per minute.
    pub(super) fn per_minute(&mut self, key: &str, scalar: &Spanned<Scalar>) -> Option<NonZeroU32> {
        let number = self.count(key, scalar, 1)?;
        let fitting = u32::try_from(number).ok().and_then(NonZeroU32::new);
        if fitting.is_none() {
            self.problems
                .error(&scalar.span(), format!("`{key}` is too large"))
                .hint(format!("leave `{key}` out for no limit"));
        }
        fitting
    }

    /// Reads a pattern for tool names. It works the same on every system.
    pub(super) fn glob(&mut self, key: &str, text: &Text) -> Option<Glob> {
        self.checked_glob(key, text, build_glob(text.get_ref()))
    }

    /// The same for names in lower case; the pattern may have any case.
    pub(super) fn caseless_glob(&mut self, key: &str, text: &Text) -> Option<Glob> {
        self.checked_glob(key, text, build_glob(&text.get_ref().to_lowercase()))
    }

    /// Returns a pattern, or reports what is wrong with it.
    fn checked_glob(
        &mut self,
        key: &str,
        text: &Text,
        built: Result<Glob, String>,
    ) -> Option<Glob> {
        match built {
            Ok(glob) => Some(glob),
            Err(problem) => {
                self.problems
                    .error(&text.span(), format!("`{key}`: {problem}"))
                    .hint("write names with `*` and `?`, for example `\"list_*\"`; `[` and `{` are special, and `\\\\` escapes them");
                None
            }
        }
    }
}

/// Builds a pattern for tool names. It works the same on every system. The error is a phrase.
fn build_glob(text: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(text).backslash_escape(true).build();
    built.map_err(|error| error.kind().to_string())
}

/// Returns the words without positions, each once.
pub(super) fn plain(words: Vec<Text>) -> Vec<String> {
    let mut plain: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        if !plain.contains(word.get_ref()) {
            plain.push(word.into_inner());
        }
    }
    plain
}

/// Whether a text is blank.
pub(super) fn is_blank(expansion: &Expansion) -> bool {
    !expansion.missing.is_empty() || expansion.text.trim().is_empty()
}

/// Returns why a text is blank: `WEBUI_SECRET_KEY is not set`.
pub(super) fn why_blank(expansion: &Expansion) -> String {
    let reasons = if expansion.missing.is_empty() {
        &expansion.defaulted
    } else {
        &expansion.missing
    };
    if reasons.is_empty() {
        "it is blank".to_owned()
    } else {
        reasons.join(", ")
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = List;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
                Ok(List::One(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(List::Many(texts))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Flag;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`true` or `false`")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag::Plain(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Flag, E> {
                Ok(Flag::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
