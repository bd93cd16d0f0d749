//! Two bridges on one PostgreSQL: what an administrator changes at one counts at the other.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Answer, Bridge, OpenWebUi, Postgres, Setup, User, until};

const SECRET: &str = "the secret of open webui, 0123456789";
const ADMIN: &str = "the key of an administrator, 0123456789";

const HI: &str = r#"{"message": "hi"}"#;

/// A change is heard of within this on every replica.
const HEARD: Duration = Duration::from_secs(1);

fn setup(database: &Postgres, access: &str) -> Setup {
    Setup::toml(&format!(
        "[database]\nurl = '{}'\n[identity.open_webui]\nsecret_key = '${{RE_SECRET}}'\n\
         [identity.keys.admin]\nkey = '${{RE_ADMIN}}'\ngroups = ['MCP-Admin']\n\
         [access]\n{access}\n\
         [bridges.one]\n{{bad good --record {{dir}}/one.jsonl}}\n",
        database.url
    ))
    .env("RE_SECRET", SECRET)
    .admin_key("RE_ADMIN", ADMIN)
}

/// A database with Open WebUI's users, and two replicas on it that start at once.
async fn two(access: &str) -> (Postgres, Bridge, Bridge) {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let (first, second) = tokio::join!(
        setup(&database, access).ready(),
        setup(&database, access).ready()
    );
    (database, first, second)
}

async fn echo(bridge: &Bridge, user: User) -> Answer {
    let caller = bridge.as_bearer(&user.token(SECRET));
    caller.call("one/echo", HI).await
}

/// Waits for a status; says how long it took.
async fn becomes(bridge: &Bridge, user: User, status: u16) -> Duration {
    let began = Instant::now();
    until(async || echo(bridge, user).await.status == status).await;
    began.elapsed()
}

#[tokio::test]
async fn replicas_that_start_at_once_migrate_once() {
    let (database, _first, _second) = two("").await;
    let applied = database
        .column("SELECT version::text FROM mcp_proxy.bridge_migration ORDER BY version")
        .await;
    assert_eq!(applied, ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn a_change_at_one_replica_counts_at_the_other() {
    // The net under the notices is far away, so that only they can be what works.
    let (_database, first, second) = two("cache_ttl = '60s'").await;
    let at_first = first.admin_api();
    let at_second = second.admin_api();
    assert_eq!(echo(&second, User::Alice).await.status, 403);
    let grant = json!({ "group": "staff", "bridge": "one" });

    at_first.post("/grants", grant.clone()).await.ok();
    assert_eq!(
        echo(&first, User::Alice).await.status,
        200,
        "at once where it was made"
    );
    let heard = becomes(&second, User::Alice, 200).await;
    assert!(heard < HEARD, "granted after {heard:?}");

    at_first.delete("/grants", grant).await.ok();
    assert_eq!(echo(&first, User::Alice).await.status, 403);
    let heard = becomes(&second, User::Alice, 403).await;
    assert!(heard < HEARD, "revoked after {heard:?}");
    let calls = second.calls("one.jsonl").len();
    assert_eq!(echo(&second, User::Alice).await.status, 403);
    assert_eq!(
        second.calls("one.jsonl").len(),
        calls,
        "a refused call reached the server"
    );

    // Members; then a group by another name.
    let member = json!({ "email": "BOB@example.org", "group_name": "friends" });
    at_second.post("/users/groups", member.clone()).await.ok();
    let group = json!({ "group_name": "friends", "server_ids": ["one"] });
    at_second.post("/groups", group).await.ok();
    let heard = becomes(&first, User::Bob, 200).await;
    assert!(heard < HEARD, "joined after {heard:?}");
    at_second.delete("/users/groups", member).await.ok();
    let group = json!({ "group_name": "guests", "server_ids": ["one"] });
    at_second.post("/groups", group).await.ok();
    let heard = becomes(&first, User::Bob, 403).await;
    assert!(heard < HEARD, "left after {heard:?}");
}

#[tokio::test]
async fn a_change_by_plain_sql_counts_too() {
    let (database, first, _second) = two("cache_ttl = '60s'").await;
    assert_eq!(echo(&first, User::Bob).await.status, 403);
    database
        .execute("INSERT INTO mcp_proxy.group_tenant_mapping (group_name, tenant_id) VALUES ('sales', 'one')")
        .await;
    let heard = becomes(&first, User::Bob, 200).await;
    assert!(heard < HEARD, "{heard:?}");
}

#[tokio::test]
async fn with_the_listener_cut_the_lifetime_of_the_cache_counts() {
    let (database, first, second) = two("cache_ttl = '2s'").await;
    let at_first = first.admin_api();
    let grant = json!({ "group": "staff", "bridge": "one" });
    at_first.post("/grants", grant).await.ok();
    becomes(&second, User::Alice, 200).await;
    // Cut again and again while the grant goes: no notice can be relied on.
    let cut = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'mcp-bridge listener'";
    assert!(!database.column(cut).await.is_empty(), "somebody listens");
    database
        .execute("ALTER TABLE mcp_proxy.group_tenant_mapping DISABLE TRIGGER ALL; DELETE FROM mcp_proxy.group_tenant_mapping")
        .await;
    for bridge in [&first, &second] {
        let heard = becomes(bridge, User::Alice, 403).await;
        assert!(heard < Duration::from_secs(4), "{heard:?}");
    }
}

#[tokio::test]
async fn an_outage_refuses_and_its_end_heals() {
    let (database, first, second) = two("cache_ttl = '1s'").await;
    let at_first = first.admin_api();
    let grant = json!({ "group": "staff", "bridge": "one" });
    at_first.post("/grants", grant).await.ok();
    becomes(&second, User::Alice, 200).await;

    database.shut_out().await;
    for bridge in [&first, &second] {
        // What is remembered may still count for its lifetime; after it nothing is guessed.
        until(async || echo(bridge, User::Alice).await.status == 503).await;
        let began = Instant::now();
        let answer = echo(bridge, User::Alice).await;
        answer.assert_error(503, "store_unavailable");
        assert!(!answer.header("retry-after").is_empty());
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        let began = Instant::now();
        let health = bridge.get("/health").await;
        assert!(
            began.elapsed() < Duration::from_millis(500),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(health.status, 200);
        // A lost connection alone proves no outage: the next try does, a moment later.
        until(async || bridge.get("/health").await.json()["database"] == "disconnected").await;
    }
    database.let_in().await;
    for bridge in [&first, &second] {
        becomes(bridge, User::Alice, 200).await;
        until(async || bridge.get("/health").await.json()["database"] == "connected").await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    database.shut_out().await;
    let bridge = setup(&database, "[access.groups]\nstaff = ['one']\n")
        .listening()
        .await;
    assert_eq!(bridge.get("/ready").await.status, 503);
    let answer = echo(&bridge, User::Alice).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(bridge.calls("one.jsonl").len(), 0);
    database.let_in().await;
    becomes(&bridge, User::Alice, 200).await;
    until(async || bridge.get("/ready").await.status == 200).await;
}

#[tokio::test]
async fn a_revoked_session_ends_within_the_lifetime_of_the_cache() {
    let (database, first, _second) = two("[access.groups]\nstaff = ['one']\n").await;
    let alice = first.as_bearer(&User::Alice.token(SECRET));
    let send = || alice.call("one/echo", HI);
    assert_eq!(send().await.status, 200);
    database
        .execute("UPDATE auth SET session_stamp = 'another' WHERE id = 'id-alice'")
        .await;
    // The default lifetime is 30 s; `until` has as much patience, so the test sets its own end.
    let began = Instant::now();
    while send().await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(40), "still let in");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(send().await.status, 401);
}

#[tokio::test]
async fn what_was_revoked_stays_revoked_at_the_next_start() {
    let seeds = "[access.groups]\nstaff = ['one']\nsales = [{ bridge = 'one', tools = ['ec*'] }]\n";
    let (database, first, second) = two(seeds).await;
    let at_first = first.admin_api();
    for user in [User::Alice, User::Bob] {
        assert_eq!(echo(&first, user).await.status, 200);
    }
    for group in ["staff", "sales"] {
        let grant = json!({ "group": group, "bridge": "one" });
        let gone = at_first.delete("/grants", grant).await.ok();
        assert_eq!(gone["removed"], 1, "two replicas sowed it once");
    }
    drop((first, second));
    let again = setup(&database, seeds).ready().await;
    for user in [User::Alice, User::Bob] {
        assert_eq!(echo(&again, user).await.status, 403);
    }
}
