//! [`Sender`]: what a request brings to say who sent it, before anything of it is believed.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, Method, Version, request::Parts, uri::Authority};

use super::{
    connections::{Connection, Peer},
    gate::Seat,
    layers::RequestId,
};
use crate::{auth::Evidence, telemetry::RequestSpan};

/// The other end.
#[derive(Debug)]
pub struct Sender {
    /// The headers.
    pub headers: HeaderMap,
    /// What it asks to be done.
    pub method: Method,
    /// The host in the request target: `:authority` of HTTP/2.
    pub authority: Option<Authority>,
    /// The address that the connection came from.
    pub peer: Option<IpAddr>,
    /// As in the answer's `X-Request-Id`.
    pub request_id: String,
    /// What a call is a part of, where traces are collected.
    pub span: Option<RequestSpan>,
    /// The connection that it came on.
    pub connection: Option<Arc<Connection>>,
    /// Its place among the requests that are served at once.
    pub seat: Option<Arc<Seat>>,
    /// Whether other requests share its connection with it (HTTP/2).
    pub is_multiplexed: bool,
}

impl Sender {
    /// Takes the headers out of a request.
    pub fn take(parts: &mut Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let id = parts.extensions.get::<RequestId>();
        Self {
            // An IPv4 client of an IPv6 socket is written as what it is.
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

    /// What proves who they are.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            headers: &self.headers,
            peer: self.peer,
        }
    }
}

/// The headers are gone for extractors after this one.
impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::take(parts))
    }
}
