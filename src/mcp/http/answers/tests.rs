//! Tests that rmcp's own decoder does not change a rewritten answer.

use futures::FutureExt as _;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientJsonRpcMessage, ClientRequest, CustomResult,
    ServerResult,
};
use serde_json::Value;

use super::*;
use crate::mcp::decode::raw_result;

/// Results that rmcp reads as another type or loses parts of.
const RESULTS: [&str; 7] = [
    r#"{"content":[{"type":"text","text":"a"}]}"#,
    r#"{"content":[{"type":"image","data":"AA=="}],"_meta":{"a":1}}"#,
    r#"{"content":[],"messages":[],"tools":[],"contents":[],"action":"accept"}"#,
    "{}",
    r#"{"content":[{"type":"text","text":"1.50 é \u0000 \\ \""}],"n":1e400}"#,
    r#"{"resultType":"input_required","inputRequests":{}}"#,
    r#""text""#,
];

/// The message of a call.
fn call(id: i64) -> ClientJsonRpcMessage {
    let request = CallToolRequest::new(CallToolRequestParams::new("t"));
    JsonRpcMessage::request(
        ClientRequest::CallToolRequest(request),
        RequestId::Number(id),
    )
}

/// Returns a rewriter whose stream answers the request `asked`.
fn rewriter(calls: &RequestTracker, asked: Option<i64>) -> EventRewriter {
    EventRewriter {
        ears: ProgressRegistry::default(),
        calls: calls.clone(),
        asked: asked.map(|id| PendingRequest::new(&call(id), false, calls)),
        sessions: true,
        stall: DelayedAckDetector::default(),
        opened: Instant::now(),
        health: SessionHealth::default(),
        has_broken: false,
    }
}

/// An event with this data.
fn event(data: &str) -> StreamItem {
    StreamItem::Event(Event {
        event: "message".to_owned(),
        data: data.to_owned(),
        ..Event::default()
    })
}

#[test]
fn rmcp_reads_a_rewritten_result_as_text() {
    for result in RESULTS {
        let calls = RequestTracker::default();
        let data = format!(r#"{{"result":{result},"id":"3","jsonrpc":"2.0"}}"#);
        let sse = rewriter(&calls, Some(3)).frame(event(&data));
        let message: ServerJsonRpcMessage = serde_json::from_str(&sse.data.unwrap()).unwrap();
        let JsonRpcMessage::Response(response) = message else {
            panic!("{message:?}");
        };
        assert_eq!(response.id, RequestId::Number(3));
        assert!(
            matches!(
                &response.result,
                ServerResult::CustomResult(CustomResult(Value::String(_)))
            ),
            "{:?}",
            response.result
        );
        assert_eq!(raw_result(response.result).unwrap(), result);
        assert!(calls.lock().is_empty());
    }
}

#[test]
fn an_answer_on_another_stream_is_known() {
    let calls = RequestTracker::default();
    let mut first = rewriter(&calls, Some(5));
    let priming = StreamItem::Event(Event {
        event: "message".to_owned(),
        id: "e1".to_owned(),
        ..Event::default()
    });
    assert_eq!(first.frame(priming).id.as_deref(), Some("e1"));
    drop(first);
    let data = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    let resumed = rewriter(&calls, None).frame(event(data)).data.unwrap();
    assert_eq!(resumed, r#"{"jsonrpc":"2.0","id":5,"result":"{}"}"#);
    // Without an event id a broken stream is not resumed, so the request is removed.
    drop(rewriter(&calls, Some(6)));
    assert!(calls.lock().is_empty());
}

#[test]
fn what_was_not_asked_for_goes_nowhere() {
    let calls = RequestTracker::default();
    let mut rewriter = rewriter(&calls, None);
    for data in [
        r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[]}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":9,"error":{"code":1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated"}"#,
        "",
        " ",
        "pong",
        "[]",
        "1",
    ] {
        assert_eq!(rewriter.frame(event(data)).data, None, "{data}");
    }
    let ping = serde_json::to_value(calls.unasked.take_owed().unwrap()).unwrap();
    assert_eq!(
        ping,
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {}})
    );
    assert!(calls.unasked.take_owed().is_none());
    assert!(
        calls
            .unasked
            .tools_changed()
            .notified()
            .now_or_never()
            .is_some()
    );
    let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}"#;
    let passed = rewriter.frame(event(acknowledged)).data;
    assert_eq!(passed.as_deref(), Some(acknowledged), "rmcp waits for it");
}

#[test]
fn an_answer_that_came_once_is_no_answer_any_more() {
    let calls = RequestTracker::default();
    let mut rewriter = rewriter(&calls, Some(3));
    let data = r#"{"jsonrpc":"2.0","id":3,"result":{}}"#;
    assert!(rewriter.frame(event(data)).data.is_some());
    assert_eq!(rewriter.frame(event(data)).data, None);
}

#[test]
fn a_server_decides_little_about_when_its_stream_is_opened_again() {
    let calls = RequestTracker::default();
    for (asked, kept) in [(0, 250), (900, 900), (u64::MAX, 60_000)] {
        let retry = StreamItem::Event(Event {
            retry: Some(Duration::from_millis(asked)),
            ..Event::default()
        });
        assert_eq!(rewriter(&calls, None).frame(retry).retry, Some(kept));
    }
}

#[test]
fn a_modern_tool_list_of_tiny_values_is_not_read() {
    let calls = RequestTracker::default();
    let request = ClientRequest::ListToolsRequest(rmcp::model::ListToolsRequest::default());
    let message: ClientJsonRpcMessage = JsonRpcMessage::request(request, RequestId::Number(1));
    let data = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}0]}}}}"#,
        "0,".repeat(1_000_000)
    );
    let asked = PendingRequest::new(&message, true, &calls);
    let answer = asked.decode(&message, data.as_bytes()).unwrap();
    let is_refusal = |text: &str| text.contains("-32090");
    assert!(is_refusal(&serde_json::to_string(&answer).unwrap()));
    let mut rewriter = rewriter(&calls, None);
    rewriter.asked = Some(asked);
    let event = rewriter.frame(event(&data));
    assert!(is_refusal(&event.data.unwrap()));
}

#[test]
fn a_modern_tool_list_is_left_to_rmcp() {
    let request = ClientRequest::ListToolsRequest(rmcp::model::ListToolsRequest::default());
    let message: ClientJsonRpcMessage = JsonRpcMessage::request(request, RequestId::Number(1));
    let list = r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{list}}}"#);
    for modern in [true, false] {
        let calls = RequestTracker::default();
        let asked = PendingRequest::new(&message, modern, &calls);
        let decoded = asked.decode(&message, body.as_bytes()).unwrap();
        let JsonRpcMessage::Response(response) = decoded else {
            panic!("{decoded:?}");
        };
        let is_typed = matches!(response.result, ServerResult::ListToolsResult(_));
        assert_eq!(is_typed, modern);
        assert!(
            raw_result(response.result)
                .unwrap()
                .contains(r#""name":"a""#)
        );
    }
}

#[test]
fn only_a_steady_delay_is_a_stall() {
    let noted = |gaps: &[u64]| {
        let stall = DelayedAckDetector::default();
        for _ in 0..6 {
            for gap in gaps {
                stall.note(Duration::from_millis(*gap));
            }
        }
        stall.is_certain()
    };
    assert!(noted(&[40, 44]));
    assert!(noted(&[44, 44, 90, 30]));
    assert!(!noted(&[44, 44, 44, 44, 3]));
    assert!(!noted(&[100, 200, 36]));
}
