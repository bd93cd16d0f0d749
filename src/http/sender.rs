//! [`Sender`]: what a request brings to say who sent it, before anything of it is believed.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, Method, request::Parts, uri::Authority};

use super::layers::RequestId;
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
}

impl Sender {
    /// Takes the headers out of a request.
    pub fn take(parts: &mut Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let id = parts.extensions.get::<RequestId>();
        Self {
            // An IPv4 client of an IPv6 socket is written as what it is.
            peer: peer.map(|ConnectInfo(address)| address.ip().to_canonical()),
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
