//! Opens the database of the configuration and runs one command.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

use super::{
    args::{AccessCommand, GrantArgs, RevokeArgs},
    explain, group_keys, keys,
};
use crate::{
    access::{GroupMention, bounds_advice, bridge_advice, check_glob, group_advice, known_groups},
    auth::{AuthSources, AuthenticationMethod},
    bridge::KnownTools,
    cli::{
        args::ConfigOptions,
        output::{complain, fail, print},
        serve, sources,
    },
    config::{self, Config},
    mcp,
    name::check_name,
    store::{ChangeActor, GrantRow, Store},
};

/// The workspace of an actor who manages all workspaces.
const EVERY_WORKSPACE: &str = "*";

/// The configuration and the data sources that every command uses.
pub struct AccessContext {
    /// The configuration.
    pub config: Config,
    /// The database of mcp-bridge.
    pub store: Arc<Store>,
    /// The other data sources of the configuration.
    pub sources: AuthSources,
}

/// Runs one command.
pub fn main(start: &ConfigOptions, command: AccessCommand) -> ExitCode {
    let loaded = match (serve::plan(start).source)() {
        Ok(loaded) => loaded,
        Err(problems) => return serve::refuse(&problems),
    };
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(loaded.config, command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(config: Config, command: AccessCommand) -> anyhow::Result<()> {
    let desk = AccessContext::open(config).await?;
    match command {
        AccessCommand::Explain { user, bridge, tool } => {
            explain::run(&desk, &user, &bridge, tool.as_deref()).await
        }
        AccessCommand::List { group, json } => list(&desk, group.as_deref(), json).await,
        AccessCommand::Grant(grant) => desk.grant(grant).await,
        AccessCommand::Revoke(args) => desk.revoke(args).await,
        AccessCommand::Members { group, json } => members(&desk, group.as_deref(), json).await,
        AccessCommand::Add { user, group } => desk.add(&user, &group).await,
        AccessCommand::Remove { user, group } => desk.remove(&user, &group).await,
        AccessCommand::Admin { user, remove } => desk.set_admin(&user, !remove).await,
        AccessCommand::Key(command) => keys::run(&desk, command).await,
        AccessCommand::GroupKey(command) => group_keys::run(&desk, command).await,
    }
}

impl AccessContext {
    /// Opens the database, and creates its tables if they are missing.
    async fn open(config: Config) -> anyhow::Result<Self> {
        let sources = sources::open(&config, mcp::http_client()?, TaskTracker::new())?;
        let store = sources.store.clone().context(
            "this configuration has no database, so it has no grants: use a `bridges.toml` with [access.groups]",
        )?;
        let applied = store.migrate().await?;
        if !applied.is_empty() {
            complain(&format!("applied migrations: {}", applied.join(", ")));
            store.seed(&config.access).await?;
        }
        Ok(Self {
            config,
            store,
            sources,
        })
    }

    /// The actor in the record of changes.
    pub fn actor() -> ChangeActor {
        ChangeActor {
            id: "operator".to_owned(),
            proof: AuthenticationMethod::Operator.as_str().to_owned(),
            workspace: EVERY_WORKSPACE.to_owned(),
        }
    }

    /// Returns the bridge with this name.
    pub fn bridge(&self, name: &str) -> Option<&config::BridgeSettings> {
        let mut bridges = self.config.bridges.iter();
        bridges.find(|it| it.name.as_str() == name)
    }

    /// Returns the tools that a running bridge last recorded, or `None` if it never did.
    pub async fn known_tools(&self, bridge: &str) -> anyhow::Result<Option<KnownTools>> {
        match self.bridge(bridge) {
            Some(bridge) => Ok(KnownTools::read(&self.store, &bridge.name).await?),
            None => Ok(None),
        }
    }

    /// Warns if no bridge has this name. A grant for a bridge that does not exist yet is valid.
    pub fn warn_of_bridge(&self, name: &str) {
        let names = self.config.bridges.iter().map(|it| it.name.as_str());
        if let Some(warning) = bridge_advice(name, names) {
            complain(&format!(
                "warning: {warning}; `mcp-bridge check` lists them"
            ));
        }
    }

    /// Refuses an invalid group name, and warns if the group is not known.
    pub async fn look_at_group(&self, group: &str, at: GroupMention) -> anyhow::Result<()> {
        check_name("group", group).map_err(|why| anyhow!(why))?;
        let directory = self.sources.directory.as_deref();
        let known = known_groups(&self.config, &self.store, directory).await?;
        if let Some(warning) = group_advice(group, at, &known) {
            complain(&format!("warning: {warning}"));
        }
        Ok(())
    }

    async fn grant(&self, args: GrantArgs) -> anyhow::Result<()> {
        for glob in &args.bounds.tools {
            check_glob(glob).map_err(|why| anyhow!("`--tools {glob}`: {why}"))?;
        }
        self.look_at_group(&args.group, GroupMention::Grant).await?;
        self.warn_of_bridge(&args.bridge);
        let is_narrowed = args.bounds.is_narrow();
        let row = GrantRow {
            workspace: args.workspace.filter(|_| is_narrowed),
            group: args.group,
            bridge: args.bridge,
            tools: args.bounds.tools,
            read_only: args.bounds.read_only,
        };
        let mut reach = None;
        if self.bridge(&row.bridge).is_some() {
            let known = self.known_tools(&row.bridge).await?;
            let tools = known.as_ref().map(KnownTools::tools);
            let (said, warnings) = bounds_advice(&row.bridge, &row.tools, row.read_only, tools);
            for warning in warnings {
                complain(&format!("warning: {warning}"));
            }
            reach = said;
        }
        let is_new = self.store.grant(&Self::actor(), &row).await?;
        let mut what = format!("group `{}`: {}", row.group, allowed(&row));
        if let Some(reach) = reach {
            what = format!("{what}; {reach}");
        }
        told(is_new, &what, "already granted");
        Ok(())
    }

    async fn revoke(&self, args: RevokeArgs) -> anyhow::Result<()> {
        let is_narrow = args.whole || args.bounds.is_narrow();
        let row = GrantRow {
            workspace: None,
            group: args.group,
            bridge: args.bridge,
            tools: args.bounds.tools,
            read_only: args.bounds.read_only,
        };
        let (group, bridge) = (&row.group, &row.bridge);
        let is_gone = if is_narrow {
            self.store.revoke_grant(&Self::actor(), &row).await?
        } else {
            self.store.revoke(&Self::actor(), group, bridge).await? > 0
        };
        ensure!(
            is_gone,
            "group `{group}` has {} for bridge `{bridge}`; `mcp-bridge access list` lists the grants",
            if is_narrow {
                "no grant with these bounds"
            } else {
                "no grant"
            }
        );
        if is_narrow {
            complain(&format!("revoked from group `{group}`: {}", allowed(&row)));
        } else {
            complain(&format!("group `{group}` may no longer use `{bridge}`"));
        }
        if self.config.access.groups.iter().any(|seed| {
            seed.name == *group && seed.grants.iter().any(|it| it.bridge.as_str() == *bridge)
        }) {
            complain(
                "[access.groups] of the configuration still has this grant; its entries are added to the database only once, so to restore it, run `mcp-bridge access grant`",
            );
        }
        Ok(())
    }

    async fn add(&self, user: &str, group: &str) -> anyhow::Result<()> {
        must_be_email(user)?;
        self.look_at_group(group, GroupMention::Member).await?;
        let is_new = self.store.add_member(&Self::actor(), user, group).await?;
        let what = format!("`{user}` is a member of `{group}`");
        told(is_new, &what, "already a member");
        Ok(())
    }

    async fn remove(&self, user: &str, group: &str) -> anyhow::Result<()> {
        let actor = Self::actor();
        let is_gone = self.store.remove_member(&actor, user, group).await?;
        ensure!(
            is_gone,
            "`{user}` is not a member of `{group}`; `mcp-bridge access members` lists the members"
        );
        complain(&format!("`{user}` is no longer a member of `{group}`"));
        Ok(())
    }

    async fn set_admin(&self, user: &str, is_admin: bool) -> anyhow::Result<()> {
        must_be_email(user)?;
        let actor = Self::actor();
        let is_new = self.store.set_admin(&actor, user, is_admin).await?;
        if is_admin {
            told(
                is_new,
                &format!("`{user}` is an administrator"),
                "no change",
            );
        } else if is_new {
            complain(&format!("`{user}` is no longer an administrator"));
        } else {
            bail!("`{user}` is not an administrator");
        }
        Ok(())
    }
}

/// Refuses a user that is not an e-mail address, because the database identifies users by it.
fn must_be_email(user: &str) -> anyhow::Result<()> {
    ensure!(
        user.contains('@'),
        "`{user}` is not an e-mail address; name users by their e-mail address"
    );
    Ok(())
}

/// Prints the new state, and whether it was so before.
fn told(is_new: bool, what: &str, already: &str) {
    if is_new {
        complain(what);
    } else {
        complain(&format!("{what} ({already})"));
    }
}

/// `access list`
async fn list(desk: &AccessContext, group: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let mut grants = desk.store.grants().await?;
    grants.retain(|row| group.is_none_or(|group| row.group == group));
    grants.sort_by(|a, b| (&a.group, &a.bridge, &a.tools).cmp(&(&b.group, &b.bridge, &b.tools)));
    if as_json {
        let rows = grants.iter().map(|row| {
            json!({
                "group": row.group, "bridge": row.bridge, "tools": row.tools,
                "read_only": row.read_only, "workspace": row.workspace,
            })
        });
        print(&format!("{:#}\n", rows.collect::<Value>()));
        return Ok(());
    }
    if grants.is_empty() {
        complain("there are no grants; `mcp-bridge access grant GROUP BRIDGE` adds one");
    }
    let rows: Vec<_> = grants
        .iter()
        .map(|row| [row.group.clone(), allowed(row)])
        .collect();
    print(&columns(&rows));
    Ok(())
}

/// `access members`
async fn members(desk: &AccessContext, group: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let mut users = desk.store.users().await?;
    users.retain(|user| group.is_none_or(|group| user.groups.iter().any(|it| it == group)));
    if as_json {
        let rows = users.iter().map(
            |user| json!({ "email": user.email, "groups": user.groups, "is_admin": user.is_admin }),
        );
        print(&format!("{:#}\n", rows.collect::<Value>()));
        return Ok(());
    }
    if users.is_empty() {
        complain("there are no members; `mcp-bridge access add E-MAIL GROUP` adds one");
    }
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            let mark = if user.is_admin { "administrator" } else { "" };
            [user.email.clone(), mark.to_owned(), user.groups.join(", ")]
        })
        .collect();
    print(&columns(&rows));
    Ok(())
}

/// Renders what a grant allows: `github`, or `github: list_*, only tools that read`.
fn allowed(row: &GrantRow) -> String {
    let mut narrow = row.tools.clone();
    if row.read_only {
        narrow.push("only tools that read".to_owned());
    }
    let mut text = row.bridge.clone();
    if !narrow.is_empty() {
        text.push_str(": ");
        text.push_str(&narrow.join(", "));
    }
    if let Some(workspace) = &row.workspace {
        text.extend([" (workspace `", workspace, "`)"]);
    }
    text
}

/// Renders rows as a table with aligned columns.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
