//! [`OAuthSettings`]: how to sign in to a server.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// Settings for OAuth 2.1 (MCP 2025-11-25, authorization).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OAuthSettings {
    /// The id of the client that the operator registered. `None`: a metadata document, or dynamic
    /// registration (RFC 7591).
    pub client_id: Option<String>,
    /// The client's secret, if it has one.
    pub client_secret: Option<Secret>,
    /// The scopes to ask for. Empty: those that the server requires.
    pub scopes: Vec<String>,
    /// Who signs in.
    pub grant: OAuthGrant,
    /// The `https:` URL of the bridge's client metadata document, which serves as client id.
    pub client_metadata_url: Option<Url>,
    /// Whether discovery may use private addresses. Default false.
    pub private_network: bool,
    /// The resource indicator for the authorization server.
    pub resource: ResourceName,
    /// The issuer of tokens, instead of the one that the server names.
    pub issuer: Option<Box<Url>>,
    /// The URL of the authorization server's metadata, instead of the standard places.
    pub metadata_url: Option<Box<Url>>,
    /// The authentication method at the token endpoint, instead of those in its metadata.
    pub auth_method: Option<TokenAuthMethod>,
}

/// Who signs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OAuthGrant {
    /// A user, in a browser. The default.
    #[default]
    AuthorizationCode,
    /// The bridge itself, with `client_id` and `client_secret`.
    ClientCredentials,
}

/// How to name the server that a token is for (RFC 8707).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResourceName {
    /// The server's own identifier, or its URL. The default.
    #[default]
    Discovered,
    /// Not at all: some authorization servers reject every value.
    Unsaid,
    /// An identifier that the operator configured.
    Named(String),
}

/// How a client authenticates at the token endpoint (RFC 7591 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenAuthMethod {
    /// With its id only.
    #[serde(rename = "none")]
    None,
    /// With its secret in the form.
    #[serde(rename = "client_secret_post")]
    Post,
    /// With its secret in a header.
    #[serde(rename = "client_secret_basic")]
    Basic,
}

impl TokenAuthMethod {
    /// All methods, in order of preference.
    pub const ALL: [Self; 3] = [Self::None, Self::Post, Self::Basic];

    /// Returns the name of the method in OAuth.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Post => "client_secret_post",
            Self::Basic => "client_secret_basic",
        }
    }

    /// Returns the method with this name.
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}
