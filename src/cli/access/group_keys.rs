//! `access group-key`: manages the keys that groups use for servers.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::{
    args::{GroupKeyArgs, GroupKeyCommand},
    run::{AccessContext, columns},
};
use crate::{
    access::{GroupMention, variable_advice},
    cli::output::{complain, print},
    credential::{self, EncryptionKeys},
    secret::Secret,
    store::GroupKeyName,
};

/// The longest value that is accepted, in bytes.
const VALUE_MAX: u64 = 64 * 1024;

/// Runs one command.
pub async fn run(desk: &AccessContext, command: GroupKeyCommand) -> anyhow::Result<()> {
    match command {
        GroupKeyCommand::Set(args) => set(desk, &args.into_name()).await,
        GroupKeyCommand::List { group, json } => list(desk, group.as_deref(), json).await,
        GroupKeyCommand::Remove(args) => remove(desk, &args.into_name()).await,
    }
}

impl GroupKeyArgs {
    fn into_name(self) -> GroupKeyName {
        GroupKeyName {
            group: self.group,
            bridge: self.bridge,
            variable: self.variable,
        }
    }
}

async fn set(desk: &AccessContext, name: &GroupKeyName) -> anyhow::Result<()> {
    credential::variable(&name.variable).map_err(|why| anyhow!(why))?;
    desk.look_at_group(&name.group, GroupMention::Grant).await?;
    desk.warn_of_bridge(&name.bridge);
    let bridge = desk.bridge(&name.bridge);
    if let Some(warning) = bridge.and_then(|bridge| variable_advice(bridge, &name.variable)) {
        complain(&format!("warning: {warning}"));
    }
    let database = desk.config.database.as_ref();
    let keyring = EncryptionKeys::new(
        database.context("group keys need a database: set `url` in [database]")?,
    );
    // This fails early if a secret could not be stored, before the command asks for one.
    keyring.to_seal()?;
    let value = value(&name.variable)?;
    credential::put_group_key(&desk.store, &keyring, &AccessContext::actor(), name, &value).await?;
    complain(&format!(
        "group `{}` now calls `{}` with its own `{}`",
        name.group, name.bridge, name.variable
    ));
    Ok(())
}

/// Asks for a value, or reads it from standard input. An argument would be visible in the list of processes.
fn value(variable: &str) -> anyhow::Result<Secret> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        drop(stdin);
        let text = rpassword::prompt_password(format!("{variable} (not shown): "))
            .context("cannot ask for the value")?;
        return Ok(Secret::new(text));
    }
    let mut text = String::new();
    stdin
        .by_ref()
        .take(VALUE_MAX + 1)
        .read_to_string(&mut text)
        .context("cannot read the value from standard input")?;
    ensure!(
        text.len() as u64 <= VALUE_MAX,
        "the value on standard input has more than {VALUE_MAX} bytes"
    );
    // Removes only the last line break, which `echo` adds. A key of several lines keeps the others.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

async fn list(desk: &AccessContext, group: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let mut keys = desk.store.group_key_names().await?;
    keys.retain(|(name, _)| group.is_none_or(|group| name.group == group));
    if as_json {
        let rows = keys.iter().map(|(name, updated_at)| {
            json!({
                "group": name.group, "bridge": name.bridge, "variable": name.variable,
                "updated_at": updated_at,
            })
        });
        print(&format!("{:#}\n", rows.collect::<Value>()));
        return Ok(());
    }
    if keys.is_empty() {
        complain(
            "there are no group keys; `mcp-bridge access group-key set GROUP BRIDGE VARIABLE` stores one",
        );
    }
    let rows: Vec<_> = keys
        .into_iter()
        .map(|(name, updated_at)| {
            let changed = updated_at.map_or_else(String::new, |time| format!("since {time}"));
            [name.group, name.bridge, name.variable, changed]
        })
        .collect();
    print(&columns(&rows));
    Ok(())
}

async fn remove(desk: &AccessContext, name: &GroupKeyName) -> anyhow::Result<()> {
    if !desk
        .store
        .remove_group_key(&AccessContext::actor(), name)
        .await?
    {
        bail!(
            "group `{}` has no `{}` for `{}`; `mcp-bridge access group-key list` lists the keys",
            name.group,
            name.variable,
            name.bridge
        );
    }
    complain(&format!(
        "group `{}` no longer calls `{}` with its own `{}`",
        name.group, name.bridge, name.variable
    ));
    Ok(())
}
