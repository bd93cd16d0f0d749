//! `[server]`: the listen address and the HTTP settings.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::{
    ServerSettings, TlsSettings,
    diagnostic::Span,
    reader::{ConfigReader, ScalarSetting, Text},
};

/// The maximum `drain_delay`. A service manager kills the process long before.
const DELAY_MAX: Duration = Duration::from_mins(10);

/// The minimum number of connections. With fewer, one busy client would block all others.
const CONNECTIONS_MIN: usize = 16;

/// The section in the file. Defaults are those of [`ServerSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerTable {
    listen: Option<Text>,
    root_path: Option<Text>,
    path_prefix: Option<Text>,
    public_url: Option<Text>,
    public_spec: Option<bool>,
    drop_dead: Option<bool>,
    cors_allow_origins: Option<Vec<Text>>,
    tls_cert: Option<Text>,
    tls_key: Option<Text>,
    connections_max: Option<Spanned<ScalarSetting>>,
    drain_delay: Option<Text>,
    drain_timeout: Option<Text>,
    title: Option<Text>,
    description: Option<Text>,
    version: Option<Text>,
}

/// The section, and the position of `listen`.
pub(super) struct ServerSection {
    /// The section.
    pub(super) server: ServerSettings,
    /// For problems that other sections have with the address.
    pub(super) listen: Option<Span>,
}

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

impl ServerTable {
    /// Validates and resolves the section.
    pub(super) fn resolve(self, reader: &mut ConfigReader<'_>) -> ServerSection {
        let mut server = ServerSettings::default();
        let at = self.listen.as_ref().map(Text::span);
        if let Some(listen) = self.listen.and_then(|text| reader.required(&text)) {
            match parse_listen(listen.get_ref()) {
                Ok(address) => server.listen = address,
                Err(reason) => {
                    reader
                        .problems
                        .error(&listen.span(), format!("`listen`: {reason}"))
                        .hint(
                            "write `\"127.0.0.1:8000\"`, or `\"0.0.0.0:8000\"` for every interface",
                        );
                }
            }
        }
        for (key, text, place) in [
            ("root_path", self.root_path, &mut server.root_path),
            ("path_prefix", self.path_prefix, &mut server.path_prefix),
        ] {
            if let Some(text) = text.and_then(|text| reader.required(&text)) {
                if let Some(odd) = odd_in_path(text.get_ref()) {
                    reader
                        .problems
                        .error(&text.span(), format!("`{key}` cannot contain {odd:?}"))
                        .hint("write a path such as `\"/api/mcpo\"`");
                }
                *place = text.into_inner();
            }
        }
        server.root_path = root_path(&server.root_path);
        server.path_prefix = path_prefix(&server.path_prefix);
        server.public_url = self.public_url.and_then(|text| public_url(reader, &text));
        server.public_spec = self.public_spec.unwrap_or(server.public_spec);
        server.drop_dead = self.drop_dead.unwrap_or(server.drop_dead);
        server.cors_allow_origins = self
            .cors_allow_origins
            .unwrap_or_default()
            .iter()
            .filter_map(|text| origin(reader, text))
            .collect();
        if let Some(scalar) = self.connections_max
            && let Some(number) = reader.count("connections_max", &scalar, CONNECTIONS_MIN)
        {
            server.connections_max = number;
        }
        server.tls = tls(reader, self.tls_cert, self.tls_key);
        if let Some(text) = self.drain_delay.and_then(|text| reader.required(&text))
            && let Some(delay) = reader.duration_from_zero("drain_delay", &text, DELAY_MAX)
        {
            server.drain_delay = delay;
        }
        if let Some(text) = self.drain_timeout.and_then(|text| reader.required(&text))
            && let Some(duration) = reader.duration("drain_timeout", &text)
        {
            server.drain_timeout = duration;
        }
        for (text, place) in [
            (self.title, &mut server.title),
            (self.description, &mut server.description),
            (self.version, &mut server.version),
        ] {
            if let Some(text) = text.and_then(|text| reader.required(&text)) {
                *place = text.into_inner();
            }
        }
        ServerSection { server, listen: at }
    }
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

/// Reads the public address for browsers. `None`: blank, or already reported.
fn public_url(reader: &mut ConfigReader<'_>, text: &Text) -> Option<Url> {
    const EXAMPLE: &str = "https://tools.example.org/api/mcp";
    let text = reader.optional(text)?.ok()?;
    let mut url = reader.web_url("public_url", &text, EXAMPLE)?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    if !is_plain || !url.username().is_empty() || url.password().is_some() {
        reader
            .problems
            .error(
                &text.span(),
                "`public_url` may contain only a scheme, host, port and path",
            )
            .hint(format!("write `\"{EXAMPLE}\"`"));
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

fn origin(reader: &mut ConfigReader<'_>, text: &Text) -> Option<String> {
    let text = reader.required(text)?;
    let written = text.get_ref().trim();
    if written == "*" {
        return Some(written.to_owned());
    }
    let host = written
        .strip_prefix("http://")
        .or_else(|| written.strip_prefix("https://"));
    if host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' '])) {
        return Some(written.to_owned());
    }
    reader
        .problems
        .error(
            &text.span(),
            format!("`cors_allow_origins`: `{written}` is not a valid origin"),
        )
        .hint("write only the scheme and host, `\"https://chat.example.org\"`, or `\"*\"`");
    None
}

fn tls(
    reader: &mut ConfigReader<'_>,
    cert: Option<Text>,
    key: Option<Text>,
) -> Option<TlsSettings> {
    let (there, other) = match (cert, key) {
        (None, None) => return None,
        (Some(cert), Some(key)) => {
            let (cert, key) = (reader.required(&cert)?, reader.required(&key)?);
            return Some(TlsSettings {
                cert_file: reader.folder.join(cert.into_inner()),
                key_file: reader.folder.join(key.into_inner()),
            });
        }
        (Some(cert), None) => (cert, "tls_key"),
        (None, Some(key)) => (key, "tls_cert"),
    };
    reader
        .problems
        .error(&there.span(), format!("TLS needs `{other}` too"))
        .hint(format!(
            "add `{other} = \"/path/to/file.pem\"`, or leave both out for plain HTTP"
        ));
    None
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
