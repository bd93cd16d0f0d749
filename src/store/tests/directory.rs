//! Open WebUI's tables of every release, on both databases.

use std::time::Duration;

use crate::store::{
    StoreError, UserDirectory,
    testing::{Base, GENERATIONS, Generation, open_webui},
};

fn directory(base: &Base) -> UserDirectory {
    UserDirectory::open(&base.url, Duration::from_secs(5)).unwrap()
}

#[tokio::test]
async fn users_and_groups_of_every_release_are_found() {
    for generation in GENERATIONS {
        for base in Base::both().await {
            let what = format!("{generation:?}, {:?}", base.url);
            open_webui(&base.url, generation).await;
            let directory = directory(&base);
            let alice = directory.user("u-alice").await.unwrap().unwrap();
            assert_eq!(alice.email, "Alice@Example.com", "{what}");
            assert_eq!(
                (alice.role.as_str(), alice.is_active),
                ("user", true),
                "{what}"
            );
            let is_nested = generation == Generation::Nested;
            let names: Vec<_> = alice
                .groups
                .iter()
                .map(|group| group.name.as_str())
                .collect();
            assert_eq!(
                names,
                if is_nested {
                    vec!["eng", "staff"]
                } else {
                    vec!["eng"]
                },
                "{what}"
            );
            let stamp = is_nested.then(|| Some("stamp-alice".to_owned()));
            assert_eq!(alice.session_stamp, stamp, "{what}");
            assert!(!alice.wants_mfa && !alice.has_mfa, "{what}");
            assert_eq!(
                directory.user_of_email("alice@EXAMPLE.com").await.unwrap(),
                Some(alice.clone()),
                "{what}"
            );
            assert_eq!(
                directory.user_of_key("sk-alice").await.unwrap(),
                Some(alice),
                "{what}"
            );
            assert_eq!(
                directory.user_of_key("sk-nobody").await.unwrap(),
                None,
                "{what}"
            );
            assert_eq!(
                directory.user("' OR 1 = 1 --").await.unwrap(),
                None,
                "{what}"
            );
            assert_eq!(directory.user("a\0b").await.unwrap(), None, "{what}");
            let dave = directory.user("u-dave").await.unwrap().unwrap();
            assert!(!dave.is_active && dave.groups.is_empty(), "{what}");
            assert_eq!(
                directory.user("u-carol").await.unwrap().unwrap().role,
                "pending"
            );
            assert_eq!(
                directory.user("u-root").await.unwrap().unwrap().role,
                "admin"
            );
        }
    }
}

#[tokio::test]
async fn groups_above_each_other_in_a_circle_end() {
    for base in Base::both().await {
        open_webui(&base.url, Generation::Nested).await;
        base.execute("UPDATE \"group\" SET parent_group_id = 'g-eng' WHERE id = 'g-staff'")
            .await;
        let alice = directory(&base).user("u-alice").await.unwrap().unwrap();
        assert_eq!(alice.groups.len(), 2);
    }
}

#[tokio::test]
async fn the_second_factor_is_as_configured() {
    for base in Base::both().await {
        open_webui(&base.url, Generation::Nested).await;
        base.execute(
            "INSERT INTO config VALUES ('auth.mfa.enable', 'true', 0);
             INSERT INTO config VALUES ('auth.mfa.allow_oauth_bypass', 'true', 0);
             UPDATE auth SET mfa = '{\"secret\": \"x\", \"reset_required\": false}' WHERE id = 'u-alice';
             UPDATE auth SET mfa = '{\"secret\": \"x\", \"reset_required\": true}' WHERE id = 'u-bob';",
        )
        .await;
        let directory = directory(&base);
        let alice = directory.user("u-alice").await.unwrap().unwrap();
        assert!(alice.wants_mfa && alice.has_mfa);
        assert_eq!(alice.mfa_bypass, ["oauth"]);
        let bob = directory.user("u-bob").await.unwrap().unwrap();
        assert!(bob.wants_mfa && !bob.has_mfa);
    }
}

#[tokio::test]
async fn a_database_without_open_webui_has_no_users_and_an_upgrade_is_noticed() {
    for base in Base::both().await {
        base.execute("CREATE TABLE other (id text)").await;
        let empty = directory(&base);
        assert_eq!(empty.user("u-alice").await.unwrap(), None);

        let old = Base::both()
            .await
            .into_iter()
            .find(|it| it.is_sqlite() == base.is_sqlite())
            .unwrap();
        open_webui(&old.url, Generation::UserIds).await;
        let directory = directory(&old);
        assert_eq!(
            directory
                .user("u-alice")
                .await
                .unwrap()
                .unwrap()
                .groups
                .len(),
            1
        );
        old.execute(
            "CREATE TABLE group_member (id text PRIMARY KEY, group_id text, user_id text);
             INSERT INTO group_member VALUES ('m', 'g-eng', 'u-alice');
             ALTER TABLE \"group\" DROP COLUMN user_ids;",
        )
        .await;
        assert_eq!(
            directory
                .user("u-alice")
                .await
                .unwrap()
                .unwrap()
                .groups
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn nothing_can_be_written() {
    for base in Base::both().await {
        open_webui(&base.url, Generation::Nested).await;
        let directory = directory(&base);
        let refused = directory
            .pool
            .fetch::<(String,)>("DELETE FROM auth RETURNING id", &[])
            .await;
        assert!(
            refused.unwrap_err().to_string().contains("read"),
            "{:?}",
            base.url
        );
    }
}

#[tokio::test]
async fn two_users_that_differ_in_case_alone_are_not_mixed_up() {
    for base in Base::both().await {
        open_webui(&base.url, Generation::Nested).await;
        base.execute("INSERT INTO \"user\" (id, name, email, role) VALUES ('u-2', 'x', 'alice@example.com', 'user')")
            .await;
        let directory = directory(&base);
        let exact = directory
            .user_of_email("alice@example.com")
            .await
            .unwrap()
            .unwrap();
        assert_eq!((exact.id.as_str(), exact.groups.len()), ("u-2", 0));
        assert!(matches!(
            directory.user_of_email("ALICE@example.com").await,
            Err(StoreError::Query(_))
        ));
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_down() {
    let base = Base::sqlite();
    let directory = directory(&base);
    assert!(matches!(
        directory.user("u").await,
        Err(StoreError::Down(_))
    ));
    // The file now appears, with the expected tables.
    open_webui(&base.url, Generation::Nested).await;
    tokio::time::timeout(Duration::from_secs(5), async {
        while directory.user("u-bob").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}
