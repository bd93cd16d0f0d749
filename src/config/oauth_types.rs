//! [`OAuth`]: how to sign in at a server.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// Signing in by OAuth 2.1 (MCP 2025-11-25, authorization).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OAuth {
    /// The client that the operator registered there. `None`: a metadata document, or dynamic
    /// registration (RFC 7591).
    pub client_id: Option<String>,
    /// Its secret, if it has one.
    pub client_secret: Option<Secret>,
    /// What is asked for. Empty: what the server says it needs.
    pub scopes: Vec<String>,
    /// Who signs in.
    pub grant: OAuthGrant,
    /// Where a document about us stands that serves as client id; `https:`.
    pub client_metadata_url: Option<Url>,
    /// Whether discovery may lead to private addresses. Default false.
    pub private_network: bool,
    /// What the authorization server is told of the server that a token is for.
    pub resource: ResourceName,
    /// Who gives tokens, in place of whom the server names.
    pub issuer: Option<Box<Url>>,
    /// Where the metadata of the authorization server stands, in place of the usual places.
    pub metadata_url: Option<Box<Url>>,
    /// How we show who we are at the token endpoint, in place of what its metadata says.
    pub auth_method: Option<AuthMethod>,
}

/// Who signs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OAuthGrant {
    /// A person, in a browser. The default.
    #[default]
    AuthorizationCode,
    /// We ourselves, by `client_id` and `client_secret`.
    ClientCredentials,
}

/// What an authorization server is told of the server that a token is for (RFC 8707).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResourceName {
    /// The name that the server gives itself, else its URL. The default.
    #[default]
    Discovered,
    /// Nothing: some authorization servers refuse whatever they are told.
    Unsaid,
    /// A name that the operator knows.
    Named(String),
}

/// How a client shows who it is at the token endpoint (RFC 7591 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMethod {
    /// By its id alone.
    #[serde(rename = "none")]
    None,
    /// By its secret, in the form.
    #[serde(rename = "client_secret_post")]
    Post,
    /// By its secret, in a header.
    #[serde(rename = "client_secret_basic")]
    Basic,
}

impl AuthMethod {
    /// All of them, the one that we like best first.
    pub const ALL: [Self; 3] = [Self::None, Self::Post, Self::Basic];

    /// Its name in OAuth.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Post => "client_secret_post",
            Self::Basic => "client_secret_basic",
        }
    }

    /// The one of a name.
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}
