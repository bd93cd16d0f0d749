//! [`KnownSecrets`]: the known secrets: those of the configuration, and a bounded number of others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{Secret, forms, needles::SecretPatterns, shape::is_token};

/// How many secrets are remembered in addition to those of the configuration. With a token lifetime
/// of one hour, this is enough for five thousand users with two servers each.
const LEARNED_MAX: usize = 20_000;

/// How many secrets of one login are remembered: the current token and a few earlier ones, for
/// responses that are still on their way.
const OF_LOGIN_MAX: usize = 16;

/// The source of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretSource {
    /// The bridge created it, or it was configured.
    Ourselves,
    /// An external server. Its secrets are looked for only if they have the shape of a token, and
    /// only the latest few of each login.
    Stranger {
        /// The bridge that uses the server or its authorization server.
        bridge: Arc<str>,
        /// The login that the secret is for; empty for the bridge's own.
        login: Arc<str>,
    },
}

/// The known secrets. They are identified by digests; their texts are not stored.
#[derive(Default)]
pub(super) struct KnownSecrets {
    /// Secrets of the current configuration.
    configured: HashMap<u64, Arc<SecretPatterns>>,
    /// Learned secrets by the time of their last use, oldest first.
    learned: BTreeMap<u64, LearnedSecret>,
    /// When each learned secret was last used.
    heard: HashMap<u64, u64>,
    /// When the secrets of each source were last used.
    by_giver: BTreeMap<SecretSource, BTreeSet<u64>>,
    /// How many secrets each bridge's servers have.
    by_bridge: HashMap<Option<Arc<str>>, usize>,
    /// A counter that serves as time.
    clock: u64,
}

/// A secret that was learned at run time.
struct LearnedSecret {
    digest: u64,
    forms: Arc<SecretPatterns>,
    giver: SecretSource,
}

/// The result of learning.
pub(super) enum LearnResult {
    /// The secret is already known, or as short as a word.
    Nothing,
    /// The secret does not have the shape of a token and is not looked for.
    NoToken,
    /// The secret must be looked for from now on.
    New(Arc<SecretPatterns>),
}

impl SecretSource {
    /// A server that issues tokens to a login.
    pub fn stranger(bridge: &str, login: &str) -> Self {
        Self::Stranger {
            bridge: Arc::from(bridge),
            login: Arc::from(login),
        }
    }

    /// The bridge of an external server.
    fn bridge(&self) -> Option<Arc<str>> {
        match self {
            Self::Ourselves => None,
            Self::Stranger { bridge, .. } => Some(Arc::clone(bridge)),
        }
    }
}

impl KnownSecrets {
    /// Replaces the secrets of the configuration. The old ones stay for a while, because a server
    /// that was started with them may still print them.
    pub(super) fn configure(
        &mut self,
        secrets: impl IntoIterator<Item = Secret>,
        hasher: &RandomState,
    ) {
        let mut old = std::mem::take(&mut self.configured);
        for secret in secrets {
            let digest = hasher.hash_one(secret.expose());
            let forms = old.remove(&digest);
            let forms = forms.unwrap_or_else(|| {
                Arc::new(SecretPatterns::of(&forms::of(secret.expose()), hasher))
            });
            if !forms.is_empty() {
                self.configured.insert(digest, forms);
            }
        }
        let mut gone: Vec<_> = old.into_iter().collect();
        gone.sort_by_key(|(digest, _)| *digest);
        for (digest, forms) in gone {
            self.forget(digest);
            self.remember(digest, forms, SecretSource::Ourselves);
        }
    }

    /// Remembers a secret.
    pub(super) fn learn(
        &mut self,
        secret: &Secret,
        giver: &SecretSource,
        hasher: &RandomState,
    ) -> LearnResult {
        let digest = hasher.hash_one(secret.expose());
        if self.configured.contains_key(&digest) {
            return LearnResult::Nothing;
        }
        if let Some(known) = self.forget(digest) {
            self.remember(digest, known.forms, known.giver);
            return LearnResult::Nothing;
        }
        let texts = match giver {
            SecretSource::Ourselves => forms::of(secret.expose()),
            SecretSource::Stranger { .. } if is_token(secret.expose()) => {
                forms::of_token(secret.expose())
            }
            SecretSource::Stranger { .. } => return LearnResult::NoToken,
        };
        let forms = Arc::new(SecretPatterns::of(&texts, hasher));
        if forms.is_empty() {
            return LearnResult::Nothing;
        }
        self.remember(digest, Arc::clone(&forms), giver.clone());
        LearnResult::New(forms)
    }

    /// The number of known secrets.
    pub(super) fn len(&self) -> usize {
        self.configured.len() + self.learned.len()
    }

    /// Everything to look for.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<SecretPatterns>> + Clone {
        let learned = self.learned.values().map(|it| &it.forms);
        self.configured.values().chain(learned)
    }

    /// Marks a secret as the newest. Beyond the limits, forgets the oldest secret of a login that
    /// has too many, or else of the bridge that has the most. So a server cannot displace the
    /// secrets of others.
    fn remember(&mut self, digest: u64, forms: Arc<SecretPatterns>, giver: SecretSource) {
        self.clock += 1;
        self.heard.insert(digest, self.clock);
        *self.by_bridge.entry(giver.bridge()).or_default() += 1;
        let own = self.by_giver.entry(giver.clone()).or_default();
        own.insert(self.clock);
        let is_stranger = matches!(giver, SecretSource::Stranger { .. });
        let too_old = (is_stranger && own.len() > OF_LOGIN_MAX).then(|| own.first().copied());
        let learned = LearnedSecret {
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

    /// The oldest secret of the bridge with the most secrets.
    fn oldest_of_most(&self) -> Option<u64> {
        let most = self.by_bridge.iter().max_by_key(|(_, count)| **count);
        let bridge = most.map(|(bridge, _)| bridge)?;
        let mut oldest = self.learned.iter();
        let found = oldest.find(|(_, it)| it.giver.bridge() == *bridge);
        found.map(|(heard, _)| *heard)
    }

    /// Forgets a secret.
    fn forget(&mut self, digest: u64) -> Option<LearnedSecret> {
        let heard = *self.heard.get(&digest)?;
        self.forget_heard(heard)
    }

    /// Forgets the secret with this time.
    fn forget_heard(&mut self, heard: u64) -> Option<LearnedSecret> {
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
