//! [`LoginParameters`]: the input of a login.

use url::Url;

use super::account::ClientRegistration;
use crate::config::OAuthSettings;

/// The input of a login.
#[derive(Debug)]
pub struct LoginParameters<'a> {
    /// The server's URL.
    pub server: &'a Url,
    /// The operator's settings.
    pub settings: &'a OAuthSettings,
    /// The redirect URL for browsers.
    pub redirect_url: &'a Url,
    /// An existing registration with this redirect URL.
    pub known: Option<&'a ClientRegistration>,
    /// Scopes of an earlier login, and those that the server asked for later.
    pub scopes: &'a [String],
}
