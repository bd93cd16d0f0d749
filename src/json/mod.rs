//! Exact JSON text: keeps what [`serde_json::Value`] loses (integers beyond 64 bits).

mod mend;

use serde_json::Value;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use mend::{MENDED_BYTES_MAX, repair};

/// The maximum nesting depth; the same as `serde_json`'s own limit.
pub const DEPTH_MAX: usize = 128;

/// The number of digits from which an integer may not fit `i64` (19 and a sign) or `u64` (20).
const LONG_DIGITS: usize = 19;

/// Up to this number, the keys of an object are compared one by one; beyond it they are hashed.
const FEW_KEYS: usize = 24;

/// Why a text cannot be rewritten as compact JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not JSON that every reader understands")]
pub struct CompactJsonError;

/// One value of a JSON text, with its parts as written.
#[derive(Debug)]
pub enum RawJson<'a> {
    /// The members in order. A repeated key has its last value, at the position of the first.
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
    /// The elements.
    Array(Vec<&'a RawValue>),
    /// A number as written.
    Number(&'a str),
    /// A string, a boolean or null.
    Other(&'a RawValue),
}

impl<'a> RawJson<'a> {
    /// Parses one level of a value.
    pub fn open(raw: &'a RawValue) -> serde_json::Result<Self> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => Self::Object(serde_json::from_str::<ObjectMembers<'a>>(text)?.0),
            Some(b'[') => Self::Array(serde_json::from_str(text)?),
            Some(b'-' | b'0'..=b'9') => Self::Number(text),
            _ => Self::Other(raw),
        })
    }
}

/// Parses a text as leniently as possible: unchanged, or after [`repair`] corrected it. The error refers to the
/// original text.
pub fn read_lenient<T: de::DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| {
        let mended = repair(text);
        mended
            .and_then(|mended| serde_json::from_str(&mended).ok())
            .ok_or(error)
    })
}

/// Whether a number is written without fraction and exponent.
pub fn is_integer_literal(number: &str) -> bool {
    !number
        .bytes()
        .any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Whether a text may contain an integer beyond 64 bits. A cheap scan, which may return true without need.
pub fn has_long_digits(text: &[u8]) -> bool {
    let mut run = 0;
    text.iter().any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run >= LONG_DIGITS
    })
}

/// Returns an upper bound for the number of values in a JSON text, without parsing it. Strings are skipped,
/// so that prose does not count.
///
/// A value takes at least 72 bytes of memory, but may take only two bytes of text, so the size of the text is
/// not a good measure.
pub fn values_at_most(text: &[u8]) -> usize {
    let mut values = 1;
    let mut rest = text;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let (before, string) = rest.split_at(quote);
        values += separators(before);
        rest = after_string(string.get(1..).unwrap_or_default());
    }
    values + separators(rest)
}

/// Returns the number of values in a value, including itself.
pub fn count_values(value: &Value) -> usize {
    let (mut count, mut open) = (0, vec![value]);
    while let Some(value) = open.pop() {
        count += 1;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    count
}

/// Counts the values that begin in a text without strings: one after each comma, one in each container, and
/// one after each colon, because a member takes more memory than an element.
fn separators(text: &[u8]) -> usize {
    let begins = |byte: &&u8| matches!(**byte, b',' | b'[' | b'{' | b':');
    text.iter().filter(begins).count()
}

/// Returns the text after the end of a string.
fn after_string(mut text: &[u8]) -> &[u8] {
    while let Some(place) = memchr::memchr2(b'"', b'\\', text) {
        let is_end = text.get(place) == Some(&b'"');
        let skipped = if is_end { 1 } else { 2 };
        text = text.get(place + skipped..).unwrap_or_default();
        if is_end {
            return text;
        }
    }
    &[]
}

/// Writes a JSON text compactly: without white space, in the same key order, with unescaped UTF-8, the last
/// of repeated keys, floats in their shortest form, and integers with all digits.
///
/// After an error, `out` contains nothing useful. `NaN`, `Infinity`, numbers beyond `f64`, lone surrogates
/// and nesting deeper than [`DEPTH_MAX`] are errors.
pub fn compact(text: &str, out: &mut Vec<u8>) -> Result<(), CompactJsonError> {
    // Most texts are prose, which the first character reveals.
    let first = text.bytes().find(|byte| !byte.is_ascii_whitespace());
    if !first.is_some_and(|byte| {
        matches!(
            byte,
            b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
        )
    }) {
        return Err(CompactJsonError);
    }
    let start = out.len();
    if !has_long_digits(text.as_bytes()) {
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut repeated = false;
        let copied = JsonCopier {
            out,
            repeated: &mut repeated,
        }
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
        if copied.is_ok() {
            return Ok(());
        }
        if !repeated {
            return Err(CompactJsonError);
        }
        out.truncate(start);
    }
    let raw = serde_json::from_str(text).map_err(|_| CompactJsonError)?;
    exactly(raw, 0, out).map_err(|_| CompactJsonError)
}

/// Does the work of [`compact`] for the rare text with repeated keys or long integers.
fn exactly(raw: &RawValue, depth: usize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if depth >= DEPTH_MAX {
        return Err(de::Error::custom("nested too deeply"));
    }
    match RawJson::open(raw)? {
        RawJson::Object(members) => {
            out.push(b'{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, &key)?;
                out.push(b':');
                exactly(value, depth + 1, out)?;
            }
            out.push(b'}');
        }
        RawJson::Array(elements) => {
            out.push(b'[');
            for (index, value) in elements.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                exactly(value, depth + 1, out)?;
            }
            out.push(b']');
        }
        RawJson::Number(number) if is_integer_literal(number) => out.extend(number.bytes()),
        RawJson::Number(number) => {
            serde_json::to_writer(out, &serde_json::from_str::<f64>(number)?)?;
        }
        RawJson::Other(raw) if raw.get().starts_with('"') => {
            serde_json::to_writer(out, &serde_json::from_str::<Cow<'_, str>>(raw.get())?)?;
        }
        RawJson::Other(raw) => out.extend(raw.get().bytes()),
    }
    Ok(())
}

/// Copies one value from a deserializer to `out` without building it.
struct JsonCopier<'o> {
    /// The output.
    out: &'o mut Vec<u8>,
    /// Set if an object repeats a key, which a copy in one pass cannot undo.
    repeated: &'o mut bool,
}

impl JsonCopier<'_> {
    /// Returns a copier for a nested value.
    fn inner(&mut self) -> JsonCopier<'_> {
        JsonCopier {
            out: &mut *self.out,
            repeated: &mut *self.repeated,
        }
    }

    /// Writes a value that is not a container.
    fn scalar<E: de::Error>(self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), E> {
        serde_json::to_writer(self.out, value).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for JsonCopier<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonCopier<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar(&())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let mut comma = false;
        loop {
            let before = self.out.len();
            if comma {
                self.out.push(b',');
            }
            if elements.next_element_seed(self.inner())?.is_none() {
                self.out.truncate(before);
                break;
            }
            comma = true;
        }
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let mut seen = SeenKeys::default();
        while let Some(ObjectKey(key)) = members.next_key()? {
            if seen.any() {
                self.out.push(b',');
            }
            self.inner().scalar::<A::Error>(&key)?;
            self.out.push(b':');
            if !seen.insert(key) {
                *self.repeated = true;
                return Err(de::Error::custom("a repeated key"));
            }
            members.next_value_seed(self.inner())?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// The keys of an object so far.
#[derive(Default)]
struct SeenKeys<'a> {
    /// The first [`FEW_KEYS`] keys.
    few: Vec<Cow<'a, str>>,
    /// All other keys.
    many: HashSet<Cow<'a, str>>,
}

impl<'a> SeenKeys<'a> {
    /// Whether there was a key.
    fn any(&self) -> bool {
        !self.few.is_empty()
    }

    /// Adds a key. Returns false if it exists already.
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

/// A key, borrowed from the text unless it has escapes.
struct ObjectKey<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectKey<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        /// Deserializes an [`ObjectKey`].
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = ObjectKey<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<ObjectKey<'de>, E> {
                Ok(ObjectKey(Cow::Borrowed(key)))
            }

            fn visit_str<E: de::Error>(self, key: &str) -> Result<ObjectKey<'de>, E> {
                Ok(ObjectKey(Cow::Owned(key.to_owned())))
            }
        }

        reader.deserialize_str(KeyVisitor)
    }
}

/// The members of an object, see [`RawJson::Object`].
struct ObjectMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        /// Deserializes [`ObjectMembers`].
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = ObjectMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<ObjectMembers<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                let mut places: HashMap<Cow<'de, str>, usize> = HashMap::new();
                while let Some((ObjectKey(key), value)) =
                    map.next_entry::<ObjectKey<'de>, &'de RawValue>()?
                {
                    let place = *places.entry(key.clone()).or_insert(members.len());
                    match members.get_mut(place) {
                        Some(member) => member.1 = value,
                        None => members.push((key, value)),
                    }
                }
                Ok(ObjectMembers(members))
            }
        }

        reader.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_rewritten_without_loss() {
        let cases = [
            (" {\"a\" : 1}\n", Some(r#"{"a":1}"#)),
            ("1E2", Some("100.0")),
            ("1.0", Some("1.0")),
            ("0.1234567890123456", Some("0.1234567890123456")),
            (
                "123456789012345678901234567890",
                Some("123456789012345678901234567890"),
            ),
            (
                "[-9223372036854775809, 1E2]",
                Some("[-9223372036854775809,100.0]"),
            ),
            (r#"{"a":1,"b":2,"a":3}"#, Some(r#"{"a":3,"b":2}"#)),
            (
                r#"{"a":{"n":18446744073709551616},"a":[]}"#,
                Some(r#"{"a":[]}"#),
            ),
            ("[]", Some("[]")),
            ("[{},[ ],null,true]", Some("[{},[],null,true]")),
            (r#""\u00e9\/\n""#, Some("\"é/\\n\"")),
            (
                r#"{"\u00e9":12345678901234567890123}"#,
                Some(r#"{"é":12345678901234567890123}"#),
            ),
            (r#""\ud800""#, None),
            ("NaN", None),
            ("1e400", None),
            ("[12345678901234567890123, 1e400]", None),
            ("01234", None),
            ("{\"a\":1}\n{\"b\":2}", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            let done = compact(text, &mut out).map(|()| String::from_utf8(out).unwrap());
            assert_eq!(done.ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn values_are_counted_without_reading_them() {
        let table = [
            ("1", 1),
            ("[]", 2),
            ("[1,2,3]", 4),
            (r#"{"a":1}"#, 3),
            (r#"{"a,b\"[[[":"[[,,::","c":[[],[]]}"#, 9),
            (r#""unfinished,,,,"#, 1),
            (r#""a\\",[]"#, 3),
        ];
        for (text, values) in table {
            assert_eq!(values_at_most(text.as_bytes()), values, "{text}");
        }
        assert_eq!(values_at_most("[],".repeat(1_000).as_bytes()), 2_001);
    }

    #[test]
    fn deep_nesting_is_refused_on_both_ways() {
        for number in ["1", "12345678901234567890123"] {
            let text = format!("{}{number}{}", "[".repeat(200_000), "]".repeat(200_000));
            assert_eq!(compact(&text, &mut Vec::new()), Err(CompactJsonError));
        }
    }

    #[test]
    fn many_keys_are_compared_too() {
        let members: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{},\"k77\":0}}", members.join(","));
        let mut out = Vec::new();
        compact(&text, &mut out).unwrap();
        assert!(
            String::from_utf8(out)
                .unwrap()
                .contains("\"k77\":0,\"k78\"")
        );
    }
}
