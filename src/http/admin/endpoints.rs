//! Endpoints of groups: where the calls of a group to a bridge go instead of to the configured
//! address.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    advice,
    errors::NO_DATABASE,
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
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// The group.
    #[schema(min_length = 1, max_length = 255)]
    tenant_id: String,
    /// The bridge. It does not have to be configured.
    server_id: String,
    /// The address that the calls go to.
    endpoint_url: String,
}

/// An endpoint to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EndpointRemoval)]
#[serde(deny_unknown_fields)]
pub struct EndpointRemoval {
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
}

/// The endpoints of groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointList {
    /// The number of endpoints.
    count: usize,
    /// The endpoints.
    endpoints: Vec<EndpointItem>,
}

/// The endpoint of a group for a bridge.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointItem {
    /// Why calls of the group to the bridge are refused. It is null if they are not refused.
    #[schema(required)]
    problem: Option<String>,
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The address that the calls go to.
    endpoint_url: String,
}

/// The endpoint that was set.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointCreated {
    /// Always `created`.
    status: &'static str,
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
    /// The address that the calls go to.
    endpoint_url: String,
    /// Whether the bridge is configured.
    known: bool,
    /// Warnings about what may be a mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The endpoint that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointDeleted {
    /// Always `deleted`.
    status: &'static str,
    /// The group.
    tenant_id: String,
    /// The bridge.
    server_id: String,
}

/// Lists the endpoints of groups
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    get,
    path = "/endpoints",
    operation_id = "list_endpoints",
    tag = "Group credentials",
    responses(
        (status = 200, description = "The endpoints.", body = EndpointList),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn list(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
) -> Result<Json<EndpointList>, ApiError> {
    let endpoints = admin.store()?.endpoints().await.map_err(refused)?;
    let endpoints: Vec<_> = endpoints
        .into_iter()
        .map(|it| EndpointItem {
            problem: problem(&state, &it.group, &it.bridge),
            tenant_id: it.group,
            server_id: it.bridge,
            endpoint_url: it.url,
        })
        .collect();
    Ok(Json(EndpointList {
        count: endpoints.len(),
        endpoints,
    }))
}

/// Sets the endpoint of a group
///
/// Calls of the group to the bridge go to this address instead of the configured one. The endpoint
/// replaces an earlier one. This route is for administrators of the default workspace.
#[utoipa::path(
    post,
    path = "/endpoints",
    operation_id = "set_endpoint",
    tag = "Group credentials",
    request_body = NewEndpoint,
    responses(
        (status = 200, description = "The endpoint was set.", body = EndpointCreated),
        (status = 400, description = "`invalid_endpoint`: the address cannot be used. `invalid_name`: a group cannot have this name."),
        (status = 404, description = NO_DATABASE),
    ),
)]
pub async fn set(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<NewEndpoint>,
) -> Result<Json<EndpointCreated>, ApiError> {
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
    Ok(Json(EndpointCreated {
        status: "created",
        tenant_id: endpoint.group,
        server_id: endpoint.bridge,
        endpoint_url: endpoint.url,
        known: is_known,
        warnings,
    }))
}

/// Removes the endpoint of a group
///
/// This route is for administrators of the default workspace.
#[utoipa::path(
    delete,
    path = "/endpoints",
    operation_id = "remove_endpoint",
    tag = "Group credentials",
    request_body = EndpointRemoval,
    responses(
        (status = 200, description = "The endpoint was removed.", body = EndpointDeleted),
        (status = 404, description = "`not_found`: the group has no endpoint for this bridge. `no_database`: the bridge was started without a database."),
    ),
)]
pub async fn remove(
    GlobalAdmin(admin): GlobalAdmin,
    JsonBody(given): JsonBody<EndpointRemoval>,
) -> Result<Json<EndpointDeleted>, ApiError> {
    let (group, bridge) = (given.tenant_id, given.server_id);
    let store = admin.store()?;
    let done = store.remove_endpoint(&admin.actor, &group, &bridge).await;
    if !done.map_err(refused)? {
        return Err(ApiError::not_found(
            "this group has no endpoint for this bridge; GET /admin/api/endpoints lists all endpoints",
        ));
    }
    Ok(Json(EndpointDeleted {
        status: "deleted",
        tenant_id: group,
        server_id: bridge,
    }))
}
