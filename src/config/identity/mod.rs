//! `[identity]`: who may call. One file a kind of proof; [`Draft`] puts them together.

mod draft;
mod gateway;
mod keys;
mod oidc;
mod open_webui;

#[cfg(test)]
mod tests;

pub(super) use draft::{Draft, read};
pub(crate) use keys::check_key_name;
