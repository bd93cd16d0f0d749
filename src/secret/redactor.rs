//! [`Redactor`]: what the process knows of secrets, shared by everything that writes.

use std::{
    borrow::Cow,
    fmt,
    hash::RandomState,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use serde_json::Value;

use super::{
    Secret,
    memory::Memory,
    needles::{Forms, Needles},
};

/// What stands in place of a secret.
const STARS: &str = "***";

/// No secret is a shorter number.
const NUMBER_MAX: u64 = 99_999_999_999;

/// While so few secrets are known, everything is built anew for each that comes.
const SETTLED_MIN: usize = 1_000;

/// Replaces secrets in texts that come from elsewhere: what a server says, what a caller sent, what we
/// write of it. One for the process, cheap to clone; all clones know the same. Reading takes no
/// lock, and a text without secrets is not copied.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Inner>);

/// What the clones share.
#[derive(Default)]
struct Inner {
    /// What is looked for, swapped as one value.
    current: ArcSwap<Current>,
    /// What is known; also the turn of whoever changes it.
    memory: Mutex<Memory>,
    /// Makes digests, which nobody else can make.
    hasher: RandomState,
}

/// What is looked for. Where many secrets are known, new ones stand apart until there are enough of
/// them: building everything anew then takes milliseconds, and tokens come one by one.
#[derive(Default)]
struct Current {
    /// What was known when everything was built.
    settled: Arc<Needles>,
    /// How many secrets that was.
    settled_count: usize,
    /// What came later.
    fresh: Needles,
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
        let mut memory = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.configure(secrets, &self.0.hasher);
        self.settle(&memory);
    }

    /// Learns a secret that came while we run. From its return on the secret is found. Cheap when it
    /// is known; whoever has many takes [`Self::learn_all`].
    pub fn learn(&self, secret: Secret) {
        self.learn_all([secret]);
    }

    /// Learns several. The oldest of too many are forgotten.
    pub fn learn_all(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut memory = self.0.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<_> = secrets
            .into_iter()
            .filter_map(|secret| memory.learn(&secret, &self.0.hasher))
            .collect();
        if new.is_empty() {
            return;
        }
        let current = self.0.current.load();
        let mut fresh_forms = current.fresh_forms.clone();
        fresh_forms.extend(new);
        let settled_count = current.settled_count;
        if settled_count < SETTLED_MIN || fresh_forms.len() > settled_count / 16 {
            self.settle(&memory);
            return;
        }
        self.0.current.store(Arc::new(Current {
            settled: Arc::clone(&current.settled),
            settled_count,
            fresh: Needles::new(&fresh_forms, &self.0.hasher),
            fresh_forms,
        }));
    }

    /// Builds everything anew.
    fn settle(&self, memory: &Memory) {
        self.0.current.store(Arc::new(Current {
            settled: Arc::new(Needles::new(memory.all(), &self.0.hasher)),
            settled_count: memory.len(),
            ..Current::default()
        }));
    }

    /// The text with `***` for every secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let places = self.places(text.as_bytes());
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut end = 0;
        for place in places {
            redacted.push_str(text.get(end..place.start).unwrap_or_default());
            redacted.push_str(STARS);
            end = place.end;
        }
        redacted.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(redacted)
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
        let current = self.0.current.load();
        let mut found = current.settled.find(text);
        let fresh = current.fresh.find(text);
        if fresh.is_empty() {
            return found;
        }
        found.extend(fresh);
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
}
