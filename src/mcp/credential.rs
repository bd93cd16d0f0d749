//! [`TokenSource`]: a token that may change during a session. [`AuthorizedClient`]: sends requests with it.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use reqwest::{RequestBuilder, Response};

use super::{
    error::TokenError,
    http::{TransportError, send},
    oauth,
};
use crate::secret::Secret;

/// The credential that a session presents to its server. All sessions of one account share one value, so that
/// a refresh happens only once.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Returns the current token. It is refreshed before it expires.
    fn token(&self) -> BoxFuture<'_, Result<Secret, TokenError>>;

    /// Returns another token after the server refused this one with 401.
    fn renewed<'a>(&'a self, refused: &'a Secret) -> BoxFuture<'a, Result<Secret, TokenError>>;

    /// Records scopes that the server requires, separated by spaces. The next login asks for them.
    fn lacks<'a>(&'a self, scopes: &'a str) -> BoxFuture<'a, TokenError>;
}

/// Sends the requests of one connection, each with the current token.
#[derive(Debug, Clone)]
pub struct AuthorizedClient {
    /// The connection pool.
    pub client: reqwest::Client,
    /// The credential; `None` if the configured headers are enough.
    pub credential: Option<Arc<dyn TokenSource>>,
}

impl AuthorizedClient {
    /// Sends a request. If the server refuses the token, the token is renewed and the request is sent once
    /// more. A server that answers 401 has not acted on the request (RFC 9110 §15.5.2).
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, TransportError> {
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
            return Err(TokenError::NeedsLogin(words.to_owned()).into());
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

/// Builds `Authorization: Bearer …`, marked as sensitive so that it is not logged.
fn bearer(token: &Secret) -> Result<HeaderMap, TransportError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
        TransportError::NotSent("the token has characters that HTTP forbids".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
