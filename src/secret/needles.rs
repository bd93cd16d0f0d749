//! [`Needles`]: finds many secrets in one pass over a text; made once, never changed.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    sync::Arc,
};

use aho_corasick::{AhoCorasick, BuildError};

use super::forms;

/// How much of a needle stands in the automaton, in bytes: enough that nothing else ends like it by
/// chance, and little enough for twenty thousand tokens of two kilobytes each.
const TAIL_BYTES: usize = 16;

/// A text to look for: its end, its length, and a digest of the whole. Twenty thousand tokens are
/// known without a second copy of any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whole {
    /// Bytes.
    length: usize,
    /// By the hasher of the process.
    digest: u64,
}

/// What is looked for on behalf of one secret.
#[derive(Clone)]
pub(super) struct Forms(Vec<(Box<[u8]>, Whole)>);

impl Forms {
    /// Of a secret.
    pub(super) fn of(secret: &str, hasher: &RandomState) -> Self {
        let forms = forms::of(secret);
        let parts = forms.iter().map(|form| {
            let bytes = form.as_bytes();
            let tail = bytes.len().saturating_sub(TAIL_BYTES);
            let whole = Whole {
                length: bytes.len(),
                digest: hasher.hash_one(bytes),
            };
            (Box::from(bytes.get(tail..).unwrap_or(bytes)), whole)
        });
        Self(parts.collect())
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Finds secrets.
#[derive(Default)]
pub(super) struct Needles {
    /// Finds tails; `None` while there are none.
    automaton: Option<AhoCorasick>,
    /// For each tail, what ends in it.
    wholes: Vec<Vec<Whole>>,
    /// Makes the digests.
    hasher: RandomState,
}

impl Needles {
    /// Looks for all of these.
    pub(super) fn new<'a>(
        secrets: impl IntoIterator<Item = &'a Arc<Forms>>,
        hasher: &RandomState,
    ) -> Result<Self, BuildError> {
        let mut tails: Vec<&[u8]> = Vec::new();
        let mut wholes: Vec<Vec<Whole>> = Vec::new();
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        for (tail, whole) in secrets.into_iter().flat_map(|forms| &forms.0) {
            let number = *known.entry(tail).or_insert_with(|| {
                tails.push(tail);
                wholes.push(Vec::new());
                wholes.len() - 1
            });
            if let Some(wholes) = wholes.get_mut(number)
                && !wholes.contains(whole)
            {
                wholes.push(*whole);
            }
        }
        let automaton = (!tails.is_empty()).then(|| AhoCorasick::new(tails));
        Ok(Self {
            automaton: automaton.transpose()?,
            wholes,
            hasher: hasher.clone(),
        })
    }

    /// Adds where secrets stand in a text. They may overlap.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        // Most texts hold nothing, and that is known faster.
        if !automaton.is_match(text) {
            return;
        }
        for tail in automaton.find_overlapping_iter(text) {
            let wholes = self.wholes.get(tail.pattern().as_usize());
            for whole in wholes.into_iter().flatten() {
                let place = tail
                    .end()
                    .checked_sub(whole.length)
                    .map(|it| it..tail.end());
                let is_it = |place: &Range<usize>| {
                    let text = text.get(place.clone());
                    text.is_some_and(|text| self.hasher.hash_one(text) == whole.digest)
                };
                found.extend(place.filter(is_it));
            }
        }
    }
}
