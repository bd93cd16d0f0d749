//! OAuth 2.1 to a server (MCP 2026-07-28, authorization), through rmcp: discovery, registration, PKCE and
//! tokens. These are functions of their arguments: the caller stores the results.

mod account;
mod answer;
mod challenge;
mod discovery;
mod ends;
mod error;
mod exchange;
mod flow;
mod form;
mod parameters;
mod registration;
mod traffic;

pub use account::{ClientRegistration, ImportedLogin, OAuthAccount, PendingAuthorization};
pub use challenge::{challenges, lacking};
pub use ends::{adopt, revoke};
pub use error::{OAuthError, RESOURCE_HINT};
pub use flow::{begin, client_credentials, finish, refresh};
pub use parameters::LoginParameters;
