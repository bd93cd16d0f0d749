//! Bridges and their status.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::guard::{AdminCaller, GlobalAdmin};
use crate::{
    bridge::{Bridge, BridgePhase},
    config::{CredentialScope, TransportKind, TransportSettings},
    credential::oauth_of,
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    mcp::LastOutput,
    secret::Redactor,
    store::ChangeRecord,
};

/// How much longer than the connect timeout a restart may take, because the old server ends first.
const ENDING: Duration = Duration::from_secs(15);

/// `GET /servers`
pub async fn servers(State(state): State<Arc<AppState>>, _admin: AdminCaller) -> Json<Value> {
    let roster = state.registry.roster();
    let mut servers: Vec<(String, Value)> = roster
        .bridges()
        .iter()
        .map(|bridge| {
            let id = bridge.name().to_string();
            let shown = json!({
                "id": id, "name": own_name(bridge), "enabled": bridge.is_on(),
            });
            (id, shown)
        })
        .collect();
    servers.sort_by(|(a, _), (b, _)| a.cmp(b));
    let servers: Vec<Value> = servers.into_iter().map(|(_, shown)| shown).collect();
    Json(json!({ "count": servers.len(), "servers": servers }))
}

/// `GET /bridges`
pub async fn list(State(state): State<Arc<AppState>>, _admin: AdminCaller) -> Json<Value> {
    let roster = state.registry.roster();
    let bridges = roster.bridges().iter();
    let bridges: Vec<Value> = bridges.map(|it| shown(it, &state.redactor)).collect();
    Json(json!({ "count": bridges.len(), "bridges": bridges }))
}

/// `POST /bridges/{name}/restart`: ends the session, connects again and reports the outcome.
pub async fn restart(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let bridge = state.registry.roster().get(&name).map(Arc::clone);
    let bridge = bridge.ok_or_else(|| {
        let name: String = name.chars().take(100).collect();
        ApiError::not_found(format!("there is no bridge `{name}`"))
    })?;
    if let Err(disabled) = &bridge.config.transport {
        let detail = format!(
            "bridge `{name}` is disabled and cannot be restarted: {}",
            disabled.0
        );
        return Err(ApiError::new(ErrorCode::Disabled, detail).with_status(StatusCode::CONFLICT));
    }
    state.audit.change(ChangeRecord {
        workspace: admin.actor.workspace,
        actor: admin.actor.id,
        proof: admin.actor.proof,
        action: "restart".to_owned(),
        target: name.clone(),
        ..ChangeRecord::default()
    });
    let patience = bridge.config.connect_timeout.saturating_add(ENDING);
    let is_settled = timeout(patience, bridge.restart()).await.is_ok();
    let is_up = matches!(
        bridge.status().phase,
        BridgePhase::Ready | BridgePhase::Idle
    );
    let status = match (is_settled, is_up) {
        (true, true) => "restarted",
        (true, false) => "failed",
        (false, _) => "starting",
    };
    Ok(Json(
        json!({ "status": status, "bridge": shown(&bridge, &state.redactor) }),
    ))
}

/// A bridge in JSON. Its texts were redacted when they arrived, and are redacted again because the
/// bridge may have learned more secrets since then.
fn shown(bridge: &Bridge, redactor: &Redactor) -> Value {
    let status = bridge.status();
    let retry_after = status.retry_at.map(|_| status.retry_after());
    let server = bridge.live.server.load();
    let tools = bridge.live.tools.load();
    let words = bridge.live.last_words.load();
    let stderr = words.as_deref().map(LastOutput::lines);
    let clean = |text: &str| redactor.redact(text).into_owned();
    let all_clean = |texts: &[String]| texts.iter().map(|it| clean(it)).collect::<Vec<_>>();
    let mut transport = transport(bridge);
    redactor.clean_json(&mut transport);
    json!({
        "name": bridge.name().as_str(),
        "title": bridge.config.title.as_deref().map(clean),
        "enabled": bridge.is_on(),
        "transport": transport,
        "status": status.phase.as_str(),
        "reason": status.reason.as_deref().map(clean),
        "retry_after": retry_after,
        "attempts": bridge.attempts(),
        "failures": status.failures,
        "login": oauth_of(&bridge.config).ok().map(|_| match bridge.config.credential {
            CredentialScope::Caller => "caller",
            CredentialScope::Shared | CredentialScope::Group => "shared",
        }),
        "server": server.as_deref().map(|server| json!({ "name": server.name.as_deref().map(clean) })),
        "tools": tools.entries.len(),
        "warnings": all_clean(&tools.warnings),
        "exit": words.as_deref().and_then(|words| words.exit().map(clean)),
        "stderr": all_clean(&stderr.unwrap_or_default()),
    })
}

/// How the bridge reaches the server. Arguments and paths are left out because they may hold
/// secrets.
fn transport(bridge: &Bridge) -> Value {
    match &bridge.config.transport {
        Ok(TransportSettings::Stdio(stdio)) => json!({
            "kind": "stdio",
            "command": stdio.command,
            "user": stdio.user.as_ref().map(|user| &user.name),
        }),
        Ok(TransportSettings::Remote(remote)) => {
            json!({ "kind": "url", "origin": remote.url.origin().ascii_serialization() })
        }
        Err(_) => json!({
            "kind": if bridge.config.kind == TransportKind::Stdio { "stdio" } else { "url" },
        }),
    }
}

/// The display name: the bridge's title, or else the server's own name, or else the bridge's name.
fn own_name(bridge: &Bridge) -> String {
    bridge.title().unwrap_or_else(|| bridge.name().to_string())
}
