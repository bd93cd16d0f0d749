//! What the configuration file copies into the tables, once.

use super::{super::*, actor, grant, run::seed};
use crate::store::testing::Base;

#[tokio::test]
async fn seeds_are_sown_once_and_nothing_is_deleted() {
    for base in Base::both().await {
        let store = base.store().await;
        store
            .grant(&actor(), &grant("ops", "time", &[]))
            .await
            .unwrap();
        store.seed(&seed()).await.unwrap();
        let version = store.version();
        store.seed(&seed()).await.unwrap();
        assert_eq!(store.version(), version);
        assert_eq!(store.grants().await.unwrap().len(), 3);
        let root = store.member("root@example.com").await.unwrap();
        assert!(root.is_admin);
        assert_eq!(root.groups, ["MCP-Admin"]);
        assert_eq!(store.changes(&of_the_file()).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_stored_does_not_stop_the_start() {
    for base in Base::both().await {
        let store = base.store().await;
        let mut access = seed();
        access.admins.insert(0, "x".repeat(300));
        let mut bad = access.groups[0].clone();
        bad.name = "a\0b".to_owned();
        access.groups.insert(0, bad);
        store.seed(&access).await.unwrap();
        assert_eq!(store.grants().await.unwrap().len(), 2);
        assert!(store.member("root@example.com").await.unwrap().is_admin);
    }
}

#[tokio::test]
async fn what_was_taken_away_stays_away_and_new_lines_are_sown() {
    for base in Base::both().await {
        let mut access = seed();
        let store = base.store().await;
        store.seed(&access).await.unwrap();
        assert_eq!(store.revoke(&actor(), "devs", "github").await.unwrap(), 1);
        assert_eq!(store.revoke(&actor(), "devs", "time").await.unwrap(), 1);
        let root = "root@example.com";
        assert!(store.set_admin(&actor(), root, false).await.unwrap());
        assert!(
            store
                .remove_member(&actor(), root, "MCP-Admin")
                .await
                .unwrap()
        );

        // The next start.
        let store = base.store().await;
        store.seed(&access).await.unwrap();
        assert_eq!(store.grants().await.unwrap(), []);
        assert_eq!(store.member(root).await.unwrap(), MemberRow::default());

        // A reload with new lines: a bridge, other tools, another group of administrators.
        let grants = &mut access.groups[0].grants;
        let mut other = grants[1].clone();
        other.bridge = crate::name::BridgeName::parse("wiki").unwrap();
        grants.push(other);
        grants[0].read_only = true;
        access.admin_groups = vec!["chiefs".to_owned()];
        store.seed(&access).await.unwrap();
        let readers = GrantRow {
            read_only: true,
            ..grant("devs", "time", &["now"])
        };
        assert_eq!(
            store.grants().await.unwrap(),
            [grant("devs", "wiki", &[]), readers]
        );
        let member = store.member(root).await.unwrap();
        assert_eq!(
            (member.is_admin, member.groups),
            (false, vec!["chiefs".to_owned()])
        );

        // After an administrator granted it again, it no longer belongs to the file.
        store
            .grant(&actor(), &grant("devs", "github", &[]))
            .await
            .unwrap();
        store.seed(&access).await.unwrap();
        assert_eq!(store.grants().await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn what_stands_already_is_taken_as_sown() {
    for base in Base::both().await {
        let store = base.store().await;
        store
            .grant(&actor(), &grant("devs", "github", &[]))
            .await
            .unwrap();
        // The Python proxy has a row for each user who has ever signed in.
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        base.execute(&format!(
            "INSERT INTO {schema}user_admin_status (user_email, is_admin) VALUES ('Root@Example.com', FALSE)"
        ))
        .await;
        store.seed(&seed()).await.unwrap();
        assert!(store.member("root@example.com").await.unwrap().is_admin);
        assert_eq!(store.revoke(&actor(), "devs", "github").await.unwrap(), 1);
        store.seed(&seed()).await.unwrap();
        assert_eq!(store.grants().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_sow_once() {
    for base in Base::both().await {
        let stores = [base.store().await, base.store().await];
        let mut backwards = seed();
        backwards.groups[0].grants.reverse();
        let seeds = [seed(), backwards];
        let (first, second) = tokio::join!(stores[0].seed(&seeds[0]), stores[1].seed(&seeds[1]));
        first.unwrap();
        second.unwrap();
        assert_eq!(stores[0].grants().await.unwrap().len(), 2);
        assert_eq!(stores[0].changes(&of_the_file()).await.unwrap().len(), 4);
    }
}

/// The changes made by the file.
fn of_the_file() -> ChangeFilter {
    ChangeFilter {
        actor: Some("configuration".to_owned()),
        workspace: Some("default".to_owned()),
        limit: 99,
        ..ChangeFilter::default()
    }
}
