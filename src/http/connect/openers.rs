//! [`Openers`]: which browser went on with a link first.

use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::{credential::TICKET_TTL, secret::Secret};

/// Links that are remembered at once.
const LINKS_MAX: u64 = 10_000;

/// A link counts in the first browser that goes on with it, for as long as it counts at all: whoever
/// finds it later, in a shared chat or in a log, cannot put an account of theirs in the place of the
/// one that was connected. Each replica remembers what it saw itself.
#[derive(Debug)]
pub struct Openers(Cache<[u8; 32], [u8; 32]>);

impl Default for Openers {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(LINKS_MAX)
                .time_to_live(TICKET_TTL)
                .build(),
        )
    }
}

impl Openers {
    /// Whether no other browser went on with a link before; `held` is the browser's cookie.
    pub fn is_first(&self, sealed: &str, held: &Secret) -> bool {
        let link: [u8; 32] = Sha256::digest(sealed).into();
        let browser: [u8; 32] = Sha256::digest(held.expose()).into();
        self.0.get_with(link, || browser) == browser
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_the_first_browser() {
        let (openers, one, two) = (Openers::default(), Secret::new("one"), Secret::new("two"));
        assert!(openers.is_first("link", &one));
        assert!(openers.is_first("link", &one), "again in the same browser");
        assert!(!openers.is_first("link", &two));
        assert!(openers.is_first("other link", &two));
    }
}
