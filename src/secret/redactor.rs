//! [`Redactor`]: the secrets known to the process, shared by everything that writes output.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    hash::RandomState,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::Value;

use super::{
    Secret,
    memory::{KnownSecrets, LearnResult, SecretSource},
    needles::{Known, SecretPatterns, SecretSearch},
    own::CallerInput,
    plain::UnescapedText,
};

/// The replacement of a secret.
const STARS: &str = "***";

/// How many bytes one byte becomes when it is escaped in a URL.
const ESCAPED_BYTES: usize = 3;

/// The maximum number of bytes that are removed at the end of a text that was cut.
const MARGIN_MAX: usize = 1 << 10;

/// Numbers up to this are never secrets.
const NUMBER_MAX: u64 = 99_999_999_999;

/// Up to this number of secrets, everything is rebuilt for each new one.
const SETTLED_MIN: usize = 1_000;

/// Removes secrets from the output of servers, the input of callers, and the bridge's own logs.
/// There is one per process. It is cheap to clone, and all clones share their secrets. Reading
/// takes no lock, and a text without secrets is not copied.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The shared state.
    inner: Arc<RedactorState>,
    /// What the caller sent, while the response to that caller is cleaned.
    own: Option<Arc<CallerInput>>,
}

/// The state that all clones share.
#[derive(Default)]
struct RedactorState {
    /// What is looked for, swapped as one value.
    current: ArcSwap<RedactionIndex>,
    /// The known secrets. Locked by the task that changes them.
    memory: Mutex<KnownSecrets>,
    /// The external servers for which the log already says that their secrets do not have the shape
    /// of a token.
    told: Mutex<BTreeSet<SecretSource>>,
    /// Computes digests that others cannot reproduce.
    hasher: RandomState,
}

/// What is looked for. If many secrets are known, new ones are kept separately until there are
/// enough of them, because rebuilding everything takes milliseconds and tokens arrive one by one.
#[derive(Default)]
struct RedactionIndex {
    /// The secrets of the last rebuild.
    settled: Arc<SecretSearch>,
    /// How many there were.
    settled_count: usize,
    /// The secrets since then.
    fresh: SecretSearch,
    /// Their forms, for the next rebuild.
    fresh_forms: Vec<Arc<SecretPatterns>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Sets the secrets of the configuration. The previous ones are still looked for, like learned
    /// secrets.
    pub fn set_configured(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut memory = self
            .inner
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        memory.configure(secrets, &self.inner.hasher);
        self.settle(&memory);
    }

    /// Learns one of the bridge's own secrets at run time. When this returns, the secret is found.
    /// This is cheap for a known secret. For several secrets use [`Self::learn_all`].
    pub fn learn(&self, secret: Secret) {
        self.learn_all([secret]);
    }

    /// Learns several secrets. If there are too many, the oldest are forgotten.
    pub fn learn_all(&self, secrets: impl IntoIterator<Item = Secret>) {
        self.learn_from(&SecretSource::Ourselves, secrets);
    }

    /// Learns secrets from a source. Secrets of external servers are looked for only if they have
    /// the shape of a token; otherwise a server could decide which words others may say.
    pub fn learn_from(&self, giver: &SecretSource, secrets: impl IntoIterator<Item = Secret>) {
        let hasher = &self.inner.hasher;
        let mut is_odd = false;
        let mut memory = self
            .inner
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        for secret in secrets {
            match memory.learn(&secret, giver, hasher) {
                LearnResult::New(forms) => new.push(forms),
                LearnResult::NoToken => is_odd = true,
                LearnResult::Nothing => {}
            }
        }
        if !new.is_empty() {
            self.look_for(new, &memory);
        }
        drop(memory);
        if is_odd {
            self.warn_of(giver);
        }
    }

    /// Warns once that a secret of an external server does not have the shape of a token.
    fn warn_of(&self, giver: &SecretSource) {
        let SecretSource::Stranger { bridge, .. } = giver else {
            return;
        };
        let of_bridge = SecretSource::stranger(bridge, "");
        let mut told = self
            .inner
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.insert(of_bridge) {
            tracing::warn!(
                bridge.name = %bridge,
                "a token or key of this bridge is short or reads like a word; it is used, but not removed from answers and logs"
            );
        }
    }

    /// Looks for these secrets too.
    fn look_for(&self, new: Vec<Arc<SecretPatterns>>, memory: &KnownSecrets) {
        let current = self.inner.current.load();
        let mut fresh_forms = current.fresh_forms.clone();
        fresh_forms.extend(new);
        let settled_count = current.settled_count;
        if settled_count < SETTLED_MIN || fresh_forms.len() > settled_count / 16 {
            self.settle(memory);
            return;
        }
        self.inner.current.store(Arc::new(RedactionIndex {
            settled: Arc::clone(&current.settled),
            settled_count,
            fresh: SecretSearch::new(&fresh_forms, &self.inner.hasher),
            fresh_forms,
        }));
    }

    /// Rebuilds everything.
    fn settle(&self, memory: &KnownSecrets) {
        self.inner.current.store(Arc::new(RedactionIndex {
            settled: Arc::new(SecretSearch::new(memory.all(), &self.inner.hasher)),
            settled_count: memory.len(),
            ..RedactionIndex::default()
        }));
    }

    /// A redactor for the response to a caller: secrets that the caller sent stay in it. `texts`
    /// and the body are what the caller sent.
    #[must_use]
    pub fn for_caller(&self, texts: &[&[u8]], body: Bytes) -> Self {
        let current = self.inner.current.load();
        let mut known = Known::default();
        for text in texts.iter().copied().chain([&*body]) {
            current.add_known(text, &mut known);
        }
        let own = CallerInput {
            known,
            body,
            made: OnceLock::new(),
        };
        Self {
            inner: Arc::clone(&self.inner),
            own: Some(Arc::new(own)),
        }
    }

    /// The text with `***` in place of every secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let places = self.places(text.as_bytes());
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(starred(text, &places))
    }

    /// Redacts the beginning of a longer text. A secret may start in it and continue beyond, so the
    /// last bytes are removed: as many as the longest secret has, at most [`MARGIN_MAX`].
    pub fn redact_beginning(&self, text: &str) -> String {
        let current = self.inner.current.load();
        let longest = current.settled.longest().max(current.fresh.longest());
        let margin = (longest * ESCAPED_BYTES).min(MARGIN_MAX);
        let mut places = self.places(text.as_bytes());
        let mut end = text.floor_char_boundary(text.len().saturating_sub(margin));
        if let Some(place) = places.iter().find(|it| it.start < end && end < it.end) {
            end = place.start;
        }
        places.retain(|place| place.end <= end);
        starred(text.get(..end).unwrap_or_default(), &places)
    }

    /// Redacts a text in place.
    pub fn clean(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    /// Redacts all texts of a value, including member names.
    pub fn clean_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.clean(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_json(item)),
            Value::Object(members) => {
                members
                    .values_mut()
                    .for_each(|member| self.clean_json(member));
                if members.keys().any(|key| self.finds(key.as_bytes())) {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(key, member)| (self.redact(&key).into_owned(), member))
                        .collect();
                }
            }
            Value::Number(number) => {
                let is_long = number
                    .as_i64()
                    .is_none_or(|it| it.unsigned_abs() > NUMBER_MAX);
                if is_long && self.finds(number.to_string().as_bytes()) {
                    *value = Value::from(STARS);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Whether a text contains a secret.
    pub fn finds(&self, text: &[u8]) -> bool {
        !self.places(text).is_empty()
    }

    /// The positions of secrets, sorted and without overlaps.
    fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let current = self.inner.current.load();
        let Some(own) = &self.own else {
            return current.find(text, &Known::default());
        };
        let found = current.find(text, &own.known);
        if found.is_empty() || own.body.is_empty() {
            return found;
        }
        let made = own.made.get_or_init(|| {
            let mut made = own.known.clone();
            for text in own.variants() {
                current.add_known(&text, &mut made);
            }
            made
        });
        if made.len() == own.known.len() {
            return found;
        }
        current.find(text, made)
    }
}

impl RedactionIndex {
    /// The positions of secrets that are not in `known`, sorted and without overlaps.
    fn find(&self, text: &[u8], known: &Known) -> Vec<Range<usize>> {
        let plain = self.plain(text);
        let mut found = self.settled.find(text, plain.as_ref(), known);
        found.extend(self.fresh.find(text, plain.as_ref(), known));
        found.sort_by_key(|place| place.start);
        found.dedup_by(|later, earlier| {
            let meets = later.start <= earlier.end;
            if meets {
                earlier.end = earlier.end.max(later.end);
            }
            meets
        });
        found
    }

    /// Adds the secrets that a text reveals.
    fn add_known(&self, text: &[u8], known: &mut Known) {
        let plain = self.plain(text);
        self.settled.add_known(text, plain.as_ref(), known);
        self.fresh.add_known(text, plain.as_ref(), known);
    }

    /// The text without escapes, if it has any and they matter.
    fn plain<'a>(&self, text: &'a [u8]) -> Option<UnescapedText<'a>> {
        let needs_plain = self.settled.needs_plain() || self.fresh.needs_plain();
        needs_plain.then(|| UnescapedText::of(text)).flatten()
    }
}

/// Replaces these positions with stars.
fn starred(text: &str, places: &[Range<usize>]) -> String {
    let mut starred = String::with_capacity(text.len());
    let mut end = 0;
    for place in places {
        starred.push_str(text.get(end..place.start).unwrap_or_default());
        starred.push_str(STARS);
        end = place.end;
    }
    starred.push_str(text.get(end..).unwrap_or_default());
    starred
}
