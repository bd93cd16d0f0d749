//! Accounts, logins in progress, known tools, and the notifications of their changes.

use std::{sync::Arc, time::Duration};

use super::{super::*, actor, of_workspace, run::Running};
use crate::store::testing::Base;

fn key(subject: &str) -> AccountKey {
    AccountKey {
        workspace: "default".to_owned(),
        bridge: "linear".to_owned(),
        subject: subject.to_owned(),
    }
}

/// A time in microseconds since 1970.
fn in_seconds(seconds: i64) -> i64 {
    jiff::Timestamp::now().as_microsecond() + seconds * 1_000_000
}

/// The actions and targets of all changes, oldest first.
async fn changes(store: &Store) -> Vec<String> {
    let filter = ChangeFilter {
        limit: 99,
        ..ChangeFilter::default()
    };
    let mut changes: Vec<_> = store
        .changes(&filter)
        .await
        .unwrap()
        .into_iter()
        .map(|it| format!("{} {}", it.action, it.target))
        .collect();
    changes.reverse();
    changes
}

#[tokio::test]
async fn an_account_is_put_renewed_and_removed() {
    for base in Base::both().await {
        let store = base.store().await;
        let (ann, shared) = (key("ann@example.com"), key(""));
        assert_eq!(store.account(&ann).await.unwrap(), None);
        store
            .put_account(Some(&actor()), &ann, b"one")
            .await
            .unwrap();
        store.put_account(None, &shared, b"\0team").await.unwrap();
        assert_eq!(store.account(&ann).await.unwrap().unwrap(), b"one");
        assert_eq!(store.account(&shared).await.unwrap().unwrap(), b"\0team");

        // A renewal replaces only the text that it has read.
        assert!(store.replace_account(&ann, b"one", b"two").await.unwrap());
        assert!(!store.replace_account(&ann, b"one", b"late").await.unwrap());
        assert!(!store.replace_account(&key("eve"), b"", b"x").await.unwrap());
        assert_eq!(store.account(&ann).await.unwrap().unwrap(), b"two");

        let listed = store.accounts().await.unwrap();
        let keys: Vec<_> = listed.iter().map(|it| it.key.clone()).collect();
        assert_eq!(keys, [shared.clone(), ann.clone()]);
        assert!(listed.iter().all(|it| it.updated_at <= in_seconds(0)));

        assert!(store.remove_account(&actor(), &ann).await.unwrap());
        assert!(!store.remove_account(&actor(), &ann).await.unwrap());
        assert!(store.remove_account(&actor(), &shared).await.unwrap());
        assert_eq!(store.account(&ann).await.unwrap(), None);
        assert_eq!(
            changes(&store).await,
            [
                "connect_account linear ann@example.com",
                "disconnect_account linear ann@example.com",
                "disconnect_account linear",
            ]
        );
    }
}

/// Whether an account can be claimed.
async fn claims_it(store: &Store, key: &AccountKey, time: Duration) -> bool {
    store.claim_refresh(key, time).await.unwrap().is_some()
}

#[tokio::test]
async fn one_of_many_renews() {
    for base in Base::both().await {
        let store = base.store().await;
        let ann = key("ann");
        let minute = Duration::from_mins(1);
        assert!(
            store.claim_refresh(&ann, minute).await.unwrap().is_none(),
            "there is no account"
        );
        store.put_account(None, &ann, b"one").await.unwrap();
        let claims = (0..8).map(|_| store.claim_refresh(&ann, minute));
        let claims = futures::future::join_all(claims).await;
        let claims: Vec<_> = claims.into_iter().filter_map(Result::unwrap).collect();
        let [first] = claims[..] else {
            panic!("{claims:?}")
        };

        store.release_refresh(&ann, first).await.unwrap();
        assert!(claims_it(&store, &ann, minute).await);
        // The claim was released. The old claim cannot release the next one.
        store.release_refresh(&ann, first).await.unwrap();
        assert!(!claims_it(&store, &ann, minute).await);
        // Every way of storing an account ends the claim.
        assert!(store.replace_account(&ann, b"one", b"two").await.unwrap());
        assert!(claims_it(&store, &ann, minute).await);
        store.put_account(None, &ann, b"three").await.unwrap();

        // The claim of a dead replica expires.
        let short = Duration::from_millis(50);
        assert!(claims_it(&store, &ann, short).await);
        assert!(!claims_it(&store, &ann, short).await);
        tokio::time::sleep(short * 2).await;
        assert!(claims_it(&store, &ann, minute).await);

        // A claim that a wrong clock set years ahead is ignored.
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        let years = in_seconds(100_000_000);
        base.execute(&format!(
            "UPDATE {schema}bridge_account SET refreshing_until = {years}"
        ))
        .await;
        assert!(claims_it(&store, &ann, Duration::MAX).await);
        assert!(!claims_it(&store, &ann, minute).await);
    }
}

#[tokio::test]
async fn accounts_of_workspaces_are_apart() {
    for base in Base::both().await {
        let store = base.store().await;
        let other = AccountKey {
            workspace: "other".to_owned(),
            ..key("ann")
        };
        let everywhere = AccountKey {
            workspace: "*".to_owned(),
            ..key("")
        };
        store
            .put_account(Some(&actor()), &key("ann"), b"one")
            .await
            .unwrap();
        assert_eq!(store.account(&other).await.unwrap(), None);
        let refused = store.put_account(Some(&actor()), &other, b"x").await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
        let of_other = of_workspace("other");
        store
            .put_account(Some(&of_other), &other, b"two")
            .await
            .unwrap();
        let refused = store.remove_account(&of_other, &key("ann")).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
        assert_eq!(store.account(&key("ann")).await.unwrap().unwrap(), b"one");
        assert_eq!(store.account(&other).await.unwrap().unwrap(), b"two");
        // Accounts of all workspaces are managed by the operator and the default workspace.
        assert!(
            store
                .put_account(Some(&of_other), &everywhere, b"x")
                .await
                .is_err()
        );
        for who in [actor(), of_workspace("*")] {
            store
                .put_account(Some(&who), &everywhere, b"x")
                .await
                .unwrap();
        }
        assert_eq!(store.accounts().await.unwrap().len(), 3);
        if !base.is_sqlite() {
            // The policies enforce this for any SQL.
            let mut tx = store.begin_reading("other").await.unwrap();
            let rows: Vec<(String,)> = tx
                .fetch("SELECT workspace_id FROM bridge_account", &[])
                .await
                .unwrap();
            assert_eq!(rows, [("other".to_owned(),)]);
        }
    }
}

#[tokio::test]
async fn what_no_row_can_hold_is_refused() {
    for base in Base::both().await {
        let store = base.store().await;
        let long = "x".repeat(256);
        let bad = [
            key(&long),
            key("a\0b"),
            AccountKey {
                workspace: String::new(),
                ..key("ann")
            },
            AccountKey {
                bridge: String::new(),
                ..key("ann")
            },
        ];
        for key in bad {
            let result = store.put_account(None, &key, b"x").await;
            assert!(matches!(result, Err(StoreError::Invalid(_))), "{key:?}");
        }
        let huge = vec![0; 256 * 1024 + 1];
        for result in [
            store.put_account(None, &key("ann"), &huge).await,
            store
                .replace_account(&key("ann"), b"", &huge)
                .await
                .map(drop),
            store.save_login("id", &huge, in_seconds(60)).await,
            store
                .put_known_tools("linear", &" ".repeat(8 * 1024 * 1024 + 1))
                .await,
        ] {
            assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_login_is_taken_once() {
    for base in Base::both().await {
        let store = Arc::new(base.store().await);
        store.save_login("a", b"one", in_seconds(60)).await.unwrap();
        store.save_login("b", b"two", in_seconds(60)).await.unwrap();
        let at_once = (0..8).map(|_| store.take_login("a"));
        let taken: Vec<_> = futures::future::join_all(at_once)
            .await
            .into_iter()
            .filter_map(Result::unwrap)
            .collect();
        assert_eq!(taken, [b"one"]);
        assert_eq!(store.take_login("none").await.unwrap(), None);
        assert_eq!(store.take_login("\0").await.unwrap(), None);
        assert!(
            store.save_login("b", b"x", in_seconds(60)).await.is_err(),
            "a state is drawn once"
        );
        assert_eq!(store.take_login("b").await.unwrap().unwrap(), b"two");

        // An expired login cannot be taken. It is deleted when the next one begins.
        store
            .save_login("c", b"late", in_seconds(-1))
            .await
            .unwrap();
        store
            .save_login("d", b"late", in_seconds(-1))
            .await
            .unwrap();
        assert_eq!(store.take_login("d").await.unwrap(), None);
        let rows: Vec<(i64,)> = store
            .read
            .fetch("SELECT COUNT(*) FROM bridge_login", &[])
            .await
            .unwrap();
        assert_eq!(rows, [(0,)]);
    }
}

#[tokio::test]
async fn an_account_has_a_few_tickets() {
    for base in Base::both().await {
        let store = base.store().await;
        let later = in_seconds(60);
        store.save_login("a", b"login", later).await.unwrap();
        for number in 0..25 {
            let id = format!("ticket/00000000/{number}");
            let saved = store.save_ticket(&id, "ticket/00000000/", b"one", later);
            saved.await.unwrap();
        }
        let other = "ticket/00000001/x";
        let saved = store.save_ticket(other, "ticket/00000001/", b"two", later);
        saved.await.unwrap();
        let found = async |id: &str| store.ticket(id).await.unwrap();
        assert_eq!(
            found("ticket/00000000/0").await,
            None,
            "the oldest one goes"
        );
        let newest = found("ticket/00000000/24").await;
        assert_eq!(newest.unwrap(), b"one");
        store.remove_tickets("ticket/00000000/").await.unwrap();
        assert_eq!(found("ticket/00000000/24").await, None);
        assert_eq!(found(other).await.unwrap(), b"two");
        assert_eq!(store.take_login("a").await.unwrap().unwrap(), b"login");
        let over = store.save_ticket(
            "ticket/00000002/x",
            "ticket/00000002/",
            b"x",
            in_seconds(-1),
        );
        over.await.unwrap();
        assert_eq!(found("ticket/00000002/x").await, None);
    }
}

#[tokio::test]
async fn open_logins_are_bounded() {
    for base in Base::both().await {
        let store = base.store().await;
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        let (later, bytes) = (in_seconds(60), if base.is_sqlite() { "x''" } else { "''" });
        base.execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO {schema}bridge_login SELECT CAST(i AS TEXT), {bytes}, {later}, 0 FROM n"
        ))
        .await;
        let refused = store.save_login("one more", b"x", later).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        base.execute(&format!(
            "UPDATE {schema}bridge_login SET expires_at = 0 WHERE id = '7'"
        ))
        .await;
        store.save_login("one more", b"x", later).await.unwrap();
    }
}

#[tokio::test]
async fn the_last_tools_are_kept() {
    for base in Base::both().await {
        let store = base.store().await;
        assert_eq!(store.known_tools("linear").await.unwrap(), None);
        for json in ["[]", "[1]", "[1]"] {
            store.put_known_tools("linear", json).await.unwrap();
            assert_eq!(store.known_tools("linear").await.unwrap().unwrap(), json);
        }
        assert_eq!(store.known_tools("notion").await.unwrap(), None);
    }
}

#[tokio::test]
async fn another_replica_hears_of_accounts_and_keeps_what_it_knows_of_access() {
    for base in Base::both().await {
        let listening = Running::connected(&base.config()).await;
        let writing = base.store().await;
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        let ann = key("ann");
        tokio::time::sleep(Duration::from_millis(600)).await;
        let access = listening.store.version();
        let mut accounts = listening.store.accounts_changed();
        for step in 0..6 {
            accounts.mark_unchanged();
            match step {
                0 => writing.put_account(None, &ann, b"1").await.unwrap(),
                1 => drop(writing.replace_account(&ann, b"1", b"2").await.unwrap()),
                2 => drop(writing.remove_account(&actor(), &ann).await.unwrap()),
                // Changed by another program.
                3 => {
                    base.execute(&format!(
                        "INSERT INTO {schema}tenant_server_keys \
                         (tenant_id, server_id, key_name, key_value) VALUES ('g', 'b', 'K', 'v')"
                    ))
                    .await;
                }
                4 => {
                    base.execute(&format!(
                        "UPDATE {schema}tenant_server_keys SET key_value = 'w'"
                    ))
                    .await;
                }
                _ => {
                    base.execute(&format!(
                        "INSERT INTO {schema}tenant_endpoint_overrides \
                         (tenant_id, server_id, endpoint_url) VALUES ('g', 'b', 'https://a')"
                    ))
                    .await;
                }
            }
            let heard = tokio::time::timeout(Duration::from_secs(1), accounts.changed()).await;
            assert!(heard.is_ok(), "step {step}, {:?}", base.url);
        }
        assert_eq!(listening.store.version(), access);

        // A claim, a login in progress and a change of access do not count as changes of accounts.
        writing.put_account(None, &ann, b"1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        accounts.mark_unchanged();
        let minute = Duration::from_mins(1);
        let claim = writing.claim_refresh(&ann, minute).await.unwrap();
        writing.release_refresh(&ann, claim.unwrap()).await.unwrap();
        writing.save_login("a", b"x", in_seconds(60)).await.unwrap();
        writing.add_member(&actor(), "a@b", "devs").await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!accounts.has_changed().unwrap(), "{:?}", base.url);
        assert!(listening.store.version() > access);
        listening.end().await;
    }
}
