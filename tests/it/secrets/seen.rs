//! Everything that the program wrote, and the search for secrets in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use base64::{Engine as _, prelude::*};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::harness::Answer;

/// What was seen where.
#[derive(Default)]
pub struct Seen(Vec<Noted>);

/// Bytes that were seen.
struct Noted {
    medium: Medium,
    place: String,
    bytes: Vec<u8>,
    /// What the caller sent to whom they were shown.
    sent: String,
}

/// Where something can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    Log,
    Head,
    Body,
    CommandLine,
    Database,
    Journal,
    Processes,
}

impl Medium {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Log,
        Self::Head,
        Self::Body,
        Self::CommandLine,
        Self::Database,
        Self::Journal,
        Self::Processes,
    ];
}

/// A text that was found.
#[derive(Debug)]
pub struct Found {
    pub what: String,
    pub medium: Medium,
    /// What it is, where, in which form, and what stands around it.
    pub report: String,
}

impl Seen {
    /// Notes bytes.
    pub fn add(&mut self, medium: Medium, place: &str, bytes: impl Into<Vec<u8>>) {
        self.add_to("", medium, place, bytes);
    }

    /// Notes bytes that are shown to a caller who sent something.
    fn add_to(&mut self, sent: &str, medium: Medium, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push(Noted {
            medium,
            place: place.to_owned(),
            bytes: bytes.into(),
            sent: sent.to_owned(),
        });
    }

    /// Notes an answer, head and body. What the caller sent is no news to them.
    pub fn answer_to(&mut self, sent: &str, place: &str, answer: &Answer) {
        let mut head = format!("{}\n", answer.status).into_bytes();
        for (name, value) in &answer.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.push(b'\n');
        }
        self.add_to(sent, Medium::Head, place, head);
        self.add_to(sent, Medium::Body, place, answer.text.as_bytes());
    }

    /// Notes the files of a folder whose names begin so.
    pub fn files(&mut self, medium: Medium, folder: &Path, begin: &str) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            // A file of the journal goes when the database has it.
            if name.starts_with(begin)
                && let Ok(bytes) = fs::read(entry.path())
            {
                self.add(medium, &name, bytes);
            }
        }
    }

    /// Notes the command lines of a process and of all that it started.
    pub fn processes(&mut self, of: u32) {
        let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let name = entry.unwrap().file_name();
            name.to_str()?.parse::<u32>().ok()
        });
        let parents: Vec<(u32, u32)> = ids
            .filter_map(|id| {
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
                let rest = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
                Some((id, rest.parse().ok()?))
            })
            .collect();
        let mut family = BTreeSet::from([of]);
        while let Some((child, _)) = parents
            .iter()
            .find(|(child, parent)| family.contains(parent) && !family.contains(child))
        {
            family.insert(*child);
        }
        for id in family {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            self.add(Medium::Processes, &format!("/proc/{id}/cmdline"), line);
        }
    }

    /// Every place where one of these texts stands, in any of its forms; each once a place.
    /// What a caller sent counts as seen.
    pub fn search_all<'a>(
        &self,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Found> {
        self.find(texts, false)
    }

    /// The same, without what callers sent themselves.
    pub fn search<'a>(&self, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Found> {
        self.find(texts, true)
    }

    fn find<'a>(
        &self,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
        is_news: bool,
    ) -> Vec<Found> {
        let wanted = Wanted::new(texts);
        let mut found: BTreeMap<(usize, &str), Found> = BTreeMap::new();
        for (number, noted) in self.0.iter().enumerate() {
            let Noted {
                medium,
                place,
                bytes,
                sent,
            } = noted;
            let known: BTreeSet<&str> = wanted
                .places(sent.as_bytes())
                .map(|(_, it)| it.what)
                .collect();
            let news = wanted
                .places(bytes)
                .filter(|(_, it)| !is_news || !known.contains(it.what));
            for (at, it) in news {
                let around = at.saturating_sub(60)..(at + it.bytes.len() + 60).min(bytes.len());
                let around = String::from_utf8_lossy(&bytes[around]);
                found.entry((number, it.what)).or_insert_with(|| Found {
                    what: it.what.to_owned(),
                    medium: *medium,
                    report: format!(
                        "{} ({}) in {medium:?} {place}: …{around}…",
                        it.what, it.form
                    ),
                });
            }
        }
        found.into_values().collect()
    }

    /// How much there is, in bytes.
    pub fn size(&self) -> usize {
        self.0.iter().map(|noted| noted.bytes.len()).sum()
    }
}

/// A text that is looked for.
struct Sought<'a> {
    what: &'a str,
    form: &'static str,
    bytes: Vec<u8>,
}

/// Many of them, by their first bytes: there is much to search.
struct Wanted<'a> {
    by_first: HashMap<[u8; 4], Vec<Sought<'a>>>,
    /// Whether one begins with these two bytes.
    is_first: Vec<bool>,
}

impl<'a> Wanted<'a> {
    fn new(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut wanted = Self {
            by_first: HashMap::new(),
            is_first: vec![false; 1 << 16],
        };
        for (what, text) in texts {
            for (form, bytes) in forms(text) {
                let first: [u8; 4] = *bytes.first_chunk().unwrap();
                wanted.is_first[pair(&first)] = true;
                let alike = wanted.by_first.entry(first).or_default();
                alike.push(Sought { what, form, bytes });
            }
        }
        wanted
    }

    fn places(&self, text: &[u8]) -> impl Iterator<Item = (usize, &Sought<'a>)> {
        let firsts = text.windows(4).enumerate();
        let firsts = firsts.filter(|(_, first)| self.is_first[pair(first)]);
        firsts.flat_map(move |(at, first)| {
            let alike = self.by_first.get(first).into_iter().flatten();
            alike
                .filter(move |form| text[at..].starts_with(&form.bytes))
                .map(move |form| (at, form))
        })
    }
}

/// The number of the first two bytes.
fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// The forms of a text that give it away, two thirds of it included.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let string = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    let ascii: String = string(text)
        .chars()
        .map(|it| match it {
            it if it.is_ascii() => it.to_string(),
            it => format!("\\u{:04x}", u32::from(it)),
        })
        .collect();
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let characters: Vec<char> = text.chars().collect();
    let third = characters.len() / 3;
    let mut forms = vec![
        ("as it is", text.to_owned()),
        (
            "its beginning",
            characters[..characters.len() - third].iter().collect(),
        ),
        ("its end", characters[third..].iter().collect()),
        ("JSON", string(text)),
        ("JSON in JSON", string(&string(text))),
        ("JSON in JSON in JSON", string(&string(&string(text)))),
        ("ASCII JSON", ascii),
        ("percent-encoded", percent.clone()),
        ("percent-encoded", percent.to_lowercase()),
        (
            "percent-encoded",
            percent.replace("%2D", "-").replace("%2E", "."),
        ),
        (
            "as a form",
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        ),
    ];
    for before in ["", "u", "us"] {
        // Three bytes are four characters: those that have nothing to do with what stands before and after.
        let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{before}{text}"));
        let first = (before.len() * 8).div_ceil(6);
        let last = encoded.len() - usize::from(!(before.len() + text.len()).is_multiple_of(3));
        let piece = encoded[first..last].to_owned();
        forms.push(("base64", piece.replace('+', "-").replace('/', "_")));
        forms.push(("base64", piece));
    }
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("-----") && *line != text);
    forms.extend(lines.map(|line| ("a line", line.to_owned())));
    // Most are the same for most secrets.
    let forms: BTreeMap<Vec<u8>, &str> = forms
        .into_iter()
        .rev()
        .map(|(form, text)| (text.into_bytes(), form))
        .collect();
    forms.into_iter().map(|(text, form)| (form, text)).collect()
}

#[test]
fn the_search_finds_what_is_there() {
    let text = "sEcret/wïth \"all\" of+it";
    let shown = [
        text.to_owned(),
        json!({ "a": json!(text).to_string() }).to_string(),
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        BASE64_STANDARD.encode(text),
        BASE64_STANDARD.encode(format!("user:{text}:x")),
        BASE64_URL_SAFE_NO_PAD.encode(format!("a{text}")),
        "sEcret/wïth \"all\" ".to_owned(),
    ];
    for shown in shown {
        let mut seen = Seen::default();
        seen.add(Medium::Log, "log", "nothing");
        seen.add(Medium::Body, "here", format!("before {shown} after"));
        let found = seen.search([("it", text)]);
        assert_eq!(found.len(), 1, "{shown}: {found:?}");
        assert_eq!(found[0].medium, Medium::Body);
    }
    let mut seen = Seen::default();
    seen.add(Medium::Body, "here", "sEcret *** of it");
    assert!(seen.search([("it", text)]).is_empty());
}
