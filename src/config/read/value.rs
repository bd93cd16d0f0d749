//! Functions for `#[serde(deserialize_with = "…")]`: each reads one value of the file.
//!
//! serde carries only one message for each error. [`BadValue`] puts a message and a hint into it, and
//! [`ConfigReader::table`](super::ConfigReader::table) takes them apart again and adds the name of the key.

use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU32, time::Duration};

use globset::{Glob, GlobBuilder};
use http::HeaderName;
use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected},
};
use url::Url;

use super::diagnostic::{list, nearest};
use crate::secret::Secret;

/// Stands for the key of the value, in backticks, in the texts of a [`BadValue`].
pub const KEY: &str = "\u{1}";

/// Separates the message from the hint in serde's message.
const HINT: char = '\u{2}';

/// The maximum of all durations, which keeps calculations with clocks safe: a year, in seconds.
pub const YEAR: u64 = 366 * 24 * 60 * 60;

/// What is wrong with a value, and how to fix it.
#[derive(Debug, PartialEq, Eq)]
pub struct BadValue {
    message: String,
    hint: String,
}

impl BadValue {
    /// In both texts, [`KEY`] stands for the key of the value.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { message, hint }
    }

    /// Takes serde's message apart: the message, and the hint if there is one. `None` if it is a message of
    /// serde itself.
    pub fn of_serde(message: &str, key: &str) -> Option<(String, Option<String>)> {
        let (message, hint) = message.split_once(HINT)?;
        let key = format!("`{key}`");
        let hint = (!hint.is_empty()).then(|| hint.replace(KEY, &key));
        Some((message.replace(KEY, &key), hint))
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{HINT}{}", self.message, self.hint)
    }
}

/// The result of parsing the text of a value.
pub type Parsed<T> = Result<T, BadValue>;

/// The forms of a value that a setting takes, with a function for each.
pub struct ValueForms<T> {
    /// What is expected, for the message about another form.
    pub expected: &'static str,
    pub text: fn(&str) -> Parsed<T>,
    pub number: Option<fn(i64) -> Parsed<T>>,
    pub switch: Option<fn(bool) -> T>,
}

impl<T> ValueForms<T> {
    /// Reads a value in one of the forms.
    pub fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> de::Visitor<'_> for ValueForms<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match self.number {
            Some(read) => read(number).map_err(E::custom),
            None => Err(E::invalid_type(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_bool<E: de::Error>(self, switch: bool) -> Result<T, E> {
        match self.switch {
            Some(read) => Ok(read(switch)),
            None => Err(E::invalid_type(Unexpected::Bool(switch), &self)),
        }
    }
}

/// Declares functions for serde by their bodies. A closure gets the deserializer.
macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident$(<const $n:ident: $t:ty>)? -> $type:ty = $read:expr;)+) => {$(
        $(#[$doc])*
        pub fn $name<'de, $(const $n: $t,)? D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> Result<$type, D::Error> {
            $read(deserializer)
        }
    )+};
}
pub(in crate::config) use reads;

/// Declares functions for serde, each of which reads a string with a function.
macro_rules! parsed {
    ($($(#[$doc:meta])* $name:ident -> $type:ty = $read:expr;)+) => {
        $crate::config::read::value::reads! {
            $($(#[$doc])* $name -> $type = |it| $crate::config::read::value::parse(it, $read);)+
        }
    };
}
pub(in crate::config) use parsed;

/// Reads a string with a function.
pub fn parse<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    text: fn(&str) -> Parsed<T>,
) -> Result<T, D::Error> {
    let (number, switch) = (None, None);
    let forms = ValueForms {
        expected: "a string",
        text,
        number,
        switch,
    };
    forms.read(deserializer)
}

parsed! {
    /// Reads a secret.
    secret -> Option<Secret> = |text| Ok(Some(Secret::new(text)));
    /// Reads the name of a header.
    header_name -> HeaderName = |text| {
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
            let hint = "write letters, digits and `-`: `X-User-Email`";
            BadValue::new(format!("{KEY}: {text:?} is not a valid header name"), hint)
        })
    };
}

reads! {
    /// Reads `30s`, `5m`, `1h 30m`: more than zero, and at most `MOST` seconds.
    duration<const MOST: u64> -> Duration = |it| {
        parse(it, |text| duration_within(text, Duration::from_secs(MOST)))
    };
    /// The same for a setting without a default.
    some_duration<const MOST: u64> -> Option<Duration> = |it| duration::<MOST, D>(it).map(Some);
    /// Reads a whole number of at least `LEAST`, or a size such as `10 MiB`.
    count<const LEAST: usize> -> usize = |it| {
        let forms = ValueForms {
            expected: "a whole number",
            text: |text| at_least(LEAST, bytes(text)),
            number: Some(|number| at_least(LEAST, usize::try_from(number).ok())),
            switch: None,
        };
        forms.read(it)
    };
    /// Reads a number of calls per minute.
    per_minute -> Option<NonZeroU32> = |it| CallsPerMinute::deserialize(it).map(|it| Some(it.0));
    /// Reads a table of such numbers.
    per_minute_each -> BTreeMap<String, NonZeroU32> = |it| {
        let table = BTreeMap::<String, CallsPerMinute>::deserialize(it)?;
        Ok(table.into_iter().map(|(name, it)| (name, it.0)).collect())
    };
    /// Reads a switch, or a string that contains one, so that references work.
    flag -> bool = |it| {
        let expected = "`true` or `false`";
        ValueForms { expected, text: switch, number: None, switch: Some(|it| it) }.read(it)
    };
    /// Reads a list of words, each once: a string with commas, or a list of such strings.
    words -> Vec<String> = |it| words_of(it, |word| Ok(word.to_owned()));
    /// The same for a list that must not be empty.
    names -> Vec<String> = |it| {
        let names = words(it)?;
        if names.is_empty() {
            let hint = format!("leave {KEY} out for its default");
            return Err(de::Error::custom(BadValue::new(format!("{KEY} names nothing"), hint)));
        }
        Ok(names)
    };
    /// Reads addresses and networks.
    networks -> Vec<IpNet> = |it| words_of(it, |word| {
        let network = word.parse::<IpNet>().ok();
        let network = network.or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(|it| it.trunc()).ok_or_else(|| {
            let hint = "write `\"10.0.0.7\"` or `\"172.16.0.0/12\"`; names are not looked up";
            BadValue::new(format!("{KEY}: `{word}` is neither an address nor a network"), hint)
        })
    });
    /// Reads a list of patterns for tool names.
    globs -> Vec<String> = |it| list_of(it, |text| glob(text).map(|_glob| text.to_owned()));
    /// The same for names in lower case. A pattern may have any case.
    caseless_globs -> Vec<String> = |it| {
        list_of(it, |text| glob(&text.to_lowercase()).map(|_glob| text.to_owned()))
    };
}

/// Parses an `http:` or `https:` URL. The error does not show the URL, which may contain a secret.
pub fn web_url(text: &str, example: &str) -> Parsed<Url> {
    let problem = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return Ok(url),
        Ok(url) => format!("{KEY}: `{}:` is neither `http:` nor `https:`", url.scheme()),
        Err(error) => format!("{KEY} is not a valid URL: {error}"),
    };
    Err(BadValue::new(problem, format!("write `\"{example}\"`")))
}

/// Parses a duration, which must be more than zero.
pub fn duration_within(text: &str, most: Duration) -> Parsed<Duration> {
    match duration_up_to(text, most)? {
        Duration::ZERO => Err(not_within(most)),
        duration => Ok(duration),
    }
}

/// Parses a duration, which may be zero.
pub fn duration_up_to(text: &str, most: Duration) -> Parsed<Duration> {
    let text = text.trim();
    let Ok(duration) = humantime::parse_duration(text) else {
        let hint = match text.parse::<u64>() {
            Ok(seconds) => format!("write the unit: `\"{seconds}s\"`"),
            Err(_) => "write `\"500ms\"`, `\"30s\"`, `\"5m\"` or `\"1h 30m\"`".to_owned(),
        };
        let message = format!("{KEY}: `{text}` is not a valid duration");
        return Err(BadValue::new(message, hint));
    };
    if duration > most {
        return Err(not_within(most));
    }
    Ok(duration)
}

fn not_within(most: Duration) -> BadValue {
    let most = match most.as_secs() / YEAR {
        0 => humantime::format_duration(most).to_string(),
        1 => "a year".to_owned(),
        years => format!("{years} years"),
    };
    let message = format!("{KEY} must be more than zero and at most {most}");
    BadValue::new(message, format!("leave {KEY} out for its default"))
}

/// A setting whose value is one of several words.
pub trait WordSetting: Copy + 'static {
    /// The words of the file.
    const WORDS: &'static [(&'static str, Self)];
}

/// Reads one of several words.
pub fn word<'de, T: WordSetting, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    parse(deserializer, |text| choice(text, T::WORDS))
}

/// Parses one of several words, ignoring case, dashes and underscores.
pub fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
    let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
    let found = choices.iter().find(|(word, _)| plain(word) == plain(text));
    if let Some((_, choice)) = found {
        return Ok(*choice);
    }
    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
    let hint = match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write one of {}", list(&words)),
    };
    Err(BadValue::new(format!("{KEY}: there is no `{text}`"), hint))
}

struct CallsPerMinute(NonZeroU32);

impl<'de> Deserialize<'de> for CallsPerMinute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = count::<1, D>(deserializer)?;
        let fitting = u32::try_from(number).ok().and_then(NonZeroU32::new);
        fitting.map(Self).ok_or_else(|| {
            let hint = format!("leave {KEY} out for no limit");
            de::Error::custom(BadValue::new(format!("{KEY} is too large"), hint))
        })
    }
}

/// Returns a number that is not too small.
fn at_least(least: usize, number: Option<usize>) -> Parsed<usize> {
    number.filter(|number| *number >= least).ok_or_else(|| {
        let message = format!("{KEY} must be a whole number, at least {least}");
        BadValue::new(message, format!("leave {KEY} out for its default"))
    })
}

/// Parses `1024`, `64 KiB`, `10MiB`, `1 GiB`.
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

/// Parses a switch. Blank means off.
pub fn switch(text: &str) -> Parsed<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        other => {
            let message = format!("{KEY}: `{other}` is neither true nor false");
            Err(BadValue::new(message, "write `true` or `false`"))
        }
    }
}

/// Reads a list of words with a function, each value once: a string with commas, or a list of such strings.
pub fn words_of<'de, D: Deserializer<'de>, T: PartialEq>(
    deserializer: D,
    read: fn(&str) -> Parsed<T>,
) -> Result<Vec<T>, D::Error> {
    let mut each = Vec::new();
    for word in deserializer.deserialize_any(ListReader { read, splits: true })? {
        if !each.contains(&word) {
            each.push(word);
        }
    }
    Ok(each)
}

/// Reads a list of strings with a function.
pub fn list_of<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: fn(&str) -> Parsed<T>,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListReader {
        read,
        splits: false,
    })
}

/// Reads a list.
struct ListReader<T> {
    read: fn(&str) -> Parsed<T>,
    /// Whether each string may contain several words with commas, and one string is a list too.
    splits: bool,
}

impl<T> ListReader<T> {
    fn item<E: de::Error>(&self, text: &str) -> Result<Vec<T>, E> {
        let words: Vec<&str> = if self.splits {
            let words = text.split(',').map(str::trim);
            words.filter(|word| !word.is_empty()).collect()
        } else {
            vec![text]
        };
        words
            .into_iter()
            .map(self.read)
            .collect::<Parsed<_>>()
            .map_err(E::custom)
    }
}

impl<'de, T> de::Visitor<'de> for ListReader<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.splits {
            "a string or a list of strings"
        } else {
            "a list"
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        if self.splits {
            self.item(text)
        } else {
            Err(E::invalid_type(Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(ListItem(&self))? {
            found.extend(item);
        }
        Ok(found)
    }
}

/// One string of a list.
struct ListItem<'l, T>(&'l ListReader<T>);

impl<'de, T> de::DeserializeSeed<'de> for ListItem<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> de::Visitor<'_> for ListItem<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        self.0.item(text)
    }
}

/// Parses a pattern for tool names. It works the same on every system.
pub fn glob(text: &str) -> Parsed<Glob> {
    build_glob(text).map_err(|problem| {
        let hint = "write names with `*` and `?`, for example `\"list_*\"`; `[` and `{` are special, and `\\\\` escapes them";
        BadValue::new(format!("{KEY}: {problem}"), hint)
    })
}

/// Builds a pattern. The error is a phrase.
fn build_glob(text: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(text).backslash_escape(true).build();
    built.map_err(|error| error.kind().to_string())
}

/// Whether a text is a valid pattern for tool names.
pub(crate) fn check_glob(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the name of a tool is missing".to_owned());
    }
    build_glob(text).map(drop)
}
