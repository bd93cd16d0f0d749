//! Calls without HTTP, as the endpoint of another protocol makes them.

use std::{future::ready, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Json, Router,
    routing::{get, post},
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CallInput, CallScope, CallServices, RequestOrigin, SentAnswer, ServiceError, ToolRef, identify,
    make_call,
};
use crate::{
    audit::AuditLog,
    auth::AuthSources,
    bridge::{BridgeContext, BridgeRegistry},
    compute::ComputePool,
    config::{self, Environment},
    credential::{AccountRegistry, CredentialProvider, GroupKeys},
    error_code::ErrorCode,
    mcp,
    secret::Redactor,
    settings::ReloadableSettings,
};

/// A service with one operation, `echo`, which returns its text. It never answers `wait`.
async fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let schema = json!({
        "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"],
    });
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "t", "version": "1"},
        "paths": {"/echo": {"post": {
            "operationId": "echo",
            "requestBody": {"required": true, "content": {"application/json": {"schema": schema}}},
            "responses": {"200": {"description": "the text"}},
        }}},
    });
    let routes = Router::new()
        .route("/openapi", get(async || Json(document)))
        .route(
            "/echo",
            post(async |Json(body): Json<Value>| {
                if body["text"] == "wait" {
                    std::future::pending::<()>().await;
                }
                Json(body)
            }),
        );
    TaskTracker::new().spawn(async move { axum::serve(listener, routes).await });
    port
}

/// The services of a bridge `api` to that service, and a disabled bridge `off`.
async fn services() -> CallServices {
    mcp::install_tls();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.toml");
    let port = service().await;
    let text = format!(
        "[audit]\nenabled = false\n[bridges.api]\nurl = 'http://127.0.0.1:{port}/openapi'\ntransport = 'openapi'\n[bridges.off]\ncommand = 'x'\nenabled = false\n"
    );
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(&path, &Environment::of([("HOME", "/")])).unwrap();
    let config = Arc::new(loaded.config);
    let (redactor, tracker) = (Redactor::default(), TaskTracker::new());
    let accounts = Arc::new(AccountRegistry::in_memory(
        redactor.clone(),
        tracker.clone(),
    ));
    let variants = Box::new(|_: &_, _: &_, _| Err(String::new()));
    let credentials = CredentialProvider::new(accounts, Arc::new(GroupKeys::none()), variants);
    let credentials = Arc::new(credentials);
    let stop = CancellationToken::new();
    let registry = BridgeRegistry::start(
        &config,
        BridgeContext {
            http: mcp::http_client().unwrap(),
            credentials: Arc::clone(&credentials),
            notes_tools: false,
            redactor: redactor.clone(),
            checks: ComputePool::new(),
            replies: ComputePool::new(),
            tracker: tracker.clone(),
            stop: stop.clone(),
        },
    );
    registry.settled().await;
    let settings = ReloadableSettings::new(Arc::clone(&config), &AuthSources::default());
    CallServices {
        registry,
        credentials,
        settings: Arc::new(ArcSwap::from_pointee(settings)),
        audit: AuditLog::start(&config.audit, None, &redactor, &tracker, stop),
        redactor,
    }
}

/// A request without headers.
fn origin() -> RequestOrigin {
    RequestOrigin {
        headers: HeaderMap::new(),
        peer: Some([127, 0, 0, 1].into()),
        request_id: "r1".to_owned(),
        span: None,
        seat: None,
    }
}

/// Makes a call and ends it.
async fn call(
    services: &CallServices,
    target: &ToolRef,
    arguments: impl Future<Output = Result<Bytes, ServiceError>>,
) -> Result<String, ServiceError> {
    let (settings, origin) = (services.settings.load_full(), origin());
    let mut scope = CallScope::start(services, &settings, &origin, target);
    let caller = identify(&settings, &origin).await.unwrap();
    scope.identified(&caller);
    let input = CallInput {
        caller: &caller,
        arguments,
        progress: None,
    };
    let made = make_call(&mut scope, input).await;
    let code = made.as_ref().err().map(|error| error.code);
    scope.end(code, SentAnswer::new(200, 0)).await;
    made
}

/// How the calls of a tool of the target's bridge ended.
fn outcomes(target: &ToolRef) -> Vec<(&'static str, u64)> {
    let outcomes = target.bridge.tally.outcomes();
    outcomes.iter().flat_map(|(_, it)| it.counts()).collect()
}

#[tokio::test]
async fn a_call_needs_no_http() {
    let services = services().await;
    let target = ToolRef::by_id(&services.registry, "api_echo").unwrap();
    let sent = |text: &'static str| ready(Ok(Bytes::from_static(text.as_bytes())));
    let result = call(&services, &target, sent("{\"text\": \"hello\"}")).await;
    let result: Value = serde_json::from_str(&result.unwrap()).unwrap();
    assert_eq!(result["content"][0]["text"], "{\"text\":\"hello\"}");
    let refused = call(&services, &target, sent("{}")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArguments);
    assert!(refused.message().contains("text"), "{}", refused.message());
    // A caller that hangs up ends the call.
    let waiting = call(&services, &target, sent("{\"text\": \"wait\"}"));
    let ended = tokio::time::timeout(Duration::from_millis(300), waiting).await;
    assert!(ended.is_err(), "the service does not answer");
    let mut counts = outcomes(&target);
    counts.sort_unstable();
    assert_eq!(
        counts,
        [("cancelled", 1), ("invalid_arguments", 1), ("ok", 1)]
    );
}

#[tokio::test]
async fn the_arguments_of_a_refused_call_are_not_read() {
    let services = services().await;
    let target = ToolRef {
        bridge: Arc::clone(services.registry.roster().get("off").unwrap()),
        tool: "x".to_owned(),
    };
    let read = async { panic!("the arguments were read") };
    let refused = call(&services, &target, read).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Disabled);
    assert_eq!(outcomes(&target), [("disabled", 1)]);
    let target = ToolRef {
        bridge: Arc::clone(services.registry.roster().get("api").unwrap()),
        tool: "ecko".to_owned(),
    };
    let read = async { panic!("the arguments were read") };
    let refused = call(&services, &target, read).await.unwrap_err();
    assert!(
        refused.message().contains("did you mean `echo`?"),
        "{}",
        refused.message()
    );
}
