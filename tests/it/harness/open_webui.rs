//! Open WebUI as far as a bridge sees it: its tables (release 0.12.4), its users, its tokens.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::Postgres;

/// Its users, their groups and keys. `auth.mfa.enable` is off.
///
/// alice is in `eng`, which is below `staff`; bob in `sales`; carol waits to be let in; dave was
/// put out; root is an administrator there; erin and fay are in no group.
const USERS: &str = r#"
INSERT INTO "user" (id, email, name, role) VALUES
    ('id-alice', 'Alice@Example.org', 'Alice', 'user'),
    ('id-bob', 'bob@example.org', 'Bob', 'user'),
    ('id-carol', 'carol@example.org', 'Carol', 'pending'),
    ('id-dave', 'dave@example.org', 'Dave', 'user'),
    ('id-root', 'root@example.org', 'Root', 'admin'),
    ('id-erin', 'erin@example.org', 'Erin', 'user'),
    ('id-fay', 'fay@example.org', 'Fay', 'user');
INSERT INTO auth (id, email, password, active, session_stamp) VALUES
    ('id-alice', 'Alice@Example.org', 'x', true, 'stamp-alice'),
    ('id-bob', 'bob@example.org', 'x', true, NULL),
    ('id-carol', 'carol@example.org', 'x', true, 'stamp-carol'),
    ('id-dave', 'dave@example.org', 'x', false, 'stamp-dave'),
    ('id-root', 'root@example.org', 'x', true, 'stamp-root'),
    ('id-erin', 'erin@example.org', 'x', true, 'stamp-erin'),
    ('id-fay', 'fay@example.org', 'x', true, 'stamp-fay');
INSERT INTO "group" (id, user_id, name, parent_group_id) VALUES
    ('g-staff', 'id-root', 'staff', NULL),
    ('g-eng', 'id-root', 'eng', 'g-staff'),
    ('g-sales', 'id-root', 'sales', NULL);
INSERT INTO group_member (id, group_id, user_id) VALUES
    ('m-1', 'g-eng', 'id-alice'),
    ('m-2', 'g-sales', 'id-bob');
INSERT INTO api_key (id, user_id, "key") VALUES
    ('key_id-alice', 'id-alice', 'sk-alice'),
    ('key_id-bob', 'id-bob', 'sk-bob'),
    ('key_id-carol', 'id-carol', 'sk-carol'),
    ('key_id-dave', 'id-dave', 'sk-dave'),
    ('key_id-root', 'id-root', 'sk-root'),
    ('key_id-erin', 'id-erin', 'sk-erin'),
    ('key_id-fay', 'id-fay', 'sk-fay');
"#;

/// Its tables, in the SQL that both databases understand.
const TABLES: &str = r#"
CREATE TABLE "user" (
    id varchar NOT NULL PRIMARY KEY, email varchar NOT NULL, name varchar NOT NULL,
    role varchar NOT NULL, profile_image_url text, settings json, info json,
    last_active_at bigint, updated_at bigint, created_at bigint
);
CREATE UNIQUE INDEX user_email ON "user" (lower(email));
CREATE TABLE auth (
    id varchar NOT NULL PRIMARY KEY, email varchar NOT NULL, password text NOT NULL,
    active boolean NOT NULL, mfa json, session_stamp text
);
CREATE TABLE "group" (
    id text NOT NULL PRIMARY KEY, user_id text NOT NULL, name text NOT NULL, description text,
    data json, meta json, permissions json, created_at bigint, updated_at bigint,
    parent_group_id text REFERENCES "group" (id) ON DELETE SET NULL
);
CREATE TABLE group_member (
    id text NOT NULL PRIMARY KEY,
    group_id text NOT NULL REFERENCES "group" (id) ON DELETE CASCADE,
    user_id varchar NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    created_at bigint, updated_at bigint, UNIQUE (group_id, user_id)
);
CREATE TABLE api_key (
    id text NOT NULL PRIMARY KEY, user_id text NOT NULL, "key" text NOT NULL UNIQUE, data json,
    expires_at bigint, last_used_at bigint, created_at bigint, updated_at bigint
);
CREATE TABLE config ("key" text NOT NULL PRIMARY KEY, value json, updated_at bigint);
INSERT INTO config ("key", value) VALUES ('auth.mfa.enable', 'false');
"#;

/// Its tables with its users, in either database.
pub struct OpenWebUi;

impl OpenWebUi {
    /// In a PostgreSQL database, beside whatever is there.
    pub async fn in_postgres(database: &Postgres) {
        database.execute(TABLES).await;
        database.execute(USERS).await;
    }

    /// In a new SQLite file, `webui.db` as Open WebUI itself makes it (WAL included).
    pub async fn in_sqlite(path: &Path) {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        for script in [TABLES, USERS] {
            let done = sqlx::raw_sql(script).execute(&mut connection).await;
            done.unwrap_or_else(|error| panic!("{error} in {script}"));
        }
        connection.close().await.unwrap();
    }
}

/// One of its users.
#[derive(Debug, Clone, Copy)]
pub enum User {
    /// `user`, in `eng` below `staff`.
    Alice,
    /// `user`, in `sales`; has no session stamp, as before 0.12.
    Bob,
    /// `pending`.
    Carol,
    /// Not active.
    Dave,
    /// `admin`.
    Root,
    /// `user`, in no group.
    Erin,
    /// `user`, in no group of Open WebUI.
    Fay,
}

impl User {
    /// The word that everything of theirs is made of.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Carol => "carol",
            Self::Dave => "dave",
            Self::Root => "root",
            Self::Erin => "erin",
            Self::Fay => "fay",
        }
    }

    /// Their id.
    pub fn id(self) -> String {
        format!("id-{}", self.name())
    }

    /// Their e-mail in lower case.
    pub fn email(self) -> String {
        format!("{}@example.org", self.name())
    }

    /// Their API key at Open WebUI.
    pub fn api_key(self) -> String {
        format!("sk-{}", self.name())
    }

    /// What their session token says (Open WebUI contract §7.1).
    pub fn claims(self) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_secs();
        let stamp = match self {
            Self::Bob => Value::Null,
            other => format!("stamp-{}", other.name()).into(),
        };
        json!({
            "id": self.id(), "typ": "session", "auth_method": "password", "auth_time": now,
            "session_stamp": stamp, "mfa_verified": false, "exp": now + 3600,
            "jti": format!("{:032x}", rand::random::<u128>()), "iat": now,
        })
    }

    /// A session token of theirs.
    pub fn token(self, secret: &str) -> String {
        token(secret, &self.claims())
    }
}

/// A token with any claims, signed as Open WebUI signs: HS256 with the secret as it is written.
pub fn token(secret: &str, claims: &Value) -> String {
    encode(&Header::default(), claims, &key_of(secret)).unwrap()
}

/// The key of a secret. HMAC fills a short key up with zeros (RFC 2104 §2), so one zero byte is the
/// empty secret, which the library does not take.
fn key_of(secret: &str) -> EncodingKey {
    let bytes = if secret.is_empty() { "\0" } else { secret };
    EncodingKey::from_secret(bytes.as_bytes()).unwrap()
}
