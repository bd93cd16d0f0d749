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
            Member::default()
        );
        let users = store.users().await.unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(users[0].email, "ann@example.com");
        assert_eq!(users[0].groups, ["Admins", "devs"]);
        assert!(users[0].is_admin && users[0].updated_at.is_some());

        assert!(
            store
                .set_admin(&actor(), "ann@example.com", false)
                .await
                .unwrap()
        );
        assert!(
            !store
                .set_admin(&actor(), "ann@example.com", false)
                .await
                .unwrap()
        );
        assert!(
            !store
                .set_admin(&actor(), "nobody@example.com", false)
                .await
                .unwrap()
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
        assert_eq!(
            (member.groups, member.is_admin),
            (vec!["Admins".to_owned()], false)
        );

        let changes = store
            .changes(&ChangeFilter {
                limit: 100,
                ..ChangeFilter::default()
            })
            .await
            .unwrap();
        let actions: Vec<_> = changes.iter().rev().map(|it| it.action.as_str()).collect();
        assert_eq!(
            actions,
            [
                "add_member",
                "add_member",
                "set_admin",
                "unset_admin",
                "remove_member"
            ]
        );
        assert_eq!(changes[0].target, "ann@example.com devs");
        assert_eq!(changes[0].actor, "root@example.com");
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
            ("devs", 3)
        );
        assert_eq!(groups[1].users, ["bob@example.com"]);

        assert_eq!(store.revoke(&actor(), "devs", "github").await.unwrap(), 2);
        assert_eq!(store.revoke(&actor(), "devs", "github").await.unwrap(), 0);
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
        let changes = store
            .changes(&ChangeFilter {
                limit: 100,
                ..ChangeFilter::default()
            })
            .await
            .unwrap();
        let actions: Vec<_> = changes
            .iter()
            .rev()
            .map(|it| format!("{} {}", it.action, it.target))
            .collect();
        assert_eq!(
            actions,
            [
                "grant devs github",
                "grant devs github tools=get_*,list_* read_only",
                "grant devs time tools=now",
                "add_member ann@example.com devs",
                "add_member bob@example.com ops",
                "revoke devs github",
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
