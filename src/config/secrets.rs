//! [`Config::secrets`]: what must never show.
//!
//! Not every value of a header or a variable is one: stars in place of a tenant's id, a region or the
//! address of a server would make answers useless. A secret is what stands under the name of one,
//! what looks like one, and what a URL keeps for its server.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderName;
use url::Url;

use super::{Bridge, Config, DatabaseUrl, KeyText, Remote, Stdio, Transport, lint};
use crate::secret::Secret;

/// Headers by their last word that tell a server what to do, and prove nothing.
const PLAIN_HEADERS: &[&str] = &[
    "ACCEPT", "AGENT", "CONTROL", "ENCODING", "HOST", "ID", "LANGUAGE", "MODE", "NAME", "ORIGIN",
    "READONLY", "REFERER", "REGION", "SITE", "TOOLS", "TOOLSETS", "TYPE", "URL", "VERSION",
];

impl Config {
    /// Every secret of the configuration, those of bridges included, for taking them out of texts.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = self.bridges.iter().flat_map(Bridge::secrets).collect();
        let identity = &self.identity;
        for key in &identity.keys {
            match &key.key {
                KeyText::Plain(text) => secrets.push(text.clone()),
                KeyText::Sha256(_) => {}
            }
        }
        secrets.extend(identity.open_webui.secret_key.clone());
        secrets.extend(identity.open_webui.jwt_secret.clone());
        secrets.extend(
            identity
                .gateway
                .as_ref()
                .and_then(|gateway| gateway.secret.clone()),
        );
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

impl Bridge {
    /// What must never show of this bridge.
    pub fn secrets(&self) -> Vec<Secret> {
        match &self.transport {
            Ok(Transport::Stdio(stdio)) => of_program(stdio),
            Ok(Transport::Remote(remote)) => of_remote(remote),
            Err(_) => Vec::new(),
        }
    }
}

/// Of the environment of a program, and of its arguments, where secrets do not belong.
fn of_program(stdio: &Stdio) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for (name, value) in &stdio.env {
        secrets.extend(of_value(name, value.expose()));
    }
    let mut before = "";
    for argument in &stdio.args {
        match argument.split_once('=') {
            Some((name, value)) => secrets.extend(of_value(name, value)),
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

/// Of a URL and of the headers that go there.
fn of_remote(remote: &Remote) -> Vec<Secret> {
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

/// Whether a header is no credential.
fn is_plain(name: &HeaderName) -> bool {
    let name = name.as_str().to_uppercase();
    let last = name.rsplit('-').next().unwrap_or_default();
    PLAIN_HEADERS.contains(&last)
}

/// Of a value with a name.
fn of_value(name: &str, value: &str) -> Vec<Secret> {
    let mut secrets = of_text(value);
    if lint::looks_secret(name) || lint::has_token_prefix(value) || lint::looks_random(value) {
        secrets.push(Secret::new(value));
    }
    secrets
}

/// Of a text: what a URL keeps for its server, the password of Basic credentials.
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

/// Of a URL: the password, a user without one, the values of its query that are keys; as they are and
/// as they are written.
fn of_url(url: &Url) -> Vec<Secret> {
    let mut secrets = Vec::new();
    let login = match url.password() {
        Some(password) => password,
        None if lint::looks_random(url.username()) => url.username(),
        None => "",
    };
    let plain = percent_encoding::percent_decode_str(login).decode_utf8_lossy();
    secrets.extend([Secret::new(login), Secret::new(plain)]);
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
