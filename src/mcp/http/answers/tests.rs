//! That rmcp's own decoder leaves a rewritten answer alone.

use rmcp::model::{CallToolRequest, CallToolRequestParams, CustomResult, ServerResult};
use serde_json::Value;

use super::*;
use crate::mcp::decode::raw_result;

/// Results that rmcp reads as another kind or loses parts of.
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

/// A rewriter whose stream answers request `asked`.
fn rewriter(calls: &RawCalls, asked: Option<i64>) -> Rewriter {
    Rewriter {
        ears: Ears::default(),
        calls: calls.clone(),
        asked: asked.map(|id| Asked::new(&call(id), false, calls)),
        bytes_max: 10,
        sessions: true,
        stall: Stall::default(),
        opened: Instant::now(),
    }
}

/// An event with this data.
fn event(data: &str) -> Frame {
    Frame::Event(Event {
        event: "message".to_owned(),
        data: data.to_owned(),
        ..Event::default()
    })
}

#[test]
fn rmcp_reads_a_rewritten_result_as_text() {
    for result in RESULTS {
        let calls = RawCalls::default();
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
        assert!(calls.ids().is_empty());
    }
}

#[test]
fn an_answer_on_another_stream_is_known() {
    let calls = RawCalls::default();
    let mut first = rewriter(&calls, Some(5));
    let priming = Frame::Event(Event {
        event: "message".to_owned(),
        id: "e1".to_owned(),
        ..Event::default()
    });
    assert_eq!(first.frame(priming).id.as_deref(), Some("e1"));
    drop(first);
    let data = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    let resumed = rewriter(&calls, None).frame(event(data)).data.unwrap();
    assert_eq!(resumed, r#"{"jsonrpc":"2.0","id":5,"result":"{}"}"#);
    // Without an event id a broken stream is not resumed, and nothing is kept.
    drop(rewriter(&calls, Some(6)));
    assert!(calls.ids().is_empty());
}

#[test]
fn what_is_no_answer_to_a_call_passes() {
    let calls = RawCalls::default();
    let mut rewriter = rewriter(&calls, None);
    for data in [
        r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[]}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":9,"error":{"code":1,"message":"no"}}"#,
    ] {
        assert_eq!(rewriter.frame(event(data)).data.as_deref(), Some(data));
    }
    for data in ["", " ", "pong", "[]", "1"] {
        assert_eq!(rewriter.frame(event(data)).data, None, "{data}");
    }
}

#[test]
fn a_modern_tool_list_is_left_to_rmcp() {
    let request = ClientRequest::ListToolsRequest(rmcp::model::ListToolsRequest::default());
    let message: ClientJsonRpcMessage = JsonRpcMessage::request(request, RequestId::Number(1));
    let list = r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{list}}}"#);
    for modern in [true, false] {
        let calls = RawCalls::default();
        let asked = Asked::new(&message, modern, &calls);
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
        let stall = Stall::default();
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
