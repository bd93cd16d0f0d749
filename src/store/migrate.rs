//! Migrations: the same numbers and names for both databases. Each runs once, even if two replicas
//! start at the same moment.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    Store, StoreError, StoreHealth,
    open::now,
    pool::{DatabaseTarget, DatabaseTransaction, create_file},
};

/// The total time limit, including waiting for another replica that migrates.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How often SQLite is retried while another process creates the same file.
const SQLITE_TRIES: u32 = 20;
/// The pause between these attempts.
const SQLITE_PAUSE: Duration = Duration::from_millis(100);

/// One migration.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Embeds the SQL of a migration for both databases.
macro_rules! migration {
    ($version:literal, $file:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!(
                "../../migrations/sqlite/",
                $file,
                "_",
                $name,
                ".sql"
            )),
            postgres: include_str!(concat!(
                "../../migrations/postgres/",
                $file,
                "_",
                $name,
                ".sql"
            )),
        }
    };
}

/// All migrations, oldest first.
const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001", "inherited_access"),
    migration!(2, "0002", "bridge_tables"),
    migration!(3, "0003", "change_notice"),
    migration!(4, "0004", "credentials"),
    migration!(5, "0005", "call_repeats"),
    migration!(6, "0006", "files"),
];

/// Which migrations were applied, and when (microseconds since 1970).
const TABLE: &str = "CREATE TABLE IF NOT EXISTS bridge_migration \
    (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";
const EXISTS_SQLITE: &str =
    "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'bridge_migration'";
const EXISTS_POSTGRES: &str = "SELECT COUNT(*) FROM pg_tables \
    WHERE schemaname = 'mcp_proxy' AND tablename = 'bridge_migration'";
/// An arbitrary number that no other program should use: "mcpbrdge" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7882267340956788581)";
/// A database user who may use the schema need not have the right to create one.
const SCHEMA_MISSING: &str = "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'mcp_proxy'";

/// Whether policies do not apply to the database user, and whether it may switch to the role that
/// they apply to. That role belongs to the whole cluster, so it may exist without rights in this
/// database.
const ABOVE_POLICIES: &str = "SELECT r.rolsuper OR r.rolbypassrls, \
    EXISTS (SELECT FROM pg_roles s WHERE s.rolname = 'mcp_bridge_scoped' \
        AND (r.rolsuper OR pg_has_role(r.oid, s.oid, 'MEMBER')) \
        AND has_schema_privilege(s.oid, 'mcp_proxy', 'USAGE') \
        AND has_table_privilege(s.oid, 'mcp_proxy.bridge_call', 'INSERT')) \
    FROM pg_roles r WHERE r.rolname = current_user";

impl Store {
    /// Creates or updates the bridge's tables. Returns which migrations were applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let applied = self.apply_patiently().await?;
        self.bump_all();
        self.set_health(StoreHealth::Connected);
        Ok(applied)
    }

    /// [`Store::migrate`] without a change of the health.
    pub(super) async fn apply_patiently(&self) -> Result<Vec<String>, StoreError> {
        let mut tries = 0;
        let applied = loop {
            tries += 1;
            match self.within(TIMEOUT, self.apply()).await {
                // Switching a new file to WAL does not wait for other processes that do the same.
                Err(StoreError::Down(reason))
                    if self.write.is_sqlite()
                        && reason.contains("locked")
                        && tries < SQLITE_TRIES =>
                {
                    tokio::time::sleep(SQLITE_PAUSE).await;
                }
                result => break result?,
            }
        };
        self.within(self.timeout, self.look_at_rights()).await?;
        self.extend_search_path().await;
        Ok(applied)
    }

    /// Applies the pending migrations in one transaction.
    async fn apply(&self) -> Result<Vec<String>, StoreError> {
        if let DatabaseTarget::Sqlite(options) = &self.target {
            create_file(options.get_filename())?;
        }
        let mut tx = self.write.begin().await?;
        // If no migration is pending, neither a lock nor the right to create tables is needed.
        if pending(&mut tx).await?.is_empty() {
            return Ok(Vec::new());
        }
        if !tx.is_sqlite() {
            let limit = TIMEOUT.as_millis().to_string();
            tx.execute(
                "SELECT set_config('statement_timeout', $1, true)",
                &[limit.into()],
            )
            .await?;
            tx.execute(LOCK, &[]).await?;
            let schemas: Vec<(i64,)> = tx.fetch(SCHEMA_MISSING, &[]).await?;
            if schemas.first().is_none_or(|&(count,)| count == 0) {
                tx.script("CREATE SCHEMA mcp_proxy").await?;
            }
        }
        tx.execute(TABLE, &[]).await?;
        let mut applied = Vec::new();
        for migration in pending(&mut tx).await? {
            let script = if tx.is_sqlite() {
                migration.sqlite
            } else {
                migration.postgres
            };
            tx.script(script).await?;
            tx.execute(
                "INSERT INTO bridge_migration (version, name, applied_at) VALUES ($1, $2, $3)",
                &[
                    migration.version.into(),
                    migration.name.into(),
                    now().into(),
                ],
            )
            .await?;
            applied.push(format!("{:04} {}", migration.version, migration.name));
        }
        tx.commit().await?;
        Ok(applied)
    }

    /// Checks for superusers and roles with BYPASSRLS, which ignore policies unless they switch to
    /// another role.
    async fn look_at_rights(&self) -> Result<(), StoreError> {
        if self.write.is_sqlite() {
            return Ok(());
        }
        let rights: Vec<(bool, bool)> = self.read.fetch(ABOVE_POLICIES, &[]).await?;
        let (is_above, can_step_down) = rights.first().copied().unwrap_or_default();
        self.is_above_policies
            .store(is_above && can_step_down, Ordering::Release);
        let is_unbound = is_above && !can_step_down;
        if is_unbound && !self.was_warned.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                "the database user ignores row-level security; give it a role without \
                 SUPERUSER and BYPASSRLS, or let it create the role mcp_bridge_scoped"
            );
        }
        Ok(())
    }
}

/// The migrations that were not applied yet.
async fn pending(tx: &mut DatabaseTransaction) -> Result<Vec<&'static Migration>, StoreError> {
    let exists = if tx.is_sqlite() {
        EXISTS_SQLITE
    } else {
        EXISTS_POSTGRES
    };
    let tables: Vec<(i64,)> = tx.fetch(exists, &[]).await?;
    let mut done = Vec::new();
    if tables.first().is_some_and(|&(count,)| count > 0) {
        let rows: Vec<(i64,)> = tx
            .fetch("SELECT version FROM bridge_migration", &[])
            .await?;
        done.extend(rows.into_iter().map(|(version,)| version));
    }
    let known = MIGRATIONS.last().map_or(0, |last| last.version);
    if let Some(&found) = done.iter().max().filter(|&&found| found > known) {
        return Err(StoreError::Newer { found, known });
    }
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !done.contains(&migration.version))
        .collect())
}
