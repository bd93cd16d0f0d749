//! [`Lookups`]: how often a memory had what was asked of it.
//!
//! The memories are made anew by reloads and stand in several layers; the counts are the process's.

use super::count::Count;

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookups {
    /// All grants, of our tables.
    Grants,
    /// A user's groups, of our tables.
    Members,
    /// Session tokens whose signature was verified.
    Tokens,
    /// Users of Open WebUI, of its database.
    Users,
    /// Sessions of Open WebUI, by its API.
    Sessions,
}

/// How often it was there, and how often it had to be asked for.
#[derive(Debug, Default)]
pub struct Found {
    /// It was there.
    pub hits: Count,
    /// It was not.
    pub misses: Count,
}

/// By the order of [`Lookups::ALL`].
static FOUND: [Found; Lookups::ALL.len()] = [const {
    Found {
        hits: Count::new(),
        misses: Count::new(),
    }
}; Lookups::ALL.len()];

impl Lookups {
    /// Every memory.
    const ALL: [Self; 5] = [
        Self::Grants,
        Self::Members,
        Self::Tokens,
        Self::Users,
        Self::Sessions,
    ];

    /// The word in metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Members => "members",
            Self::Tokens => "tokens",
            Self::Users => "users",
            Self::Sessions => "sessions",
        }
    }

    /// Counts a look.
    pub fn note(self, is_hit: bool) {
        if let Some(found) = FOUND.get(self as usize) {
            let count = if is_hit { &found.hits } else { &found.misses };
            count.one();
        }
    }
}

/// What was counted, by the names of the memories.
pub fn lookups() -> impl Iterator<Item = (&'static str, &'static Found)> {
    Lookups::ALL.iter().map(|it| it.as_str()).zip(&FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_memory_has_counts_of_its_own() {
        for (place, memory) in Lookups::ALL.into_iter().enumerate() {
            assert_eq!(place, memory as usize, "{memory:?}");
        }
    }
}
