//! Who is calling us, and may they.
//!
//! [`Proofs::identify`] turns a request's headers into a [`Caller`]; [`Caller::authorise`] turns a
//! caller into a [`Grant`], and a grant is the only way to a server's session.

mod api_key;
mod caller;

pub use api_key::{Proofs, Refusal};
pub use caller::{Caller, Grant, Proof};
