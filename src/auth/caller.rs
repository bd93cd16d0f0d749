//! [`Caller`]: who sent a request, and how they authenticated.

use std::sync::Arc;

use crate::config::DEFAULT_WORKSPACE;

/// How a caller authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthenticationMethod {
    /// An API key, configured or stored.
    ApiKey,
    /// A session token of Open WebUI.
    Session,
    /// An API key of an Open WebUI user (`sk-…`).
    SessionKey,
    /// `X-OpenWebUI-User-Jwt`, signed.
    SignedHeader,
    /// Headers sent by the holder of a forwarding API key.
    ForwardedHeaders,
    /// Headers of the gateway in front of the bridge.
    Gateway,
    /// A bearer token of an OpenID issuer.
    Oidc,
    /// No proof: the operator set `anonymous = true`.
    Anonymous,
    /// No proof: no key is configured and the bridge listens only on loopback.
    Loopback,
    /// The program's own commands.
    Operator,
}

impl AuthenticationMethod {
    /// The name in the audit trail.
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
    /// The name in logs and records: the e-mail address in lower case, or the key's name, or the
    /// user's ID, or `anonymous`. Only an e-mail address looks like one.
    pub id: Arc<str>,
    /// The e-mail address in lower case.
    pub email: Option<Arc<str>>,
    /// How they authenticated.
    pub proof: AuthenticationMethod,
    /// The groups from the credentials. If set, they replace those of the bridge's tables. `None`
    /// if the credentials do not mention groups.
    pub groups: Option<Arc<[Arc<str>]>>,
    /// The IDs and names of their groups in Open WebUI. They apply if the bridge's tables have
    /// none.
    pub open_webui_groups: Arc<[Arc<str>]>,
    /// Whether the credentials identify an administrator, by Open WebUI's role or the gateway's
    /// header.
    pub is_admin: bool,
    /// The workspace whose data they see.
    pub workspace: Arc<str>,
    /// Whether the token came in a cookie, which browsers send on their own. Requests that change
    /// something must then come from a page of the bridge's own origin.
    pub via_cookie: bool,
    /// Whether the caller is the holder of a forwarding key that did not name a user.
    pub vouches: bool,
}

impl Caller {
    /// A caller of whom only the name and the method of authentication are known.
    pub fn named(id: &str, proof: AuthenticationMethod) -> Self {
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

    /// A user, named by their e-mail address or else by their ID. Only ASCII letters are converted
    /// to lower case: `\u{212A}` (the Kelvin sign) is not `k`, and issuers treat them as different.
    pub fn user(id: Option<&str>, email: Option<&str>, proof: AuthenticationMethod) -> Self {
        let email: Option<Arc<str>> = email.map(|email| email.to_ascii_lowercase().into());
        let name = email.clone().or_else(|| id.map(Arc::from));
        let mut caller = Self::named("", proof);
        caller.id = name.unwrap_or_default();
        caller.email = email;
        caller
    }

    /// The operator who runs the program's own commands, and therefore has its configuration.
    pub fn operator() -> Self {
        Self::named("operator", AuthenticationMethod::Operator)
    }
}

/// The user of a session.
#[derive(Debug, Clone)]
pub struct AuthenticatedUser {
    /// The user as a caller.
    pub caller: Arc<Caller>,
    /// Their ID in Open WebUI, if it is known.
    pub id: Option<Arc<str>>,
}
