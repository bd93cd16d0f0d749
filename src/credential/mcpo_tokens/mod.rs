//! [`McpoLogin`]: a login that mcpo stored. Users who migrate from mcpo need not log in again.
//!
//! mcpo writes the types of the Python SDK as plain JSON into `~/.mcpo/tokens`: `…_tokens.json` is
//! an `OAuthToken`, `…_client.json` an `OAuthClientInformationFull`. The files are only read.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use md5::{Digest as _, Md5};
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use crate::secret::Secret;

/// The maximum size of a file in bytes. Tokens take some kilobytes.
const FILE_MAX: u64 = 1024 * 1024;

/// The login that mcpo stored for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpoLogin {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token. Without one the login ends when the access token expires.
    pub refresh_token: Option<Secret>,
    /// The granted scopes, separated by spaces.
    pub scope: Option<String>,
    /// When the access token expires, in seconds since 1970, if the server said so.
    pub expires_at: Option<i64>,
    /// The OAuth client of mcpo, which a refresh needs.
    pub client: Option<McpoClient>,
}

/// The client that mcpo registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpoClient {
    /// Its ID.
    pub id: String,
    /// Its secret; public clients have none.
    pub secret: Option<Secret>,
    /// How it authenticates at the token endpoint, for example `client_secret_post`.
    pub auth_method: Option<String>,
    /// The allowed redirect URLs. A new login needs one of the bridge's own.
    pub redirect_uris: Vec<String>,
    /// The issuer that registered it. Newer SDKs store it.
    pub issuer: Option<String>,
}

/// Why a login cannot be taken over. Messages contain file names and positions, never values.
#[derive(Debug, thiserror::Error)]
pub enum McpoLoginError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The content does not have the format of mcpo.
    #[error("{} is not what mcpo writes: {why}", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// `OAuthToken`.
#[derive(Deserialize)]
struct McpoTokenFile {
    access_token: String,
    expires_in: Option<i64>,
    scope: Option<String>,
    refresh_token: Option<String>,
}

/// The fields of `OAuthClientInformationFull` that are used.
#[derive(Deserialize)]
struct McpoClientFile {
    #[serde(rename = "client_id")]
    id: String,
    #[serde(rename = "client_secret")]
    secret: Option<String>,
    token_endpoint_auth_method: Option<String>,
    redirect_uris: Option<Vec<String>>,
    issuer: Option<String>,
}

impl McpoLogin {
    /// Reads the login of a server from a folder such as `~/.mcpo/tokens`; `None` if there is none.
    pub fn read(folder: &Path, server: &str) -> Result<Option<Self>, McpoLoginError> {
        let stem = stem(server);
        let path = folder.join(format!("{stem}_tokens.json"));
        let Some((text, written_at)) = text(&path)? else {
            return Ok(None);
        };
        let shape = |path: PathBuf| |why| McpoLoginError::Shape { path, why };
        let mut login = Self::parse(&text, written_at).map_err(shape(path))?;
        let path = folder.join(format!("{stem}_client.json"));
        if let Some((text, _)) = self::text(&path)? {
            login.client = Some(McpoClient::parse(&text).map_err(shape(path))?);
        }
        Ok(Some(login))
    }

    /// Parses `…_tokens.json`, which was written at this time (seconds since 1970), without the
    /// client. The error is one clause and contains no values.
    pub fn parse(text: &str, written_at: i64) -> Result<Self, String> {
        let tokens: McpoTokenFile = json(text)?;
        if tokens.access_token.trim().is_empty() {
            return Err("`access_token` is empty".to_owned());
        }
        Ok(Self {
            access_token: Secret::new(tokens.access_token),
            refresh_token: secret(tokens.refresh_token),
            scope: tokens.scope,
            expires_at: tokens
                .expires_in
                .map(|seconds| written_at.saturating_add(seconds)),
            client: None,
        })
    }
}

impl McpoClient {
    /// Parses `…_client.json`. The error is one clause and contains no values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let client: McpoClientFile = json(text)?;
        Ok(Self {
            id: client.id,
            secret: secret(client.secret),
            auth_method: client.token_endpoint_auth_method,
            redirect_uris: client.redirect_uris.unwrap_or_default(),
            issuer: client.issuer,
        })
    }
}

/// The prefix of mcpo's file names for a server: the first eight hex digits of the MD5 hash of its
/// name.
fn stem(server: &str) -> String {
    let digest: [u8; 16] = Md5::digest(server).into();
    format!("{:08x}", u128::from_be_bytes(digest) >> 96)
}

/// Reads a file and its modification time; `None` if there is none.
fn text(path: &Path) -> Result<Option<(Zeroizing<String>, i64)>, McpoLoginError> {
    let failed = |error| McpoLoginError::Read {
        path: path.to_owned(),
        error,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let written = written.map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some((text, seconds(written))))
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// Parses JSON. The message of serde may repeat a value, so it is not passed on.
fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let what = if error.is_data() {
            "a member is missing or of another type"
        } else {
            "it is not valid JSON"
        };
        format!("{what}, line {} column {}", error.line(), error.column())
    })
}

/// A secret that is present and not blank.
fn secret(text: Option<String>) -> Option<Secret> {
    text.filter(|text| !text.trim().is_empty()).map(Secret::new)
}

#[cfg(test)]
mod tests;
