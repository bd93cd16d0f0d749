//! [`Search`]: finds many secrets in one pass over a text; made once, never changed.
//!
//! Every place of a text is asked whether a secret may end there: six bytes, multiplied, name one bit of
//! a table that fits the cache. That costs a nanosecond a byte, for ten secrets as for twenty
//! thousand, and the table is made in the time of a few look-ups for each of them. An automaton
//! (Aho-Corasick) took two to five times as long for a text, and twenty times as long to make.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    sync::Arc,
};

use super::{
    forms::{BYTES_MIN, Texts},
    plain::Plain,
};

/// How much of a needle is kept as it is, in bytes; of what stands before, a digest does. Twenty
/// thousand tokens of two kilobytes are then known without a second copy of them, and a text made of
/// pieces of a token costs no more to search than another.
const TAIL_BYTES_MAX: usize = 64;

/// Spreads the bits of a key over the upper ones (Knuth, multiplicative hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bits of the table for each needle: one place in so many is looked at twice in vain.
const BITS_EACH: usize = 64;

/// A text to look for.
#[derive(Debug, PartialEq, Eq)]
struct Needle {
    /// Its end.
    tail: Box<[u8]>,
    /// How many bytes stand before that, and their digest by the hasher of the process.
    head: Option<(usize, u64)>,
    /// The digest of the text that it gives away.
    of: u64,
}

/// Texts that a caller knows, by their digests.
pub(super) type Known = HashSet<u64>;

/// What is looked for on behalf of one secret.
pub(super) struct Forms {
    /// In any text.
    anywhere: Vec<Arc<Needle>>,
    /// In one whose escapes were undone.
    unescaped: Vec<Arc<Needle>>,
}

impl Forms {
    /// What to look for, of these texts.
    pub(super) fn of(texts: &[Texts], hasher: &RandomState) -> Self {
        let needles = |which: fn(&Texts) -> &BTreeSet<String>| {
            let needles = texts.iter().flat_map(|texts| {
                let of = hasher.hash_one(texts.of.as_str());
                which(texts)
                    .iter()
                    .map(move |text| Needle::new(text.as_bytes(), of, hasher))
            });
            needles.map(Arc::new).collect()
        };
        Self {
            anywhere: needles(|texts| &texts.anywhere),
            unescaped: needles(|texts| &texts.unescaped),
        }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.anywhere.is_empty()
    }
}

impl Needle {
    fn new(bytes: &[u8], of: u64, hasher: &RandomState) -> Self {
        let at = bytes.len().saturating_sub(TAIL_BYTES_MAX);
        let (head, tail) = bytes.split_at(at);
        Self {
            tail: tail.into(),
            head: (at > 0).then(|| (at, hasher.hash_one(head))),
            of,
        }
    }
}

/// Finds secrets.
#[derive(Default)]
pub(super) struct Search {
    /// In any text.
    anywhere: Needles,
    /// In one whose escapes were undone.
    unescaped: Needles,
}

impl Search {
    /// For all of these.
    pub(super) fn new<'a>(
        secrets: impl IntoIterator<Item = &'a Arc<Forms>> + Clone,
        hasher: &RandomState,
    ) -> Self {
        let anywhere = secrets.clone().into_iter().flat_map(|it| &it.anywhere);
        let unescaped = secrets.into_iter().flat_map(|it| &it.unescaped);
        Self {
            anywhere: Needles::new(anywhere, hasher),
            unescaped: Needles::new(unescaped, hasher),
        }
    }

    /// The longest text that is looked for, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.anywhere.longest.max(self.unescaped.longest)
    }

    /// Whether escapes are worth undoing: a token of letters and digits is written the same everywhere.
    pub(super) fn needs_plain(&self) -> bool {
        !self.unescaped.is_empty()
    }

    /// Where secrets stand in a text, in no order; `plain` is it without escapes, if it has any. What
    /// is known is not looked for.
    pub(super) fn find(
        &self,
        text: &[u8],
        plain: Option<&Plain<'_>>,
        known: &Known,
    ) -> Vec<Range<usize>> {
        let mut found = self.anywhere.find(text, known);
        if let Some(plain) = plain {
            let pieces = self.unescaped.find(&plain.text, known);
            if !pieces.is_empty() {
                found.append(&mut plain.places(&pieces));
            }
        }
        found
    }

    /// Adds what a text gives away.
    pub(super) fn add_known(&self, text: &[u8], plain: Option<&Plain<'_>>, known: &mut Known) {
        self.anywhere.add_known(text, known);
        if let Some(plain) = plain {
            self.unescaped.add_known(&plain.text, known);
        }
    }
}

/// Finds texts.
#[derive(Default)]
struct Needles {
    /// By their last six bytes.
    by_end: HashMap<u64, Vec<Arc<Needle>>>,
    /// One bit for each key of those, and by chance for others; empty when there are none.
    bits: Vec<u64>,
    /// The longest needle, in bytes.
    longest: usize,
    /// How far a spread key is shifted to be the number of a bit.
    shift: u32,
    /// Makes the digests.
    hasher: RandomState,
}

impl Needles {
    /// Looks for all of these.
    fn new<'a>(needles: impl Iterator<Item = &'a Arc<Needle>>, hasher: &RandomState) -> Self {
        let mut by_end: HashMap<u64, Vec<Arc<Needle>>> = HashMap::new();
        let mut longest = 0;
        for needle in needles {
            let Some(end) = needle.tail.last_chunk::<BYTES_MIN>() else {
                continue;
            };
            let head = needle.head.map_or(0, |(length, _)| length);
            longest = longest.max(head + needle.tail.len());
            let alike = by_end.entry(key(*end)).or_default();
            if !alike.contains(needle) {
                alike.push(Arc::clone(needle));
            }
        }
        let mut needles = Self {
            longest,
            hasher: hasher.clone(),
            ..Self::default()
        };
        if !by_end.is_empty() {
            let size = (by_end.len() * BITS_EACH).next_power_of_two();
            needles.shift = u64::BITS - size.trailing_zeros();
            needles.bits = vec![0; size.div_ceil(64)];
            let keys: Vec<u64> = by_end.keys().copied().collect();
            for key in keys {
                let (word, bit) = needles.bit(key);
                if let Some(word) = needles.bits.get_mut(word) {
                    *word |= bit;
                }
            }
            needles.by_end = by_end;
        }
        needles
    }

    /// Whether there is nothing to find.
    fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// Where they stand in a text, in order and apart: of two that meet nothing remains.
    fn find(&self, text: &[u8], known: &Known) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        self.scan(text, |alike, end| {
            let before = text.get(..end).unwrap_or_default();
            let starts = alike
                .iter()
                .filter(|needle| !known.contains(&needle.of))
                .filter_map(|needle| self.start(needle, before));
            let Some(mut start) = starts.min() else {
                return;
            };
            while let Some(last) = found.pop_if(|last| last.end >= start) {
                start = start.min(last.start);
            }
            found.push(start..end);
        });
        found
    }

    /// Adds what a text gives away.
    fn add_known(&self, text: &[u8], known: &mut Known) {
        self.scan(text, |alike, end| {
            let before = text.get(..end).unwrap_or_default();
            let found = alike
                .iter()
                .filter(|needle| self.start(needle, before).is_some());
            known.extend(found.map(|needle| needle.of));
        });
    }

    /// Tells of every place where one may end: of those with these last bytes, and of the place.
    #[inline]
    fn scan(&self, text: &[u8], mut tell: impl FnMut(&[Arc<Needle>], usize)) {
        if self.is_empty() {
            return;
        }
        // The first ends have no eight bytes before them.
        for end in BYTES_MIN..=text.len().min(7) {
            let bytes = text.get(..end).and_then(|it| it.last_chunk::<BYTES_MIN>());
            if let Some(bytes) = bytes {
                self.look(key(*bytes), end, &mut tell);
            }
        }
        for (at, window) in text.windows(8).enumerate() {
            let bytes = <[u8; 8]>::try_from(window).unwrap_or_default();
            self.look(u64::from_le_bytes(bytes) >> 16, at + 8, &mut tell);
        }
    }

    /// Looks whether one may end at a place.
    #[inline]
    fn look(&self, key: u64, end: usize, tell: &mut impl FnMut(&[Arc<Needle>], usize)) {
        let (word, bit) = self.bit(key);
        if self.bits.get(word).is_some_and(|word| word & bit != 0) {
            self.look_closer(key, end, tell);
        }
    }

    /// The same, beyond the table.
    #[cold]
    fn look_closer(&self, key: u64, end: usize, tell: &mut impl FnMut(&[Arc<Needle>], usize)) {
        if let Some(alike) = self.by_end.get(&key) {
            tell(alike, end);
        }
    }

    /// Where a needle begins that a text ends in.
    fn start(&self, needle: &Needle, text: &[u8]) -> Option<usize> {
        let rest = text.strip_suffix(&*needle.tail)?;
        let Some((length, digest)) = needle.head else {
            return Some(rest.len());
        };
        let start = rest.len().checked_sub(length)?;
        (self.hasher.hash_one(rest.get(start..)?) == digest).then_some(start)
    }

    /// The word and the bit of a key.
    #[inline]
    fn bit(&self, key: u64) -> (usize, u64) {
        let number = key.wrapping_mul(SPREAD) >> self.shift;
        (
            usize::try_from(number >> 6).unwrap_or(0),
            1 << (number & 63),
        )
    }
}

/// Six bytes as a number: what the upper part of eight is, read from the lowest.
fn key(bytes: [u8; BYTES_MIN]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}
