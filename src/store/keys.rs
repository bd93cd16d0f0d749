//! API keys in the database.

use super::{
    ChangeActor, KeyRow, Store, StoreError,
    access::{MICROS, json},
    admin::may_write,
    open::now,
    pool::SqlValue,
    text_rules::{fits, shows},
};

const ADD: &str = "INSERT INTO bridge_key \
    (workspace_id, name, hash, group_names, forwards, expires_at, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
const REVOKE: &str = "DELETE FROM bridge_key WHERE name = $1 AND (workspace_id = $2 OR $2 = '*')";

impl Store {
    /// Stores the hash of an API key. Returns false if the name is taken or the key is already
    /// stored.
    pub async fn add_key(&self, actor: &ChangeActor, key: &KeyRow) -> Result<bool, StoreError> {
        fits("the name of the API key", &key.name)?;
        for group in &key.groups {
            shows("the name of the group", group)?;
        }
        may_write(actor, &key.workspace)?;
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, &actor.workspace).await?;
            let values = [
                (&key.workspace).into(),
                (&key.name).into(),
                SqlValue::Bytes(&key.hash),
                json(&key.groups).into(),
                key.forwards.into(),
                SqlValue::OptInt(key.expires_at.map(|seconds| seconds.saturating_mul(MICROS))),
                now().into(),
            ];
            let is_new = tx.execute(ADD, &values).await? > 0;
            self.finish(tx, actor, is_new.then(|| ("add_key", key.name.clone())))
                .await
        })
        .await
    }

    /// Revokes a stored API key. Returns false if there is none with this name.
    pub async fn revoke_key(&self, actor: &ChangeActor, name: &str) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, &actor.workspace).await?;
            let values = [name.into(), (&actor.workspace).into()];
            let is_gone = tx.execute(REVOKE, &values).await? > 0;
            self.finish(tx, actor, is_gone.then(|| ("revoke_key", name.to_owned())))
                .await
        })
        .await
    }
}
