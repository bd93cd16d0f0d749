//! [`UserDirectory`]: looks up users in Open WebUI's database, with one query each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::{
    DirectoryUser,
    account::{Row, accounts},
    layout::{PROBE_POSTGRES, PROBE_SQLITE, TableLayout, UserQuery},
};
use crate::{
    config::DatabaseUrl,
    store::{
        StoreError,
        pool::{DatabasePool, DatabaseTarget},
    },
};

/// Concurrent connections.
const CONNECTIONS: u32 = 4;
/// How long the layout is cached. Open WebUI may be upgraded while the bridge runs.
const LAYOUT_TTL: Duration = Duration::from_mins(1);
/// How long to wait after an outage of the database before the next attempt.
const REST: Duration = Duration::from_millis(500);
/// The setup of each connection to PostgreSQL.
const SETUP: &str = "SELECT set_config('default_transaction_read_only', 'on', false), \
    set_config('statement_timeout', $1, false)";

/// Open WebUI's users and groups.
#[derive(Debug)]
pub struct UserDirectory {
    pub(in crate::store) pool: DatabasePool,
    place: String,
    timeout: Duration,
    layout: ArcSwapOption<(Instant, TableLayout)>,
    /// When the database was last unreachable, and why.
    down: ArcSwapOption<(Instant, String)>,
}

impl UserDirectory {
    /// Creates the pool, read-only. Contacts nothing.
    pub fn open(url: &DatabaseUrl, timeout: Duration) -> Result<Self, StoreError> {
        let target = DatabaseTarget::new(url)?.only_read(timeout);
        Ok(Self {
            pool: target.pool(CONNECTIONS, timeout, SETUP),
            place: target.place(),
            timeout,
            layout: ArcSwapOption::empty(),
            down: ArcSwapOption::empty(),
        })
    }

    /// The user with this ID.
    pub async fn user(&self, id: &str) -> Result<Option<DirectoryUser>, StoreError> {
        Ok(self.find(UserQuery::Id, id).await?.into_iter().next())
    }

    /// The user with this e-mail address, ignoring the case of letters. Old releases allow two
    /// users whose addresses differ only in case; then only an exact match counts.
    pub async fn user_of_email(&self, email: &str) -> Result<Option<DirectoryUser>, StoreError> {
        let mut found = self.find(UserQuery::Email, email).await?;
        // What the database treats as equal depends on its locale.
        found.retain(|account| account.email.trim().eq_ignore_ascii_case(email.trim()));
        if found.len() > 1 {
            found.retain(|account| account.email == email);
            if found.len() != 1 {
                return Err(StoreError::Query(
                    "several users of Open WebUI have e-mail addresses that differ only in case"
                        .to_owned(),
                ));
            }
        }
        Ok(found.into_iter().next())
    }

    /// The user of an API key (`sk-…`).
    pub async fn user_of_key(&self, key: &str) -> Result<Option<DirectoryUser>, StoreError> {
        Ok(self.find(UserQuery::Key, key).await?.into_iter().next())
    }

    /// The names of the groups, up to 10,000.
    pub async fn group_names(&self) -> Result<Vec<String>, StoreError> {
        let asking = async {
            let known = self.layout().await?;
            let Some(sql) = known.1.groups() else {
                return Ok(Vec::new());
            };
            let rows: Vec<(String,)> = self.pool.fetch_unprepared(sql.into_sql_str(), &[]).await?;
            Ok(rows.into_iter().map(|(name,)| name).collect())
        };
        let limit = humantime::format_duration(self.timeout);
        tokio::time::timeout(self.timeout, asking)
            .await
            .unwrap_or_else(|_| Err(StoreError::Down(format!("no answer within {limit}"))))
    }

    /// All users that match.
    async fn find(&self, by: UserQuery, value: &str) -> Result<Vec<DirectoryUser>, StoreError> {
        // No user has such an ID, e-mail address or key.
        if value.is_empty() || value.contains('\0') {
            return Ok(Vec::new());
        }
        if let Some(down) = self.down.load_full()
            && down.0.elapsed() < REST
        {
            return Err(StoreError::Down(down.1.clone()));
        }
        let limit = humantime::format_duration(self.timeout);
        let result = tokio::time::timeout(self.timeout, Box::pin(self.ask(by, value)))
            .await
            .unwrap_or_else(|_| Err(StoreError::Down(format!("no response within {limit}"))));
        result.map_err(|error| match error {
            StoreError::Down(reason) => {
                let reason = format!("Open WebUI's {}: {reason}", self.place);
                self.down
                    .store(Some(Arc::new((Instant::now(), reason.clone()))));
                StoreError::Down(reason)
            }
            other => other,
        })
    }

    /// Runs the query. If the tables have changed, reads the layout again and retries once.
    async fn ask(&self, by: UserQuery, value: &str) -> Result<Vec<DirectoryUser>, StoreError> {
        match self.ask_once(by, value).await {
            Err(StoreError::Query(_)) => {
                self.layout.store(None);
                self.ask_once(by, value).await
            }
            result => result,
        }
    }

    async fn ask_once(&self, by: UserQuery, value: &str) -> Result<Vec<DirectoryUser>, StoreError> {
        let known = self.layout().await?;
        let Some(sql) = known.1.query(by) else {
            return Ok(Vec::new());
        };
        // The SQL consists only of constant parts; values are bound.
        let sql = AssertSqlSafe(sql).into_sql_str();
        let rows: Vec<Row> = self.pool.fetch_unprepared(sql, &[value.into()]).await?;
        Ok(accounts(rows, known.1.has_stamp()))
    }

    /// The layout, from memory if it is fresh.
    async fn layout(&self) -> Result<Arc<(Instant, TableLayout)>, StoreError> {
        if let Some(known) = self.layout.load_full()
            && known.0.elapsed() < LAYOUT_TTL
        {
            return Ok(known);
        }
        let is_sqlite = self.pool.is_sqlite();
        let probe = if is_sqlite {
            PROBE_SQLITE
        } else {
            PROBE_POSTGRES
        };
        let rows = self
            .pool
            .fetch_unprepared(probe.into_sql_str(), &[])
            .await?;
        let known = Arc::new((Instant::now(), TableLayout::new(rows, is_sqlite)));
        self.layout.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}
