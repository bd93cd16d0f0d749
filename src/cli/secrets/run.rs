//! Opens the database and its keys, and reports the state of the stored secrets.

use std::{fmt::Write as _, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;

use super::SecretsCommand;
use crate::{
    cli::{
        args::ConfigOptions,
        output::{complain, fail, print},
        serve,
    },
    config::Config,
    credential::{self, EncryptionKeys, RotationCounts, RotationReport},
    store::Store,
    vault::Vault,
};

/// The most secrets that the output names if they cannot be decrypted. There may be thousands.
const NAMED_MAX: usize = 20;

/// Runs one command.
pub fn main(start: &ConfigOptions, command: &SecretsCommand) -> ExitCode {
    let loaded = match (serve::plan(start).source)() {
        Ok(loaded) => loaded,
        Err(problems) => return serve::refuse(&problems),
    };
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(&loaded.config, command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(config: &Config, command: &SecretsCommand) -> anyhow::Result<()> {
    let database = config.database.as_ref().context(
        "this configuration has no database, so there are no stored secrets: use a bridges.toml",
    )?;
    let store = Store::open(database)?;
    store.migrate().await?;
    let keyring = EncryptionKeys::new(database);
    let Some(vault) = vault(&keyring, &store, command).await? else {
        print("there are no stored secrets and no key yet\n");
        return Ok(());
    };
    let rotation = match command {
        SecretsCommand::Check => credential::survey(&store, &vault).await?,
        SecretsCommand::Rotate => credential::rotate(&store, &vault).await?,
    };
    print(&told(&vault, &rotation));
    conclude(command, &rotation)
}

/// Returns the keys, or `None` if there are no keys and no stored secrets.
async fn vault(
    keyring: &EncryptionKeys,
    store: &Store,
    command: &SecretsCommand,
) -> anyhow::Result<Option<Arc<Vault>>> {
    let error = match keyring.to_open() {
        Ok(vault) => return Ok(Some(vault)),
        Err(error) => error,
    };
    let holdings = credential::stored_secrets(store).await?;
    if holdings.has_sealed {
        return Err(error).context("the stored secrets cannot be decrypted");
    }
    match (holdings.has_plain, command) {
        (false, _) => Ok(None),
        (true, SecretsCommand::Rotate) => Ok(Some(keyring.to_seal()?)),
        (true, SecretsCommand::Check) => {
            Err(error).context("group keys are stored in the database in plain text")
        }
    }
}

/// Renders the result as text.
fn told(vault: &Vault, rotation: &RotationReport) -> String {
    let mut ids = vault.ids().into_iter();
    let current = ids.next().unwrap_or_default();
    let mut text = format!("the current key is `{current}`");
    let old: Vec<_> = ids.map(|id| format!("`{id}`")).collect();
    if !old.is_empty() {
        text.push_str(", the old keys are ");
        text.push_str(&old.join(", "));
    }
    text.push('\n');
    for (kind, tally) in rotation.kinds() {
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "{kind}: {}", counted(tally)).is_ok();
    }
    text
}

/// Renders a count, for example `2 under the current key, 1 cannot be decrypted`.
fn counted(tally: &RotationCounts) -> String {
    if tally.all() == 0 {
        return "none".to_owned();
    }
    let parts: Vec<_> = [
        (tally.current, "under the current key"),
        (tally.sealed_anew, "encrypted again with it"),
        (tally.old, "under an old key"),
        (tally.plain, "in plain text"),
        (tally.unopened.len() as u64, "cannot be decrypted"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    parts.join(", ")
}

/// Prints what the operator has to do. Returns an error if a secret cannot be decrypted.
fn conclude(command: &SecretsCommand, rotation: &RotationReport) -> anyhow::Result<()> {
    let kinds = rotation.kinds();
    let stale: u64 = kinds.iter().map(|(_, tally)| tally.old + tally.plain).sum();
    match (command, stale) {
        (_, 0) => {}
        (SecretsCommand::Check, _) => {
            complain("run `mcp-bridge secrets rotate` to encrypt all of them with the current key");
        }
        (SecretsCommand::Rotate, _) => {
            complain(&format!(
                "a running bridge changed {stale} of them meanwhile; run the command again"
            ));
        }
    }
    let unopened: Vec<_> = kinds
        .iter()
        .flat_map(|(_, tally)| &tally.unopened)
        .collect();
    if unopened.is_empty() {
        return Ok(());
    }
    for (what, why) in unopened.iter().take(NAMED_MAX) {
        complain(&format!("{what}: {why}"));
    }
    if let Some(more) = unopened.len().checked_sub(NAMED_MAX).filter(|it| *it > 0) {
        complain(&format!("and {more} more"));
    }
    bail!(
        "{} could not be decrypted and stay unchanged",
        unopened.len()
    )
}
