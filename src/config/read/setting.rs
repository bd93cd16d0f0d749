//! Settings outside of bridges that may be blank: secrets that enable a way to authenticate, lists from one
//! variable, and switches from a variable.

use std::fmt;

use serde::{Deserialize, de};
use toml::Spanned;
use url::Url;

use crate::config::read::{
    diagnostic::Span,
    reader::{ConfigReader, Text},
    reference::ReferenceExpansion,
    value::{self, BadValue, Parsed, ValueForms},
};

/// A value that enables something, or the reason why it is off.
pub type Setting<T> = Result<T, String>;

/// One string with commas, or a list of such strings.
#[derive(Debug, Clone)]
pub enum ListSetting {
    /// `"a, b"`
    One(String),
    /// `["a", "b, c"]`
    Many(Vec<Text>),
}

/// A switch, or a string that contains one, so that references work.
#[derive(Debug, Clone)]
pub enum FlagSetting {
    /// `true`
    Plain(bool),
    /// `"${API_GATEWAY_MODE:-false}"`
    Text(String),
}

impl ConfigReader<'_> {
    /// Reads the text of a setting that is off while it is blank. `None`: malformed, and already reported.
    pub fn optional(&mut self, text: &Text) -> Option<Setting<Text>> {
        let expansion = self.expand(text)?;
        if is_blank(&expansion) {
            return Some(Err(why_blank(&expansion)));
        }
        let value = expansion.text.trim().to_owned();
        Some(Ok(Spanned::new(text.span(), value)))
    }

    /// Reads a switch; blank means off.
    pub fn flag(&mut self, key: &str, flag: &Spanned<FlagSetting>) -> Option<bool> {
        let text = match flag.get_ref() {
            FlagSetting::Plain(value) => return Some(*value),
            FlagSetting::Text(text) => Spanned::new(flag.span(), text.clone()),
        };
        let Ok(text) = self.optional(&text)? else {
            return Some(false);
        };
        self.report(key, &text.span(), value::switch(text.get_ref()))
    }

    /// Reads an `http:` or `https:` URL. Problems are reported without showing the URL.
    pub fn web_url(&mut self, key: &str, text: &Text, example: &str) -> Option<Url> {
        self.report(key, &text.span(), value::web_url(text.get_ref(), example))
    }

    /// Reads one of several words, ignoring case, dashes and underscores.
    pub fn choice<T: Copy>(&mut self, key: &str, text: &Text, choices: &[(&str, T)]) -> Option<T> {
        self.report(key, &text.span(), value::choice(text.get_ref(), choices))
    }

    /// Reports what is wrong with a value.
    fn report<T>(&mut self, key: &str, at: &Span, parsed: Parsed<T>) -> Option<T> {
        let bad = match parsed {
            Ok(value) => return Some(value),
            Err(bad) => bad,
        };
        if let Some((message, hint)) = BadValue::of_serde(&bad.to_string(), key) {
            self.problems.error(at, message).hint = hint;
        }
        None
    }
}

/// Returns the words without positions, each once.
pub fn plain(words: Vec<Text>) -> Vec<String> {
    let mut plain: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        if !plain.contains(word.get_ref()) {
            plain.push(word.into_inner());
        }
    }
    plain
}

/// Whether a text is blank.
pub fn is_blank(expansion: &ReferenceExpansion) -> bool {
    !expansion.missing.is_empty() || expansion.text.trim().is_empty()
}

/// Returns why a text is blank: `WEBUI_SECRET_KEY is not set`.
pub fn why_blank(expansion: &ReferenceExpansion) -> String {
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

impl<'de> Deserialize<'de> for ListSetting {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ResourceVisitor;

        impl<'de> de::Visitor<'de> for ResourceVisitor {
            type Value = ListSetting;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ListSetting, E> {
                Ok(ListSetting::One(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<ListSetting, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(ListSetting::Many(texts))
            }
        }

        deserializer.deserialize_any(ResourceVisitor)
    }
}

impl<'de> Deserialize<'de> for FlagSetting {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = ValueForms {
            expected: "`true` or `false`",
            text: |text| Ok(Self::Text(text.to_owned())),
            number: None,
            switch: Some(Self::Plain),
        };
        forms.read(deserializer)
    }
}
