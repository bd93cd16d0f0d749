//! Bridges and their status.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, schema::Type},
};

use super::guard::{AdminCaller, GlobalAdmin, PathName};
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

/// The bridges in short.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerList {
    /// The number of bridges.
    count: usize,
    /// The bridges, sorted by name.
    servers: Vec<ServerItem>,
}

/// A bridge in short, as the Python proxy showed it.
#[derive(Debug, Serialize, ToSchema)]
struct ServerItem {
    /// The name of the bridge.
    id: String,
    /// The display name: the title in the configuration, or else the server's own name, or else the
    /// name of the bridge.
    name: String,
    /// Whether the bridge is enabled.
    enabled: bool,
}

/// The bridges and their status.
#[derive(Debug, Serialize, ToSchema)]
pub struct BridgeList {
    /// The number of bridges.
    count: usize,
    /// The bridges, in the order of the configuration.
    bridges: Vec<BridgeDetails>,
}

/// The outcome of a restart.
#[derive(Debug, Serialize, ToSchema)]
pub struct BridgeRestart {
    /// The outcome.
    status: RestartStatus,
    /// The bridge after the restart.
    bridge: BridgeDetails,
}

/// The outcome of a restart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RestartStatus {
    /// The bridge is connected again.
    Restarted,
    /// The bridge could not connect again.
    Failed,
    /// The bridge is still connecting.
    Starting,
}

/// A bridge and its status.
#[derive(Debug, Serialize, ToSchema)]
struct BridgeDetails {
    /// The name of the bridge.
    name: String,
    /// The title in the configuration.
    #[schema(required)]
    title: Option<String>,
    /// Whether the bridge is enabled.
    enabled: bool,
    /// How the bridge reaches its server.
    transport: TransportDetails,
    /// The status. [`phase_schema`] describes it.
    #[schema(schema_with = phase_schema)]
    status: &'static str,
    /// Why the bridge does not serve calls.
    #[schema(required)]
    reason: Option<String>,
    /// The number of seconds until the next attempt to connect.
    #[schema(required)]
    retry_after: Option<u64>,
    /// How many times the bridge tried to connect since the process started.
    attempts: u64,
    /// How many attempts failed in a row.
    failures: u32,
    /// Who logs in to the server, if it needs a login.
    #[schema(required)]
    login: Option<LoginHolder>,
    /// What the server says about itself. It is null until the server has answered.
    #[schema(required)]
    server: Option<ServerIdentity>,
    /// The number of tools.
    tools: usize,
    /// Problems in the server's list of tools.
    warnings: Vec<String>,
    /// How the server's program ended.
    #[schema(required, examples("exit status: 1"))]
    exit: Option<String>,
    /// The last lines that the server's program wrote to its standard error.
    stderr: Vec<String>,
}

/// Who logs in to the server of a bridge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum LoginHolder {
    /// Each caller has an account of their own.
    Caller,
    /// All callers share one account.
    Shared,
}

/// What a server says about itself.
#[derive(Debug, Serialize, ToSchema)]
struct ServerIdentity {
    /// The name of the server.
    #[schema(required)]
    name: Option<String>,
}

/// How a bridge reaches its server. Arguments and paths are left out because they may hold secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum TransportDetails {
    /// The bridge starts a program.
    Program(ProgramDetails),
    /// The bridge connects to an address.
    Address(AddressDetails),
    /// The bridge is disabled.
    Disabled(DisabledDetails),
}

/// The program that a bridge starts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProgramDetails {
    /// Always `stdio`.
    kind: TransportWord,
    /// The command, without its arguments.
    command: String,
    /// The system user that runs the program, if it differs from the bridge's own user.
    #[schema(required)]
    user: Option<String>,
}

/// The address that a bridge connects to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddressDetails {
    /// Always `url`.
    kind: TransportWord,
    /// The scheme, host and port of the address.
    #[schema(examples("https://mcp.example.org"))]
    origin: String,
}

/// The transport of a disabled bridge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DisabledDetails {
    /// Whether the bridge has a program or an address.
    kind: TransportWord,
}

/// Whether a bridge starts a program or connects to an address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TransportWord {
    /// A program.
    Stdio,
    /// An address.
    Url,
}

/// The schema of a bridge's status: one of the phases.
fn phase_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What the bridge is doing now."))
        .enum_values(Some(BridgePhase::ALL.map(BridgePhase::as_str)))
}

/// Lists bridges in short
///
/// This is the list of the Python proxy. `GET /admin/api/bridges` shows more.
#[utoipa::path(
    get,
    path = "/servers",
    operation_id = "list_servers",
    tag = "Bridges",
    responses((status = 200, description = "The bridges, sorted by name.", body = ServerList)),
)]
pub async fn servers(State(state): State<Arc<AppState>>, _admin: AdminCaller) -> Json<ServerList> {
    let roster = state.registry.roster();
    let bridges = roster.bridges().iter();
    let mut servers: Vec<_> = bridges
        .map(|bridge| ServerItem {
            id: bridge.name().to_string(),
            name: own_name(bridge),
            enabled: bridge.is_on(),
        })
        .collect();
    servers.sort_by(|a, b| a.id.cmp(&b.id));
    Json(ServerList {
        count: servers.len(),
        servers,
    })
}

/// Lists bridges and their status
#[utoipa::path(
    get,
    path = "/bridges",
    operation_id = "list_bridges",
    tag = "Bridges",
    responses((
        status = 200,
        description = "The bridges, in the order of the configuration.",
        body = BridgeList,
    )),
)]
pub async fn list(State(state): State<Arc<AppState>>, _admin: AdminCaller) -> Json<BridgeList> {
    let roster = state.registry.roster();
    let bridges = roster.bridges().iter();
    let bridges: Vec<_> = bridges.map(|it| shown(it, &state.redactor)).collect();
    Json(BridgeList {
        count: bridges.len(),
        bridges,
    })
}

/// Restarts a bridge
///
/// The bridge ends its session, connects again and reports the outcome. The answer comes when the
/// bridge is connected or has failed, and at the latest 15 seconds after the connect timeout of the
/// bridge. This route is for administrators of the default workspace.
#[utoipa::path(
    post,
    path = "/bridges/{name}/restart",
    operation_id = "restart_bridge",
    tag = "Bridges",
    params(("name" = String, Path, description = "The name of the bridge.")),
    responses(
        (status = 200, description = "The outcome.", body = BridgeRestart),
        (status = 404, description = "`not_found`: there is no such bridge."),
        (status = 409, description = "`disabled`: the bridge is disabled and cannot be restarted."),
    ),
)]
pub async fn restart(
    State(state): State<Arc<AppState>>,
    GlobalAdmin(admin): GlobalAdmin,
    PathName(name): PathName,
) -> Result<Json<BridgeRestart>, ApiError> {
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
        (true, true) => RestartStatus::Restarted,
        (true, false) => RestartStatus::Failed,
        (false, _) => RestartStatus::Starting,
    };
    Ok(Json(BridgeRestart {
        status,
        bridge: shown(&bridge, &state.redactor),
    }))
}

/// A bridge as it is shown. Its texts were redacted when they arrived, and are redacted again
/// because the bridge may have learned more secrets since then.
fn shown(bridge: &Bridge, redactor: &Redactor) -> BridgeDetails {
    let status = bridge.status();
    let retry_after = status.retry_at.map(|_| status.retry_after());
    let server = bridge.live.server.load();
    let tools = bridge.live.tools.load();
    let words = bridge.live.last_words.load();
    let stderr = words.as_deref().map(LastOutput::lines);
    let clean = |text: &str| redactor.redact(text).into_owned();
    let all_clean = |texts: &[String]| texts.iter().map(|it| clean(it)).collect::<Vec<_>>();
    let login = oauth_of(&bridge.config).ok();
    BridgeDetails {
        name: bridge.name().to_string(),
        title: bridge.config.title.as_deref().map(clean),
        enabled: bridge.is_on(),
        transport: transport(bridge, redactor),
        status: status.phase.as_str(),
        reason: status.reason.as_deref().map(clean),
        retry_after,
        attempts: bridge.attempts(),
        failures: status.failures,
        login: login.map(|_| match bridge.config.credential {
            CredentialScope::Caller => LoginHolder::Caller,
            CredentialScope::Shared | CredentialScope::Group => LoginHolder::Shared,
        }),
        server: server.as_deref().map(|server| ServerIdentity {
            name: server.name.as_deref().map(clean),
        }),
        tools: tools.entries.len(),
        warnings: all_clean(&tools.warnings),
        exit: words.as_deref().and_then(|words| words.exit().map(clean)),
        stderr: all_clean(&stderr.unwrap_or_default()),
    }
}

/// How the bridge reaches the server. Arguments and paths are left out because they may hold
/// secrets.
fn transport(bridge: &Bridge, redactor: &Redactor) -> TransportDetails {
    let clean = |text: &str| redactor.redact(text).into_owned();
    match &bridge.config.transport {
        Ok(TransportSettings::Stdio(stdio)) => TransportDetails::Program(ProgramDetails {
            kind: TransportWord::Stdio,
            command: clean(&stdio.command),
            user: stdio.user.as_ref().map(|user| clean(&user.name)),
        }),
        Ok(TransportSettings::Remote(remote)) => TransportDetails::Address(AddressDetails {
            kind: TransportWord::Url,
            origin: clean(&remote.url.origin().ascii_serialization()),
        }),
        Err(_) => TransportDetails::Disabled(DisabledDetails {
            kind: match bridge.config.kind {
                TransportKind::Stdio => TransportWord::Stdio,
                _ => TransportWord::Url,
            },
        }),
    }
}

/// The display name: the bridge's title, or else the server's own name, or else the bridge's name.
fn own_name(bridge: &Bridge) -> String {
    bridge.title().unwrap_or_else(|| bridge.name().to_string())
}
