//! Functions for `#[serde(deserialize_with = "…")]`: each parses one value of the file.
//!
//! serde carries only one message for each error. [`BadValue`] puts a message and a hint into it, and
//! [`Reader::table`](crate::config::reader::Reader::table) takes them apart again and adds the name of the key.

use std::{
    collections::BTreeMap, fmt, marker::PhantomData, net::IpAddr, num::NonZeroU32, time::Duration,
};

use globset::{Glob, GlobBuilder};
use http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use url::Url;

use crate::{
    config::read::diagnostic::{list, nearest},
    secret::Secret,
};

/// Stands for the key of the value, in backticks, in the texts of a [`BadValue`].
pub(in crate::config) const KEY: &str = "\u{1}";

/// Separates the message from the hint in serde's message.
const HINT: char = '\u{2}';

/// The maximum of all durations, which keeps calculations with clocks safe: a year, in seconds.
pub(in crate::config) const YEAR: u64 = 366 * 24 * 60 * 60;

/// What is wrong with a value, and how to fix it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct BadValue {
    message: String,
    hint: String,
}

impl BadValue {
    /// In both texts, [`KEY`] stands for the key of the value.
    pub(in crate::config) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { message, hint }
    }

    /// Takes serde's message apart: the message, and the hint if there is one. `None` if it is a message of
    /// serde itself.
    pub(in crate::config) fn of_serde(
        message: &str,
        key: &str,
    ) -> Option<(String, Option<String>)> {
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
pub(in crate::config) type Parsed<T> = Result<T, BadValue>;

/// Reads a string with a function.
pub(in crate::config) fn parse<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl Fn(&str) -> Parsed<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(TextVisitor(read))
}

/// Declares functions for serde, each of which reads a string with a function.
macro_rules! parsed {
    ($($(#[$doc:meta])* $name:ident -> $type:ty = $read:expr;)+) => {$(
        $(#[$doc])*
        pub(in crate::config) fn $name<'de, D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> Result<$type, D::Error> {
            $crate::config::read::value::parse(deserializer, $read)
        }
    )+};
}
pub(in crate::config) use parsed;

struct TextVisitor<F>(F);

impl<T, F: Fn(&str) -> Parsed<T>> de::Visitor<'_> for TextVisitor<F> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
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

/// Parses an `http:` or `https:` URL. The error does not show the URL, which may contain a secret.
pub(in crate::config) fn web_url(text: &str, example: &str) -> Parsed<Url> {
    let problem = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return Ok(url),
        Ok(url) => format!("{KEY}: `{}:` is neither `http:` nor `https:`", url.scheme()),
        Err(error) => format!("{KEY} is not a valid URL: {error}"),
    };
    Err(BadValue::new(problem, format!("write `\"{example}\"`")))
}

/// Reads `30s`, `5m`, `1h 30m`: more than zero, and at most `MOST` seconds.
pub(in crate::config) fn duration<'de, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    parse(deserializer, |text| {
        duration_within(text, Duration::from_secs(MOST))
    })
}

/// The same for a setting without a default.
pub(in crate::config) fn some_duration<'de, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration::<MOST, D>(deserializer).map(Some)
}

/// Parses a duration, which must be more than zero.
pub(in crate::config) fn duration_within(text: &str, most: Duration) -> Parsed<Duration> {
    match duration_up_to(text, most)? {
        Duration::ZERO => Err(not_within(most)),
        duration => Ok(duration),
    }
}

/// Parses a duration, which may be zero.
pub(in crate::config) fn duration_up_to(text: &str, most: Duration) -> Parsed<Duration> {
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
pub(in crate::config) trait WordSetting: Copy + 'static {
    /// The words of the file.
    const WORDS: &'static [(&'static str, Self)];
}

/// Reads one of several words.
pub(in crate::config) fn word<'de, T: WordSetting, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    parse(deserializer, |text| choice(text, T::WORDS))
}

/// Parses one of several words, ignoring case, dashes and underscores.
pub(in crate::config) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
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

/// Reads a whole number of at least `LEAST`, or a size such as `10 MiB`.
pub(in crate::config) fn count<'de, const LEAST: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<usize, D::Error> {
    deserializer.deserialize_any(CountVisitor(LEAST))
}

/// Reads a number of calls per minute.
pub(in crate::config) fn per_minute<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroU32>, D::Error> {
    CallsPerMinute::deserialize(deserializer).map(|number| Some(number.0))
}

/// Reads a table of such numbers.
pub(in crate::config) fn per_minute_each<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, NonZeroU32>, D::Error> {
    let table = BTreeMap::<String, CallsPerMinute>::deserialize(deserializer)?;
    Ok(table.into_iter().map(|(name, it)| (name, it.0)).collect())
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

/// The value is the minimum.
struct CountVisitor(usize);

impl CountVisitor {
    fn check<E: de::Error>(&self, number: Option<usize>) -> Result<usize, E> {
        let Self(least) = self;
        number.filter(|number| number >= least).ok_or_else(|| {
            let message = format!("{KEY} must be a whole number, at least {least}");
            E::custom(BadValue::new(
                message,
                format!("leave {KEY} out for its default"),
            ))
        })
    }
}

impl de::Visitor<'_> for CountVisitor {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<usize, E> {
        self.check(usize::try_from(number).ok())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<usize, E> {
        self.check(bytes(text))
    }
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

/// Reads a switch, or a string that contains one, so that references work. Blank means off.
pub(in crate::config) fn flag<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<bool, D::Error> {
    deserializer.deserialize_any(FlagVisitor)
}

struct FlagVisitor;

impl de::Visitor<'_> for FlagVisitor {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`true` or `false`")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        switch(text).map_err(E::custom)
    }
}

/// Parses a switch. Blank means off.
pub(in crate::config) fn switch(text: &str) -> Parsed<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        other => {
            let message = format!("{KEY}: `{other}` is neither true nor false");
            Err(BadValue::new(message, "write `true` or `false`"))
        }
    }
}

/// Reads a list of words, each once: a string with commas, or a list of such strings.
pub(in crate::config) fn words<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    words_of(deserializer, |word| Ok(word.to_owned()))
}

/// The same for a list that must not be empty.
pub(in crate::config) fn names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let names = words(deserializer)?;
    if names.is_empty() {
        let hint = format!("leave {KEY} out for its default");
        return Err(de::Error::custom(BadValue::new(
            format!("{KEY} names nothing"),
            hint,
        )));
    }
    Ok(names)
}

/// Reads addresses and networks.
pub(in crate::config) fn networks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<IpNet>, D::Error> {
    words_of(deserializer, |word| {
        let network = word.parse::<IpNet>().ok();
        let network = network.or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(|it| it.trunc()).ok_or_else(|| {
            let hint = "write `\"10.0.0.7\"` or `\"172.16.0.0/12\"`; names are not looked up";
            BadValue::new(
                format!("{KEY}: `{word}` is neither an address nor a network"),
                hint,
            )
        })
    })
}

/// Reads a list of words with a function, each value once.
pub(in crate::config) fn words_of<'de, D: Deserializer<'de>, T: PartialEq>(
    deserializer: D,
    read: impl Fn(&str) -> Parsed<T> + Copy,
) -> Result<Vec<T>, D::Error> {
    let words = deserializer.deserialize_any(WordsVisitor(read, PhantomData))?;
    let mut each = Vec::with_capacity(words.len());
    for word in words {
        if !each.contains(&word) {
            each.push(word);
        }
    }
    Ok(each)
}

/// The function that reads one word.
struct WordsVisitor<T, F>(F, PhantomData<T>);

impl<'de, T, F: Fn(&str) -> Parsed<T> + Copy> de::Visitor<'de> for WordsVisitor<T, F> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        split(text, self.0).map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut words = Vec::new();
        while let Some(found) =
            items.next_element_seed(TextSeed(|text: &str| split(text, self.0)))?
        {
            words.extend(found);
        }
        Ok(words)
    }
}

/// Splits a text at commas and reads each word.
fn split<T>(text: &str, read: impl Fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    let words = text.split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(read).collect()
}

/// Reads a list of strings with a function.
pub(in crate::config) fn list_of<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl Fn(&str) -> Parsed<T> + Copy,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor(read, PhantomData))
}

/// The function that reads one string.
struct ListVisitor<T, F>(F, PhantomData<T>);

impl<'de, T, F: Fn(&str) -> Parsed<T> + Copy> de::Visitor<'de> for ListVisitor<T, F> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(TextSeed(self.0))? {
            found.push(item);
        }
        Ok(found)
    }
}

/// Reads one string of a list with a function.
struct TextSeed<F>(F);

impl<'de, T, F: Fn(&str) -> Parsed<T>> de::DeserializeSeed<'de> for TextSeed<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        parse(deserializer, self.0)
    }
}

/// Reads a list of patterns for tool names.
pub(in crate::config) fn globs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    list_of(deserializer, |text| glob(text).map(|_glob| text.to_owned()))
}

/// The same for names in lower case. A pattern may have any case.
pub(in crate::config) fn caseless_globs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    list_of(deserializer, |text| {
        glob(&text.to_lowercase()).map(|_glob| text.to_owned())
    })
}

/// Parses a pattern for tool names. It works the same on every system.
pub(in crate::config) fn glob(text: &str) -> Parsed<Glob> {
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
