//! [`Memory`]: which secrets are known: those of the configuration, and a bounded number of others.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{Secret, needles::Forms};

/// How many secrets are remembered besides those of the configuration. A token lives an hour: this is
/// an hour of five thousand people with two servers each.
const LEARNED_MAX: usize = 20_000;

/// What is known. A secret is known by its digest; its text is not kept.
#[derive(Default)]
pub(super) struct Memory {
    /// Of the configuration in force.
    configured: HashMap<u64, Arc<Forms>>,
    /// By when they were last heard of, the oldest first.
    learned: BTreeMap<u64, (u64, Arc<Forms>)>,
    /// When each of those was last heard of.
    heard: HashMap<u64, u64>,
    /// Counts what is heard.
    clock: u64,
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
            let forms = forms.unwrap_or_else(|| Arc::new(Forms::of(secret.expose(), hasher)));
            if !forms.is_empty() {
                self.configured.insert(digest, forms);
            }
        }
        let mut gone: Vec<_> = old.into_iter().collect();
        gone.sort_by_key(|(digest, _)| *digest);
        for (digest, forms) in gone {
            self.remember(digest, forms);
        }
    }

    /// Remembers a secret; gives what to look for if it is new.
    pub(super) fn learn(&mut self, secret: &Secret, hasher: &RandomState) -> Option<Arc<Forms>> {
        let digest = hasher.hash_one(secret.expose());
        if self.configured.contains_key(&digest) {
            return None;
        }
        if let Some((_, forms)) = self.forget(digest) {
            self.remember(digest, forms);
            return None;
        }
        let forms = Arc::new(Forms::of(secret.expose(), hasher));
        if forms.is_empty() {
            return None;
        }
        self.remember(digest, Arc::clone(&forms));
        Some(forms)
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.configured.len() + self.learned.len()
    }

    /// Everything to look for.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Forms>> {
        let learned = self.learned.values().map(|(_, forms)| forms);
        self.configured.values().chain(learned)
    }

    /// Makes it the newest, and forgets the oldest over the bound.
    fn remember(&mut self, digest: u64, forms: Arc<Forms>) {
        self.clock += 1;
        self.heard.insert(digest, self.clock);
        self.learned.insert(self.clock, (digest, forms));
        if self.learned.len() > LEARNED_MAX
            && let Some((_, (oldest, _))) = self.learned.pop_first()
        {
            self.heard.remove(&oldest);
        }
    }

    /// Takes one out.
    fn forget(&mut self, digest: u64) -> Option<(u64, Arc<Forms>)> {
        let heard = self.heard.remove(&digest)?;
        self.learned.remove(&heard)
    }
}
