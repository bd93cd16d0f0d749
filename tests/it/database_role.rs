//! The bridge under a PostgreSQL role of its own, as deploy/postgres/bridge-role.sql makes it: it works as it does under
//! a superuser, and reads nothing of Open WebUI's but the columns it needs.

use serde_json::json;
use tokio::process::Command;

use crate::harness::{Bridge, OpenWebUi, Postgres, Setup, User, until};

const SECRET: &str = "the secret of open webui, 0123456789";
const ADMIN: &str = "the key of an administrator, 0123456789";
const HI: &str = r#"{"message": "hi"}"#;
const PASSWORD: &str = "password-of-the-role";

/// A database and the role in it; roles belong to the whole server, so each test has one of its own.
struct Role {
    name: String,
    database: Postgres,
}

impl Role {
    /// Runs the script as the superuser.
    async fn make(&self) {
        self.make_as(&self.database.url).await;
    }

    async fn make_as(&self, url: &str) {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/deploy/postgres/bridge-role.sql"
        );
        let run = Command::new("psql")
            .args(["-X", "-f", script, url])
            .env("BRIDGE_POSTGRES_USER", &self.name)
            .env("BRIDGE_POSTGRES_PASSWORD", PASSWORD)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{said}");
    }

    /// Removes both: a role outlives the database that it was made for.
    async fn remove(self) {
        let elsewhere = Postgres::create().await;
        drop(self.database);
        elsewhere.execute(&format!("DROP ROLE {}", self.name)).await;
    }

    /// The database as the role sees it.
    fn url(&self) -> String {
        url_of(&self.database.url, &self.name)
    }

    /// What PostgreSQL says to a statement of the role: `ok` or the error.
    async fn says(&self, sql: &str) -> String {
        let words = ["-X", "-q", "-t", "-A", "-c", sql, &self.url()];
        let run = Command::new("psql").args(words).output().await.unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        if run.status.success() {
            format!("ok {}", out.trim()).trim_end().to_owned()
        } else {
            err.into_owned()
        }
    }
}

/// The same URL with another user.
fn url_of(url: &str, user: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    url.to_string()
}

fn setup(url: &str) -> Setup {
    Setup::toml(&format!(
        "[database]\nurl = '{url}'\n[identity.open_webui]\nsecret_key = '${{ROLE_SECRET}}'\n\
         [identity.keys.admin]\nkey = '${{ROLE_ADMIN}}'\ngroups = ['MCP-Admin']\n\
         [access]\ncache_ttl = '60s'\n[bridges.one]\n{{bad good}}\n"
    ))
    .env("ROLE_SECRET", SECRET)
    .admin_key("ROLE_ADMIN", ADMIN)
}

async fn call(bridge: &Bridge, user: User) -> u16 {
    let caller = bridge.as_bearer(&user.token(SECRET));
    caller.call("one/echo", HI).await.status
}

async fn grant(bridge: &Bridge, group: &str) {
    let grant = json!({"group": group, "bridge": "one"});
    bridge.admin_api().post("/grants", grant).await.ok();
}

async fn role() -> Role {
    let database = Postgres::create().await;
    let name = format!("r_{:016x}", rand::random::<u64>());
    Role { name, database }
}

#[tokio::test]
async fn the_bridge_works_under_its_own_role_from_the_first_start() {
    let role = role().await;
    role.make().await;
    let (first, second) = tokio::join!(setup(&role.url()).ready(), setup(&role.url()).ready());
    // Open WebUI starts after the bridge, and makes its tables then.
    OpenWebUi::in_postgres(&role.database).await;
    assert_eq!(call(&first, User::Alice).await, 403);
    assert_eq!(call(&second, User::Alice).await, 403);
    grant(&first, "staff").await;
    // The other replica hears of it at once: its own look is a minute away.
    until(async || call(&second, User::Alice).await == 200).await;
    assert_eq!(call(&first, User::Alice).await, 200);
    assert_eq!(call(&first, User::Bob).await, 403);
    let health = first.get("/health").await;
    assert_eq!(health.json()["database"], "connected", "{}", health.text);
    let owners = role
        .database
        .column("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'mcp_proxy'")
        .await;
    assert_eq!(owners, std::slice::from_ref(&role.name));
    drop((first, second));
    role.remove().await;
}

#[tokio::test]
async fn tables_of_a_superuser_and_of_the_python_proxy_are_taken_over() {
    let role = role().await;
    OpenWebUi::in_postgres(&role.database).await;
    role.database
        .execute(
            "CREATE SCHEMA mcp_proxy;
             CREATE TABLE mcp_proxy.group_tenant_mapping (
                 id SERIAL PRIMARY KEY, group_name VARCHAR(255) NOT NULL, tenant_id VARCHAR(255) NOT NULL,
                 created_at TIMESTAMP DEFAULT NOW(), UNIQUE (group_name, tenant_id));
             INSERT INTO mcp_proxy.group_tenant_mapping (group_name, tenant_id) VALUES ('sales', 'one')",
        )
        .await;
    // A bridge of an older installation, as the superuser.
    let mut older = setup(&role.database.url).ready().await;
    grant(&older, "staff").await;
    assert_eq!(call(&older, User::Alice).await, 200);
    older.signal("TERM");
    assert_eq!(older.exit_code().await, 0);

    // Twice: each `up` of the compose file runs it.
    role.make().await;
    role.make().await;
    let bridge = setup(&role.url()).ready().await;
    for (user, status) in [(User::Alice, 200), (User::Bob, 200), (User::Erin, 403)] {
        assert_eq!(call(&bridge, user).await, status, "{user:?}");
    }
    // Rows are still kept apart by workspace: a connection that names none sees none.
    assert_eq!(
        role.says("SELECT COUNT(*) FROM mcp_proxy.bridge_grant")
            .await,
        "ok 0"
    );
    drop((older, bridge));
    role.remove().await;
}

#[tokio::test]
async fn the_role_reads_what_the_bridge_needs_and_nothing_else() {
    let role = role().await;
    role.make().await;
    OpenWebUi::in_postgres(&role.database).await;
    role.database
        .execute(
            "CREATE TABLE chat (id text, chat json);
             INSERT INTO config (key, value) VALUES ('openai.api_keys', '[\"sk-secret\"]')",
        )
        .await;
    assert_eq!(
        role.says("SELECT role FROM \"user\" WHERE id = 'id-root'")
            .await,
        "ok admin"
    );
    assert_eq!(
        role.says("SELECT key FROM config").await,
        "ok auth.mfa.enable"
    );
    for refused in [
        "SELECT * FROM chat",
        "SELECT * FROM \"user\"",
        "SELECT settings FROM \"user\"",
        "SELECT password FROM auth",
        "SELECT * FROM public.config",
        "SELECT permissions FROM \"group\"",
        "UPDATE \"user\" SET role = 'admin' WHERE id = 'id-alice'",
        "DELETE FROM auth",
        "INSERT INTO api_key (id, user_id, key) VALUES ('x', 'id-root', 'sk-x')",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT mcp_bridge_directory.grant_columns('public')",
        "CREATE OR REPLACE VIEW mcp_bridge_directory.config AS SELECT 1",
        "DROP EVENT TRIGGER mcp_bridge_directory",
        "SET ROLE postgres",
    ] {
        let said = role.says(refused).await;
        let is_refused = ["permission denied", "must be owner", "must be superuser"]
            .iter()
            .any(|it| said.contains(it));
        assert!(is_refused, "{refused}: {said}");
    }
    // A column that an upgrade of Open WebUI adds is read at once, and its upgrade is not in anybody's way.
    role.database
        .execute("ALTER TABLE auth DROP COLUMN session_stamp; ALTER TABLE auth ADD COLUMN session_stamp text; DROP TABLE config")
        .await;
    assert_eq!(
        role.says("SELECT COUNT(session_stamp) FROM auth").await,
        "ok 0"
    );
    assert_eq!(role.says("SELECT key FROM config").await, "ok");
    role.remove().await;
}
