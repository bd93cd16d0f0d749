//! [`SchemaFlavor`]: how far arguments and schemas are corrected.

/// How far arguments and schemas are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaFlavor {
    /// Whether more is corrected than in mcpo, with sentences for models.
    pub helps: bool,
    /// Whether an argument that the schema does not define is rejected.
    pub refuses_unknown: bool,
}

impl SchemaFlavor {
    /// mcp-bridge's own conventions.
    pub const NATIVE: Self = Self {
        helps: true,
        refuses_unknown: false,
    };
    /// mcpo's conventions: what mcpo rejects is rejected.
    pub const MCPO: Self = Self {
        helps: false,
        refuses_unknown: false,
    };
}
