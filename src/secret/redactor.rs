//! [`Redactor`]: what the process knows of secrets, shared by everything that writes.

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
    memory::{Giver, Memory, News},
    needles::{Forms, Known, Search},
    own::Own,
    plain::Plain,
};

/// What stands in place of a secret.
const STARS: &str = "***";

/// How many bytes an escape makes of one, as URLs are escaped.
const ESCAPED_BYTES: usize = 3;

/// The most that is left out at the end of a text that was cut, in bytes.
const MARGIN_MAX: usize = 1 << 10;

/// No secret is a shorter number.
const NUMBER_MAX: u64 = 99_999_999_999;

/// While so few secrets are known, everything is built anew for each that comes.
const SETTLED_MIN: usize = 1_000;

/// Replaces secrets in texts that come from elsewhere: what a server says, what a caller sent, what we
/// write of it. One for the process, cheap to clone; all clones know the same. Reading takes no
/// lock, and a text without secrets is not copied.
#[derive(Clone, Default)]
pub struct Redactor {
    /// What all know.
    inner: Arc<Inner>,
    /// What the caller sent whose answer is cleaned.
    own: Option<Arc<Own>>,
}

/// What the clones share.
#[derive(Default)]
struct Inner {
    /// What is looked for, swapped as one value.
    current: ArcSwap<Current>,
    /// What is known; also the turn of whoever changes it.
    memory: Mutex<Memory>,
    /// The strangers of whom the log says that they give what is no token.
    told: Mutex<BTreeSet<Giver>>,
    /// Makes digests, which nobody else can make.
    hasher: RandomState,
}

/// What is looked for. Where many secrets are known, new ones stand apart until there are enough of
/// them: building everything anew then takes milliseconds, and tokens come one by one.
#[derive(Default)]
struct Current {
    /// What was known when everything was built.
    settled: Arc<Search>,
    /// How many secrets that was.
    settled_count: usize,
    /// What came later.
    fresh: Search,
    /// For the next time that those are built.
    fresh_forms: Vec<Arc<Forms>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Takes the secrets of a configuration. Those of the one before are still looked for, as long as
    /// a learned one is.
    pub fn set_configured(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut memory = self
            .inner
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        memory.configure(secrets, &self.inner.hasher);
        self.settle(&memory);
    }

    /// Learns a secret of our own that came while we run. From its return on the secret is found. Cheap
    /// when it is known; whoever has many takes [`Self::learn_all`].
    pub fn learn(&self, secret: Secret) {
        self.learn_all([secret]);
    }

    /// Learns several. The oldest of too many are forgotten.
    pub fn learn_all(&self, secrets: impl IntoIterator<Item = Secret>) {
        self.learn_from(&Giver::Ourselves, secrets);
    }

    /// Learns what somebody gave. What strangers give is looked for only where it has the shape of a
    /// token: they must not decide which words others may say.
    pub fn learn_from(&self, giver: &Giver, secrets: impl IntoIterator<Item = Secret>) {
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
                News::New(forms) => new.push(forms),
                News::NoToken => is_odd = true,
                News::Nothing => {}
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

    /// Says once that what a stranger gives is no token.
    fn warn_of(&self, giver: &Giver) {
        let Giver::Stranger { bridge, .. } = giver else {
            return;
        };
        let of_bridge = Giver::stranger(bridge, "");
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

    /// Looks for these too.
    fn look_for(&self, new: Vec<Arc<Forms>>, memory: &Memory) {
        let current = self.inner.current.load();
        let mut fresh_forms = current.fresh_forms.clone();
        fresh_forms.extend(new);
        let settled_count = current.settled_count;
        if settled_count < SETTLED_MIN || fresh_forms.len() > settled_count / 16 {
            self.settle(memory);
            return;
        }
        self.inner.current.store(Arc::new(Current {
            settled: Arc::clone(&current.settled),
            settled_count,
            fresh: Search::new(&fresh_forms, &self.inner.hasher),
            fresh_forms,
        }));
    }

    /// Builds everything anew.
    fn settle(&self, memory: &Memory) {
        self.inner.current.store(Arc::new(Current {
            settled: Arc::new(Search::new(memory.all(), &self.inner.hasher)),
            settled_count: memory.len(),
            ..Current::default()
        }));
    }

    /// This one for the answer to a caller: a secret that they sent themselves stays in it. `texts` and
    /// the body are what they sent.
    #[must_use]
    pub fn for_caller(&self, texts: &[&[u8]], body: Bytes) -> Self {
        let current = self.inner.current.load();
        let mut known = Known::default();
        for text in texts.iter().copied().chain([&*body]) {
            current.add_known(text, &mut known);
        }
        let own = Own {
            known,
            body,
            made: OnceLock::new(),
        };
        Self {
            inner: Arc::clone(&self.inner),
            own: Some(Arc::new(own)),
        }
    }

    /// The text with `***` for every secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let places = self.places(text.as_bytes());
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(starred(text, &places))
    }

    /// The same for the beginning of a text whose rest is not known. A secret may begin in it and go on
    /// beyond: as much of the end is left out as the longest secret has, or [`MARGIN_MAX`].
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

    /// The same in place.
    pub fn clean(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    /// The same for every text of a value, names of members included.
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

    /// Whether there is a secret in a text.
    pub fn finds(&self, text: &[u8]) -> bool {
        !self.places(text).is_empty()
    }

    /// Where secrets stand, in order and apart.
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

impl Current {
    /// Where secrets stand that are not known, in order and apart.
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

    /// Adds what a text gives away.
    fn add_known(&self, text: &[u8], known: &mut Known) {
        let plain = self.plain(text);
        self.settled.add_known(text, plain.as_ref(), known);
        self.fresh.add_known(text, plain.as_ref(), known);
    }

    /// A text without escapes, if it has any and they matter.
    fn plain<'a>(&self, text: &'a [u8]) -> Option<Plain<'a>> {
        let needs_plain = self.settled.needs_plain() || self.fresh.needs_plain();
        needs_plain.then(|| Plain::of(text)).flatten()
    }
}

/// Puts stars in place of what stands at these places.
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
