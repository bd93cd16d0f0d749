//! Authentication: who is calling.
//!
//! [`Authenticator::authenticate`] turns a request's headers into a [`Caller`]. `access` decides what that
//! caller may do. Each authentication method has a file of its own; `proofs` defines the order in
//! which they are tried.

mod api_key;
mod caller;
mod claims;
mod combine;
mod fetch;
mod forwarded;
#[cfg(any(fuzzing, test))]
mod fuzz;
mod gateway;
mod guessable;
mod guesses;
mod headers;
mod introspection;
mod issuer_keys;
mod oidc;
mod proofs;
mod refusal;
mod request_credentials;
mod session;
mod session_token;
mod signed;
mod token;
mod users;

#[cfg(test)]
mod tests;

pub use caller::{AuthenticationMethod, Caller};
#[cfg(fuzzing)]
pub use fuzz::fuzz_headers;
pub use proofs::{AuthSources, Authenticator};
pub use refusal::AuthenticationError;
pub use request_credentials::RequestCredentials;
pub use session_token::SessionToken;
