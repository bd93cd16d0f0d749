//! The audit trail, and texts that contain SQL.

use super::{super::*, actor, grant};
use crate::store::testing::Base;

/// A record.
fn call(number: i64, outcome: &str) -> CallRecord {
    CallRecord {
        id: format!("i1-{number:06}"),
        instance: "i1".to_owned(),
        workspace: "default".to_owned(),
        time: 1_000_000 + number,
        request_id: format!("r{number}"),
        caller: Some("Ann@example.com".to_owned()),
        proof: "session".to_owned(),
        groups: vec!["devs".to_owned(), "a \"b\", c".to_owned()],
        rule: "grant devs".to_owned(),
        bridge: "time".to_owned(),
        tool: "now".to_owned(),
        peer: Some("127.0.0.1".to_owned()),
        outcome: outcome.to_owned(),
        status: 200,
        duration_us: 12,
        request_bytes: 3,
        response_bytes: 4,
        repeats: 2,
        arguments: Some("{}".to_owned()),
    }
}

fn all() -> CallFilter {
    CallFilter {
        limit: 10_000,
        ..CallFilter::default()
    }
}

#[tokio::test]
async fn a_call_that_ended_replaces_the_started_one_and_no_other() {
    for base in Base::both().await {
        let store = base.store().await;
        // Both in one batch, and one after another.
        let batch = [
            call(1, "started"),
            call(1, "ok"),
            call(1, "cancelled"),
            call(2, "started"),
        ];
        store.put_calls(&batch).await.unwrap();
        store
            .put_calls(&[call(2, "ok"), call(3, "started")])
            .await
            .unwrap();
        store
            .put_calls(&[call(2, "tool_error"), call(2, "started")])
            .await
            .unwrap();
        let calls = store.calls(&all()).await.unwrap();
        assert_eq!(calls, [call(3, "started"), call(2, "ok"), call(1, "ok")]);
        assert_eq!(store.interrupt_calls("i2").await.unwrap(), 0);
        assert_eq!(store.interrupt_calls("i1").await.unwrap(), 1);
        assert_eq!(store.calls(&all()).await.unwrap()[0].outcome, "interrupted");
        store.put_calls(&[call(3, "ok")]).await.unwrap();
        assert_eq!(store.calls(&all()).await.unwrap()[0].outcome, "interrupted");
    }
}

#[tokio::test]
async fn calls_are_read_in_pages_and_filtered() {
    for base in Base::both().await {
        let store = base.store().await;
        let mut calls: Vec<_> = (0..250).map(|number| call(number, "ok")).collect();
        calls[7].time = calls[6].time;
        calls[100].caller = None;
        calls[101].bridge = "github".to_owned();
        calls[102].tool = "later".to_owned();
        calls[103].outcome = "tool_error".to_owned();
        calls[104].workspace = "other".to_owned();
        store.put_calls(&calls).await.unwrap();
        calls.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));

        let mut read = Vec::new();
        let mut filter = CallFilter {
            limit: 60,
            ..CallFilter::default()
        };
        loop {
            let page = store.calls(&filter).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.before = Some((last.time, last.id.clone()));
            read.extend(page);
        }
        assert_eq!(read, calls);

        assert_eq!(store.purge_calls(1_000_010, 4).await.unwrap(), 4);
        assert_eq!(store.purge_calls(1_000_010, 100).await.unwrap(), 6);
        assert_eq!(store.purge_calls(1_000_010, 100).await.unwrap(), 0);
        assert_eq!(store.calls(&all()).await.unwrap().len(), 240);
    }
}

#[tokio::test]
async fn calls_are_filtered_by_all_that_is_asked_for() {
    for base in Base::both().await {
        let store = base.store().await;
        let mut calls: Vec<_> = (0..250).map(|number| call(number, "ok")).collect();
        calls[7].time = calls[6].time;
        calls[100].caller = None;
        calls[101].bridge = "github".to_owned();
        calls[102].tool = "later".to_owned();
        calls[103].outcome = "tool_error".to_owned();
        calls[104].workspace = "other".to_owned();
        store.put_calls(&calls).await.unwrap();
        let with = |change: fn(&mut CallFilter)| {
            let mut filter = all();
            change(&mut filter);
            filter
        };
        for (filter, count) in [
            (
                with(|it| it.caller = Some("ANN@Example.com".to_owned())),
                249,
            ),
            (with(|it| it.bridge = Some("github".to_owned())), 1),
            (with(|it| it.bridge = Some("x".repeat(300))), 0),
            (with(|it| it.tool = Some("later".to_owned())), 1),
            (with(|it| it.outcome = Some("tool_error".to_owned())), 1),
            (with(|it| it.request_id = Some("r9".to_owned())), 1),
            (with(|it| it.workspace = Some("other".to_owned())), 1),
            (with(|it| it.workspace = Some("default".to_owned())), 249),
            (with(|it| it.workspace = Some("' OR 1=1 --".to_owned())), 0),
            (
                with(|it| (it.since, it.until) = (Some(1_000_010), Some(1_000_020))),
                10,
            ),
            (with(|it| it.limit = 0), 0),
        ] {
            let found = store.calls(&filter).await.unwrap();
            assert_eq!(found.len(), count, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn changes_without_a_transaction_are_kept_once() {
    for base in Base::both().await {
        let store = base.store().await;
        let change = ChangeRecord {
            id: "c1".to_owned(),
            workspace: "default".to_owned(),
            time: 5,
            actor: "Root@example.com".to_owned(),
            proof: "session".to_owned(),
            action: "restart".to_owned(),
            target: "github".to_owned(),
        };
        let other = ChangeRecord {
            action: "other".to_owned(),
            ..change.clone()
        };
        store.put_changes(&[change.clone(), other]).await.unwrap();
        store
            .put_changes(std::slice::from_ref(&change))
            .await
            .unwrap();
        let filter = ChangeFilter {
            limit: 9,
            ..ChangeFilter::default()
        };
        assert_eq!(store.changes(&filter).await.unwrap(), [change]);
        for filter in [
            ChangeFilter {
                actor: Some("ROOT@example.com".to_owned()),
                ..filter.clone()
            },
            ChangeFilter {
                since: Some(5),
                until: Some(6),
                ..filter.clone()
            },
            ChangeFilter {
                workspace: Some("default".to_owned()),
                ..filter.clone()
            },
        ] {
            assert_eq!(store.changes(&filter).await.unwrap().len(), 1, "{filter:?}");
        }
        for filter in [
            ChangeFilter {
                actor: Some("x".to_owned()),
                ..filter.clone()
            },
            ChangeFilter {
                until: Some(5),
                ..filter.clone()
            },
            ChangeFilter {
                workspace: Some("x".to_owned()),
                ..filter
            },
        ] {
            assert_eq!(store.changes(&filter).await.unwrap(), [], "{filter:?}");
        }
    }
}

#[tokio::test]
async fn any_text_is_text() {
    let hostile = [
        "'; DROP TABLE bridge_call; --",
        "\" OR \"\"=\"",
        "$1 ? %s {} \\' \\0 \n\t",
        "Ünïcödé 群组 🦀 \u{202e}",
        "%_*",
    ];
    for base in Base::both().await {
        let store = base.store().await;
        for text in hostile {
            let mut record = call(1, "ok");
            for field in [
                &mut record.id,
                &mut record.instance,
                &mut record.workspace,
                &mut record.request_id,
                &mut record.proof,
                &mut record.rule,
                &mut record.bridge,
                &mut record.tool,
                &mut record.outcome,
            ] {
                text.clone_into(field);
            }
            record.caller = Some(text.to_owned());
            record.groups = vec![text.to_owned()];
            record.peer.clone_from(&record.caller);
            record.arguments.clone_from(&record.caller);
            store
                .put_calls(std::slice::from_ref(&record))
                .await
                .unwrap();
            let known = CallFilter {
                workspace: Some(text.to_owned()),
                tool: Some(text.to_owned()),
                ..all()
            };
            assert_eq!(store.calls(&known).await.unwrap(), [record]);

            if text.contains(crate::name::is_hidden) {
                // A name that could be mistaken for another one is refused.
                let refused = store.add_member(&actor(), text, text).await;
                assert!(matches!(refused, Err(StoreError::Invalid(_))), "{text:?}");
                continue;
            }
            assert!(store.add_member(&actor(), text, text).await.unwrap());
            assert!(store.set_admin(&actor(), text, true).await.unwrap());
            let member = store.member(text).await.unwrap();
            assert_eq!(
                (member.groups, member.is_admin),
                (vec![text.to_owned()], true)
            );
            assert!(
                store
                    .grant(&actor(), &grant(text, text, &[]))
                    .await
                    .unwrap()
            );
            assert!(
                store
                    .grant(&actor(), &grant(text, text, &[text]))
                    .await
                    .unwrap()
            );
            assert_eq!(store.grants().await.unwrap()[1].tools, [text]);
            assert_eq!(store.delete_group(&actor(), text).await.unwrap(), (1, 2));
        }
        assert_eq!(store.calls(&all()).await.unwrap().len(), hostile.len());
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_said_and_never_stops_the_audit_trail() {
    for base in Base::both().await {
        let store = base.store().await;
        let long = "x".repeat(256);
        for (email, group) in [
            ("a\0b", "devs"),
            ("a@b", "d\0"),
            (long.as_str(), "devs"),
            ("a@b", &long),
            ("", "devs"),
            ("a@b", " "),
        ] {
            let refused = store.add_member(&actor(), email, group).await;
            assert!(
                matches!(refused, Err(StoreError::Invalid(_))),
                "{email:?} {group:?} {refused:?}"
            );
        }
        for bridge in [long.as_str(), "a\0"] {
            let refused = store.grant(&actor(), &grant("devs", bridge, &[])).await;
            assert!(
                matches!(refused, Err(StoreError::Invalid(_))),
                "{refused:?}"
            );
            let refused = store
                .set_grants(&actor(), "devs", &[bridge.to_owned()])
                .await;
            assert!(
                matches!(refused, Err(StoreError::Invalid(_))),
                "{refused:?}"
            );
        }
        assert!(
            store
                .add_member(&actor(), &"é".repeat(255), "devs")
                .await
                .unwrap()
        );
        assert_eq!(store.member("a\0b").await.unwrap(), MemberRow::default());

        let mut poison = call(1, "ok");
        poison.tool = format!("a\0{}", "y".repeat(100_000));
        poison.bridge = format!("b\0{}", "y".repeat(100_000));
        poison.caller = Some("z".repeat(100_000));
        poison.request_id = "z".repeat(100_000);
        poison.workspace = String::new();
        poison.groups = vec!["g\0".to_owned()];
        store.put_calls(&[poison, call(2, "ok")]).await.unwrap();
        let calls = store.calls(&all()).await.unwrap();
        assert_eq!(calls.len(), 2);
        assert!(calls[1].tool.starts_with("a\u{fffd}y"));
        assert_eq!(calls[1].workspace, "default");
    }
}

#[test]
fn an_older_journal_is_read() {
    let call: CallRecord = serde_json::from_str(r#"{"id":"a","bridge":"github"}"#).unwrap();
    assert_eq!((call.bridge.as_str(), call.status), ("github", 0));
    let change: ChangeRecord = serde_json::from_str(r#"{"id":"a"}"#).unwrap();
    assert_eq!(change.workspace, "");
}
