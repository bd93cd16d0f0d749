//! Endpoints of groups: where the calls of a group to a bridge go instead of to the configured
//! address.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    advice,
    guard::{GlobalAdmin, JsonBody, refused},
    tenant_keys::problem,
    words,
};
use crate::{
    access::GroupMention,
    credential,
    error_code::ErrorCode,
    http::{AppState, error::ApiError},
    store::EndpointRow,
};

/// An endpoint to set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// The group.
    tenant_id: String,
    /// The bridge. It does not have to be configured.
    server_id: String,
    /// The address that the calls go to.
    endpoint_url: String,
}

/// An endpoint to remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointRemoval {
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
}

/// `GET /endpoints`
pub async fn list(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
) -> Result<Json<Value>, ApiError> {
    let endpoints = admin.store()?.endpoints().await.map_err(refused)?;
    let endpoints: Vec<Value> = endpoints
        .into_iter()
        .map(|it| {
            json!({
                "problem": problem(&state, &it.group, &it.bridge),
                "tenant_id": it.group, "server_id": it.bridge, "endpoint_url": it.url,
            })
        })
        .collect();
    Ok(Json(
        json!({ "count": endpoints.len(), "endpoints": endpoints }),
    ))
}

/// `POST /endpoints`: sets an endpoint and replaces an earlier one.
pub async fn set(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<NewEndpoint>,
) -> Result<Json<Value>, ApiError> {
    let url = credential::endpoint(&given.endpoint_url)
        .map_err(|why| ApiError::new(ErrorCode::InvalidEndpoint, why).of_caller())?;
    let endpoint = EndpointRow {
        group: words::group(&given.tenant_id)?,
        bridge: words::bridge(&given.server_id)?.to_string(),
        url: url.to_string(),
    };
    let mut warnings = Vec::new();
    warnings.extend(advice::of_group(&admin, &endpoint.group, GroupMention::Grant).await?);
    let of_bridge = advice::of_bridge(&state, &endpoint.bridge);
    let is_known = of_bridge.is_none();
    warnings.extend(of_bridge);
    let done = admin.store()?.put_endpoint(&admin.actor, &endpoint).await;
    done.map_err(refused)?;
    let answer = json!({
        "status": "created", "tenant_id": endpoint.group, "server_id": endpoint.bridge,
        "endpoint_url": endpoint.url, "known": is_known,
    });
    Ok(Json(advice::with_warnings(answer, warnings)))
}

/// `DELETE /endpoints`
pub async fn remove(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<EndpointRemoval>,
) -> Result<Json<Value>, ApiError> {
    let (group, bridge) = (given.tenant_id, given.server_id);
    let store = admin.store()?;
    let done = store.remove_endpoint(&admin.actor, &group, &bridge).await;
    if !done.map_err(refused)? {
        return Err(ApiError::not_found(
            "this group has no endpoint for this bridge; GET /admin/api/endpoints lists all endpoints",
        ));
    }
    Ok(Json(json!({
        "status": "deleted", "tenant_id": group, "server_id": bridge,
    })))
}
