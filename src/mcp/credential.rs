//! [`Credential`]: a token that may change while a session lives; and [`Courier`], which sends requests
//! with it.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use reqwest::{RequestBuilder, Response};

use super::{
    http::{Failure, send},
    oauth,
};
use crate::secret::Secret;

/// Why there is no token to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// Somebody has to log in: nobody has yet, or what they got no longer counts.
    #[error("{0}")]
    NeedsLogin(String),
    /// The token counts, and does not reach far enough for this call (RFC 6750 `insufficient_scope`):
    /// somebody has to log in once more, for these scopes too.
    #[error("{0}")]
    NeedsScope(String),
    /// The server gives us none, and nobody can log in for it: its settings are wrong.
    #[error("{0}")]
    Refused(String),
    /// It may work in a moment: the token endpoint or our database does not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// What a session shows to its server. One value serves all sessions of one account, so that a
/// refresh happens once.
pub trait Credential: fmt::Debug + Send + Sync {
    /// The token that counts now, refreshed ahead of its end.
    fn token(&self) -> BoxFuture<'_, Result<Secret, NoToken>>;

    /// Another token, after the server refused this one with 401.
    fn renewed<'a>(&'a self, refused: &'a Secret) -> BoxFuture<'a, Result<Secret, NoToken>>;

    /// The server wants these scopes, separated by spaces: they are asked for at the next login.
    fn lacks<'a>(&'a self, scopes: &'a str) -> BoxFuture<'a, NoToken>;
}

/// Sends the requests of one connection, each with the token that counts then.
#[derive(Debug, Clone)]
pub struct Courier {
    /// The connection pool.
    pub client: reqwest::Client,
    /// What to show; `None` where the headers say it all.
    pub credential: Option<Arc<dyn Credential>>,
}

impl Courier {
    /// Sends a request. A token that the server refuses is renewed, and the request sent once more:
    /// a server that answers 401 has not acted on it (RFC 9110 §15.5.2).
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let Some(credential) = &self.credential else {
            return Ok(send(request).await?);
        };
        let token = credential.token().await?;
        let again = request.try_clone();
        let response = send(request.headers(bearer(&token)?)).await?;
        let response = match (response.status(), again) {
            (StatusCode::UNAUTHORIZED, Some(again)) => {
                let token = credential.renewed(&token).await?;
                send(again.headers(bearer(&token)?)).await?
            }
            _ => response,
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            let words = "the server refuses the token, and a renewed one too";
            return Err(NoToken::NeedsLogin(words.to_owned()).into());
        }
        match lacking(&response) {
            Some(scopes) => Err(credential.lacks(&scopes).await.into()),
            None => Ok(response),
        }
    }
}

/// The scopes that a 403 asks for (RFC 6750 §3.1).
fn lacking(response: &Response) -> Option<String> {
    if response.status() != StatusCode::FORBIDDEN {
        return None;
    }
    let challenges = oauth::challenges(response.headers());
    oauth::lacking(&challenges).map(str::to_owned)
}

/// `Authorization: Bearer …`, marked so that nobody logs it.
fn bearer(token: &Secret) -> Result<HeaderMap, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| Failure::NotSent("its token has characters that HTTP forbids".to_owned()))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
