//! Headers of a gateway in front of the bridge. They count only if the gateway authenticates
//! itself.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::{
    AuthenticationError, RequestCredentials,
    caller::{AuthenticationMethod, Caller},
    headers,
};
use crate::config;

/// Reads the gateway's headers.
#[derive(Debug)]
pub struct GatewayAuth {
    config: config::GatewaySettings,
}

/// What a request contains from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayHeaders {
    /// The request did not come from the gateway, so its headers are ignored. Whether there were
    /// any.
    Untrusted(bool),
    /// The request came from the gateway.
    Trusted(GatewayIdentity),
}

/// The values of the gateway's headers. A blank header counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayIdentity {
    /// The user's e-mail address.
    pub email: Option<String>,
    /// Their groups.
    pub groups: Vec<Arc<str>>,
    /// Whether the user is an administrator.
    pub is_admin: bool,
    /// The workspace whose data the user sees.
    pub workspace: Option<String>,
}

impl GatewayAuth {
    /// A gateway from the configuration.
    pub fn new(config: config::GatewaySettings) -> Self {
        Self { config }
    }

    /// Reads the gateway's headers of a request.
    pub fn read(
        &self,
        evidence: &RequestCredentials<'_>,
    ) -> Result<GatewayHeaders, AuthenticationError> {
        let sent = evidence.headers;
        if !self.is_trusted(evidence) {
            // The sender claims to be the gateway but has the wrong secret.
            if self.config.secret.is_some() && sent.contains_key(&self.config.secret_header) {
                return Err(AuthenticationError::Untrusted);
            }
            let value = sent.get(&self.config.email_header);
            return Ok(GatewayHeaders::Untrusted(
                value.is_some_and(|it| !it.is_empty()),
            ));
        }
        let admin = headers::text(sent, &self.config.admin_header)?;
        Ok(GatewayHeaders::Trusted(GatewayIdentity {
            email: headers::name(sent, &self.config.email_header)?.map(Into::into),
            groups: headers::groups(sent, &self.config.groups_header)?,
            is_admin: admin.is_some_and(|it| it.eq_ignore_ascii_case("true")),
            workspace: self.workspace(sent)?,
        }))
    }

    /// The headers that the gateway writes, except for the secret.
    pub fn names(&self) -> [&HeaderName; 4] {
        [
            &self.config.email_header,
            &self.config.groups_header,
            &self.config.admin_header,
            &self.config.workspace_header,
        ]
    }

    /// Whether the gateway consumes the credentials of requests in which it names the user.
    pub fn ignores_credentials(&self) -> bool {
        self.config.ignore_credentials
    }

    /// Whether the gateway removes these headers from client requests, so that they are certainly
    /// its own.
    pub fn strips_headers(&self) -> bool {
        self.config.strips_headers
    }

    /// The workspace that a request names. Use it only if the sender is trusted to choose one.
    pub fn workspace(&self, sent: &HeaderMap) -> Result<Option<String>, AuthenticationError> {
        Ok(headers::name(sent, &self.config.workspace_header)?.map(Into::into))
    }

    /// Whether the gateway sent the request. If peers and a secret are configured, both must match.
    /// If neither is configured, no sender counts as the gateway.
    fn is_trusted(&self, evidence: &RequestCredentials<'_>) -> bool {
        let peers = &self.config.trusted_peers;
        let is_peer = peers.is_empty() || evidence.peer.is_some_and(|peer| self.is_peer(peer));
        let secret = self.config.secret.as_ref();
        let is_proven = secret.is_none_or(|secret| {
            let mut values = evidence.headers.get_all(&self.config.secret_header).iter();
            let sent = values.next().and_then(|value| value.to_str().ok());
            values.next().is_none() && sent.is_some_and(|sent| secret.matches(sent))
        });
        (!peers.is_empty() || secret.is_some()) && is_peer && is_proven
    }

    /// Whether an address belongs to the gateway. A dual-stack socket reports IPv4 peers as
    /// `::ffff:a.b.c.d`.
    fn is_peer(&self, peer: IpAddr) -> bool {
        let plain = peer.to_canonical();
        let mut blocks = self.config.trusted_peers.iter();
        blocks.any(|block| block.contains(&plain) || block.contains(&peer))
    }
}

impl GatewayIdentity {
    /// The caller, if the gateway names one.
    pub fn caller(&self) -> Option<Caller> {
        let email = self.email.as_deref()?;
        let mut caller = Caller::user(None, Some(email), AuthenticationMethod::Gateway);
        caller.is_admin = self.is_admin;
        self.add_to(&mut caller);
        Some(caller)
    }

    /// Adds the groups and the workspace to a caller that a token authenticated or that the gateway
    /// named.
    pub fn add_to(&self, caller: &mut Caller) {
        if !self.groups.is_empty() {
            let own = caller.groups.iter().flat_map(|groups| groups.iter());
            let all = own.chain(&self.groups).map(AsRef::as_ref);
            caller.groups = Some(headers::unique(all).into());
        }
        if let Some(workspace) = &self.workspace {
            caller.workspace = workspace.as_str().into();
        }
    }

    /// Whether there is anything to add to a caller.
    pub fn adds(&self) -> bool {
        !self.groups.is_empty() || self.workspace.is_some()
    }
}
