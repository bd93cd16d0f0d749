//! The small base environment of every child process.

use std::ffi::OsString;

/// Variables that a program needs to find its files, language, proxy and certificates. It inherits no other
/// variables. This alone does not protect secrets from a program that runs as the bridge's own user:
/// [`crate::isolation::harden`] protects the bridge's memory and environment, and only the `user` setting
/// protects its files.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NPM_CONFIG_CACHE",
    "npm_config_cache",
    "UV_CACHE_DIR",
    "PIP_CACHE_DIR",
];

/// Variables that name the bridge's user or that user's folders. A program that runs as another user does not
/// get them.
pub const OWN_FOLDERS: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "NPM_CONFIG_CACHE",
    "npm_config_cache",
    "UV_CACHE_DIR",
    "PIP_CACHE_DIR",
];

/// Returns the base environment of a child process, without the variables of its bridge.
pub fn child_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    PASSED_ON
        .iter()
        .filter_map(|&name| std::env::var_os(name).map(|value| (name, value)))
}
