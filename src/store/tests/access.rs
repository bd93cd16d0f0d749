//! Members, administrators, grants, keys.

use super::{super::*, actor, grant, of_workspace};
use crate::store::testing::Base;

#[tokio::test]
async fn members_come_and_go_in_any_case_of_letters() {
    for base in Base::both().await {
        let store = base.store().await;
        let before = store.version();
        assert!(
            store
                .add_member(&actor(), "Ann@Example.COM", "devs")
                .await
                .unwrap()
        );
        assert!(store.version() > before);
        assert!(
            !store
                .add_member(&actor(), "ann@example.com", "devs")
                .await
                .unwrap()
        );
        assert!(
            store
                .add_member(&actor(), "ann@example.com", "Admins")
                .await
                .unwrap()
        );
        assert!(
            store
                .set_admin(&actor(), "ANN@example.com", true)
                .await
                .unwrap()
        );
        assert!(
            !store
                .set_admin(&actor(), "ann@example.com", true)
                .await
                .unwrap()
        );
        let member = store.member("aNN@example.com").await.unwrap();
        assert_eq!(member.groups, ["Admins", "devs"]);
        assert!(member.is_admin);
        assert_eq!(
            store.member("bob@example.com").await.unwrap(),
            MemberRow::default()
        );
        assert!(
            store
                .remove_member(&actor(), "ANN@EXAMPLE.com", "devs")
                .await
                .unwrap()
        );
        assert!(
            !store
                .remove_member(&actor(), "ann@example.com", "devs")
                .await
                .unwrap()
        );
        let member = store.member("ann@example.com").await.unwrap();
        assert_eq!(member.groups, ["Admins"]);
    }
}

/// The recorded actions, oldest first.
async fn done(store: &Store) -> Vec<String> {
    let filter = ChangeFilter {
        limit: 100,
        ..ChangeFilter::default()
    };
    let changes = store.changes(&filter).await.unwrap();
    assert!(changes.iter().all(|it| it.actor == "root@example.com"));
    changes
        .iter()
        .rev()
        .map(|it| format!("{} {}", it.action, it.target))
        .collect()
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_record() {
    for base in Base::both().await {
        let store = base.store().await;
        let actor = actor();
        for _ in 0..2 {
            store
                .add_member(&actor, "Ann@Example.com", "devs")
                .await
                .unwrap();
            store
                .set_admin(&actor, "ann@example.com", true)
                .await
                .unwrap();
        }
        let users = store.users().await.unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].email, "ann@example.com");
        assert_eq!(users[0].groups, ["devs"]);
        assert!(users[0].is_admin && users[0].updated_at.is_some());
        let before = store.version();
        for email in ["ann@example.com", "nobody@example.com"] {
            let changed = store.set_admin(&actor, email, false).await.unwrap();
            assert_eq!(changed, email.starts_with("ann"));
            assert!(!store.set_admin(&actor, email, false).await.unwrap());
            let changed = store.remove_member(&actor, email, "devs").await.unwrap();
            assert_eq!(changed, email.starts_with("ann"));
        }
        assert_eq!(store.version(), before + 2);
        assert_eq!(
            done(&store).await,
            [
                "add_member ann@example.com devs",
                "set_admin ann@example.com",
                "unset_admin ann@example.com",
                "remove_member ann@example.com devs",
            ]
        );
    }
}

#[tokio::test]
async fn grants_stand_once_and_go_together() {
    for base in Base::both().await {
        let store = base.store().await;
        let narrowed = GrantRow {
            read_only: true,
            ..grant("devs", "github", &["get_*", "list_*"])
        };
        assert!(
            store
                .grant(&actor(), &grant("devs", "github", &[]))
                .await
                .unwrap()
        );
        assert!(
            !store
                .grant(&actor(), &grant("devs", "github", &[]))
                .await
                .unwrap()
        );
        assert!(store.grant(&actor(), &narrowed).await.unwrap());
        assert!(!store.grant(&actor(), &narrowed).await.unwrap());
        assert!(
            store
                .grant(&actor(), &grant("devs", "time", &["now"]))
                .await
                .unwrap()
        );
        let grants = store.grants().await.unwrap();
        assert_eq!(
            grants,
            [
                grant("devs", "github", &[]),
                GrantRow {
                    workspace: Some("default".to_owned()),
                    ..narrowed
                },
                GrantRow {
                    workspace: Some("default".to_owned()),
                    ..grant("devs", "time", &["now"])
                },
            ]
        );
        assert_eq!(store.revoke(&actor(), "devs", "github").await.unwrap(), 2);
        assert_eq!(store.revoke(&actor(), "devs", "github").await.unwrap(), 0);
        assert_eq!(
            done(&store).await,
            [
                "grant devs github",
                "grant devs github tools=get_*,list_* read_only",
                "grant devs time tools=now",
                "revoke devs github",
            ]
        );
    }
}

#[tokio::test]
async fn groups_are_listed_and_go_with_all_they_have() {
    for base in Base::both().await {
        let store = base.store().await;
        store
            .grant(&actor(), &grant("devs", "time", &["now"]))
            .await
            .unwrap();
        store
            .add_member(&actor(), "ann@example.com", "devs")
            .await
            .unwrap();
        store
            .add_member(&actor(), "bob@example.com", "ops")
            .await
            .unwrap();
        let groups = store.groups().await.unwrap();
        assert_eq!(groups.len(), 2);
        assert_eq!(
            (groups[0].name.as_str(), groups[0].grants.len()),
            ("devs", 1)
        );
        assert_eq!(groups[1].users, ["bob@example.com"]);

        let bridges = ["a", "b", "a"].map(str::to_owned);
        store.set_grants(&actor(), "devs", &bridges).await.unwrap();
        store.set_grants(&actor(), "devs", &bridges).await.unwrap();
        store
            .set_grants(&actor(), "devs", &bridges[1..2])
            .await
            .unwrap();
        assert_eq!(store.grants().await.unwrap().len(), 2);
        assert_eq!(store.delete_group(&actor(), "devs").await.unwrap(), (1, 2));
        assert_eq!(store.delete_group(&actor(), "devs").await.unwrap(), (0, 0));
        assert_eq!(store.grants().await.unwrap(), []);
        assert_eq!(
            done(&store).await,
            [
                "grant devs time tools=now",
                "add_member ann@example.com devs",
                "add_member bob@example.com ops",
                "set_grants devs a,b",
                "set_grants devs b",
                "delete_group devs",
            ]
        );
    }
}

#[tokio::test]
async fn keys_are_known_until_they_are_revoked() {
    for base in Base::both().await {
        let store = base.store().await;
        let key = KeyRow {
            name: "ci".to_owned(),
            hash: [7; 32],
            groups: vec!["devs".to_owned(), "ops, \"x\"".to_owned()],
            forwards: true,
            workspace: "default".to_owned(),
            expires_at: Some(1_900_000_000),
        };
        assert!(store.add_key(&actor(), &key).await.unwrap());
        assert!(!store.add_key(&actor(), &key).await.unwrap());
        let forever = KeyRow {
            name: "cd".to_owned(),
            hash: [8; 32],
            expires_at: None,
            ..key.clone()
        };
        assert!(store.add_key(&actor(), &forever).await.unwrap());
        assert_eq!(store.keys().await.unwrap(), [forever, key.clone()]);
        let other = of_workspace("other");
        assert!(!store.revoke_key(&other, "ci").await.unwrap());
        assert!(matches!(
            store.add_key(&other, &key).await,
            Err(StoreError::Invalid(_))
        ));
        assert!(store.revoke_key(&actor(), "ci").await.unwrap());
        assert!(!store.revoke_key(&actor(), "ci").await.unwrap());
        assert!(store.add_key(&actor(), &key).await.unwrap());
    }
}

#[tokio::test]
async fn emails_are_the_same_in_any_case_of_ascii_letters_alone() {
    for base in Base::both().await {
        let store = base.store().await;
        let (loud, quiet) = ("JÖRG.ÅSTRÖM@Übung.example", "jörg.åström@übung.example");
        assert!(store.add_member(&actor(), loud, "devs").await.unwrap());
        let stored = "jÖrg.ÅstrÖm@Übung.example";
        let ascii = "jÖrg.ÅstrÖm@Übung.EXAMPLE";
        assert!(!store.add_member(&actor(), ascii, "devs").await.unwrap());
        assert!(store.set_admin(&actor(), loud, true).await.unwrap());
        assert!(!store.set_admin(&actor(), ascii, true).await.unwrap());
        for (email, found) in [(loud, true), (ascii, true), (quiet, false)] {
            let member = store.member(email).await.unwrap();
            let seen = (member.groups.len() == 1, member.is_admin);
            assert_eq!(seen, (found, found), "{email}");
        }
        let users = store.users().await.unwrap();
        assert_eq!((users.len(), users[0].email.as_str()), (1, stored));
        assert_eq!(store.groups().await.unwrap()[0].users, [stored]);
        // Callers are identified in lower case.
        let call = CallRecord {
            id: "1".to_owned(),
            caller: Some(stored.to_owned()),
            ..CallRecord::default()
        };
        store.put_calls(&[call]).await.unwrap();
        let filter = CallFilter {
            caller: Some(loud.to_owned()),
            limit: 9,
            ..CallFilter::default()
        };
        assert_eq!(store.calls(&filter).await.unwrap().len(), 1);
        assert!(store.set_admin(&actor(), loud, false).await.unwrap());
        assert!(store.remove_member(&actor(), loud, "devs").await.unwrap());
        let member = store.member(stored).await.unwrap();
        assert_eq!(member, MemberRow::default());
    }
}

#[tokio::test]
async fn one_grant_is_revoked_and_the_others_stay() {
    for base in Base::both().await {
        let store = base.store().await;
        let whole = grant("sales", "crm", &[]);
        let narrowed = grant("sales", "crm", &["get_*", "list_*"]);
        let reading = GrantRow {
            read_only: true,
            ..whole.clone()
        };
        let all = [&whole, &narrowed, &reading];
        for row in all {
            assert!(store.grant(&actor(), row).await.unwrap());
        }
        // The order of the patterns does not matter.
        let mut turned = narrowed.clone();
        turned.tools.reverse();
        assert!(store.revoke_grant(&actor(), &turned).await.unwrap());
        assert!(
            !store.revoke_grant(&actor(), &narrowed).await.unwrap(),
            "it is gone"
        );
        assert_eq!(store.grants().await.unwrap().len(), 2);
        assert!(store.revoke_grant(&actor(), &whole).await.unwrap());
        let left = store.grants().await.unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].read_only && left[0].tools.is_empty());
    }
}
