//! [`Sender`]: what a request says about its sender, before it is verified.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, Method, Version, request::Parts, uri::Authority};

use super::{
    connections::{Connection, Peer},
    layers::RequestId,
};
use crate::{auth::Evidence, settings::Seat, telemetry::RequestSpan};

/// The sender of a request.
#[derive(Debug)]
pub struct Sender {
    /// The headers.
    pub headers: HeaderMap,
    /// The HTTP method.
    pub method: Method,
    /// The host in the request target: `:authority` of HTTP/2.
    pub authority: Option<Authority>,
    /// The address of the connection.
    pub peer: Option<IpAddr>,
    /// The request id, which is also in the response's `X-Request-Id`.
    pub request_id: String,
    /// The span of the request, if traces are collected.
    pub span: Option<RequestSpan>,
    /// The connection of the request.
    pub connection: Option<Arc<Connection>>,
    /// The request's place among the concurrent requests.
    pub seat: Option<Arc<Seat>>,
    /// Whether other requests share the connection (HTTP/2).
    pub is_multiplexed: bool,
}

impl Sender {
    /// Takes the sender from a request.
    pub fn take(parts: &mut Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let id = parts.extensions.get::<RequestId>();
        Self {
            // The IPv4 address of a client on an IPv6 socket is converted to plain IPv4.
            peer: peer.map(|ConnectInfo(peer)| peer.address.ip().to_canonical()),
            connection: peer.map(|ConnectInfo(peer)| Arc::clone(&peer.connection)),
            seat: parts.extensions.get::<Arc<Seat>>().map(Arc::clone),
            is_multiplexed: parts.version > Version::HTTP_11,
            request_id: id.map(RequestId::to_string).unwrap_or_default(),
            method: parts.method.clone(),
            authority: parts.uri.authority().cloned(),
            span: parts.extensions.remove::<RequestSpan>(),
            headers: std::mem::take(&mut parts.headers),
        }
    }

    /// The evidence of the sender's identity.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            headers: &self.headers,
            peer: self.peer,
        }
    }
}

/// This extractor takes the headers, so later extractors do not see them.
impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::take(parts))
    }
}
