//! Who is calling us.
//!
//! [`Proofs::identify`] turns a request's headers into a [`Caller`]. What they may do is decided
//! in `access`.

mod api_key;
mod caller;

pub use api_key::{Evidence, Proofs, Refusal, Sources};
pub use caller::{Caller, Proof};
