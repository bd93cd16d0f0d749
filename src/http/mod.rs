//! The routes (design §2). This module knows JSON and nothing of MCP.

mod accept;
mod body;
mod documents;
mod error;
mod gate;
mod health;
mod identity;
mod layers;
mod lists;
mod path;
mod refresh;
mod serve;
mod state;
mod tools;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::Method;

pub use serve::bind;
pub use state::{AppState, Settings};

use self::{error::ApiError, gate::Gate, path::Target};
use crate::config::Flavor;

/// The whole route table, and the layers around it from the innermost out.
pub fn router(state: &Arc<AppState>) -> Router {
    let settings = state.settings.load();
    let gate = Gate::new(settings.config.limits.requests_max);
    let flavor = settings.config.flavor;
    let routes = Router::new()
        .route("/", get(lists::root))
        .route("/servers", get(lists::servers))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/refresh", post(refresh::refresh))
        .route("/openapi.json", get(documents::merged))
        .route("/docs", get(documents::docs))
        .route("/docs/", get(documents::docs))
        .route("/redoc", get(documents::docs))
        .route("/docs/assets/{file}", get(documents::asset))
        .fallback(dispatch)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed(None))
        .with_state(Arc::clone(state));
    let routes = if flavor == Flavor::Native {
        routes
    } else {
        routes.layer(from_fn_with_state(Arc::clone(state), servers_first))
    };
    routes
        .layer(from_fn(catch_panic))
        .layer(layers::cors(Arc::clone(&state.settings)))
        .layer(from_fn_with_state(gate, layers::observe))
}

/// Under mcpo's rules our own routes give way to a server of that name.
async fn servers_first(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    match target(&state, &request) {
        Target::Tool(bridge, tool)
            if request.method() == Method::POST
                && bridge.live.tools.load().get(&tool).is_some() =>
        {
            let target = Target::Tool(bridge, tool);
            answer(&state, target, request).await
        }
        Target::Document(_) | Target::Docs(_) | Target::Bridge(_) | Target::Tool(..)
            if state.settings.load().config.flavor == Flavor::McpoSingle =>
        {
            next.run(request).await
        }
        Target::Unknown(_) => next.run(request).await,
        target => answer(&state, target, request).await,
    }
}

/// Everything that is no fixed route: bridges and tools.
async fn dispatch(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let target = target(&state, &request);
    answer(&state, target, request).await
}

/// What a request's path means.
fn target(state: &AppState, request: &Request) -> Target {
    let settings = state.settings.load();
    path::resolve(
        &state.registry.roster(),
        &settings.config,
        request.method(),
        request.uri().path(),
    )
}

/// Serves one target.
async fn answer(state: &AppState, target: Target, request: Request) -> Response {
    let is_post = request.method() == Method::POST;
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers();
    let result = match target {
        Target::Bridge(bridge) if is_get => lists::bridge(state, &bridge, headers).await,
        Target::Document(bridge) if is_get => documents::of_bridge(state, &bridge, headers).await,
        Target::Docs(bridge) if is_get => documents::docs_of_bridge(state, &bridge, headers).await,
        Target::Tool(bridge, tool) => match tools::find(bridge, &tool) {
            Ok(found) if is_post => return call(state, found, request).await,
            Ok(_) => Err(ApiError::method_not_allowed(Some(error::POST))),
            Err(error) => Err(stranger(state, headers).await.unwrap_or(error)),
        },
        Target::Unknown(path) => match flat(state, &path) {
            Some(Ok(found)) if is_post => return call(state, found, request).await,
            Some(Ok(_)) => Err(ApiError::method_not_allowed(Some(error::POST))),
            Some(Err(error)) => Err(stranger(state, headers).await.unwrap_or(error)),
            None => Err(unknown(state, &path, headers).await),
        },
        Target::Bridge(_) | Target::Document(_) | Target::Docs(_) => {
            Err(ApiError::method_not_allowed(Some(error::GET)))
        }
    };
    result.unwrap_or_else(ApiError::into_response)
}

/// The tool of an operation id or of the Python proxy's form, `{bridge}_{tool}`. What is not in the
/// catalogue may be a tool of a bridge that has only just come up, or is not up.
fn flat(state: &AppState, path: &str) -> Option<Result<tools::Found, ApiError>> {
    if let Some((bridge, entry)) = state.registry.catalogue().flat(path) {
        return Some(Ok(tools::Found { bridge, entry }));
    }
    let roster = state.registry.roster();
    let owners = roster.bridges().iter().filter_map(|bridge| {
        let tool = path.strip_prefix(bridge.name().as_str())?;
        Some((bridge, tool.strip_prefix('_')?))
    });
    let (bridge, tool) = owners.max_by_key(|(bridge, _)| bridge.name().as_str().len())?;
    Some(tools::find(Arc::clone(bridge), tool))
}

/// Calls a tool with the parts of the request.
async fn call(state: &AppState, found: tools::Found, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let settings = state.settings.load_full();
    tools::call(&settings, found, &parts.headers, body).await
}

/// The refusal of a caller without identity, who is not told what is missing or why it is off.
/// Under mcpo's rules a missing route is 404 to everyone.
async fn stranger(state: &AppState, headers: &http::HeaderMap) -> Option<ApiError> {
    let settings = state.settings.load_full();
    if settings.config.flavor == Flavor::Native {
        identity::identify(&settings, headers).await.err()
    } else {
        identity::guard_documents(&settings, headers).await.err()
    }
}

/// 404; where documents are not public, what exists is not told to strangers.
async fn unknown(state: &AppState, path: &str, headers: &http::HeaderMap) -> ApiError {
    if let Err(error) = identity::guard_documents(&state.settings.load_full(), headers).await {
        return error;
    }
    let shown: String = path.chars().take(100).collect();
    ApiError::not_found(format!(
        "nothing is at `/{shown}`; GET /servers lists the bridges, GET /docs shows their tools"
    ))
}

/// A panic in a handler costs that request and no other.
async fn catch_panic(request: Request, next: Next) -> Response {
    use futures::FutureExt as _;
    let run = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    run.await.unwrap_or_else(|_panic| {
        tracing::error!("a request handler panicked");
        ApiError::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this is a defect of the bridge; its log has the details under the request id",
        )
        .into_response()
    })
}
