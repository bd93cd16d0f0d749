//! `tools`, `call` and `openapi`: commands that use the bridges without the HTTP service.

use std::{io::Read as _, process::ExitCode, sync::Arc};

use anyhow::{Context as _, anyhow, bail};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    args::ConfigOptions,
    output::{complain, fail, fail_clean, print},
    serve, sources,
};
use crate::{
    access::Permissions,
    auth::Caller,
    bridge::{BridgePhase, BridgeRegistry, ToolCall},
    config::{Config, CredentialScope, TransportSettings},
    credential::SessionOwner,
    lifecycle::ProcessLifecycle,
    mcp,
    rate::CallerKey,
    reply::ToolReply,
    schema::CheckEffort,
    secret::Redactor,
    telemetry,
};

/// `tools`: lists the tools of the servers.
pub fn tools(start: &ConfigOptions, only: Option<&str>, as_json: bool) -> ExitCode {
    with_bridges(start, only, async |registry| {
        let mut list = Vec::new();
        let mut is_complete = true;
        for bridge in registry.roster().bridges() {
            let status = bridge.status();
            let tools = bridge.live.tools.load();
            if !matches!(
                status.phase,
                BridgePhase::Ready | BridgePhase::Idle | BridgePhase::Disabled
            ) {
                is_complete = false;
            }
            if let Some(reason) = &status.reason {
                complain(&format!(
                    "{}: {}: {reason}",
                    bridge.name(),
                    status.phase.as_str()
                ));
            }
            for warning in &tools.warnings {
                complain(&format!("{}: warning: {warning}", bridge.name()));
            }
            list.extend(tools.entries.iter().map(|entry| {
                json!({
                    "bridge": bridge.name().as_str(),
                    "tool": entry.tool.name.as_str(),
                    "description": entry.tool.description,
                    "read_only": entry.tool.read_only,
                    "input_schema": entry.tool.input_schema,
                })
            }));
        }
        if as_json {
            print(&format!("{:#}\n", Value::Array(list)));
        } else {
            list.iter().for_each(print_tool);
        }
        if is_complete {
            Ok(())
        } else {
            Err(anyhow!("not every bridge is up"))
        }
    })
}

/// Prints one line: `bridge/tool  first line of the description`.
fn print_tool(tool: &Value) {
    let text = |key: &str| tool.get(key).and_then(Value::as_str).unwrap_or_default();
    let summary = text("description").lines().next().unwrap_or_default();
    print(&format!("{}/{}  {summary}\n", text("bridge"), text("tool")));
}

/// `call`: calls one tool and prints its result.
pub fn call(start: &ConfigOptions, bridge: &str, tool: &str, arguments: &str) -> ExitCode {
    with_bridges(start, Some(bridge), async |registry| {
        let roster = registry.roster().clone();
        let found = roster
            .get(bridge)
            .with_context(|| format!("there is no bridge `{bridge}`"))?;
        let arguments = if arguments == "-" {
            read_stdin()?
        } else {
            arguments.to_owned()
        };
        let entry = found.live.tools.load().get(tool).cloned();
        let Some(entry) = entry else {
            match found.status().reason {
                Some(reason) => bail!("bridge `{bridge}` is down: {reason}"),
                None => bail!(
                    "bridge `{bridge}` has no tool `{tool}`; `mcp-bridge tools {bridge}` lists its tools"
                ),
            }
        };
        let arguments = match entry.check(arguments.as_bytes(), CheckEffort::Full) {
            Ok(arguments) => arguments,
            Err(refusal) if refusal.is_of_arguments() => {
                bail!(InvalidArgumentsError(refusal.lines()))
            }
            Err(refusal) => bail!(refusal.lines().join("; ")),
        };
        let grant = Permissions::operator()
            .authorize(found.name(), &entry.tool)
            .ok()
            .context("not allowed")?;
        let again = || arguments.clone();
        let order = ToolCall {
            span: None,
            tool: &entry.tool.server_name,
            caller: CallerKey::of(&Caller::operator(), None),
            owner: &SessionOwner::Shared,
            passed: &HeaderMap::new(),
            ear: None,
            rebuild_arguments: &again,
        };
        let result = found.call(&grant, order, arguments.clone()).await?;
        let reply = ToolReply::from_text(result, false, None)??;
        let reply = reply.without_secrets(registry.redactor());
        print(&format!("{}\n", String::from_utf8_lossy(&reply.body)));
        Ok(())
    })
}

/// `openapi`: prints the OpenAPI document.
pub fn openapi(start: &ConfigOptions, only: Option<&str>) -> ExitCode {
    with_bridges(start, only, async |registry| {
        let bridge = only.and_then(|name| registry.roster().get(name).cloned());
        let document = registry
            .document(bridge.as_ref().map(|it| it.name()), None)
            .await
            .context("the bridge has no OpenAPI document")?;
        print(&String::from_utf8_lossy(&document.body));
        Ok(())
    })
}

/// Reads all of standard input.
fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Starts the bridges (or only one of them), waits until each is ready or has failed, runs `work`, and ends them.
fn with_bridges(
    start: &ConfigOptions,
    only: Option<&str>,
    work: impl AsyncFnOnce(Arc<BridgeRegistry>) -> anyhow::Result<()>,
) -> ExitCode {
    let plan = serve::plan(start);
    let loaded = match (plan.source)() {
        Ok(loaded) => loaded,
        Err(problems) => return serve::refuse(&problems),
    };
    let redactor = Redactor::default();
    redactor.set_configured(loaded.secrets());
    telemetry::clean_panics(&redactor);
    let config = Arc::new(narrowed(loaded.config, only));
    if let (Some(name), true) = (only, config.bridges.is_empty()) {
        return fail(&anyhow!(
            "there is no bridge `{name}` in {}",
            start.config.display()
        ));
    }
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                let lifecycle = ProcessLifecycle::default();
                let sources =
                    sources::open(&config, mcp::http_client()?, lifecycle.tracker.clone())?;
                // The database holds the logins. A configuration without logins does not need it.
                if let Some(store) = sources.store.clone().filter(|_| uses_accounts(&config)) {
                    store.migrate().await?;
                }
                let kept = sources::kept(&config, &sources, &lifecycle, &redactor);
                let credentials = sources::credentials(&sources, &kept, plan.variants, &redactor);
                let context = serve::context(&lifecycle, &sources, &credentials, &redactor);
                let registry = BridgeRegistry::start(&config, context);
                registry.settled().await;
                let result = work(registry).await;
                serve::end(&lifecycle).await;
                result
            })
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<InvalidArgumentsError>() {
            Some(faults) => {
                complain(&redactor.redact(&faults.to_string()));
                ExitCode::FAILURE
            }
            None => fail_clean(&error, &redactor),
        },
    }
}

/// The errors in the arguments of a call, one line for each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
struct InvalidArgumentsError(Vec<String>);

/// Whether any bridge uses credentials from the database.
fn uses_accounts(config: &Config) -> bool {
    config.bridges.iter().any(|bridge| {
        bridge.credential != CredentialScope::Shared
            || matches!(&bridge.transport, Ok(TransportSettings::Remote(remote)) if remote.oauth.is_some())
    })
}

/// The configuration with one bridge only.
fn narrowed(mut config: Config, only: Option<&str>) -> Config {
    if let Some(only) = only {
        config.bridges.retain(|bridge| bridge.name.as_str() == only);
    }
    config
}
