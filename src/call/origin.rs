//! [`RequestOrigin`]: what a request says about its sender, before it is verified.

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;

use crate::{
    auth::{Caller, RequestCredentials},
    rate::CallerKey,
    settings::RequestPlace,
    telemetry::RequestSpan,
};

/// Where a request comes from, whatever protocol it uses.
#[derive(Debug)]
pub struct RequestOrigin {
    /// The headers: credentials, trace context, and headers for the server.
    pub headers: HeaderMap,
    /// The address of the connection.
    pub peer: Option<IpAddr>,
    /// The request id, which is also in the log line and in the audit record.
    pub request_id: String,
    /// The span of the request, if traces are collected.
    pub span: Option<RequestSpan>,
    /// The request's place among the concurrent requests.
    pub seat: Option<Arc<RequestPlace>>,
}

impl RequestOrigin {
    /// The evidence of the sender's identity.
    pub fn evidence(&self) -> RequestCredentials<'_> {
        RequestCredentials {
            headers: &self.headers,
            peer: self.peer,
        }
    }

    /// The key under which the caller's use of resources is counted.
    pub fn key(&self, caller: &Caller) -> CallerKey {
        CallerKey::of(caller, self.peer)
    }
}
