//! The small environment that every child gets, whatever its bridge names.

use std::ffi::OsString;

/// What a program needs to find itself, its language, its proxy and its certificates. It gets no other
/// variable of ours (design §6). That alone hides little from a program of our own user: our memory and
/// environment are closed by [`crate::isolation::harden`], and our files by `user` alone.
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

/// The variables that name folders of our user, or the user: a program that runs as another user does
/// not get them.
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

/// The base environment of a child, without what its bridge names.
pub fn child_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    PASSED_ON
        .iter()
        .filter_map(|&name| std::env::var_os(name).map(|value| (name, value)))
}
