//! The places of what we seal: `mcp-bridge secrets rotate` has to open all that anybody sealed, so
//! each kind is named here and nowhere else.

use crate::{
    store::{AccountKey, GroupKeyName},
    vault::Place,
};

/// An account, in `bridge_account`.
pub fn account(key: &AccountKey) -> Place<'_> {
    Place {
        kind: "account",
        workspace: &key.workspace,
        bridge: &key.bridge,
        subject: &key.subject,
    }
}

/// A login that somebody began, in `bridge_login`, by its id there.
pub fn login(id: &str) -> Place<'_> {
    Place {
        kind: "login",
        workspace: "",
        bridge: "",
        subject: id,
    }
}

/// A key of a group, in `tenant_server_keys`, which knows no workspaces: the group stands in for it.
pub fn group_key(name: &GroupKeyName) -> Place<'_> {
    Place {
        kind: "group_key",
        workspace: &name.group,
        bridge: &name.bridge,
        subject: &name.variable,
    }
}
