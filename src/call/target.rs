//! [`ToolRef`]: the tool that a caller asks for. It may not exist.

use std::sync::Arc;

use super::error::{ServiceError, shown};
use crate::{
    access::{AccessRule, CallAuthorization, Permissions},
    bridge::{Bridge, BridgePhase, BridgeRegistry, ToolEntry},
};

/// A requested tool. It may not exist.
#[derive(Debug, Clone)]
pub struct ToolRef {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// The requested name.
    pub tool: String,
}

impl ToolRef {
    /// Finds the tool for an operation ID of the merged document. An ID without a tool may name a
    /// tool of a bridge that has just connected or is down. `None` if no bridge owns the ID.
    pub fn by_id(registry: &BridgeRegistry, id: &str) -> Option<Self> {
        if let Some((bridge, entry)) = registry.catalogue().by_id(id) {
            let tool = entry.tool.name.to_string();
            return Some(Self { bridge, tool });
        }
        let roster = registry.roster();
        let (owner, tool) = roster.id_owners().owner(id)?;
        Some(Self {
            bridge: Arc::clone(roster.get(owner.as_str())?),
            tool: tool.to_owned(),
        })
    }

    /// The tool, or an error that says why it cannot be used.
    pub fn find(&self) -> Result<Arc<ToolEntry>, ServiceError> {
        let Self { bridge, tool } = self;
        if let Some(entry) = bridge.live.tools.load().get(tool) {
            return Ok(Arc::clone(entry));
        }
        let status = bridge.status();
        match status.phase {
            BridgePhase::Disabled => Err(bridge.unavailable(&status).into()),
            // The bridge is not connected, so whether the tool exists is not known yet.
            BridgePhase::Starting
            | BridgePhase::BackingOff
            | BridgePhase::Failed
            | BridgePhase::NeedsLogin
                if bridge.live.tools.load().entries.is_empty() =>
            {
                Err(bridge.unavailable(&status).into())
            }
            BridgePhase::Starting
            | BridgePhase::BackingOff
            | BridgePhase::Failed
            | BridgePhase::NeedsLogin
            | BridgePhase::Ready
            | BridgePhase::Idle => Err(ServiceError::not_found(format!(
                "bridge `{name}` has no tool `{tool}`; GET /{name} lists what it has",
                name = bridge.name(),
                tool = shown(tool),
            ))),
        }
    }

    /// Checks access in the same way for a tool that exists and for one that does not. A caller
    /// without access does not learn which of the two it is.
    pub fn enter(&self, view: &Permissions) -> Result<(), ServiceError> {
        let Self { bridge, tool } = self;
        let entered = match bridge.live.tools.load().get(tool) {
            Some(entry) => view.authorize(bridge.name(), &entry.tool).map(|_grant| ()),
            None => view.enter_for(bridge.name(), tool).map(|_rule| ()),
        };
        entered.map_err(|denial| ServiceError::denied(&denial, bridge.name(), Some(tool)))
    }

    /// Finds the tool and checks access. Passes the rule that decides to `decided`.
    pub fn authorize(
        &self,
        view: &Permissions,
        decided: impl FnOnce(&AccessRule),
    ) -> Result<(Arc<ToolEntry>, CallAuthorization), ServiceError> {
        let bridge = self.bridge.name();
        let denied = match self.find() {
            Ok(entry) => match view.authorize(bridge, &entry.tool) {
                Ok(grant) => {
                    decided(&grant.rule);
                    return Ok((entry, grant));
                }
                Err(denial) => denial,
            },
            Err(missing) => match view.enter_for(bridge, &self.tool) {
                Ok(rule) => {
                    decided(&rule);
                    return Err(missing);
                }
                Err(denial) => denial,
            },
        };
        decided(&denied.rule);
        Err(ServiceError::denied(&denied, bridge, Some(&self.tool)))
    }
}
