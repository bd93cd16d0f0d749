//! The cache of the tables, on a real store.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::{bridge, caller, enforced, row};
use crate::{
    access::{AccessControl, Permissions},
    auth::{AuthenticationMethod, Caller},
    config::Config,
    store::{ChangeActor, Store, StoreError, testing},
};

/// The time limit of each test.
const PATIENCE: Duration = Duration::from_secs(20);

fn operator() -> ChangeActor {
    ChangeActor {
        id: "operator".to_owned(),
        proof: "operator".to_owned(),
        workspace: "*".to_owned(),
    }
}

fn access(config: &Config, store: &Arc<Store>) -> AccessControl {
    AccessControl::new(config, Some(Arc::clone(store)), &TaskTracker::new())
}

/// The rule for any use of a bridge.
async fn rule(access: &AccessControl, caller: Caller, on: &str) -> Result<String, StoreError> {
    let view = access.permissions(&Arc::new(caller)).await?;
    Ok(view.explain(&bridge(on), None).rule.to_string())
}

fn ann() -> Caller {
    caller(AuthenticationMethod::Session)
}

#[tokio::test]
async fn groups_come_from_the_proof_else_from_our_tables_else_from_open_webui() {
    let (store, _base) = testing::sqlite().await;
    let store = Arc::new(store);
    for grant in ["table wiki", "proof mail", "webui chat", "all time"] {
        assert!(store.grant(&operator(), &row(grant)).await.unwrap());
    }
    let groups =
        |names: &[&str]| -> Arc<[Arc<str>]> { names.iter().map(|it| Arc::from(*it)).collect() };
    let mut config = enforced();
    config.access.default_groups = vec!["all".to_owned()];
    let access = access(&config, &store);
    let webui = Caller {
        open_webui_groups: groups(&["webui"]),
        ..ann()
    };
    let proven = Caller {
        groups: Some(groups(&["proof"])),
        ..webui.clone()
    };
    let silent = Caller {
        groups: Some(groups(&[])),
        ..webui.clone()
    };
    let of = async |caller: &Caller| {
        let view = access.permissions(&Arc::new(caller.clone())).await.unwrap();
        let shown = view.explain(&bridge("wiki"), None).groups;
        let shown: Vec<_> = shown
            .iter()
            .map(|(it, from)| format!("{it} {}", from.as_str()))
            .collect();
        shown.join(", ")
    };
    assert_eq!(of(&ann()).await, "all default");
    assert_eq!(of(&webui).await, "webui open_webui, all default");
    assert_eq!(of(&silent).await, "webui open_webui, all default");
    assert_eq!(of(&proven).await, "proof proof, all default");
    assert!(
        store
            .add_member(&operator(), "Ann@Example.org", "table")
            .await
            .unwrap()
    );
    assert_eq!(of(&ann()).await, "table table, all default");
    assert_eq!(of(&webui).await, "table table, all default");
    assert_eq!(of(&proven).await, "proof proof, all default");
    assert_eq!(
        rule(&access, webui.clone(), "chat").await.unwrap(),
        "no_grant"
    );
    assert_eq!(rule(&access, webui, "wiki").await.unwrap(), "grant table");
    assert_eq!(rule(&access, proven, "mail").await.unwrap(), "grant proof");
    let anonymous = Caller::named("anonymous", AuthenticationMethod::Anonymous);
    assert_eq!(of(&anonymous).await, "all default");
    assert_eq!(rule(&access, anonymous, "time").await.unwrap(), "grant all");
}

#[tokio::test]
async fn a_change_counts_at_the_next_call() {
    let (store, _base) = testing::sqlite().await;
    let store = Arc::new(store);
    let mut config = enforced();
    config.access.cache_ttl = Duration::from_hours(1);
    let access = access(&config, &store);
    let now = async || rule(&access, ann(), "wiki").await.unwrap();
    assert_eq!(now().await, "no_grant");
    store
        .add_member(&operator(), "ann@example.org", "writers")
        .await
        .unwrap();
    assert_eq!(now().await, "no_grant");
    store
        .grant(&operator(), &row("writers wiki: page_*"))
        .await
        .unwrap();
    assert_eq!(now().await, "narrowed_grant writers");
    store
        .grant(&operator(), &row("writers wiki"))
        .await
        .unwrap();
    assert_eq!(now().await, "grant writers");
    store.revoke(&operator(), "writers", "wiki").await.unwrap();
    assert_eq!(now().await, "no_grant");
    store
        .add_member(&operator(), "ann@example.org", "MCP-Admin")
        .await
        .unwrap();
    assert_eq!(now().await, "admin_group MCP-Admin");
    store
        .remove_member(&operator(), "ann@example.org", "MCP-Admin")
        .await
        .unwrap();
    assert_eq!(now().await, "no_grant");
    let is_admin = async || -> bool {
        let view: Permissions = access.permissions(&Arc::new(ann())).await.unwrap();
        view.is_admin()
    };
    assert!(!is_admin().await);
    store
        .set_admin(&operator(), "ann@example.org", true)
        .await
        .unwrap();
    assert!(is_admin().await);
    assert_eq!(now().await, "no_grant", "a mark is no grant");
}

#[tokio::test]
async fn what_was_read_counts_for_its_time_and_no_longer() {
    let (store, base) = testing::sqlite().await;
    let store = Arc::new(store);
    store
        .grant(&operator(), &row("writers wiki"))
        .await
        .unwrap();
    store
        .add_member(&operator(), "ann@example.org", "writers")
        .await
        .unwrap();
    let mut config = enforced();
    config.access.cache_ttl = Duration::from_secs(2);
    let access = access(&config, &store);
    assert_eq!(rule(&access, ann(), "wiki").await.unwrap(), "grant writers");
    let read = Instant::now();
    base.execute("ALTER TABLE group_tenant_mapping RENAME TO away")
        .await;
    let end = loop {
        match rule(&access, ann(), "wiki").await {
            Ok(rule) => assert_eq!(rule, "grant writers"),
            Err(_) => break read.elapsed(),
        }
        assert!(read.elapsed() < PATIENCE, "it counts for ever");
        sleep(Duration::from_millis(20)).await;
    };
    assert!(
        end > Duration::from_millis(1_500),
        "it counted for {end:?} only"
    );
    assert!(end < Duration::from_secs(4), "it counted for {end:?}");
    base.execute("ALTER TABLE away RENAME TO group_tenant_mapping")
        .await;
    assert_eq!(rule(&access, ann(), "wiki").await.unwrap(), "grant writers");
}

#[tokio::test]
async fn what_is_in_use_is_read_ahead_and_what_did_not_change_is_kept() {
    let (store, _base) = testing::sqlite().await;
    let store = Arc::new(store);
    store
        .grant(&operator(), &row("writers wiki"))
        .await
        .unwrap();
    let mut config = enforced();
    config.access.cache_ttl = Duration::from_millis(500);
    let access = access(&config, &store);
    let first = access.permissions(&Arc::new(ann())).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_600) {
        let view = access.permissions(&Arc::new(ann())).await.unwrap();
        assert!(view.is_made_of(&first), "after {:?}", began.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    let renewed = access.renewed(&config, Some(Arc::clone(&store)), &TaskTracker::new());
    assert_eq!(rule(&renewed, ann(), "wiki").await.unwrap(), "no_grant");
}

#[tokio::test]
async fn many_callers_at_once_are_decided_alike() {
    let (store, _base) = testing::sqlite().await;
    let store = Arc::new(store);
    store
        .grant(&operator(), &row("writers wiki"))
        .await
        .unwrap();
    store
        .add_member(&operator(), "ann@example.org", "writers")
        .await
        .unwrap();
    let access = access(&enforced(), &store);
    let all = (0..200).map(|_| rule(&access, ann(), "wiki"));
    for one in futures::future::join_all(all).await {
        assert_eq!(one.unwrap(), "grant writers");
    }
}

#[tokio::test]
async fn what_the_file_narrows_counts_in_every_workspace() {
    for base in testing::Base::both().await {
        let store = Arc::new(base.store().await);
        let config =
            super::config("[access.groups]\nteam = [{ bridge = 'wiki', tools = ['page_*'] }]\n");
        store.seed(&config.access).await.unwrap();
        store
            .grant(&operator(), &row("team chat: say"))
            .await
            .unwrap();
        store
            .grant(&operator(), &row("team@acme mail: send"))
            .await
            .unwrap();
        let access = access(&config, &store);
        for (workspace, mail) in [
            ("default", "no_grant"),
            ("0d1f-tenant", "no_grant"),
            ("acme", "narrowed_grant team"),
        ] {
            let ann = Caller {
                workspace: workspace.into(),
                groups: Some(Arc::new(["team".into()])),
                ..caller(AuthenticationMethod::Oidc)
            };
            for (on, expected) in [
                ("wiki", "narrowed_grant team"),
                ("chat", "narrowed_grant team"),
                ("mail", mail),
            ] {
                let decided = rule(&access, ann.clone(), on).await.unwrap();
                assert_eq!(decided, expected, "{workspace} {on}");
            }
        }
    }
}

#[tokio::test]
async fn only_ascii_letters_have_a_case() {
    for base in testing::Base::both().await {
        let store = Arc::new(base.store().await);
        let (loud, quiet) = ("JÖRG@Übung.example", "jörg@übung.example");
        store.add_member(&operator(), loud, "team").await.unwrap();
        store.grant(&operator(), &row("team wiki")).await.unwrap();
        let access = access(&enforced(), &store);
        let rows = [
            (loud, "grant team"),
            ("jÖrg@ÜBUNG.Example", "grant team"),
            (quiet, "no_grant"),
            ("jorg@ubung.example", "no_grant"),
        ];
        for (email, expected) in rows {
            let jorg = Caller::user(None, Some(email), AuthenticationMethod::Session);
            assert_eq!(rule(&access, jorg, "wiki").await.unwrap(), expected);
        }
        // The Kelvin sign is not a `k`, whatever the database's own `lower` does.
        store
            .add_member(&operator(), "mike@x.example", "team")
            .await
            .unwrap();
        let mike = Caller::user(
            None,
            Some("mi\u{212a}e@x.example"),
            AuthenticationMethod::Session,
        );
        assert_eq!(rule(&access, mike, "wiki").await.unwrap(), "no_grant");
    }
}
