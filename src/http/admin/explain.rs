//! `GET /explain?user=&bridge=&tool=`: whether a user may use a bridge or a tool, and why.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    guard::{Asked, Operator},
    words,
};
use crate::{
    auth::Refusal,
    bridge::explain_tool,
    call::permissions,
    http::{AppState, error::ApiError},
};

/// The query of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The e-mail address of the user.
    user: String,
    /// The bridge. It does not have to be configured.
    bridge: String,
    /// The tool. Without it, the question is whether the user may use any tool of the bridge.
    tool: Option<String>,
}

/// Decides in the same way as for a call of the user, and names the rule. Groups that arrive with a
/// request (from a gateway or a token) are not included.
pub async fn explain(
    State(state): State<Arc<AppState>>,
    Operator(admin): Operator,
    Asked(question): Asked<Question>,
) -> Result<Json<Value>, ApiError> {
    let email = words::email(&question.user)?;
    let name = words::bridge(&question.bridge)?;
    let settings = &admin.settings;
    let caller = settings.proofs.absent(&email).await.map_err(unknown)?;
    let mut caller = Arc::unwrap_or_clone(caller);
    caller.workspace = admin.actor.workspace.as_str().into();
    let view = permissions(settings, &Arc::new(caller)).await?;
    let bridge = state.registry.roster().get(name.as_str()).map(Arc::clone);
    let known = match &bridge {
        Some(bridge) => bridge.known_tools().await.map_err(ApiError::store)?,
        None => None,
    };
    let why = match question.tool.as_deref() {
        None => view.explain(&name, None),
        Some(tool) => {
            let why = explain_tool(
                &view,
                &name,
                bridge.as_ref().map(|bridge| &bridge.config),
                tool,
                known.as_ref(),
            );
            why.map_err(|unlisted| ApiError::not_found(unlisted.to_string()))?
        }
    };
    let groups: Vec<Value> = why
        .groups
        .iter()
        .map(|(group, origin)| json!({ "group": group, "from": origin.as_str() }))
        .collect();
    let mut answer = json!({
        "user": email,
        "bridge": name.as_str(),
        "tool": question.tool,
        "allowed": why.is_allowed(),
        "rule": why.rule.to_string(),
        "groups": groups,
        "is_admin": why.is_admin,
        "allowing": why.allowing,
        "workspace": why.workspace,
        "bridge_status": bridge.map(|bridge| bridge.status().phase.as_str()),
    });
    // The decision depends on the server's annotations of the tool, and the server has not listed
    // its tools yet.
    if let (Some(other), Some(members)) = (&why.if_it_reads, answer.as_object_mut()) {
        let other = json!({
            "allowed": other.rule.allows(), "rule": other.rule.to_string(), "allowing": other.allowing,
        });
        members.insert("if_it_reads".to_owned(), other);
    }
    Ok(Json(answer))
}

fn unknown(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Store(error) => ApiError::store(error),
        other => ApiError::not_found(other.to_string()),
    }
}
