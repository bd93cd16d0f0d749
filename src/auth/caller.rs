//! [`Caller`]: who sent a request, and how they proved it.

use crate::name::{BridgeName, ToolName};

/// How a caller proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A configured API key.
    ApiKey,
    /// Nothing: the operator set `anonymous = true`.
    Anonymous,
    /// Nothing: no key is configured and we listen on loopback only.
    Loopback,
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's name, or `anonymous`.
    pub id: String,
    /// How they proved it.
    pub proof: Proof,
}

/// The proof that [`Caller::authorise`] said yes. Only this module makes one.
#[derive(Debug)]
pub struct Grant(());

impl Caller {
    /// Whoever runs the program's own commands: they hold its configuration.
    pub fn operator() -> Self {
        Self {
            id: "operator".to_owned(),
            proof: Proof::Loopback,
        }
    }

    /// Whether the caller may use a tool. With API keys alone every key may call everything, as
    /// under mcpo (design §7).
    #[expect(
        clippy::unnecessary_wraps,
        reason = "callers handle the refusal that access rules will bring"
    )]
    pub fn authorise(&self, _bridge: &BridgeName, _tool: &ToolName) -> Option<Grant> {
        match self.proof {
            Proof::ApiKey | Proof::Anonymous | Proof::Loopback => Some(Grant(())),
        }
    }

    /// Whether the caller may change what is served: whoever holds a key, or the machine itself.
    pub fn is_admin(&self) -> bool {
        match self.proof {
            Proof::ApiKey | Proof::Loopback => true,
            Proof::Anonymous => false,
        }
    }
}
