//! Remote sessions that end and come back without the caller's help.

use std::time::Duration;

use crate::{
    harness::{BadHttp, Setup},
    remote::{beside_a_good_one, good_answers},
};

#[tokio::test]
async fn an_expired_session_is_replaced_and_the_call_made_once() {
    for mode in ["json", "sse"] {
        let server = BadHttp::start(mode).await;
        let bridges = [("bad".to_owned(), server.streamable())];
        let bridge = beside_a_good_one(&bridges).ready().await;
        for round in 1..=3 {
            server.tell("expire", "").await;
            let before = server.count("tools/call").await;
            let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
            assert_eq!(
                (answer.status, answer.text.as_str()),
                (200, r#""hi""#),
                "{mode}"
            );
            // One that was refused with 404, one that was made.
            let calls = server.count("tools/call").await - before;
            assert!(calls <= 2, "{mode}: {calls} calls");
            assert!(server.count("initialize").await <= 1 + round * 2, "{mode}");
        }
        assert_eq!(bridge.server("bad").await["status"], "ready");
    }
}

#[tokio::test]
async fn many_callers_at_an_expired_session_are_all_served() {
    let server = BadHttp::start("json").await;
    let bridges = [("bad".to_owned(), server.streamable())];
    let bridge = beside_a_good_one(&bridges).ready().await;
    bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    server.tell("expire", "").await;
    let calls = (0..20).map(|_| bridge.post("/bad/echo", r#"{"message": "hi"}"#));
    let answers = futures::future::join_all(calls).await;
    let failed: Vec<_> = answers.iter().filter(|it| it.status != 200).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn a_server_that_goes_away_comes_back() {
    let server = BadHttp::start("json").await;
    let bridges = [("bad".to_owned(), server.streamable())];
    let mut bridge = beside_a_good_one(&bridges).ready().await;
    let etag = bridge.get("/openapi.json").await.header("etag").to_owned();
    let port = server.kill().await;
    let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    answer.assert_error(503, "unavailable");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    let down = bridge.until("bad", "backing_off").await;
    assert_eq!(down["tools"], 4, "they stay published");
    assert_eq!(bridge.get("/openapi.json").await.header("etag"), etag);
    bridge.wait_for("/ready", |status| status == 200).await;
    good_answers(&bridge).await;
    let server = BadHttp::start(&format!("json --port {port}")).await;
    bridge.until("bad", "ready").await;
    let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.text, r#""hi""#);
    assert_eq!(server.count("tools/call").await, 1);
}

#[tokio::test]
async fn a_server_restarted_between_two_calls_is_not_noticed() {
    let server = BadHttp::start("json").await;
    let bridges = [("bad".to_owned(), server.streamable())];
    let bridge = beside_a_good_one(&bridges).ready().await;
    assert_eq!(
        bridge
            .post("/bad/echo", r#"{"message": "one"}"#)
            .await
            .status,
        200
    );
    let port = server.kill().await;
    let server = BadHttp::start(&format!("json --port {port}")).await;
    let answer = bridge.post("/bad/echo", r#"{"message": "two"}"#).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#""two""#));
    assert!(server.count("tools/call").await <= 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_at_the_start_is_found_later() {
    let server = BadHttp::start("json").await;
    let lines = server.streamable();
    let port = server.kill().await;
    let bridge = beside_a_good_one(&[("bad".to_owned(), lines)])
        .ready()
        .await;
    assert_eq!(bridge.server("bad").await["tools"], 0);
    let _server = BadHttp::start(&format!("json --port {port}")).await;
    bridge.until("bad", "ready").await;
    let answer = bridge.post("/bad_echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.text, r#""hi""#);
}

#[tokio::test]
async fn a_changed_tool_list_is_heard_on_the_stream() {
    let modern = BadHttp::start("json").await;
    let old = BadHttp::start("legacy").await;
    let toml = format!(
        "[bridges.modern]\n{}\n[bridges.old]\n{}\n",
        modern.streamable(),
        old.sse()
    );
    let bridge = Setup::toml(&toml).ready().await;
    modern.until_count("GET", 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (name, server) in [("modern", &modern), ("old", &old)] {
        assert_eq!(bridge.server(name).await["tools"], 4);
        server.tell("changed", "").await;
        bridge.until_server(name, |it| it["tools"] == 5).await;
        server.tell("changed", "").await;
        bridge.until_server(name, |it| it["tools"] == 4).await;
    }
}

#[tokio::test]
async fn a_lost_stream_of_an_old_server_is_opened_again() {
    let server = BadHttp::start("legacy").await;
    let bridges = [("bad".to_owned(), server.sse())];
    let bridge = beside_a_good_one(&bridges).ready().await;
    server.tell("expire", "").await;
    // Its handler ends within half a second.
    server.until_count("GET", 2).await;
    bridge.until("bad", "ready").await;
    let answer = bridge.post("/bad/echo", r#"{"message": "hi"}"#).await;
    assert_eq!(answer.text, r#""hi""#);
    good_answers(&bridge).await;
}
