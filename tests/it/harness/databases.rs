//! Databases for tests: each test its own, gone at its end. `scripts/databases` starts the servers.

use std::{env, str::FromStr as _, thread};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{Bridge, PATIENCE};

/// A PostgreSQL database of its own.
pub struct Postgres {
    /// Its name.
    name: String,
    /// Where it is, for `[database] url`.
    pub url: String,
}

impl Postgres {
    /// An empty one.
    pub async fn create() -> Self {
        let name = format!("t_{:032x}", rand::random::<u128>());
        execute(&server(), &format!("CREATE DATABASE {name}")).await;
        let server = server();
        let (base, _admin) = server.rsplit_once('/').expect("postgres://…/NAME");
        Self {
            url: format!("{base}/{name}"),
            name,
        }
    }

    /// Runs a script of statements.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// The first column of a query, as text.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let mut connection = connect(&self.url).await;
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let rows = query.fetch_all(&mut connection).await;
        rows.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    /// Lets nobody in and throws everybody out, as an outage does; until [`Postgres::let_in`].
    pub async fn shut_out(&self) {
        let name = &self.name;
        for sql in [
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ),
        ] {
            execute(&server(), &sql).await;
        }
    }

    /// Ends the outage.
    pub async fn let_in(&self) {
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name);
        execute(&server(), &sql).await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The runtime of the test may be at its end.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(execute(&server(), &sql));
        });
        // A panic was printed there; a database that stays behind fails no test.
        drop(dropped.join());
    }
}

impl Bridge {
    /// Runs a statement in the SQLite database of the folder. Each row is a line of
    /// `column|column`; an absent value reads `NULL`.
    pub async fn sql(&self, sql: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new()
            .filename(self.dir.path().join("mcp-bridge.db"))
            .busy_timeout(PATIENCE);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()));
        let rows = rows.fetch_all(&mut connection).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error} in {sql}"));
        connection.close().await.unwrap();
        let column = |row: &SqliteRow, at| {
            let text: Option<String> = row.try_get_unchecked(at).unwrap();
            text.unwrap_or_else(|| "NULL".to_owned())
        };
        let line = |row: &SqliteRow| (0..row.len()).map(|at| column(row, at)).collect::<Vec<_>>();
        rows.iter().map(|row| line(row).join("|")).collect()
    }
}

/// The Redis of the tests. Each test uses a prefix of its own.
pub fn redis_url() -> String {
    variable("TEST_REDIS_URL")
}

/// The PostgreSQL of the tests, where we are superuser.
fn server() -> String {
    variable("TEST_POSTGRES_URL")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run ./scripts/test, or eval \"$(./scripts/databases start DIR)\""
        )
    })
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).unwrap();
    PgConnection::connect_with(&options)
        .await
        .unwrap_or_else(|error| panic!("{error}: is the PostgreSQL of the tests still there?"))
}

async fn execute(url: &str, sql: &str) {
    let mut connection = connect(url).await;
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let done = done.execute(&mut connection).await;
    done.unwrap_or_else(|error| panic!("{error} in {sql}"));
}
