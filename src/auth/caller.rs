//! [`Caller`]: who sent a request, and how they proved it.

use std::sync::Arc;

use crate::config::DEFAULT_WORKSPACE;

/// How a caller proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// An API key, configured or stored.
    ApiKey,
    /// A session token of Open WebUI.
    Session,
    /// An API key of an Open WebUI user (`sk-…`).
    SessionKey,
    /// `X-OpenWebUI-User-Jwt`, signed.
    SignedHeader,
    /// Headers that the holder of a forwarding API key sent.
    ForwardedHeaders,
    /// Headers of the gateway before us.
    Gateway,
    /// A bearer token of an OpenID issuer.
    Oidc,
    /// Nothing: the operator set `anonymous = true`.
    Anonymous,
    /// Nothing: no key is configured and we listen on loopback only.
    Loopback,
    /// The program's own commands.
    Operator,
}

impl Proof {
    /// The word of the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Session => "session",
            Self::SessionKey => "session_key",
            Self::SignedHeader => "signed_header",
            Self::ForwardedHeaders => "forwarded_headers",
            Self::Gateway => "gateway",
            Self::Oidc => "oidc",
            Self::Anonymous => "anonymous",
            Self::Loopback => "loopback",
            Self::Operator => "operator",
        }
    }
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What logs and records call them: their e-mail in lower case, else the key's name, else the
    /// user's id, else `anonymous`. Only an e-mail reads like one.
    pub id: Arc<str>,
    /// Their e-mail in lower case.
    pub email: Option<Arc<str>>,
    /// How they proved it.
    pub proof: Proof,
    /// The groups that came with the proof; they count instead of our tables. `None`: it said
    /// nothing of groups.
    pub groups: Option<Arc<[Arc<str>]>>,
    /// Their groups in Open WebUI, ids and names; they count where our tables have none.
    pub open_webui_groups: Arc<[Arc<str>]>,
    /// Whether the proof says administrator: Open WebUI's role, the gateway's header.
    pub is_admin: bool,
    /// Whose rows they see.
    pub workspace: Arc<str>,
    /// Whether the proof came in a cookie, which browsers send by themselves: whatever changes
    /// something must then be asked for by a page of our own origin.
    pub via_cookie: bool,
    /// Whether it is the holder of a key that vouches for others, and named nobody.
    pub vouches: bool,
}

impl Caller {
    /// One of whom nothing more is known.
    pub fn named(id: &str, proof: Proof) -> Self {
        Self {
            id: id.into(),
            email: None,
            proof,
            groups: None,
            open_webui_groups: Arc::default(),
            is_admin: false,
            workspace: DEFAULT_WORKSPACE.into(),
            via_cookie: false,
            vouches: false,
        }
    }

    /// A user: their e-mail names them, else their id. Case is folded for ASCII letters alone:
    /// `\u{212A}` (the Kelvin sign) is not `k`, and an issuer tells them apart.
    pub fn user(id: Option<&str>, email: Option<&str>, proof: Proof) -> Self {
        let email: Option<Arc<str>> = email.map(|email| email.to_ascii_lowercase().into());
        let name = email.clone().or_else(|| id.map(Arc::from));
        let mut caller = Self::named("", proof);
        caller.id = name.unwrap_or_default();
        caller.email = email;
        caller
    }

    /// Whoever runs the program's own commands: they hold its configuration.
    pub fn operator() -> Self {
        Self::named("operator", Proof::Operator)
    }
}
