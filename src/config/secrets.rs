//! [`Config::secrets`]: the values that must never be shown, and how the types that contain them are
//! displayed.
//!
//! Not every value of a header or a variable is a secret. Asterisks instead of a tenant's id, a region or a
//! server's address would make answers useless. A value is secret if its name indicates it, if it looks like
//! a token, or if it is a private part of a URL.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderName;
use url::Url;

use crate::{
    config::{
        ApiKeyValue, BridgeSettings, Config, DatabaseUrl, RemoteSettings, StdioSettings,
        TransportSettings, read::lint,
    },
    secret::Secret,
};

/// Headers, by their last word, that carry options and no credentials.
const PLAIN_HEADERS: &[&str] = &[
    "ACCEPT", "AGENT", "CONTROL", "ENCODING", "HOST", "ID", "LANGUAGE", "MODE", "NAME", "ORIGIN",
    "READONLY", "REFERER", "REGION", "SITE", "TOOLS", "TOOLSETS", "TYPE", "URL", "VERSION",
];

impl Config {
    /// Returns every secret of the configuration, including those of bridges, for redaction.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = self
            .bridges
            .iter()
            .flat_map(BridgeSettings::secrets)
            .collect();
        let identity = &self.identity;
        for key in &identity.keys {
            match &key.key {
                ApiKeyValue::Plain(text) => secrets.push(text.clone()),
                ApiKeyValue::Sha256(_) => {}
            }
        }
        secrets.extend(identity.open_webui.secret_key.clone());
        secrets.extend(identity.open_webui.jwt_secret.clone());
        secrets.extend(identity.open_webui.url.iter().flat_map(of_url));
        for issuer in &identity.oidc {
            secrets.extend(of_url(&issuer.issuer));
            secrets.extend(issuer.jwks_url.iter().flat_map(of_url));
        }
        secrets.extend(
            identity
                .gateway
                .as_ref()
                .and_then(|gateway| gateway.secret.clone()),
        );
        if let Some(otlp) = &self.telemetry.otlp {
            secrets.extend(of_url(&otlp.url));
            secrets.extend(otlp.headers.iter().map(|(_name, value)| value.clone()));
        }
        if let Some(kept) = &self.database {
            for url in [Some(&kept.url), kept.open_webui.as_ref()] {
                if let Some(DatabaseUrl::Postgres(url)) = url {
                    secrets.extend(of_text(url.expose()));
                }
            }
            secrets.extend(kept.secret_key.iter().cloned());
            secrets.extend(kept.secret_keys_old.iter().cloned());
            if let Some(redis) = &kept.redis {
                secrets.extend(of_text(redis.url.expose()));
            }
        }
        secrets
    }
}

impl BridgeSettings {
    /// Returns the secrets of this bridge.
    pub fn secrets(&self) -> Vec<Secret> {
        match &self.transport {
            Ok(TransportSettings::Stdio(stdio)) => of_program(stdio),
            Ok(TransportSettings::Remote(remote)) => of_remote(remote),
            Err(_) => Vec::new(),
        }
    }
}

/// Hides the arguments, because operators put secrets there.
impl fmt::Debug for StdioSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StdioSettings")
            .field("command", &self.command)
            .field("args", &self.args.len())
            .field("env", &self.env)
            .field("inherit_env", &self.inherit_env)
            .field("cwd", &self.cwd)
            .field("user", &self.user)
            .finish()
    }
}

/// Shows only the origin of the URL, because the rest may be secret.
impl fmt::Debug for RemoteSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteSettings")
            .field("url", &self.url.origin().ascii_serialization())
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .field("protocol", &self.protocol)
            .field("oauth", &self.oauth)
            .field("pass_headers", &self.pass_headers)
            .finish()
    }
}

/// Returns the secrets in the environment and in the arguments of a program.
fn of_program(stdio: &StdioSettings) -> Vec<Secret> {
    let mut secrets = of_text(&stdio.command);
    for (name, value) in &stdio.env {
        secrets.extend(of_value(name, value.expose()));
    }
    let mut before = "";
    for argument in &stdio.args {
        secrets.extend(of_text(argument));
        // `--token=x`, `--token x`, `--header "Authorization: x"`.
        match argument.split_once(['=', ':']) {
            Some((name, value)) => secrets.extend(of_value(name, value.trim())),
            None if argument.starts_with('-') => {}
            None => secrets.extend(of_value(before, argument)),
        }
        before = if argument.starts_with('-') {
            argument
        } else {
            ""
        };
    }
    secrets
}

/// Returns the secrets in a URL and its headers.
fn of_remote(remote: &RemoteSettings) -> Vec<Secret> {
    let mut secrets = of_url(&remote.url);
    for (name, value) in &remote.headers {
        secrets.extend(of_value("", value.expose()));
        if !is_plain(name) || lint::looks_secret(name.as_str()) {
            secrets.push(value.clone());
        }
    }
    let client = remote.oauth.as_ref();
    secrets.extend(client.and_then(|client| client.client_secret.clone()));
    secrets
}

/// Whether a header is not a credential.
fn is_plain(name: &HeaderName) -> bool {
    let name = name.as_str().to_uppercase();
    let last = name.rsplit('-').next().unwrap_or_default();
    PLAIN_HEADERS.contains(&last)
}

/// Returns the secrets in a named value.
fn of_value(name: &str, value: &str) -> Vec<Secret> {
    let mut secrets = of_text(value);
    if lint::looks_secret(name) || lint::has_token_prefix(value) || lint::looks_random(value) {
        secrets.push(Secret::new(value));
    }
    secrets
}

/// Returns the secrets in a text: private parts of a URL, and the password of Basic credentials.
fn of_text(text: &str) -> Vec<Secret> {
    if let Some(login) = text.trim().strip_prefix("Basic ") {
        let login = BASE64_STANDARD.decode(login.trim()).ok();
        let login = login.and_then(|login| String::from_utf8(login).ok());
        let password = login.as_deref().and_then(|login| login.split_once(':'));
        return password
            .map(|(_user, password)| Secret::new(password))
            .into_iter()
            .collect();
    }
    match Url::parse(text.trim()) {
        Ok(url) if text.contains("://") => of_url(&url),
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Returns the secrets in a URL: the password, a user without a password, query values that are keys (decoded
/// and as written), and random parts of its path.
fn of_url(url: &Url) -> Vec<Secret> {
    let mut secrets = Vec::new();
    let login = match url.password() {
        Some(password) => password,
        None if matches!(url.scheme(), "http" | "https") => url.username(),
        None => "",
    };
    let plain = percent_encoding::percent_decode_str(login).decode_utf8_lossy();
    secrets.extend([Secret::new(login), Secret::new(plain)]);
    let parts = url.path_segments().into_iter().flatten();
    secrets.extend(
        parts
            .filter(|part| lint::looks_random(part))
            .map(Secret::new),
    );
    let pairs = url.query().unwrap_or_default().split('&');
    let written = pairs.map(|pair| pair.split_once('=').unwrap_or(("", pair)));
    for ((name, value), (_, written)) in url.query_pairs().zip(written) {
        if lint::looks_secret(&name) || lint::has_token_prefix(&value) || lint::looks_random(&value)
        {
            secrets.extend([Secret::new(value), Secret::new(written)]);
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{CliOverrides, Environment, LoadedConfig, load_with, single};

    /// All places that can contain a secret, each with the value `planted-NUMBER`.
    const FILE: &str = r#"
[database]
url       = "postgres://bridge:planted%2D01@db.example.org/bridge?sslpassword=planted-02"
redis_url = "redis://:planted-03@redis.example.org/0"

[identity.keys.team]
key = "planted-04"

[identity.open_webui]
secret_key = "planted-05"
jwt_secret = "planted-06"

[identity.gateway]
enabled = true
secret  = "planted-07"

[bridges.program]
command = "npx"
args    = [
    "--api-key=planted-08", "--token", "planted-09", "--header", "Authorization: Bearer planted-10",
    "postgres://user:planted-11@db.example.org/x", "${ARG_TOKEN}",
]
env     = { X_TOKEN = "planted-13", DSN = "https://planted-14@sentry.example.org/7", PLAIN = "a-${PART_SECRET}-b" }

[bridges.remote]
url     = "https://user:planted-16@mcp.example.org/s/${PATH_KEY}/mcp?apiKey=planted-18&toolsets=repos,issues"
headers = { Authorization = "Basic dXNlcjpwbGFudGVkLTE5", X-Api-Key = "planted-20", X-Grafana-Url = "https://plain-headers.example.org", X-Odd = "planted-21" }

[bridges.files]
command = "plain-command"
env     = { A = "${file:secret}", TENANT_ID = "plain-tenant-id", REGION = "eu-central-1", GITHUB_PAT = "${UNSET_KEY:-planted-23}" }
"#;

    fn loaded() -> LoadedConfig {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("bridges.toml", FILE);
        write("secret", "planted-22\n");
        write(".env", "PART_SECRET=planted-15\n");
        let environment = Environment::of([
            ("ARG_TOKEN", "planted-12"),
            ("PATH_KEY", "planted-17"),
            ("UNUSED_API_KEY", "planted-24"),
            ("PWD", "/plain-folder"),
            ("SECRET_KEY_FILE", "/run/plain-file"),
        ]);
        let path = folder.path().join("bridges.toml");
        load_with(&path, &environment, &CliOverrides::default()).unwrap()
    }

    #[test]
    fn every_secret_of_a_configuration_is_known() {
        let secrets: BTreeSet<String> = loaded()
            .secrets()
            .map(|secret| secret.expose().to_owned())
            .collect();
        for number in 1..=24 {
            let planted = format!("planted-{number:02}");
            let is_known = secrets.iter().any(|it| it.ends_with(&planted));
            assert!(is_known, "{planted} is not in {secrets:#?}");
        }
        let plain = secrets.iter().find(|it| it.contains("plain-"));
        assert_eq!(plain, None);
        assert!(!secrets.contains("eu-central-1") && !secrets.contains("repos,issues"));
    }

    #[test]
    fn what_is_printed_for_debugging_shows_no_secret() {
        let loaded = loaded();
        let mut shown = vec![format!("{loaded:?}{loaded:#?}{:?}", loaded.config)];
        for bridge in &loaded.config.bridges {
            let transport = &bridge.transport;
            shown.push(format!("{bridge:?}{transport:?}{transport:#?}"));
            shown.push(match transport.as_ref().unwrap() {
                TransportSettings::Stdio(stdio) => format!("{stdio:?}{stdio:#?}"),
                TransportSettings::Remote(remote) => format!("{remote:?}{remote:#?}"),
            });
        }
        let words = ["npx", "--token", "planted-25", "https://u:planted-26@h/"].map(str::to_owned);
        let environment = Environment::of([("X_TOKEN", "planted-27")]);
        let single = single(&words, &environment, &CliOverrides::default()).unwrap();
        shown.push(format!("{single:?}{single:#?}{environment:?}"));
        let shown = shown.concat();
        let found = shown.split("planted").nth(1);
        assert_eq!(
            found.map(|rest| rest.chars().take(80).collect::<String>()),
            None
        );
        assert!(shown.contains("***"));
    }
}
