//! Every method on both databases.

mod access;
mod accounts;
mod calls;
mod directory;
mod migrate;
mod policy;
mod run;
mod seed;

use super::{ChangeActor, GrantRow};

/// An administrator of the default workspace.
fn actor() -> ChangeActor {
    of_workspace("default")
}

/// An administrator of a workspace.
fn of_workspace(workspace: &str) -> ChangeActor {
    ChangeActor {
        id: "root@example.com".to_owned(),
        proof: "session".to_owned(),
        workspace: workspace.to_owned(),
    }
}

/// A grant.
fn grant(group: &str, bridge: &str, tools: &[&str]) -> GrantRow {
    GrantRow {
        workspace: None,
        group: group.to_owned(),
        bridge: bridge.to_owned(),
        tools: tools.iter().map(|&tool| tool.to_owned()).collect(),
        read_only: false,
    }
}
