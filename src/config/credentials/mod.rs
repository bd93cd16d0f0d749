//! What a bridge shows its server: keys in headers, Basic, OAuth, headers of callers.

mod headers;
mod oauth;
#[cfg(test)]
mod tests;

pub(super) use {
    headers::{BasicTable, passed, read, warn_of_literal},
    oauth::OAuthTable,
};
