//! `GET /explain?user=&bridge=&tool=`: whether a user may use a bridge or a tool, and why.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, schema::Type},
};

use super::{
    guard::{GlobalAdmin, QueryParams},
    words,
};
use crate::{
    access::{AccessExplanation, GroupSource},
    auth::AuthenticationError,
    bridge::explain_tool,
    call::permissions,
    http::{AppState, error::ApiError},
    name::BridgeName,
};

/// The query of the request.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// The e-mail address of the user. Case does not matter.
    #[param(example = "ann@example.org")]
    user: String,
    /// The bridge. It does not have to be configured.
    bridge: String,
    /// The tool. Without it, the question is whether the user may use any tool of the bridge.
    tool: Option<String>,
}

/// Whether a user may use a bridge or a tool, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedAccess {
    /// The e-mail address of the user.
    user: String,
    /// The bridge.
    bridge: String,
    /// The tool. It is null if the question names no tool.
    #[schema(required)]
    tool: Option<String>,
    /// Whether it is allowed. It is null if that depends on whether the tool only reads, and the
    /// server has not listed its tools yet.
    #[schema(required)]
    allowed: Option<bool>,
    /// The rule that decides: `grant developers`, `no_grant`, …
    rule: String,
    /// The groups of the user.
    groups: Vec<GroupOrigin>,
    /// Whether the user is an administrator. That role alone does not allow any tool.
    is_admin: bool,
    /// The groups that would allow it.
    allowing: Vec<String>,
    /// The workspace in which the question was decided.
    workspace: String,
    /// What the bridge is doing now. It is null if no such bridge is configured.
    #[schema(required)]
    bridge_status: Option<&'static str>,
    /// What the decision would be if the tool only reads. It is present if the decision depends on
    /// that and the server has not listed its tools yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    if_it_reads: Option<ReadOnlyOutcome>,
}

/// A group of a user, and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
struct GroupOrigin {
    /// The group.
    group: String,
    /// Where it comes from. [`origin_schema`] describes it.
    #[schema(schema_with = origin_schema)]
    from: &'static str,
}

/// What the decision would be for a tool that only reads.
#[derive(Debug, Serialize, ToSchema)]
struct ReadOnlyOutcome {
    /// Whether it would be allowed.
    allowed: bool,
    /// The rule that would decide.
    rule: String,
    /// The groups that would allow it, besides the others.
    allowing: Vec<String>,
}

/// The schema of a group's origin.
fn origin_schema() -> ObjectBuilder {
    let origins = [
        GroupSource::Proof,
        GroupSource::Table,
        GroupSource::OpenWebUi,
        GroupSource::Default,
    ];
    let description = "Where it comes from: the credentials, the tables of the bridge, Open WebUI, or \
        `default_groups` in the configuration.";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(origins.map(GroupSource::as_str)))
}

/// Explains a decision
///
/// The bridge decides in the same way as for a call of the user, and names the rule. Groups that
/// arrive with a request (from a gateway or a token) are not included. This route is for
/// administrators of the default workspace.
#[utoipa::path(
    get,
    path = "/explain",
    operation_id = "explain_access",
    tag = "Access",
    params(ExplainQuery),
    responses(
        (status = 200, description = "The decision, and why.", body = ExplainedAccess),
        (status = 404, description = "`not_found`: the server does not list this tool, or the user is unknown."),
    ),
)]
pub async fn explain(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    QueryParams(question): QueryParams<ExplainQuery>,
) -> Result<Json<ExplainedAccess>, ApiError> {
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
                bridge.as_ref().map(|bridge| &*bridge.config),
                tool,
                known.as_ref(),
            );
            why.map_err(|unlisted| ApiError::not_found(unlisted.to_string()))?
        }
    };
    let bridge_status = bridge.map(|bridge| bridge.status().phase.as_str());
    Ok(Json(ExplainedAccess {
        bridge_status,
        ..shown(email, &name, question.tool, why)
    }))
}

/// The answer, without the status of the bridge.
fn shown(
    user: String,
    bridge: &BridgeName,
    tool: Option<String>,
    why: AccessExplanation,
) -> ExplainedAccess {
    let allowed = why.is_allowed();
    let groups = why.groups.into_iter().map(|(group, origin)| GroupOrigin {
        group,
        from: origin.as_str(),
    });
    ExplainedAccess {
        user,
        bridge: bridge.to_string(),
        tool,
        allowed,
        rule: why.rule.to_string(),
        groups: groups.collect(),
        is_admin: why.is_admin,
        allowing: why.allowing,
        workspace: why.workspace,
        bridge_status: None,
        if_it_reads: why.if_it_reads.map(|other| ReadOnlyOutcome {
            allowed: other.rule.allows(),
            rule: other.rule.to_string(),
            allowing: other.allowing,
        }),
    }
}

fn unknown(refusal: AuthenticationError) -> ApiError {
    match refusal {
        AuthenticationError::Store(error) => ApiError::store(error),
        other => ApiError::not_found(other.to_string()),
    }
}
