//! Rotations of all sealed data, on both databases.

use super::*;
use crate::{
    credential::{
        EncryptionKeys, put_group_key,
        testing::{keyring, no_key},
    },
    store::{ChangeActor, GroupKeyName, testing::Base},
};

fn account(subject: &str) -> AccountKey {
    AccountKey {
        workspace: "default".to_owned(),
        bridge: "linear".to_owned(),
        subject: subject.to_owned(),
    }
}

fn group_key(group: &str) -> GroupKeyName {
    GroupKeyName {
        group: group.to_owned(),
        bridge: "github".to_owned(),
        variable: "TOKEN".to_owned(),
    }
}

/// Seals an account, a login and a key of a group, each named after its encryption key.
async fn fill(store: &Store, ring: &EncryptionKeys, name: &str) {
    let vault = ring.to_seal().unwrap();
    let key = account(name);
    let sealed = vault.seal(&places::account(&key), "tokens");
    store.put_account(None, &key, &sealed).await.unwrap();
    let sealed = vault.seal(&places::login(name), "state");
    store.save_login(name, &sealed, i64::MAX).await.unwrap();
    let operator = ChangeActor {
        id: "operator".to_owned(),
        proof: "operator".to_owned(),
        workspace: "*".to_owned(),
    };
    put_group_key(
        store,
        ring,
        &operator,
        &group_key(name),
        &Secret::new("value"),
    )
    .await
    .unwrap();
}

fn counts(tally: &RotationCounts) -> [u64; 5] {
    let unopened = tally.unopened.len() as u64;
    [
        tally.current,
        tally.old,
        tally.plain,
        tally.sealed_anew,
        unopened,
    ]
}

#[tokio::test]
async fn everything_that_opens_is_sealed_under_the_current_key() {
    for base in Base::both().await {
        let store = base.store().await;
        for name in ["lost", "old", "new"] {
            fill(&store, &keyring(name, &[]), name).await;
        }
        let lost = store.account(&account("lost")).await.unwrap();
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        base.execute(&format!(
            "INSERT INTO {schema}tenant_server_keys (tenant_id, server_id, key_name, key_value) \
             VALUES ('plain', 'github', 'TOKEN', 'as-it-was')"
        ))
        .await;

        let ring = keyring("new", &["old"]);
        let vault = ring.to_open().unwrap();
        let before = survey(&store, &vault).await.unwrap();
        assert_eq!(counts(&before.accounts), [1, 1, 0, 0, 1]);
        assert_eq!(counts(&before.logins), [1, 1, 0, 0, 1]);
        assert_eq!(counts(&before.group_keys), [1, 1, 1, 0, 1]);
        assert_eq!(
            survey(&store, &vault).await.unwrap(),
            before,
            "it changes nothing"
        );

        let done = rotate(&store, &vault).await.unwrap();
        assert_eq!(counts(&done.accounts), [1, 0, 0, 1, 1]);
        assert_eq!(counts(&done.logins), [1, 0, 0, 1, 1]);
        assert_eq!(counts(&done.group_keys), [1, 0, 0, 2, 1]);
        let (what, why) = &done.accounts.unopened[0];
        assert!(what.contains("lost") && why.contains("which is not configured"));

        // The old key is no longer needed. What cannot be opened is unchanged.
        let vault = keyring("new", &[]).to_open().unwrap();
        let after = survey(&store, &vault).await.unwrap();
        assert_eq!(counts(&after.accounts), [2, 0, 0, 0, 1]);
        assert_eq!(counts(&after.group_keys), [3, 0, 0, 0, 1]);
        assert_eq!(store.account(&account("lost")).await.unwrap(), lost);
        let old = account("old");
        let sealed = store.account(&old).await.unwrap().unwrap();
        let opened = vault.open(&places::account(&old), &sealed).unwrap();
        assert_eq!(opened.expose(), "tokens");
        let taken = store.take_login("old").await.unwrap().unwrap();
        let opened = vault.open(&places::login("old"), &taken).unwrap();
        assert_eq!(opened.expose(), "state");

        // The lost key is configured again: everything can be opened.
        let vault = keyring("new", &["lost"]).to_open().unwrap();
        let healed = rotate(&store, &vault).await.unwrap();
        assert_eq!(counts(&healed.accounts), [2, 0, 0, 1, 0]);
    }
}

#[tokio::test]
async fn what_is_being_renewed_is_waited_for() {
    for base in Base::both().await {
        let store = base.store().await;
        let key = account("ann");
        let old = keyring("old", &[]).to_seal().unwrap();
        let vault = keyring("new", &["old"]).to_seal().unwrap();
        let first = old.seal(&places::account(&key), "first");
        store.put_account(None, &key, &first).await.unwrap();
        let claim = Duration::from_mins(5);
        assert!(store.claim_refresh(&key, claim).await.unwrap().is_some());
        let (rotation, renewed) = tokio::join!(rotate(&store, &vault), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let second = old.seal(&places::account(&key), "second");
            store.replace_account(&key, &first, &second).await
        });
        assert!(renewed.unwrap(), "the renewal was not disturbed");
        assert_eq!(counts(&rotation.unwrap().accounts), [0, 0, 0, 1, 0]);
        let sealed = store.account(&key).await.unwrap().unwrap();
        assert!(vault.is_current(&sealed));
        let opened = vault.open(&places::account(&key), &sealed).unwrap();
        assert_eq!(opened.expose(), "second");
    }
}

#[tokio::test]
async fn many_pages_are_all_of_them() {
    let base = Base::sqlite();
    let store = base.store().await;
    let old = keyring("old", &[]).to_seal().unwrap();
    for number in 0..450 {
        let key = account(&format!("user-{number}"));
        let sealed = old.seal(&places::account(&key), "tokens");
        store.put_account(None, &key, &sealed).await.unwrap();
    }
    let vault = keyring("new", &["old"]).to_seal().unwrap();
    let rotation = rotate(&store, &vault).await.unwrap();
    assert_eq!(counts(&rotation.accounts), [0, 0, 0, 450, 0]);
}

#[tokio::test]
async fn what_is_held_shows_without_a_key() {
    let base = Base::sqlite();
    let store = base.store().await;
    let held = async || {
        let held = stored_secrets(&store).await.unwrap();
        (held.has_sealed, held.has_plain)
    };
    assert_eq!(held().await, (false, false));
    base.execute(
        "INSERT INTO tenant_server_keys (tenant_id, server_id, key_name, key_value) \
         VALUES ('g', 'b', 'K', 'plain')",
    )
    .await;
    assert_eq!(held().await, (false, true));
    fill(&store, &keyring("a", &[]), "a").await;
    assert_eq!(held().await, (true, true));
    assert!(no_key().to_open().is_err());
}
