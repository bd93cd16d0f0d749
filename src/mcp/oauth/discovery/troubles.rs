//! [`Troubles`]: why no place of a search had what was looked for.

use url::Url;

use super::super::{
    error::{OAuthError, short},
    traffic::place,
};

/// How many are kept.
const KEPT_MAX: usize = 4;

/// What was wrong with places, in their order.
#[derive(Debug, Default)]
pub struct Troubles {
    kept: Vec<Trouble>,
    /// Whether a document that the server itself named is not its own.
    is_misled: bool,
}

/// What was wrong with one.
#[derive(Debug)]
struct Trouble {
    words: String,
    weight: Weight,
}

/// How much a trouble tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A document that is not to be used.
    Wrong,
    /// A failure that passes.
    Passing,
    /// A guess that was another's; it alone is no reason to stop.
    PassedOver,
}

impl Troubles {
    /// Whether nothing speaks against going on.
    pub fn is_empty(&self) -> bool {
        let mut kept = self.kept.iter();
        kept.all(|it| it.weight == Weight::PassedOver)
    }

    /// Whether the server itself named a document that is not its own.
    pub fn is_misled(&self) -> bool {
        self.is_misled
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A document that is not to be used.
    pub fn wrong(&mut self, at: &Url, what: &str) {
        self.keep(at, what, Weight::Wrong);
    }

    /// One of another issuer (RFC 8414 §3.3).
    pub fn foreign(&mut self, at: &Url, what: &str) {
        let words = format!(
            "{what}; if that is right, set `metadata_url = \"{}\"` in its `oauth` table",
            place(at)
        );
        self.keep(at, &words, Weight::Wrong);
    }

    /// One that the server itself named.
    pub fn misled(&mut self, at: &Url, what: &str) {
        self.is_misled = true;
        self.keep(at, what, Weight::Wrong);
    }

    /// One that was guessed and is another server's.
    pub fn passed_over(&mut self, at: &Url, what: &str) {
        self.keep(at, what, Weight::PassedOver);
    }

    /// A failure that passes.
    pub fn passing(&mut self, at: &Url, what: &str) {
        self.keep(at, what, Weight::Passing);
    }

    fn keep(&mut self, at: &Url, what: &str, weight: Weight) {
        if self.kept.len() < KEPT_MAX {
            let words = short(&format!("{} {what}", place(at)));
            self.kept.push(Trouble { words, weight });
        }
    }

    /// The error that they make, the one that tells most first.
    pub fn error(&mut self) -> OAuthError {
        self.kept.sort_by_key(|it| it.weight);
        let is_passing = self
            .kept
            .first()
            .is_some_and(|it| it.weight == Weight::Passing);
        let words: Vec<&str> = self.kept.iter().map(|it| it.words.as_str()).collect();
        let words = if words.is_empty() {
            "no authorization server that it names has metadata; if there is one, set `metadata_url` \
             in its `oauth` table"
                .to_owned()
        } else {
            words.join("; ")
        };
        if is_passing {
            OAuthError::Unavailable(words)
        } else {
            OAuthError::Discovery(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trouble_that_tells_most_comes_first_and_decides() {
        let at: Url = "https://a/m?secret".parse().unwrap();
        let mut troubles = Troubles::default();
        assert!(matches!(troubles.error(), OAuthError::Discovery(_)));
        troubles.passed_over(&at, "is another's");
        assert!(troubles.is_empty() && !troubles.is_misled());
        troubles.passing(&at, "answered HTTP 500");
        assert!(!troubles.is_empty());
        let told = troubles.error();
        assert_eq!(
            told,
            OAuthError::Unavailable(
                "https://a/m answered HTTP 500; https://a/m is another's".to_owned()
            )
        );
        troubles.foreign(&at, "names the issuer `x`");
        let told = troubles.error().to_string();
        assert!(matches!(troubles.error(), OAuthError::Discovery(_)));
        assert!(told.contains("metadata_url = \"https://a/m\""), "{told}");
        for _ in 0..100 {
            troubles.misled(&at, "x");
        }
        assert!(troubles.is_misled());
        assert_eq!(troubles.kept.len(), KEPT_MAX);
    }
}
