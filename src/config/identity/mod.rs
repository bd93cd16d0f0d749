//! `[identity]`: who may call. Each way to authenticate has its own file; [`IdentityDraft`] combines them.

mod draft;
mod gateway;
mod keys;
mod oidc;
mod open_webui;

#[cfg(test)]
mod tests;

pub(super) use draft::{IdentityDraft, read};
pub(crate) use keys::check_key_name;
