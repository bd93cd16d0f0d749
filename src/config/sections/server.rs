//! `[server]`: the listen address and the HTTP settings.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use toml::{Spanned, de::DeTable};
use url::Url;

use crate::config::read::{
    BadValue, ConfigReader, KEY, Parsed, SectionRules, Span, YEAR, duration_up_to, list_of, parsed,
    reads, value, web_url,
};

/// `[server]`: the listen address and the HTTP settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The listen address. Default `127.0.0.1:8000`.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// The prefix that a reverse proxy strips, for example `/api/mcpo`. Normalized: leading `/`, no trailing
    /// one; empty for none. Routes answer with and without it.
    #[serde(deserialize_with = "read_root_path")]
    pub root_path: String,
    /// The public address for browsers: scheme, host, port, and the path that a reverse proxy adds. No query,
    /// no fragment, and no trailing `/`. Default: not known.
    #[serde(deserialize_with = "public_url")]
    pub public_url: Option<Url>,
    /// The prefix of all bridges, mcpo's `--path-prefix`. Normalized to begin and end with `/`, so `/` means
    /// none.
    #[serde(deserialize_with = "read_path_prefix")]
    pub path_prefix: String,
    /// Whether documents and docs pages need no identity. Default true.
    pub public_spec: bool,
    /// Whether a refresh takes the tools of servers that are down out of the documents. Default false.
    pub drop_dead: bool,
    /// Origins that browsers may call from; `*` for all. Default none (mcpo: `*`).
    #[serde(deserialize_with = "origins")]
    pub cors_allow_origins: Vec<String>,
    /// The certificate and key, in PEM format. Default none: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// The maximum number of connections. When it is reached, the connection that has been idle for the
    /// longest is closed. Default 4,096, or less if the limit of open files requires it.
    #[serde(deserialize_with = "value::count::<CONNECTIONS_MIN, _>")]
    pub connections_max: usize,
    /// How long new calls are accepted after SIGTERM, while `/ready` already answers 503, so that load
    /// balancers notice. Default none.
    #[serde(deserialize_with = "drain_delay")]
    pub drain_delay: Duration,
    /// The timeout for calls in flight after that. Default 30 s.
    #[serde(deserialize_with = "value::duration::<YEAR, _>")]
    pub drain_timeout: Duration,
    /// `info.title` of the merged document.
    pub title: String,
    /// `info.description` of the merged document.
    pub description: String,
    /// `info.version` of the merged document.
    pub version: String,
}

/// The two PEM files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate chain.
    #[serde(rename = "tls_cert")]
    pub cert_file: PathBuf,
    /// The private key.
    #[serde(rename = "tls_key")]
    pub key_file: PathBuf,
}

/// The maximum `drain_delay`. A service manager kills the process long before.
const DELAY_MAX: Duration = Duration::from_mins(10);

/// The minimum number of connections. With fewer, one busy client would block all others.
pub const CONNECTIONS_MIN: usize = 16;

const RULES: SectionRules = SectionRules {
    optional: &["public_url"],
    groups: &[("tls", &["tls_cert", "tls_key"])],
    ..SectionRules::NONE
};

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            root_path: String::new(),
            path_prefix: "/".to_owned(),
            public_url: None,
            public_spec: true,
            drop_dead: false,
            cors_allow_origins: Vec::new(),
            tls: None,
            connections_max: 4096,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            title: "mcp-bridge".to_owned(),
            description: "The tools of every MCP server behind one OpenAPI document".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Reads the section. Returns the position of `listen` too, for problems that other sections have with it.
pub fn read(
    reader: &mut ConfigReader<'_>,
    at: &Span,
    mut table: DeTable<'_>,
) -> (ServerSettings, Option<Span>) {
    for (key, other) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        if let (Some(there), None) = (table.get(key).map(Spanned::span), table.get(other)) {
            reader.refuse(
                &there,
                format!("TLS needs `{other}` too"),
                format!("add `{other} = \"/path/to/file.pem\"`, or leave both out for plain HTTP"),
            );
            table.remove(key);
        }
    }
    let (server, notes) = reader.section::<ServerSettings>("server", at, table, &RULES);
    let mut server = server.unwrap_or_default();
    if let Some(TlsSettings {
        cert_file,
        key_file,
    }) = &mut server.tls
    {
        *cert_file = reader.folder.join(&*cert_file);
        *key_file = reader.folder.join(&*key_file);
    }
    (server, notes.at("listen").cloned())
}

parsed! {
    /// Reads the listen address.
    listen -> SocketAddr = |text| {
        parse_listen(text).map_err(|reason| {
            let hint = "write `\"127.0.0.1:8000\"`, or `\"0.0.0.0:8000\"` for every interface";
            BadValue::new(format!("{KEY}: {reason}"), hint)
        })
    };
    /// Reads the prefix that a reverse proxy strips.
    read_root_path -> String = |text| checked_path(text).map(root_path);
    /// Reads the prefix of all bridges.
    read_path_prefix -> String = |text| checked_path(text).map(path_prefix);
    /// Reads the public address for browsers.
    public_url -> Option<Url> = |text| parse_public_url(text).map(Some);
    /// Reads how long new calls are accepted after SIGTERM.
    drain_delay -> Duration = |text| duration_up_to(text, DELAY_MAX);
}

reads! {
    /// Reads origins that browsers may call from.
    origins -> Vec<String> = |it| list_of(it, parse_origin);
}

/// Parses `HOST:PORT`. A host name is resolved once.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}` has no port"))?;
    let port = port
        .parse()
        .map_err(|_| format!("`{port}` is not a valid port, which is a number up to 65535"))?;
    listen_on(host, port)
}

/// Returns the address of a host, resolving a name.
pub(crate) fn listen_on(host: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match bare {
        "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        "*" => Some(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        "" => return Err("the host is missing".to_owned()),
        other => other.parse().ok(),
    };
    if let Some(ip) = ip {
        return Ok(SocketAddr::new(ip, port));
    }
    let addresses: Vec<_> = (bare, port)
        .to_socket_addrs()
        .map_err(|error| format!("`{host}` has no address: {error}"))?
        .collect();
    addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .ok_or_else(|| format!("`{host}` has no address"))
}

/// Returns a path with a leading `/` and without a trailing one; empty for none.
pub(crate) fn root_path(text: &str) -> String {
    let inner = text.trim().trim_matches('/');
    if inner.is_empty() {
        String::new()
    } else {
        format!("/{inner}")
    }
}

/// Returns a path that begins and ends with `/`; `/` for none.
pub(crate) fn path_prefix(text: &str) -> String {
    format!("{}/", root_path(text))
}

/// Returns the first character that would end the path of a URL or that the router treats specially.
pub(crate) fn odd_in_path(text: &str) -> Option<char> {
    text.trim().chars().find(|character| {
        character.is_whitespace() || character.is_control() || "?#{}*\\\"<>".contains(*character)
    })
}

fn checked_path(text: &str) -> Parsed<&str> {
    match odd_in_path(text) {
        None => Ok(text),
        Some(odd) => Err(BadValue::new(
            format!("{KEY} cannot contain {odd:?}"),
            "write a path such as `\"/api/mcpo\"`",
        )),
    }
}

fn parse_public_url(text: &str) -> Parsed<Url> {
    const EXAMPLE: &str = "https://tools.example.org/api/mcp";
    let mut url = web_url(text, EXAMPLE)?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    if !is_plain || !url.username().is_empty() || url.password().is_some() {
        return Err(BadValue::new(
            format!("{KEY} may contain only a scheme, host, port and path"),
            format!("write `\"{EXAMPLE}\"`"),
        ));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn parse_origin(text: &str) -> Parsed<String> {
    let written = text.trim();
    let host = written
        .strip_prefix("http://")
        .or_else(|| written.strip_prefix("https://"));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', ' ']);
    if written == "*" || host.is_some_and(is_host) {
        return Ok(written.to_owned());
    }
    Err(BadValue::new(
        format!("{KEY}: `{written}` is not a valid origin"),
        "write only the scheme and host, `\"https://chat.example.org\"`, or `\"*\"`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, address) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            (" 0.0.0.0:1 ", "0.0.0.0:1"),
            ("[::1]:8000", "[::1]:8000"),
            ("localhost:80", "127.0.0.1:80"),
            ("*:80", "0.0.0.0:80"),
        ] {
            assert_eq!(parse_listen(text).unwrap().to_string(), address, "{text}");
        }
        for bad in ["", "8000", ":8000", "127.0.0.1", "127.0.0.1:99999", "a b:1"] {
            assert!(parse_listen(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn paths_are_normalized() {
        for (text, root, prefix) in [
            ("", "", "/"),
            ("/", "", "/"),
            ("api/", "/api", "/api/"),
            ("/api/mcpo", "/api/mcpo", "/api/mcpo/"),
        ] {
            assert_eq!(
                (root_path(text).as_str(), path_prefix(text).as_str()),
                (root, prefix)
            );
        }
    }
}
