//! Logins in progress, and the last known tools of bridges whose sessions belong to callers.

use super::{
    Store, StoreError,
    accounts::short_enough,
    open::now,
    pool::{DatabaseTransaction, SqlValue},
    text_rules::fits,
};

/// The maximum number of logins in progress. Each was started by a known user and expires within
/// minutes.
const LOGINS_MAX: i64 = 10_000;
/// How many links to connect one account may be open at once; the oldest ones go.
const TICKETS_MAX: i64 = 20;
/// The longest list of tools, in bytes.
const TOOLS_MAX: usize = 8 * 1024 * 1024;

const SWEEP: &str = "DELETE FROM bridge_login WHERE expires_at <= $1";
const COUNT: &str = "SELECT COUNT(*) FROM bridge_login WHERE (substr(id, 1, 7) = 'ticket/') = $1";
/// All tickets of an account but the newest ones.
const SWEEP_TICKETS: &str = "DELETE FROM bridge_login WHERE substr(id, 1, CAST($1 AS INTEGER)) = $2 AND id NOT IN \
    (SELECT id FROM bridge_login WHERE substr(id, 1, CAST($1 AS INTEGER)) = $2 ORDER BY created_at DESC, id LIMIT $3)";
const TICKET: &str = "SELECT sealed FROM bridge_login WHERE id = $1 AND expires_at > $2";
const SAVE: &str = "INSERT INTO bridge_login (id, sealed, expires_at, created_at) \
    VALUES ($1, $2, $3, $4)";
const TAKE: &str = "DELETE FROM bridge_login WHERE id = $1 RETURNING sealed, expires_at";
const PAGE: &str = "SELECT id, sealed FROM bridge_login \
    WHERE id > $1 AND expires_at > $2 ORDER BY id LIMIT $3";
const RESEAL: &str = "UPDATE bridge_login SET sealed = $2 WHERE id = $1 AND sealed = $3";
const TOOLS: &str = "SELECT tools FROM bridge_known_tools WHERE bridge = $1";
const PUT_TOOLS: &str = "INSERT INTO bridge_known_tools (bridge, tools, updated_at) \
    VALUES ($1, $2, $3) ON CONFLICT (bridge) DO UPDATE \
    SET tools = excluded.tools, updated_at = excluded.updated_at \
    WHERE bridge_known_tools.tools <> excluded.tools";

/// The row with the names of the published tools, apart from the full list of [`Store::known_tools`]. The
/// name of a bridge has no `/`.
fn listed(bridge: &str) -> String {
    format!("listed/{bridge}")
}

/// Removes all tickets of an account but the newest ones.
async fn keep_tickets(
    tx: &mut DatabaseTransaction,
    prefix: &str,
    newest: i64,
) -> Result<u64, StoreError> {
    let length = i64::try_from(prefix.len()).unwrap_or(i64::MAX);
    let values = [length.into(), prefix.into(), newest.into()];
    tx.execute(SWEEP_TICKETS, &values).await
}

impl Store {
    /// Stores a login until it is taken or expires (microseconds since 1970). `id` is the SHA-256
    /// of its state in hex, so a reader of the table cannot continue the login.
    pub async fn save_login(
        &self,
        id: &str,
        sealed: &[u8],
        expires_at: i64,
    ) -> Result<(), StoreError> {
        self.save_open(id, "", sealed, expires_at).await
    }

    /// Keeps a ticket until it is over. `prefix` is what the ids of the tickets of its account begin with.
    pub async fn save_ticket(
        &self,
        id: &str,
        prefix: &str,
        sealed: &[u8],
        expires_at: i64,
    ) -> Result<(), StoreError> {
        self.save_open(id, prefix, sealed, expires_at).await
    }

    /// A ticket that is not over, which stays.
    pub async fn ticket(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.bounded(async {
            let values = [id.into(), now().into()];
            let rows: Vec<(Vec<u8>,)> = self.read.fetch(TICKET, &values).await?;
            Ok(rows.into_iter().next().map(|(sealed,)| sealed))
        })
        .await
    }

    /// Removes the tickets of an account.
    pub async fn remove_tickets(&self, prefix: &str) -> Result<(), StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            keep_tickets(&mut tx, prefix, 0).await?;
            tx.commit().await
        })
        .await
    }

    async fn save_open(
        &self,
        id: &str,
        prefix: &str,
        sealed: &[u8],
        expires_at: i64,
    ) -> Result<(), StoreError> {
        fits("the id of the login", id)?;
        short_enough(sealed)?;
        let is_ticket = !prefix.is_empty();
        self.bounded(async {
            let now = now();
            let mut tx = self.begin().await?;
            tx.execute(SWEEP, &[now.into()]).await?;
            if is_ticket {
                keep_tickets(&mut tx, prefix, TICKETS_MAX - 1).await?;
            }
            let open: Vec<(i64,)> = tx.fetch(COUNT, &[is_ticket.into()]).await?;
            if open.first().is_some_and(|&(count,)| count >= LOGINS_MAX) {
                return Err(StoreError::Full(format!(
                    "{LOGINS_MAX} logins are already in progress; try again in a few minutes, when the \
                     first of them have expired"
                )));
            }
            let values = [
                id.into(),
                SqlValue::Bytes(sealed),
                expires_at.into(),
                now.into(),
            ];
            tx.execute(SAVE, &values).await?;
            tx.commit().await
        })
        .await
    }

    /// Removes and returns a login. Returns nothing for an expired one.
    pub async fn take_login(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // No table contains such a text.
        if id.contains('\0') {
            return Ok(None);
        }
        self.bounded(async {
            let mut tx = self.begin().await?;
            let rows: Vec<(Vec<u8>, i64)> = tx.fetch(TAKE, &[id.into()]).await?;
            tx.commit().await?;
            Ok(rows
                .into_iter()
                .find(|(_, expires_at)| *expires_at > now())
                .map(|(sealed, _)| sealed))
        })
        .await
    }

    /// Up to `limit` logins in progress with their sealed texts, in order after the ID `after`. An
    /// empty ID starts at the beginning.
    pub async fn sealed_logins(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.bounded(async {
            let values = [after.into(), now().into(), i64::from(limit).into()];
            self.read.fetch(PAGE, &values).await
        })
        .await
    }

    /// Replaces the sealed text `old` with another seal of the same content. Returns false if the
    /// login was taken.
    pub async fn reseal_login(&self, id: &str, old: &[u8], new: &[u8]) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            let values = [id.into(), SqlValue::Bytes(new), SqlValue::Bytes(old)];
            let touched = tx.execute(RESEAL, &values).await?;
            tx.commit().await?;
            Ok(touched > 0)
        })
        .await
    }

    /// The last known tools of a bridge, as JSON.
    pub async fn known_tools(&self, bridge: &str) -> Result<Option<String>, StoreError> {
        self.bounded(async {
            let rows: Vec<(String,)> = self.read.fetch(TOOLS, &[bridge.into()]).await?;
            Ok(rows.into_iter().next().map(|(tools,)| tools))
        })
        .await
    }

    /// What was last listed of the tools of a bridge, as JSON.
    pub async fn listed_tools(&self, bridge: &str) -> Result<Option<String>, StoreError> {
        self.known_tools(&listed(bridge)).await
    }

    /// Keeps what is listed of the tools of a bridge, as JSON.
    pub async fn put_listed_tools(&self, bridge: &str, json: &str) -> Result<(), StoreError> {
        self.put_known_tools(&listed(bridge), json).await
    }

    /// Keeps the tools of a bridge, as JSON.
    pub async fn put_known_tools(&self, bridge: &str, json: &str) -> Result<(), StoreError> {
        fits("the name of the bridge", bridge)?;
        if json.len() > TOOLS_MAX {
            return Err(StoreError::Invalid(format!(
                "the tools of `{bridge}` have {} bytes; at most {TOOLS_MAX} can be stored",
                json.len()
            )));
        }
        self.bounded(async {
            let mut tx = self.begin().await?;
            let values = [bridge.into(), json.into(), now().into()];
            tx.execute(PUT_TOOLS, &values).await?;
            tx.commit().await
        })
        .await
    }
}
