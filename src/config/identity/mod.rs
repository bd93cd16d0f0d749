//! `[identity]`: who may call. Each way to authenticate has its own file; [`IdentityDraft`] combines them.

pub(super) mod draft;
pub(super) mod gateway;
pub(super) mod keys;
pub(super) mod oidc;
pub(super) mod open_webui;

#[cfg(test)]
mod tests;

pub(super) use draft::{IdentityDraft, read};
pub(crate) use keys::check_key_name;
