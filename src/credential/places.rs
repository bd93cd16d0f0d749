//! The places of encrypted texts. `mcp-bridge secrets rotate` must open everything that was ever
//! sealed, so each kind is defined here and nowhere else.

use crate::{
    store::{AccountKey, GroupKeyName},
    vault::ValueLocation,
};

/// An account, in `bridge_account`.
pub fn account(key: &AccountKey) -> ValueLocation<'_> {
    ValueLocation {
        kind: "account",
        workspace: &key.workspace,
        bridge: &key.bridge,
        subject: &key.subject,
    }
}

/// A login in progress, in `bridge_login`, by its ID there.
pub fn login(id: &str) -> ValueLocation<'_> {
    ValueLocation {
        kind: "login",
        workspace: "",
        bridge: "",
        subject: id,
    }
}

/// A key of a group, in `tenant_server_keys`. That table has no workspaces, so the group takes
/// their place.
pub fn group_key(name: &GroupKeyName) -> ValueLocation<'_> {
    ValueLocation {
        kind: "group_key",
        workspace: &name.group,
        bridge: &name.bridge,
        subject: &name.variable,
    }
}
