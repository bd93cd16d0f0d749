//! Traces: a collector gets the spans of a request, linked, and servers are told to go on with them.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::Value;

use crate::harness::{BadHttp, Bridge, Collector, Seen, Setup, free_port, until};

/// A caller's span, and what it is called in headers.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A child that writes down its calls, and a remote server.
fn setup(remote: &BadHttp, endpoint: &str) -> Setup {
    let text = format!(
        "[bridges.child]\n{{bad good --record {{dir}}/calls}}\n[bridges.remote]\n{}\n",
        remote.streamable()
    );
    // Batches leave at once: the tests wait for them.
    Setup::toml(&text)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
}

/// Calls a tool as part of the caller's trace.
async fn call(bridge: &Bridge, path: &str, body: &str) -> u16 {
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=one")];
    bridge.send(Method::POST, path, &headers, body).await.status
}

/// The span of a request, and that of its call.
async fn pair(collector: &Collector, route: &str, bridge: &str, tool: &str) -> (Seen, Seen) {
    let is_of = |span: &Seen, name: &str| span.name == name && span.get("bridge.name") == bridge;
    let request = collector
        .span(|span| is_of(span, route) && span.get("tool.name") == tool)
        .await;
    let call = format!("tools/call {tool}");
    let call = collector
        .span(|span| is_of(span, &call) && span.parent == request.id)
        .await;
    (request, call)
}

#[tokio::test]
async fn a_call_goes_on_with_the_callers_trace_to_servers_of_every_kind() {
    let (collector, remote) = (Collector::start().await, BadHttp::start("json").await);
    let bridge = setup(&remote, &collector.endpoint).ready().await;
    assert_eq!(
        call(&bridge, "/child/echo", r#"{"message": "hi"}"#).await,
        200
    );
    assert_eq!(
        call(&bridge, "/remote/echo", r#"{"message": "hi"}"#).await,
        200
    );

    for name in ["child", "remote"] {
        let (request, call) = pair(&collector, "POST /{bridge}/{tool}", name, "echo").await;
        assert_eq!(
            (request.kind, call.kind),
            (SpanKind::Server, SpanKind::Client)
        );
        assert_eq!(
            (request.trace.as_str(), request.parent.as_str()),
            (TRACE, SPAN)
        );
        assert_eq!(
            (call.trace.as_str(), call.parent.as_str()),
            (TRACE, request.id.as_str())
        );
        assert_eq!(
            (request.state.as_str(), call.state.as_str()),
            ("vendor=one", "vendor=one")
        );
        assert_eq!((request.status, call.status), (0, 0));
        assert_eq!(request.get("http.request.method"), "POST");
        assert_eq!(request.get("http.route"), "/{bridge}/{tool}");
        assert_eq!(request.get("http.response.status_code"), "200");
        assert_eq!(request.get("url.path"), format!("/{name}/echo"));
        assert_eq!(call.get("mcp.method.name"), "tools/call");
        assert_eq!(call.get("gen_ai.tool.name"), "echo");
        assert_eq!(call.get("gen_ai.operation.name"), "execute_tool");
        let transport = if name == "child" { "pipe" } else { "tcp" };
        assert_eq!(call.get("network.transport"), transport);
        assert!(
            call.get("mcp.protocol.version").starts_with("20"),
            "{call:?}"
        );
        assert_eq!(call.resource["service.name"], "mcp-bridge");
        assert_eq!(call.resource["service.version"], env!("CARGO_PKG_VERSION"));

        let told = format!("00-{TRACE}-{}-01", call.id);
        let meta = if name == "child" {
            bridge.calls("calls").pop().unwrap()["meta"].clone()
        } else {
            let headers = remote.read("headers").await;
            assert_eq!(headers["traceparent"], told.as_str());
            assert_eq!(headers["tracestate"], "vendor=one");
            remote.read("meta").await
        };
        assert_eq!(meta["traceparent"], told.as_str(), "{meta}");
        assert_eq!(meta["tracestate"], "vendor=one", "{meta}");
    }
    assert!(bridge.log().contains(&format!("trace.id=\"{TRACE}\"")));
}

#[tokio::test]
async fn a_call_of_nobodys_trace_begins_one() {
    let (collector, remote) = (Collector::start().await, BadHttp::start("json").await);
    let bridge = setup(&remote, &collector.endpoint).ready().await;
    for parent in [
        "",
        "nonsense",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    ] {
        let headers = [("traceparent", parent)];
        let answer = bridge
            .send(Method::POST, "/child/pid", &headers, "{}")
            .await;
        assert_eq!(answer.status, 200);
    }
    until(async || collector.spans().len() >= 6).await;
    let spans = collector.spans();
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 3, "{spans:#?}");
    for root in &roots {
        assert!(root.trace.trim_matches('0').len() > 8, "{root:?}");
        assert!(spans.iter().any(|span| span.parent == root.id));
    }
    // What looks after us makes no spans; pages do, under their routes.
    for path in ["/health", "/ready", "/metrics", "/servers"] {
        bridge.get(path).await;
    }
    let page = collector.span(|span| span.name == "GET /servers").await;
    assert_eq!(page.get("http.route"), "/servers");
    let watched = ["/health", "/ready", "/metrics"];
    let is_watched = |span: &Seen| watched.contains(&span.get("url.path"));
    assert!(!collector.spans().iter().any(is_watched));
}

#[tokio::test]
async fn what_goes_wrong_stands_in_the_spans() {
    let (collector, remote) = (Collector::start().await, BadHttp::start("json").await);
    let bridge = setup(&remote, &collector.endpoint).ready().await;
    let route = "POST /{bridge}/{tool}";
    for (tool, error, code) in [
        ("fail", "tool_error", ""),
        ("rpc_error", "server_error", "-32603"),
        ("die", "upstream_closed", ""),
    ] {
        let status = call(&bridge, &format!("/child/{tool}"), "{}").await;
        let (request, call) = pair(&collector, route, "child", tool).await;
        assert_eq!(request.get("http.response.status_code"), status.to_string());
        assert_eq!(request.get("error.type"), error, "{request:?}");
        // A tool that says that it failed is no error of the server that answers 422.
        let is_ours = if status < 500 { 0 } else { 2 };
        assert_eq!(request.status, is_ours, "{request:?}");
        assert_eq!(call.get("error.type"), error, "{call:?}");
        assert_eq!(call.status, 2, "{call:?}");
        if !code.is_empty() {
            assert_eq!(call.get("rpc.response.status_code"), code, "{call:?}");
        }
    }
    // The caller's own mistake is no error of ours, and reaches no server.
    assert_eq!(call(&bridge, "/child/echo", "{}").await, 422);
    let refused = collector
        .span(|span| span.get("error.type") == "invalid_arguments")
        .await;
    assert_eq!(refused.status, 0, "{refused:?}");
    let spans = collector.spans();
    assert!(!spans.iter().any(|span| span.parent == refused.id));
}

#[tokio::test]
async fn no_secret_reaches_the_collector_but_the_one_that_is_for_it() {
    let (collector, remote) = (Collector::start().await, BadHttp::start("json").await);
    let key = "k3y-of-the-callers-0123456789";
    let bridge = setup(&remote, &collector.endpoint)
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20c0llector-t0ken",
        )
        .env("MCP_API_KEY", key);
    bridge.write(
        "bridges.toml",
        "[identity.keys.default]\nkey = '${MCP_API_KEY}'\n[bridges.child]\n{bad good}\n",
    );
    let bridge = bridge.ready().await;
    let caller = bridge.as_bearer(key).with("traceparent", PARENT);
    let caller = caller.with("tracestate", &format!("vendor={key}"));
    let path = format!("/child/{key}?key={key}");
    caller.post(&path, "{}").await;
    let span = collector
        .span(|span| span.get("bridge.name") == "child")
        .await;
    assert_eq!(span.get("url.path"), "/child/***");
    // Whether they guessed a secret does not change what becomes of the caller's own trace.
    assert_eq!(span.trace, TRACE);
    let seen = format!("{:?}", collector.spans());
    assert!(!seen.contains(key) && !seen.contains("c0llector"), "{seen}");
    let sent = collector.headers();
    assert_eq!(sent[0]["authorization"], "Bearer c0llector-t0ken");
    assert_eq!(sent[0]["content-type"], "application/x-protobuf");
    assert!(!bridge.log().contains("c0llector"), "{}", bridge.log());
}

#[tokio::test]
async fn a_dead_collector_costs_one_line_and_no_call() {
    let port = free_port();
    let remote = BadHttp::start("json").await;
    let mut bridge = setup(&remote, &format!("http://127.0.0.1:{port}"))
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "32")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
        .ready()
        .await;
    let lines = |bridge: &Bridge| {
        let log = bridge.log();
        log.matches("cannot send spans to the collector").count()
    };
    for _ in 0..200 {
        assert_eq!(call(&bridge, "/child/pid", "{}").await, 200);
    }
    until(async || lines(&bridge) == 1).await;
    for _ in 0..100 {
        assert_eq!(call(&bridge, "/child/pid", "{}").await, 200);
    }
    assert_eq!(lines(&bridge), 1, "{}", bridge.log());
    let metrics = bridge.get("/metrics").await.text;
    assert!(metrics.contains("mcp_bridge_spans_total{result=\"lost\"}"));

    // It comes up: spans arrive, and that is told once too.
    let collector = Collector::start_at(port).await;
    until(async || {
        call(&bridge, "/child/pid", "{}").await;
        !collector.spans().is_empty()
    })
    .await;
    until(async || {
        bridge
            .log()
            .contains("sending spans to the collector works again")
    })
    .await;

    // It hangs: neither calls do, nor the end.
    collector.hang();
    for _ in 0..100 {
        assert_eq!(call(&bridge, "/child/pid", "{}").await, 200);
    }
    let began = Instant::now();
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn spans_that_wait_are_sent_before_the_end() {
    let (collector, remote) = (Collector::start().await, BadHttp::start("json").await);
    let mut bridge = setup(&remote, &collector.endpoint)
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .ready()
        .await;
    assert_eq!(call(&bridge, "/child/pid", "{}").await, 200);
    assert!(collector.spans().is_empty());
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    let names: Vec<_> = collector.spans().into_iter().map(|it| it.name).collect();
    assert!(names.contains(&"tools/call pid".to_owned()), "{names:?}");
}

#[tokio::test]
async fn without_a_collector_nothing_is_told_to_servers() {
    let remote = BadHttp::start("json").await;
    let bridge = setup(&remote, " ").ready().await;
    assert_eq!(call(&bridge, "/child/pid", "{}").await, 200);
    assert_eq!(
        call(&bridge, "/remote/echo", r#"{"message": "hi"}"#).await,
        200
    );
    assert_eq!(bridge.calls("calls").pop().unwrap()["meta"], Value::Null);
    assert_eq!(remote.read("headers").await["traceparent"], Value::Null);
    assert_eq!(remote.read("meta").await["traceparent"], Value::Null);
    assert!(!bridge.log().contains("trace.id"));
    assert!(!bridge.get("/metrics").await.text.contains("spans_total"));
}

#[tokio::test]
async fn servers_of_other_revisions_are_told_too() {
    let (collector, old) = (Collector::start().await, BadHttp::start("legacy").await);
    let bridge = Setup::toml(&format!(
        "[bridges.modern]\n{{bad modern --record {{dir}}/calls}}\n[bridges.old]\n{}\n",
        old.sse()
    ))
    .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
    .env("OTEL_BSP_SCHEDULE_DELAY", "50")
    .ready()
    .await;
    for name in ["modern", "old"] {
        let path = format!("/{name}/echo");
        assert_eq!(call(&bridge, &path, r#"{"message": "hi"}"#).await, 200);
        let (_request, call) = pair(&collector, "POST /{bridge}/{tool}", name, "echo").await;
        let told = format!("00-{TRACE}-{}-01", call.id);
        let meta = if name == "modern" {
            bridge.calls("calls").pop().unwrap()["meta"].clone()
        } else {
            assert_eq!(old.read("headers").await["traceparent"], told.as_str());
            old.read("meta").await
        };
        assert_eq!(meta["traceparent"], told.as_str(), "{name}: {meta}");
        let version = &meta["io.modelcontextprotocol/protocolVersion"];
        assert_eq!(version.is_string(), name == "modern", "{meta}");
    }
}
