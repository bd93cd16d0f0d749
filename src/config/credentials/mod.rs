//! The credentials of a bridge for its server: API keys in headers, Basic, OAuth, and headers of callers.

mod headers;
mod oauth;
#[cfg(test)]
mod tests;

pub(super) use {
    headers::{BasicAuthTable, passed, read, warn_of_literal},
    oauth::OAuthTable,
};
