//! Keys of groups, on both databases.

use tokio::task::JoinHandle;

use super::*;
use crate::{
    credential::testing::{keyring, no_key},
    secret::Secret,
    store::{ChangeActor, EndpointRow, GroupKeyName, testing::Base},
};

fn actor() -> ChangeActor {
    ChangeActor {
        id: "root@example.com".to_owned(),
        proof: "session".to_owned(),
        workspace: "default".to_owned(),
    }
}

fn name(group: &str, bridge: &str, variable: &str) -> GroupKeyName {
    GroupKeyName {
        group: group.to_owned(),
        bridge: bridge.to_owned(),
        variable: variable.to_owned(),
    }
}

fn groups(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|&name| Arc::from(name)).collect()
}

fn bridge(name: &str) -> BridgeName {
    BridgeName::parse(name).unwrap()
}

/// Stores a key of a group, sealed.
async fn put(store: &Store, keyring: &EncryptionKeys, name: &GroupKeyName, value: &str) {
    put_group_key(store, keyring, &actor(), name, &Secret::new(value))
        .await
        .unwrap();
}

/// The stored values of the table.
async fn stored(store: &Store) -> Vec<String> {
    let rows = store.group_keys().await.unwrap();
    rows.iter()
        .map(|row| row.stored.expose().to_owned())
        .collect()
}

/// Group keys after one read.
async fn read(store: &Store, keyring: &EncryptionKeys) -> GroupKeys {
    let keys = GroupKeys::unread(Redactor::default());
    keys.look(store, keyring).await.unwrap();
    keys
}

/// The values that a caller of these groups has for GitHub, by variable.
fn values(keys: &GroupKeys, of: &[&str]) -> Option<Vec<(String, String)>> {
    let found = keys.of(&groups(of), &bridge("github")).unwrap()?;
    let values = found.values.iter();
    Some(
        values
            .map(|(variable, value)| (variable.clone(), value.expose().to_owned()))
            .collect(),
    )
}

/// A list with one variable and its value.
fn one(variable: &str, value: &str) -> Vec<(String, String)> {
    vec![(variable.to_owned(), value.to_owned())]
}

/// Why a group's calls to GitHub are refused.
fn refusal(keys: &GroupKeys, group: &str) -> String {
    let refused = keys.of(&groups(&[group]), &bridge("github")).unwrap_err();
    assert!(matches!(refused, GroupKeyError::Unusable { .. }));
    refused.to_string()
}

#[expect(clippy::disallowed_methods, reason = "the test waits for it")]
fn start(
    keys: &Arc<GroupKeys>,
    store: &Arc<Store>,
    keyring: EncryptionKeys,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let run = Arc::clone(keys).run(Arc::clone(store), Arc::new(keyring), stop.clone());
    tokio::spawn(run)
}

async fn until(condition: impl AsyncFn() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it comes to pass");
}

#[tokio::test]
async fn the_first_group_that_has_anything_decides() {
    for base in Base::both().await {
        let store = base.store().await;
        let ring = keyring("a", &[]);
        put(
            &store,
            &ring,
            &name("devs", "github", "TOKEN"),
            "sEcr3t0fD3vs-9xQ2kVb7",
        )
        .await;
        put(&store, &ring, &name("devs", "github", "HOST"), "host").await;
        put(&store, &ring, &name("ops", "github", "TOKEN"), "of-ops").await;
        put(&store, &ring, &name("all", "wiki", "TOKEN"), "of-all").await;
        let elsewhere = EndpointRow {
            group: "guests".to_owned(),
            bridge: "github".to_owned(),
            url: "https://guests.example.org/mcp".to_owned(),
        };
        store.put_endpoint(&actor(), &elsewhere).await.unwrap();
        assert!(
            stored(&store)
                .await
                .iter()
                .all(|it| it.starts_with("sealed:v1:") && !it.contains("of-ops"))
        );

        let keys = read(&store, &ring).await;
        let ops = Some(one("TOKEN", "of-ops"));
        assert_eq!(values(&keys, &["ops", "devs"]), ops);
        assert_eq!(values(&keys, &["all", "none", "ops"]), ops);
        assert_eq!(
            values(&keys, &["devs"]).unwrap(),
            [one("HOST", "host"), one("TOKEN", "sEcr3t0fD3vs-9xQ2kVb7")].concat()
        );
        assert_eq!(values(&keys, &["all"]), None);
        assert_eq!(values(&keys, &["Devs"]), None, "groups have a case");
        assert_eq!(values(&keys, &[]), None);
        let guests = keys.of(&groups(&["guests", "devs"]), &bridge("github"));
        let guests = guests.unwrap().unwrap();
        assert_eq!((&*guests.group, guests.values.len()), ("guests", 0));
        assert_eq!(guests.endpoint.as_ref().unwrap().as_str(), elsewhere.url);
        assert!(keys.is_sound());
        assert_eq!(
            keys.redactor.redact("it is sEcr3t0fD3vs-9xQ2kVb7"),
            "it is ***"
        );
    }
}

#[tokio::test]
async fn what_is_not_read_is_not_taken_for_nothing() {
    let unread = GroupKeys::unread(Redactor::default());
    tokio::time::timeout(PATIENCE * 2, unread.ready())
        .await
        .expect("the wait has an end");
    let asked = unread.of(&groups(&["devs"]), &bridge("github"));
    assert_eq!(asked, Err(GroupKeyError::Unread));
    assert_eq!(unread.of(&[], &bridge("github")), Ok(None));
    let none = GroupKeys::none();
    none.ready().await;
    assert_eq!(none.of(&groups(&["devs"]), &bridge("github")), Ok(None));
    let base = Base::sqlite();
    let keys = read(&base.store().await, &no_key()).await;
    assert_eq!(keys.of(&groups(&["devs"]), &bridge("github")), Ok(None));
}

#[tokio::test]
async fn a_key_that_does_not_open_refuses_its_group_and_no_other() {
    for base in Base::both().await {
        let store = base.store().await;
        let (before, after) = (keyring("a", &[]), keyring("b", &[]));
        put(
            &store,
            &before,
            &name("devs", "github", "TOKEN"),
            "from-before",
        )
        .await;
        put(&store, &after, &name("devs", "github", "HOST"), "host").await;
        put(&store, &after, &name("ops", "github", "TOKEN"), "of-ops").await;
        let rows = stored(&store).await;

        // The key was replaced and the old one was not kept.
        let keys = read(&store, &after).await;
        let why = refusal(&keys, "devs");
        let id = before.to_open().unwrap().ids().remove(0);
        assert!(why.contains("`TOKEN`") && why.contains(&id), "{why}");
        assert!(!why.contains("from-before"), "{why}");
        let both = keys.of(&groups(&["devs", "ops"]), &bridge("github"));
        assert!(both.is_err(), "it goes on with no other group's key");
        assert_eq!(values(&keys, &["ops"]), Some(one("TOKEN", "of-ops")));
        assert!(!keys.is_sound());

        // The key is lost.
        let keys = read(&store, &no_key()).await;
        assert!(refusal(&keys, "ops").contains("set BRIDGE_SECRET_KEY"));

        // The old key is still configured.
        let keys = read(&store, &keyring("b", &["a"])).await;
        assert_eq!(values(&keys, &["devs"]).unwrap()[1].1, "from-before");
        assert!(keys.is_sound());
        assert_eq!(stored(&store).await, rows, "nothing was touched");
    }
}

#[tokio::test]
async fn rows_that_were_swapped_or_cut_are_refused() {
    for base in Base::both().await {
        let store = base.store().await;
        let ring = keyring("a", &[]);
        put(
            &store,
            &ring,
            &name("devs", "github", "TOKEN"),
            "sEcr3t0fD3vs-9xQ2kVb7",
        )
        .await;
        put(&store, &ring, &name("ops", "github", "TOKEN"), "of-ops").await;
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        base.execute(&format!(
            "UPDATE {schema}tenant_server_keys SET key_value = \
             (SELECT k.key_value FROM {schema}tenant_server_keys k WHERE k.tenant_id = 'ops') \
             WHERE tenant_id = 'devs'"
        ))
        .await;
        let keys = read(&store, &ring).await;
        assert!(refusal(&keys, "devs").contains("moved here from another row"));
        assert_eq!(values(&keys, &["ops"]), Some(one("TOKEN", "of-ops")));
        base.execute(&format!(
            "UPDATE {schema}tenant_server_keys SET key_value = substr(key_value, 1, 20)"
        ))
        .await;
        let keys = read(&store, &ring).await;
        assert!(refusal(&keys, "ops").contains("cut short"));
    }
}

#[tokio::test]
async fn a_bad_endpoint_refuses_its_group() {
    let base = Base::sqlite();
    let store = base.store().await;
    let ring = keyring("a", &[]);
    put(
        &store,
        &ring,
        &name("devs", "github", "TOKEN"),
        "sEcr3t0fD3vs-9xQ2kVb7",
    )
    .await;
    base.execute("INSERT INTO tenant_endpoint_overrides VALUES ('devs', 'github', 'file:///x', 0)")
        .await;
    let keys = read(&store, &ring).await;
    assert!(refusal(&keys, "devs").contains("use http:// or https://"));
}

#[tokio::test]
async fn a_revision_moves_with_what_is_called_with() {
    let base = Base::sqlite();
    let store = base.store().await;
    let ring = keyring("a", &[]);
    let (devs, ops) = (name("devs", "github", "TOKEN"), name("ops", "github", "T"));
    put(&store, &ring, &devs, "one").await;
    let keys = read(&store, &ring).await;
    let mut seen = Vec::new();
    let mut revision = async |ring: &EncryptionKeys| {
        keys.look(&store, ring).await.unwrap();
        let found = keys.of(&groups(&["devs"]), &bridge("github")).unwrap();
        let revision = found.map(|it| it.revision);
        let is_new = !seen.contains(&revision);
        seen.push(revision);
        is_new
    };
    assert!(revision(&ring).await);
    assert!(!revision(&ring).await);
    // A new seal of the same value, and a change of another group, do not change the revision.
    put(&store, &ring, &devs, "one").await;
    put(&store, &ring, &ops, "x").await;
    assert!(!revision(&ring).await);
    put(&store, &ring, &devs, "two").await;
    assert!(revision(&ring).await);
    let endpoint = EndpointRow {
        group: "devs".to_owned(),
        bridge: "github".to_owned(),
        url: "https://example.org/".to_owned(),
    };
    store.put_endpoint(&actor(), &endpoint).await.unwrap();
    assert!(revision(&ring).await);
    assert!(
        store
            .remove_endpoint(&actor(), "devs", "github")
            .await
            .unwrap()
    );
    assert!(store.remove_group_key(&actor(), &devs).await.unwrap());
    assert!(!store.remove_group_key(&actor(), &devs).await.unwrap());
    assert!(revision(&ring).await, "there is none now");
    put(&store, &ring, &devs, "two").await;
    assert!(revision(&ring).await, "it is not the one from before");
}

#[tokio::test]
async fn plain_rows_are_sealed_once_however_many_find_them() {
    for base in Base::both().await {
        let stores = [Arc::new(base.store().await), Arc::new(base.store().await)];
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        for number in 0..20 {
            base.execute(&format!(
                "INSERT INTO {schema}tenant_server_keys (tenant_id, server_id, key_name, key_value) \
                 VALUES ('g{number}', 'github', 'TOKEN', 'plain-{number}')"
            ))
            .await;
        }
        // They are used before they are sealed.
        let keys = read(&stores[0], &no_key()).await;
        assert_eq!(values(&keys, &["g7"]), Some(one("TOKEN", "plain-7")));

        let stop = CancellationToken::new();
        let replicas = [(); 2].map(|()| Arc::new(GroupKeys::unread(Redactor::default())));
        let tasks: Vec<_> = replicas
            .iter()
            .zip(&stores)
            .map(|(keys, store)| start(keys, store, keyring("a", &[]), &stop))
            .collect();
        until(async || {
            stored(&stores[0])
                .await
                .iter()
                .all(|it| it.starts_with("sealed:v1:"))
        })
        .await;
        for keys in &replicas {
            until(async || keys.of(&groups(&["g7"]), &bridge("github")).is_ok()).await;
            assert_eq!(values(keys, &["g7"]), Some(one("TOKEN", "plain-7")));
        }
        stop.cancel();
        futures::future::join_all(tasks).await;
        let rows = stored(&stores[0]).await;
        assert!(rows.iter().all(|it| !it.contains("plain-")));
        let keys = read(&stores[1], &keyring("a", &[])).await;
        assert!(keys.is_sound());
        assert_eq!(values(&keys, &["g19"]), Some(one("TOKEN", "plain-19")));
        // Nothing is left to do.
        assert!(adopt(&stores[1], &keyring("b", &[]), &[], &mut false).await);
        assert_eq!(stored(&stores[0]).await, rows);
    }
}

#[tokio::test]
async fn plain_rows_go_on_counting_where_there_is_no_key() {
    let base = Base::postgres().await;
    let store = Arc::new(base.store().await);
    base.execute(
        "INSERT INTO mcp_proxy.tenant_server_keys (tenant_id, server_id, key_name, key_value) \
         VALUES ('devs', 'github', 'TOKEN', 'plain')",
    )
    .await;
    let (keys, stop) = (
        Arc::new(GroupKeys::unread(Redactor::default())),
        CancellationToken::new(),
    );
    let task = start(&keys, &store, no_key(), &stop);
    until(async || keys.of(&groups(&["devs"]), &bridge("github")).is_ok()).await;
    assert_eq!(values(&keys, &["devs"]), Some(one("TOKEN", "plain")));
    assert_eq!(stored(&store).await, ["plain"]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_change_is_in_force_at_once() {
    for base in Base::both().await {
        let store = Arc::new(base.store().await);
        let ring = keyring("a", &[]);
        let (keys, stop) = (
            Arc::new(GroupKeys::unread(Redactor::default())),
            CancellationToken::new(),
        );
        let task = start(&keys, &store, keyring("a", &[]), &stop);
        keys.ready().await;
        assert_eq!(keys.of(&groups(&["devs"]), &bridge("github")), Ok(None));
        let asked = async |value: Option<&str>| {
            let found = keys.of(&groups(&["devs"]), &bridge("github"));
            let found = found.ok().flatten();
            found.map(|it| it.values["TOKEN"].expose().to_owned()) == value.map(str::to_owned)
        };
        let devs = name("devs", "github", "TOKEN");
        put(&store, &ring, &devs, "one").await;
        until(async || asked(Some("one")).await).await;
        put(&store, &ring, &devs, "two").await;
        until(async || asked(Some("two")).await).await;
        store.remove_group_key(&actor(), &devs).await.unwrap();
        until(async || asked(None).await).await;
        stop.cancel();
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_a_value_is_refused() {
    let base = Base::sqlite();
    let store = base.store().await;
    let devs = name("devs", "github", "TOKEN");
    for bad in ["", " \n", "a\0b"] {
        let result = put_group_key(
            &store,
            &keyring("a", &[]),
            &actor(),
            &devs,
            &Secret::new(bad),
        )
        .await;
        assert!(matches!(result, Err(GroupKeyPutError::Value(_))), "{bad:?}");
    }
    let huge = Secret::new("x".repeat(128 * 1024));
    let result = put_group_key(&store, &keyring("a", &[]), &actor(), &devs, &huge).await;
    assert!(matches!(
        result,
        Err(GroupKeyPutError::Store(StoreError::Invalid(_)))
    ));
    let result = put_group_key(&store, &no_key(), &actor(), &devs, &Secret::new("x")).await;
    assert!(matches!(result, Err(GroupKeyPutError::Key(_))));
    assert!(stored(&store).await.is_empty());
}
