//! Accounts at the servers of bridges: their owners, and the sealed texts that contain the tokens.
//!
//! The store does not seal or open anything. It makes sure that only one replica renews tokens at a
//! time.

use std::time::Duration;

use super::{
    ChangeActor, Store, StoreError,
    admin::may_write,
    open::{ALL, now},
    pool::SqlValue,
    text_rules::fits,
};
use crate::config::DEFAULT_WORKSPACE;

/// The maximum size of a sealed text in bytes. Tokens take some kilobytes.
pub(super) const SEALED_MAX: usize = 256 * 1024;
/// The longest duration of a claim. A claim that lasts longer was made by a wrong clock.
const CLAIM_MAX: Duration = Duration::from_mins(10);

const GET: &str = "SELECT sealed FROM bridge_account \
    WHERE workspace_id = $1 AND bridge = $2 AND subject = $3";
const PUT: &str = "INSERT INTO bridge_account \
    (workspace_id, bridge, subject, sealed, refreshing_until, updated_at, created_at) \
    VALUES ($1, $2, $3, $4, NULL, $5, $5) \
    ON CONFLICT (workspace_id, bridge, subject) DO UPDATE SET sealed = excluded.sealed, \
    refreshing_until = NULL, updated_at = excluded.updated_at";
const REPLACE: &str = "UPDATE bridge_account \
    SET sealed = $4, refreshing_until = NULL, updated_at = $5 \
    WHERE workspace_id = $1 AND bridge = $2 AND subject = $3 AND sealed = $6";
const CLAIM: &str = "UPDATE bridge_account SET refreshing_until = $4 \
    WHERE workspace_id = $1 AND bridge = $2 AND subject = $3 \
    AND (refreshing_until IS NULL OR refreshing_until <= $5 OR refreshing_until > $6)";
const RELEASE: &str = "UPDATE bridge_account SET refreshing_until = NULL \
    WHERE workspace_id = $1 AND bridge = $2 AND subject = $3 AND refreshing_until = $4";
const REMOVE: &str = "DELETE FROM bridge_account \
    WHERE workspace_id = $1 AND bridge = $2 AND subject = $3";
const LIST: &str = "SELECT workspace_id, bridge, subject, updated_at FROM bridge_account \
    ORDER BY workspace_id, bridge, subject";

const RESEAL: &str = "UPDATE bridge_account SET sealed = $4 \
    WHERE workspace_id = $1 AND bridge = $2 AND subject = $3 AND sealed = $5 \
    AND (refreshing_until IS NULL OR refreshing_until <= $6 OR refreshing_until > $7)";
const PAGE: &str = "SELECT workspace_id, bridge, subject, sealed FROM bridge_account \
    WHERE (workspace_id, bridge, subject) > ($1, $2, $3) \
    ORDER BY workspace_id, bridge, subject LIMIT $4";

/// Identifies an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    /// The workspace of the account's users.
    pub workspace: String,
    /// The bridge whose server has the account.
    pub bridge: String,
    /// The user; empty for the account that all callers share.
    pub subject: String,
}

/// An account in the list of accounts, without its sealed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountInfo {
    /// The key of the account.
    pub key: AccountKey,
    /// When its tokens last changed, in microseconds since 1970.
    pub updated_at: i64,
}

/// The right of one replica to renew an account's tokens. Contains when it expires, in microseconds
/// since 1970; that also distinguishes it from later claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshClaim(i64);

impl AccountKey {
    /// The values of the first three parameters.
    fn values(&self) -> [SqlValue<'_>; 3] {
        [
            (&self.workspace).into(),
            (&self.bridge).into(),
            (&self.subject).into(),
        ]
    }

    /// Refuses values that no row can have.
    fn check(&self) -> Result<(), StoreError> {
        fits("the name of the workspace", &self.workspace)?;
        fits("the name of the bridge", &self.bridge)?;
        if self.subject.is_empty() {
            return Ok(());
        }
        fits("the name of the user", &self.subject)
    }

    /// Checks that the actor may connect or disconnect the account. As for grants, administrators
    /// of the default workspace may also manage what applies to every workspace.
    fn check_actor(&self, actor: &ChangeActor) -> Result<(), StoreError> {
        if actor.workspace == DEFAULT_WORKSPACE && self.workspace == ALL {
            return Ok(());
        }
        may_write(actor, &self.workspace)
    }

    /// The text for audit records.
    fn described(&self) -> String {
        format!("{} {}", self.bridge, self.subject)
            .trim_end()
            .to_owned()
    }
}

impl Store {
    /// The sealed text of an account, if there is one.
    pub async fn account(&self, key: &AccountKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.bounded(async {
            let mut tx = self.begin_reading(&key.workspace).await?;
            let rows: Vec<(Vec<u8>,)> = tx.fetch(GET, &key.values()).await?;
            tx.commit().await?;
            Ok(rows.into_iter().next().map(|(sealed,)| sealed))
        })
        .await
    }

    /// Stores an account, replacing an earlier one, and ends a claim on it. With an actor, it
    /// counts as a login and leaves an audit record.
    pub async fn put_account(
        &self,
        actor: Option<&ChangeActor>,
        key: &AccountKey,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        key.check()?;
        short_enough(sealed)?;
        if let Some(actor) = actor {
            key.check_actor(actor)?;
        }
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, &key.workspace).await?;
            let [workspace, bridge, subject] = key.values();
            let sealed = SqlValue::Bytes(sealed);
            tx.execute(PUT, &[workspace, bridge, subject, sealed, now().into()])
                .await?;
            if let Some(actor) = actor {
                self.commit_with(tx, actor, Some(("connect_account", key.described())))
                    .await?;
            } else {
                tx.commit().await?;
            }
            self.bump_accounts();
            Ok(())
        })
        .await
    }

    /// Replaces `old` with `new` and ends the claim. Returns false if the stored text has changed.
    /// To renew tokens, make the claim first and then read `old`: before the claim a key rotation
    /// may seal the text again, but not during it.
    pub async fn replace_account(
        &self,
        key: &AccountKey,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool, StoreError> {
        short_enough(new)?;
        self.bounded(async {
            let [workspace, bridge, subject] = key.values();
            let values = [
                workspace,
                bridge,
                subject,
                SqlValue::Bytes(new),
                now().into(),
                SqlValue::Bytes(old),
            ];
            let is_replaced = self.touch_account(key, REPLACE, &values).await?;
            if is_replaced {
                self.bump_accounts();
            }
            Ok(is_replaced)
        })
        .await
    }

    /// Claims the renewal of an account's tokens. Returns `None` if another replica has the claim
    /// or the account does not exist. The claim expires after at most ten minutes, in case its
    /// replica dies.
    pub async fn claim_refresh(
        &self,
        key: &AccountKey,
        for_: Duration,
    ) -> Result<Option<RefreshClaim>, StoreError> {
        let now = now();
        let until = after(now, for_.min(CLAIM_MAX));
        let [workspace, bridge, subject] = key.values();
        let values = [
            workspace,
            bridge,
            subject,
            until.into(),
            now.into(),
            after(now, CLAIM_MAX).into(),
        ];
        let claimed = self
            .bounded(self.touch_account(key, CLAIM, &values))
            .await?;
        Ok(claimed.then_some(RefreshClaim(until)))
    }

    /// Releases a claim after a failed renewal, so that another replica may try. Has no effect if
    /// the claim has expired and another replica has a new one.
    pub async fn release_refresh(
        &self,
        key: &AccountKey,
        claim: RefreshClaim,
    ) -> Result<(), StoreError> {
        self.bounded(async {
            let [workspace, bridge, subject] = key.values();
            let values = [workspace, bridge, subject, claim.0.into()];
            self.touch_account(key, RELEASE, &values).await?;
            Ok(())
        })
        .await
    }

    /// Deletes an account. Returns false if there was none.
    pub async fn remove_account(
        &self,
        actor: &ChangeActor,
        key: &AccountKey,
    ) -> Result<bool, StoreError> {
        key.check_actor(actor)?;
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, &key.workspace).await?;
            let is_gone = tx.execute(REMOVE, &key.values()).await? > 0;
            let change = is_gone.then(|| ("disconnect_account", key.described()));
            self.commit_with(tx, actor, change).await?;
            if is_gone {
                self.bump_accounts();
            }
            Ok(is_gone)
        })
        .await
    }

    /// All accounts of all workspaces.
    pub async fn accounts(&self) -> Result<Vec<AccountInfo>, StoreError> {
        self.bounded(async {
            let mut tx = self.begin_reading(ALL).await?;
            let rows: Vec<(String, String, String, i64)> = tx.fetch(LIST, &[]).await?;
            tx.commit().await?;
            Ok(rows
                .into_iter()
                .map(|(workspace, bridge, subject, updated_at)| AccountInfo {
                    key: AccountKey {
                        workspace,
                        bridge,
                        subject,
                    },
                    updated_at,
                })
                .collect())
        })
        .await
    }

    /// Up to `limit` accounts with their sealed texts, in order after `after`. The empty key starts
    /// at the beginning.
    pub async fn sealed_accounts(
        &self,
        after: &AccountKey,
        limit: u32,
    ) -> Result<Vec<(AccountKey, Vec<u8>)>, StoreError> {
        self.bounded(async {
            let mut tx = self.begin_reading(ALL).await?;
            let [workspace, bridge, subject] = after.values();
            let values = [workspace, bridge, subject, i64::from(limit).into()];
            let rows: Vec<(String, String, String, Vec<u8>)> = tx.fetch(PAGE, &values).await?;
            tx.commit().await?;
            Ok(rows
                .into_iter()
                .map(|(workspace, bridge, subject, sealed)| {
                    let key = AccountKey {
                        workspace,
                        bridge,
                        subject,
                    };
                    (key, sealed)
                })
                .collect())
        })
        .await
    }

    /// Replaces `old` with another seal of the same content. Returns false if the stored text has
    /// changed, or if a task has claimed the account and is about to change it.
    pub async fn reseal_account(
        &self,
        key: &AccountKey,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool, StoreError> {
        let now = now();
        let [workspace, bridge, subject] = key.values();
        let values = [
            workspace,
            bridge,
            subject,
            SqlValue::Bytes(new),
            SqlValue::Bytes(old),
            now.into(),
            after(now, CLAIM_MAX).into(),
        ];
        self.bounded(self.touch_account(key, RESEAL, &values)).await
    }

    /// Runs one statement on one account. Returns whether it changed a row.
    async fn touch_account(
        &self,
        key: &AccountKey,
        sql: &'static str,
        values: &[SqlValue<'_>],
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        self.scope(&mut tx, &key.workspace).await?;
        let touched = tx.execute(sql, values).await?;
        tx.commit().await?;
        Ok(touched > 0)
    }
}

/// Refuses a text that is too long to be a sealed text.
pub(super) fn short_enough(sealed: &[u8]) -> Result<(), StoreError> {
    if sealed.len() > SEALED_MAX {
        return Err(StoreError::Invalid(format!(
            "a sealed text has {} bytes; at most {SEALED_MAX} can be stored",
            sealed.len()
        )));
    }
    Ok(())
}

/// The time `duration` after `now`, in microseconds since 1970.
fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
