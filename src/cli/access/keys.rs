//! `access key`: manages API keys in the database.

use anyhow::{bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    args::{KeyArgs, KeyCommand},
    run::{AccessContext, columns},
};
use crate::{
    access::GroupMention,
    cli::output::{complain, print},
    config,
    store::KeyRow,
};

/// The prefix of every key, by which people and secret scanners recognize it.
const PREFIX: &str = "mcpb_";

/// Runs one command.
pub async fn run(desk: &AccessContext, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Add(args) => add(desk, args).await,
        KeyCommand::List { json } => list(desk, json).await,
        KeyCommand::Revoke { name } => revoke(desk, &name).await,
    }
}

/// Creates a key of 256 random bits. Only its hash is stored.
async fn add(desk: &AccessContext, args: KeyArgs) -> anyhow::Result<()> {
    config::check_key_name(&args.name).map_err(anyhow::Error::msg)?;
    let mut configured = desk.config.identity.keys.iter();
    ensure!(
        !configured.any(|key| key.name == args.name),
        "the configuration already has a key `{}`; choose another name",
        args.name
    );
    for group in &args.groups {
        desk.look_at_group(group, GroupMention::Member).await?;
    }
    let text = format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    );
    let expires_at = match args.expires {
        Some(time) => Some(Timestamp::now().checked_add(time)?.as_second()),
        None => None,
    };
    let row = KeyRow {
        name: args.name,
        hash: Sha256::digest(&text).into(),
        groups: args.groups,
        forwards: args.forwards,
        workspace: args.workspace,
        expires_at,
    };
    if !desk.store.add_key(&AccessContext::actor(), &row).await? {
        bail!(
            "the database already has a key `{}`; revoke it or choose another name",
            row.name
        );
    }
    print(&format!("{text}\n"));
    complain(
        "store this key now, it is not shown again; callers send it as `Authorization: Bearer KEY`",
    );
    if desk.config.is_access_enforced() && row.groups.is_empty() && !row.forwards {
        complain(
            "warning: the key has no groups and no `--forwards`, so it has only the grants of the default groups",
        );
    }
    Ok(())
}

async fn list(desk: &AccessContext, as_json: bool) -> anyhow::Result<()> {
    let mut keys = desk.store.keys().await?;
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    let end = |key: &KeyRow| {
        key.expires_at
            .and_then(|at| Timestamp::from_second(at).ok())
    };
    if as_json {
        let rows = keys.iter().map(|key| {
            json!({
                "name": key.name, "groups": key.groups, "forwards": key.forwards,
                "workspace": key.workspace, "expires_at": end(key).map(|it| it.to_string()),
            })
        });
        print(&format!("{:#}\n", rows.collect::<Value>()));
        return Ok(());
    }
    if keys.is_empty() {
        complain("there are no stored keys; `mcp-bridge access key add NAME` creates one");
    }
    let now = Timestamp::now();
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let until = match end(key) {
                None => "never expires".to_owned(),
                Some(end) if end <= now => format!("expired {end}"),
                Some(end) => format!("expires {end}"),
            };
            let what = if key.forwards { "forwards" } else { "" };
            [
                key.name.clone(),
                key.workspace.clone(),
                until,
                what.to_owned(),
                key.groups.join(", "),
            ]
        })
        .collect();
    print(&columns(&rows));
    Ok(())
}

async fn revoke(desk: &AccessContext, name: &str) -> anyhow::Result<()> {
    let is_configured = desk.config.identity.keys.iter().any(|key| key.name == name);
    if !desk.store.revoke_key(&AccessContext::actor(), name).await? {
        let hint = if is_configured {
            "the key is in the configuration: remove it there"
        } else {
            "`mcp-bridge access key list` lists the keys"
        };
        bail!("there is no stored key `{name}`; {hint}");
    }
    complain(&format!("the key `{name}` is no longer accepted"));
    Ok(())
}
