//! Databases for tests. Each test has its own, which is removed at the end.

use std::{path::PathBuf, str::FromStr as _, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::Store;
use crate::{
    config::{DatabaseSettings, DatabaseUrl},
    secret::Secret,
};

/// A separate database.
pub struct Base {
    /// Its URL.
    pub url: DatabaseUrl,
    /// Removes it at the end.
    keep: Keep,
}

enum Keep {
    Folder(#[expect(dead_code, reason = "removed on drop")] TempDir),
    Postgres(String),
}

impl Base {
    /// An empty folder for a SQLite file.
    pub fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            url: DatabaseUrl::Sqlite(folder.path().join("mcp-bridge.db")),
            keep: Keep::Folder(folder),
        }
    }

    /// An empty database on the test PostgreSQL server, where the tests are superuser.
    pub async fn postgres() -> Self {
        let name = format!("t_{:032x}", rand::random::<u128>());
        admin(&format!("CREATE DATABASE {name}")).await;
        Self {
            url: DatabaseUrl::Postgres(Secret::new(url_of(&name))),
            keep: Keep::Postgres(name),
        }
    }

    /// One of each kind.
    pub async fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres().await]
    }

    /// The configuration of this database.
    pub fn config(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.url.clone(),
            open_webui: None,
            redis: None,
            timeout: Duration::from_secs(5),
            connections_max: 4,
            secret_key: None,
            secret_keys_old: Vec::new(),
            secret_key_file: PathBuf::new(),
        }
    }

    /// A migrated store.
    pub async fn store(&self) -> Store {
        let store = Store::open(&self.config()).unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Executes a script without the store.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await.unwrap();
    }

    /// The name of a PostgreSQL database.
    pub fn name(&self) -> &str {
        match &self.keep {
            Keep::Postgres(name) => name,
            Keep::Folder(_) => panic!("a file has no such name"),
        }
    }

    /// Whether it is a SQLite file.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.url, DatabaseUrl::Sqlite(_))
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        if let Keep::Postgres(name) = &self.keep {
            let name = name.clone();
            // The runtime of the test may be shutting down, so this thread uses its own.
            let thread = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(admin(&format!("DROP DATABASE {name} WITH (FORCE)")));
            });
            thread.join().unwrap();
        }
    }
}

/// A migrated store in a SQLite file, and the owner of the file's folder.
pub async fn sqlite() -> (Store, Base) {
    let base = Base::sqlite();
    (base.store().await, base)
}

/// A migrated store in a PostgreSQL database, and the owner of the database.
pub async fn postgres() -> (Store, Base) {
    let base = Base::postgres().await;
    (base.store().await, base)
}

/// The URL of the test PostgreSQL server.
#[expect(
    clippy::disallowed_methods,
    reason = "the test script sets its address"
)]
pub fn server() -> String {
    std::env::var("TEST_POSTGRES_URL").expect(
        "TEST_POSTGRES_URL is not set: run ./scripts/test, or eval \"$(./scripts/databases start DIR)\"",
    )
}

/// The URL of a database on this server.
pub fn url_of(name: &str) -> String {
    let mut url = url::Url::parse(&server()).unwrap();
    url.set_path(name);
    url.to_string()
}

/// Executes a script as superuser in the server's default database.
pub async fn admin(sql: &str) {
    execute(&DatabaseUrl::Postgres(Secret::new(server())), sql)
        .await
        .unwrap();
}

/// Executes a script in any database.
pub async fn execute(url: &DatabaseUrl, sql: &str) -> Result<(), sqlx::Error> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await?;
            connection.close().await
        }
        DatabaseUrl::Postgres(url) => {
            let options = sqlx::postgres::PgConnectOptions::from_str(url.expose())?;
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await?;
            connection.close().await
        }
    }
}

/// A release of Open WebUI, by the layout of its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Up to 0.6.36: the group contains a list of members, and the user row contains the API key.
    UserIds,
    /// From 0.6.37: `group_member`.
    GroupMember,
    /// From 0.6.41: the table `api_key`.
    ApiKeyTable,
    /// From 0.10.0: `config` has one row per key.
    ConfigRows,
    /// From 0.12.0: nested groups, session stamps, second factors.
    Nested,
}

/// All releases.
pub const GENERATIONS: [Generation; 5] = [
    Generation::UserIds,
    Generation::GroupMember,
    Generation::ApiKeyTable,
    Generation::ConfigRows,
    Generation::Nested,
];

/// Creates Open WebUI's tables with some users: alice (user, group `eng` whose parent is `staff`),
/// bob (user, `sales`), carol (pending), dave (inactive), root (admin). IDs are `u-NAME` and
/// `g-NAME`, e-mail addresses `NAME@example.com` (alice's is `Alice@Example.com`), API keys
/// `sk-NAME`, session stamps `stamp-NAME`. Parent groups exist from [`Generation::Nested`] on.
pub async fn open_webui(url: &DatabaseUrl, generation: Generation) {
    let sql = open_webui_sql(matches!(url, DatabaseUrl::Sqlite(_)), generation);
    execute(url, &sql).await.unwrap();
}

/// The script of [`open_webui`].
fn open_webui_sql(is_sqlite: bool, generation: Generation) -> String {
    let users = [
        ("alice", "Alice@Example.com", "user", "TRUE"),
        ("bob", "bob@example.com", "user", "TRUE"),
        ("carol", "carol@example.com", "pending", "TRUE"),
        ("dave", "dave@example.com", "user", "FALSE"),
        ("root", "root@example.com", "admin", "TRUE"),
    ];
    let mut script = vec![open_webui_tables(is_sqlite, generation)];
    for (name, email, role, active) in users {
        script.push(format!(
            "INSERT INTO \"user\" (id, name, email, role) VALUES ('u-{name}', '{name}', '{email}', '{role}');
             INSERT INTO auth (id, email, password, active) VALUES ('u-{name}', '{email}', 'x', {active});"
        ));
        script.push(if generation >= Generation::ApiKeyTable {
            format!("INSERT INTO api_key VALUES ('key_u-{name}', 'u-{name}', 'sk-{name}');")
        } else {
            format!("UPDATE \"user\" SET api_key = 'sk-{name}' WHERE id = 'u-{name}';")
        });
    }
    for (group, member) in [
        ("eng", Some("alice")),
        ("sales", Some("bob")),
        ("staff", None),
    ] {
        script.push(format!(
            "INSERT INTO \"group\" (id, user_id, name) VALUES ('g-{group}', 'u-root', '{group}');"
        ));
        script.extend(match (generation, member) {
            (Generation::UserIds, member) => {
                let list =
                    member.map_or_else(|| "null".to_owned(), |member| format!("[\"u-{member}\"]"));
                Some(format!(
                    "UPDATE \"group\" SET user_ids = '{list}' WHERE id = 'g-{group}';"
                ))
            }
            (_, member) => member.map(|member| {
                format!(
                    "INSERT INTO group_member VALUES ('m-{member}', 'g-{group}', 'u-{member}');"
                )
            }),
        });
    }
    if generation >= Generation::Nested {
        script.push(
            "UPDATE \"group\" SET parent_group_id = 'g-staff' WHERE id = 'g-eng';
             UPDATE auth SET session_stamp = 'stamp-' || substr(id, 3);"
                .to_owned(),
        );
    }
    script.concat()
}

/// The empty tables of a release.
fn open_webui_tables(is_sqlite: bool, generation: Generation) -> String {
    let json = if is_sqlite { "TEXT" } else { "json" };
    let since = |first: Generation, text: String| {
        if generation >= first {
            text
        } else {
            String::new()
        }
    };
    let before = |first: Generation, text: String| {
        if generation < first {
            text
        } else {
            String::new()
        }
    };
    [
        "CREATE TABLE \"user\" (id varchar PRIMARY KEY, name varchar, email varchar, role varchar".to_owned(),
        before(Generation::ApiKeyTable, ", api_key varchar UNIQUE".to_owned()),
        "); CREATE TABLE auth (id varchar PRIMARY KEY, email varchar, password text, active boolean".to_owned(),
        since(Generation::Nested, format!(", mfa {json}, session_stamp text")),
        "); CREATE TABLE \"group\" (id text PRIMARY KEY, user_id text, name text".to_owned(),
        before(Generation::GroupMember, format!(", user_ids {json}")),
        since(Generation::Nested, ", parent_group_id text".to_owned()),
        ");".to_owned(),
        since(
            Generation::GroupMember,
            "CREATE TABLE group_member (id text PRIMARY KEY, group_id text, user_id text);".to_owned(),
        ),
        since(
            Generation::ApiKeyTable,
            "CREATE TABLE api_key (id text PRIMARY KEY, user_id text, key text UNIQUE);".to_owned(),
        ),
        since(
            Generation::ConfigRows,
            format!("CREATE TABLE config (key text PRIMARY KEY, value {json}, updated_at bigint);"),
        ),
        before(
            Generation::ConfigRows,
            format!(
                "CREATE TABLE config (id integer PRIMARY KEY, data {json}, version integer);
                 INSERT INTO config VALUES (1, '{{\"version\": 0}}', 0);"
            ),
        ),
    ]
    .concat()
}
