//! [`DiscoveryProblems`]: collects why a search found no document.

use url::Url;

use super::super::{
    error::{OAuthError, short},
    traffic::place,
};

/// The maximum number of problems that are kept.
const KEPT_MAX: usize = 4;

/// The problems of the places, in order.
#[derive(Debug, Default)]
pub struct DiscoveryProblems {
    kept: Vec<DiscoveryProblem>,
    /// Whether the server itself named a document that belongs to another server.
    is_misled: bool,
}

/// The problem of one place.
#[derive(Debug)]
struct DiscoveryProblem {
    words: String,
    weight: ProblemSeverity,
}

/// The significance of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ProblemSeverity {
    /// A document that must not be used.
    Wrong,
    /// A temporary failure.
    Passing,
    /// A guessed place that belongs to another server. On its own it does not stop the search.
    PassedOver,
}

impl DiscoveryProblems {
    /// Whether the search may continue.
    pub fn is_empty(&self) -> bool {
        let mut kept = self.kept.iter();
        kept.all(|it| it.weight == ProblemSeverity::PassedOver)
    }

    /// Whether the server itself named a document that belongs to another server.
    pub fn is_misled(&self) -> bool {
        self.is_misled
    }

    /// Removes all problems.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds a document that must not be used.
    pub fn wrong(&mut self, at: &Url, what: &str) {
        self.keep(at, what, ProblemSeverity::Wrong);
    }

    /// Adds a document of another issuer (RFC 8414 §3.3).
    pub fn foreign(&mut self, at: &Url, what: &str) {
        let words = format!(
            "{what}; if that is intended, set `metadata_url = \"{}\"` in its `oauth` table",
            place(at)
        );
        self.keep(at, &words, ProblemSeverity::Wrong);
    }

    /// Adds a wrong document that the server itself named.
    pub fn misled(&mut self, at: &Url, what: &str) {
        self.is_misled = true;
        self.keep(at, what, ProblemSeverity::Wrong);
    }

    /// Adds a guessed document that belongs to another server.
    pub fn passed_over(&mut self, at: &Url, what: &str) {
        self.keep(at, what, ProblemSeverity::PassedOver);
    }

    /// Adds a temporary failure.
    pub fn passing(&mut self, at: &Url, what: &str) {
        self.keep(at, what, ProblemSeverity::Passing);
    }

    fn keep(&mut self, at: &Url, what: &str, weight: ProblemSeverity) {
        if self.kept.len() < KEPT_MAX {
            let words = short(&format!("{} {what}", place(at)));
            self.kept.push(DiscoveryProblem { words, weight });
        }
    }

    /// Builds the error, the most significant problem first.
    pub fn error(&mut self) -> OAuthError {
        self.kept.sort_by_key(|it| it.weight);
        let is_passing = self
            .kept
            .first()
            .is_some_and(|it| it.weight == ProblemSeverity::Passing);
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
        let mut troubles = DiscoveryProblems::default();
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
