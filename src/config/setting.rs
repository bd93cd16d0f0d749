//! Settings outside of bridges that may be blank: secrets that enable a way to authenticate, lists from one
//! variable, and switches from a variable.

use std::{fmt, num::NonZeroU32};

use globset::{Glob, GlobBuilder};
use serde::{Deserialize, de};
use toml::Spanned;
use url::Url;

use super::{
    reader::{Reader, Scalar, Text},
    reference::Expansion,
};

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
