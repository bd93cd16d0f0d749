//! Tests of the commands, each on its own database.

use clap::Parser as _;

use super::run::{AuditTail, run};
use crate::{
    cli::args::{Cli, CliCommand},
    store::{CallFilter, CallRecord, ChangeActor, GrantRow, Store, testing::Base},
};

fn call(number: i64, caller: &str, outcome: &str) -> CallRecord {
    CallRecord {
        id: format!("a-{number:05}"),
        instance: "a".to_owned(),
        workspace: "default".to_owned(),
        time: 1_795_168_800_000_000 + number * 1_000_000,
        request_id: format!("r{number}"),
        caller: Some(caller.to_owned()),
        proof: "session".to_owned(),
        rule: "grant developers".to_owned(),
        bridge: "github".to_owned(),
        tool: "search".to_owned(),
        outcome: outcome.to_owned(),
        status: match outcome {
            "started" => 0,
            "forbidden" => 403,
            "tool_error" => 500,
            _ => 200,
        },
        duration_us: 12_345,
        ..CallRecord::default()
    }
}

async fn output(store: &Store, words: &str) -> String {
    let words = ["mcp-bridge", "audit"].into_iter().chain(words.split(' '));
    let Some(CliCommand::Audit { command }) = Cli::try_parse_from(words).unwrap().command else {
        panic!("no audit command");
    };
    let mut text = String::new();
    run(store, command, &mut |part| {
        text.push_str(part);
        Ok(())
    })
    .await
    .unwrap();
    text
}

#[tokio::test]
async fn calls_are_found_shown_and_exported() {
    for base in Base::both().await {
        let store = base.store().await;
        assert_eq!(output(&store, "query").await, "no calls\n");
        let evil = CallRecord {
            tool: "\u{1b}[31mred".to_owned(),
            ..call(2, "bob", "forbidden")
        };
        let calls = [
            call(0, "alice@example.com", "ok"),
            call(1, "=1+1", "tool_error"),
            evil,
        ];
        store.put_calls(&calls).await.unwrap();
        let text = output(&store, "query").await;
        let words = "query --since 2026-11-20T10:00:00 --until 2026-11-20T10:00:02 --caller ALICE@example.com --format csv";
        let csv = output(&store, words).await;
        let lines = output(&store, "query --outcome tool_error --format jsonl").await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r"
            TIME (UTC)           CALLER                    BRIDGE/TOOL                       OUTCOME           TIME TAKEN  RULE                  REQUEST
            2026-11-20 10:00:02  bob                       github/\u{1b}[31mred              forbidden 403        12.3 ms  grant developers      r2
            2026-11-20 10:00:01  =1+1                      github/search                     tool_error 500       12.3 ms  grant developers      r1
            2026-11-20 10:00:00  alice@example.com         github/search                     ok 200               12.3 ms  grant developers      r0
            ");
            insta::assert_snapshot!(csv, @r"
            time,request_id,caller,proof,groups,rule,bridge,tool,outcome,status,duration_us,request_bytes,response_bytes,peer,workspace,instance,id,arguments,count
            2026-11-20T10:00:00.000000Z,r0,alice@example.com,session,,grant developers,github,search,ok,200,12345,0,0,,default,a,a-00000,,1
            ");
            insta::assert_snapshot!(lines, @r#"{"time":"2026-11-20T10:00:01.000000Z","request_id":"r1","caller":"=1+1","proof":"session","groups":[],"rule":"grant developers","bridge":"github","tool":"search","outcome":"tool_error","status":500,"duration_us":12345,"request_bytes":0,"response_bytes":0,"peer":null,"workspace":"default","instance":"a","id":"a-00001","arguments":null,"count":1}"#);
        }
        let csv = output(&store, "query --format csv").await;
        assert!(csv.contains(",'=1+1,"), "{csv}");
        assert_eq!(
            output(&store, "query --limit 1 --format jsonl")
                .await
                .lines()
                .count(),
            1
        );
        assert_eq!(
            output(&store, "query --workspace other").await,
            "no calls\n"
        );
        let tail = output(&store, "tail -n 2").await;
        let requests: Vec<_> = tail
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        assert_eq!(requests, ["REQUEST", "r1", "r2"]);
    }
}

#[tokio::test]
async fn an_export_goes_over_pages() {
    let base = Base::sqlite();
    let store = base.store().await;
    for chunk in 0..5 {
        let calls: Vec<_> = (0..500)
            .map(|n| call(chunk * 500 + n, "alice", "ok"))
            .collect();
        store.put_calls(&calls).await.unwrap();
    }
    let csv = output(&store, "query --format csv").await;
    assert_eq!(csv.lines().count(), 2501);
    let ids: std::collections::BTreeSet<_> = csv.lines().skip(1).collect();
    assert_eq!(ids.len(), 2500);
}

#[tokio::test]
async fn a_tail_shows_each_call_once_when_it_ended() {
    let base = Base::sqlite();
    let store = base.store().await;
    store
        .put_calls(&[call(0, "alice", "ok"), call(1, "alice", "started")])
        .await
        .unwrap();
    let mut text = String::new();
    let mut out = |part: &str| {
        text.push_str(part);
        Ok(())
    };
    let mut tail = AuditTail::begin(&store, CallFilter::default(), 10, &mut out)
        .await
        .unwrap();
    store.put_calls(&[call(100, "bob", "ok")]).await.unwrap();
    tail.look(&store, &mut out).await.unwrap();
    tail.look(&store, &mut out).await.unwrap();
    store
        .put_calls(&[call(1, "alice", "timeout"), call(99, "late", "ok")])
        .await
        .unwrap();
    tail.look(&store, &mut out).await.unwrap();
    tail.look(&store, &mut out).await.unwrap();
    let requests: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(requests, ["r0", "r1", "r100", "r1", "r99"], "{text}");
}

#[tokio::test]
async fn changes_are_shown() {
    let base = Base::sqlite();
    let store = base.store().await;
    assert_eq!(output(&store, "changes").await, "no changes\n");
    let actor = ChangeActor {
        id: "operator".to_owned(),
        proof: "operator".to_owned(),
        workspace: "default".to_owned(),
    };
    let grant = GrantRow {
        workspace: None,
        group: "developers".to_owned(),
        bridge: "github".to_owned(),
        tools: Vec::new(),
        read_only: false,
    };
    store.grant(&actor, &grant).await.unwrap();
    let text = output(&store, "changes --since 1h --actor operator").await;
    assert!(
        text.contains("operator") && text.contains("developers github"),
        "{text}"
    );
    assert_eq!(
        output(&store, "changes --format csv").await.lines().count(),
        2
    );
}

#[test]
fn a_time_that_is_none_is_explained() {
    let words = ["mcp-bridge", "audit", "query", "--since", "yesterday"];
    let error = Cli::try_parse_from(words).unwrap_err().to_string();
    assert!(error.contains("`2026-11-20T10:00` (UTC)"), "{error}");
}
