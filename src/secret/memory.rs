//! [`Memory`]: which secrets are known: those of the configuration, and a bounded number of others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{Secret, forms, needles::Forms, shape::is_token};

/// How many secrets are remembered besides those of the configuration. A token lives an hour: this is
/// an hour of five thousand people with two servers each.
const LEARNED_MAX: usize = 20_000;

/// How many secrets of one login are remembered: a few tokens before the one that counts, for answers
/// that are still on their way.
const OF_LOGIN_MAX: usize = 16;

/// Who gave us a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Giver {
    /// We made it, or were configured with it.
    Ourselves,
    /// A stranger: it is looked for only if it has the shape of a token, and the newest few of each login
    /// are.
    Stranger {
        /// The bridge whose server or authorization server it is.
        bridge: Arc<str>,
        /// Whose login it is for; empty for the bridge's own.
        login: Arc<str>,
    },
}

/// What is known. A secret is known by its digest; its text is not kept.
#[derive(Default)]
pub(super) struct Memory {
    /// Of the configuration in force.
    configured: HashMap<u64, Arc<Forms>>,
    /// By when they were last heard of, the oldest first.
    learned: BTreeMap<u64, Learned>,
    /// When each of those was last heard of.
    heard: HashMap<u64, u64>,
    /// When the secrets of each giver were last heard of.
    by_giver: BTreeMap<Giver, BTreeSet<u64>>,
    /// How many secrets of the servers of each bridge are known.
    by_bridge: HashMap<Option<Arc<str>>, usize>,
    /// Counts what is heard.
    clock: u64,
}

/// A secret that came while we run.
struct Learned {
    digest: u64,
    forms: Arc<Forms>,
    giver: Giver,
}

/// What came of learning.
pub(super) enum News {
    /// It is known, or as short as a word.
    Nothing,
    /// It has not the shape of a token, and is not looked for.
    NoToken,
    /// It is to be looked for from now on.
    New(Arc<Forms>),
}

impl Giver {
    /// A server that gives tokens to a login.
    pub fn stranger(bridge: &str, login: &str) -> Self {
        Self::Stranger {
            bridge: Arc::from(bridge),
            login: Arc::from(login),
        }
    }

    /// The bridge of a stranger.
    fn bridge(&self) -> Option<Arc<str>> {
        match self {
            Self::Ourselves => None,
            Self::Stranger { bridge, .. } => Some(Arc::clone(bridge)),
        }
    }
}

impl Memory {
    /// Takes the secrets of another configuration. Those of the old one are remembered for a while:
    /// a server that was started with them may still speak.
    pub(super) fn configure(
        &mut self,
        secrets: impl IntoIterator<Item = Secret>,
        hasher: &RandomState,
    ) {
        let mut old = std::mem::take(&mut self.configured);
        for secret in secrets {
            let digest = hasher.hash_one(secret.expose());
            let forms = old.remove(&digest);
            let forms =
                forms.unwrap_or_else(|| Arc::new(Forms::of(&forms::of(secret.expose()), hasher)));
            if !forms.is_empty() {
                self.configured.insert(digest, forms);
            }
        }
        let mut gone: Vec<_> = old.into_iter().collect();
        gone.sort_by_key(|(digest, _)| *digest);
        for (digest, forms) in gone {
            self.forget(digest);
            self.remember(digest, forms, Giver::Ourselves);
        }
    }

    /// Remembers a secret.
    pub(super) fn learn(&mut self, secret: &Secret, giver: &Giver, hasher: &RandomState) -> News {
        let digest = hasher.hash_one(secret.expose());
        if self.configured.contains_key(&digest) {
            return News::Nothing;
        }
        if let Some(known) = self.forget(digest) {
            self.remember(digest, known.forms, known.giver);
            return News::Nothing;
        }
        let texts = match giver {
            Giver::Ourselves => forms::of(secret.expose()),
            Giver::Stranger { .. } if is_token(secret.expose()) => forms::of_token(secret.expose()),
            Giver::Stranger { .. } => return News::NoToken,
        };
        let forms = Arc::new(Forms::of(&texts, hasher));
        if forms.is_empty() {
            return News::Nothing;
        }
        self.remember(digest, Arc::clone(&forms), giver.clone());
        News::New(forms)
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.configured.len() + self.learned.len()
    }

    /// Everything to look for.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Forms>> + Clone {
        let learned = self.learned.values().map(|it| &it.forms);
        self.configured.values().chain(learned)
    }

    /// Makes it the newest, and forgets over the bounds: the oldest of a login that has too many, else
    /// the oldest of the bridge that has the most. No server pushes out the secrets of others.
    fn remember(&mut self, digest: u64, forms: Arc<Forms>, giver: Giver) {
        self.clock += 1;
        self.heard.insert(digest, self.clock);
        *self.by_bridge.entry(giver.bridge()).or_default() += 1;
        let own = self.by_giver.entry(giver.clone()).or_default();
        own.insert(self.clock);
        let is_stranger = matches!(giver, Giver::Stranger { .. });
        let too_old = (is_stranger && own.len() > OF_LOGIN_MAX).then(|| own.first().copied());
        let learned = Learned {
            digest,
            forms,
            giver,
        };
        self.learned.insert(self.clock, learned);
        if let Some(oldest) = too_old.flatten() {
            self.forget_heard(oldest);
        }
        if self.learned.len() > LEARNED_MAX
            && let Some(oldest) = self.oldest_of_most()
        {
            self.forget_heard(oldest);
        }
    }

    /// The oldest secret of the bridge with the most of them.
    fn oldest_of_most(&self) -> Option<u64> {
        let most = self.by_bridge.iter().max_by_key(|(_, count)| **count);
        let bridge = most.map(|(bridge, _)| bridge)?;
        let mut oldest = self.learned.iter();
        let found = oldest.find(|(_, it)| it.giver.bridge() == *bridge);
        found.map(|(heard, _)| *heard)
    }

    /// Takes one out.
    fn forget(&mut self, digest: u64) -> Option<Learned> {
        let heard = *self.heard.get(&digest)?;
        self.forget_heard(heard)
    }

    /// Takes out the one that was heard of then.
    fn forget_heard(&mut self, heard: u64) -> Option<Learned> {
        let learned = self.learned.remove(&heard)?;
        self.heard.remove(&learned.digest);
        if let Some(own) = self.by_giver.get_mut(&learned.giver) {
            own.remove(&heard);
            if own.is_empty() {
                self.by_giver.remove(&learned.giver);
            }
        }
        let bridge = learned.giver.bridge();
        if let Some(count) = self.by_bridge.get_mut(&bridge) {
            *count -= 1;
            if *count == 0 {
                self.by_bridge.remove(&bridge);
            }
        }
        Some(learned)
    }
}
