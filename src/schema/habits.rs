//! [`Habits`]: how far arguments and schemas are put right.

/// How far arguments and schemas are put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// Whether we put right more than mcpo does, and answer in sentences for models.
    pub helps: bool,
    /// Whether an argument that the schema does not name is refused.
    pub refuses_unknown: bool,
}

impl Habits {
    /// Ours.
    pub const NATIVE: Self = Self {
        helps: true,
        refuses_unknown: false,
    };
    /// mcpo's: what it refuses is refused.
    pub const MCPO: Self = Self {
        helps: false,
        refuses_unknown: false,
    };
}
