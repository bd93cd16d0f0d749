//! [`RequestSender`]: what an HTTP request says about its sender, before it is verified.

use std::{convert::Infallible, fmt, ops::Deref, sync::Arc};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderValue, Method, Version, request::Parts, uri::Authority};

use super::server::{ClientConnection, ClientPeer};
use crate::{call::RequestOrigin, settings::RequestPlace, telemetry::RequestSpan};

/// The id of a request, for handlers.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id with this text.
    pub fn new(id: &HeaderValue) -> Self {
        Self(id.clone())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// The sender of a request.
#[derive(Debug)]
pub struct RequestSender {
    /// What does not depend on HTTP.
    pub origin: RequestOrigin,
    /// The HTTP method.
    pub method: Method,
    /// The host in the request target: `:authority` of HTTP/2.
    pub authority: Option<Authority>,
    /// The connection of the request.
    pub connection: Option<Arc<ClientConnection>>,
    /// Whether other requests share the connection (HTTP/2).
    pub is_multiplexed: bool,
}

impl RequestSender {
    /// Takes the sender from a request.
    pub fn take(parts: &mut Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<ClientPeer>>();
        let id = parts.extensions.get::<RequestId>();
        Self {
            connection: peer.map(|ConnectInfo(peer)| Arc::clone(&peer.connection)),
            is_multiplexed: parts.version > Version::HTTP_11,
            method: parts.method.clone(),
            authority: parts.uri.authority().cloned(),
            origin: RequestOrigin {
                // The IPv4 address of a client on an IPv6 socket is converted to plain IPv4.
                peer: peer.map(|ConnectInfo(peer)| peer.address.ip().to_canonical()),
                seat: parts.extensions.get::<Arc<RequestPlace>>().map(Arc::clone),
                request_id: id.map(RequestId::to_string).unwrap_or_default(),
                span: parts.extensions.remove::<RequestSpan>(),
                headers: std::mem::take(&mut parts.headers),
            },
        }
    }
}

impl Deref for RequestSender {
    type Target = RequestOrigin;

    fn deref(&self) -> &RequestOrigin {
        &self.origin
    }
}

/// This extractor takes the headers, so later extractors do not see them.
impl<S: Sync> FromRequestParts<S> for RequestSender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::take(parts))
    }
}
