//! Keys and endpoints of groups, in the proxy's tables `tenant_server_keys` and
//! `tenant_endpoint_overrides`. In these tables a tenant is a group and a server is a bridge.
//!
//! Values are stored sealed. A plain value that the proxy stored is sealed when it is found. The
//! tables have no workspaces.

use super::{
    ChangeActor, Store, StoreError,
    pool::SqlValue,
    text_rules::{fits, shows},
};
use crate::secret::Secret;

/// The maximum size of `key_value` in bytes.
const STORED_MAX: usize = 128 * 1024;
/// The maximum length of a URL in bytes.
const URL_MAX: usize = 2048;

const KEYS: &str = "SELECT tenant_id, server_id, key_name, key_value FROM tenant_server_keys \
    ORDER BY tenant_id, server_id, key_name";
const NAMES: &str = "SELECT tenant_id, server_id, key_name, CAST(updated_at AS TEXT) \
    FROM tenant_server_keys ORDER BY tenant_id, server_id, key_name";
const PUT_KEY: &str = "INSERT INTO tenant_server_keys (tenant_id, server_id, key_name, key_value) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, server_id, key_name) DO UPDATE \
    SET key_value = excluded.key_value, updated_at = CURRENT_TIMESTAMP";
const RESEAL_KEY: &str = "UPDATE tenant_server_keys SET key_value = $4 \
    WHERE tenant_id = $1 AND server_id = $2 AND key_name = $3 AND key_value = $5";
const REMOVE_KEY: &str = "DELETE FROM tenant_server_keys \
    WHERE tenant_id = $1 AND server_id = $2 AND key_name = $3";
const ENDPOINTS: &str = "SELECT tenant_id, server_id, endpoint_url FROM tenant_endpoint_overrides \
    ORDER BY tenant_id, server_id";
const PUT_ENDPOINT: &str = "INSERT INTO tenant_endpoint_overrides \
    (tenant_id, server_id, endpoint_url) VALUES ($1, $2, $3) \
    ON CONFLICT (tenant_id, server_id) DO UPDATE SET endpoint_url = excluded.endpoint_url";
const REMOVE_ENDPOINT: &str =
    "DELETE FROM tenant_endpoint_overrides WHERE tenant_id = $1 AND server_id = $2";

/// Identifies a key of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKeyName {
    /// The group; `tenant_id` in the table.
    pub group: String,
    /// The bridge; `server_id` in the table.
    pub bridge: String,
    /// The variable of the configuration that the key replaces; `key_name` in the table.
    pub variable: String,
}

/// A key of a group as stored: sealed, or in plain text if the proxy stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupKeyRow {
    /// Which one.
    pub name: GroupKeyName,
    /// The stored text.
    pub stored: Secret,
}

/// The URL that a group's calls to a bridge go to instead of the configured one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// The group.
    pub group: String,
    /// The bridge.
    pub bridge: String,
    /// The stored URL.
    pub url: String,
}

impl GroupKeyName {
    /// The values of the first three parameters.
    fn values(&self) -> [SqlValue<'_>; 3] {
        [
            (&self.group).into(),
            (&self.bridge).into(),
            (&self.variable).into(),
        ]
    }

    /// The text for audit records.
    fn described(&self) -> String {
        format!("{} {} {}", self.group, self.bridge, self.variable)
    }
}

impl Store {
    /// All keys of all groups as stored.
    pub async fn group_keys(&self) -> Result<Vec<GroupKeyRow>, StoreError> {
        self.bounded(async {
            let rows: Vec<(String, String, String, String)> = self.read.fetch(KEYS, &[]).await?;
            Ok(rows
                .into_iter()
                .map(|(group, bridge, variable, stored)| GroupKeyRow {
                    name: GroupKeyName {
                        group,
                        bridge,
                        variable,
                    },
                    stored: Secret::new(stored),
                })
                .collect())
        })
        .await
    }

    /// The names of all keys, and when they last changed, in the format of the database.
    pub async fn group_key_names(&self) -> Result<Vec<(GroupKeyName, Option<String>)>, StoreError> {
        type Row = (String, String, String, Option<String>);
        self.bounded(async {
            let rows: Vec<Row> = self.read.fetch(NAMES, &[]).await?;
            Ok(rows
                .into_iter()
                .map(|(group, bridge, variable, updated_at)| {
                    let name = GroupKeyName {
                        group,
                        bridge,
                        variable,
                    };
                    (name, updated_at)
                })
                .collect())
        })
        .await
    }

    /// Stores a key that the caller has sealed, replacing an earlier one.
    pub async fn put_group_key(
        &self,
        actor: &ChangeActor,
        name: &GroupKeyName,
        stored: &str,
    ) -> Result<(), StoreError> {
        fits("the name of the group", &name.group)?;
        shows("the name of the group", &name.group)?;
        fits("the name of the bridge", &name.bridge)?;
        fits("the name of the variable", &name.variable)?;
        if stored.len() > STORED_MAX {
            return Err(StoreError::Invalid(format!(
                "the value is too long: sealed it has {} bytes, and at most {STORED_MAX} can be \
                 stored",
                stored.len()
            )));
        }
        self.bounded(async {
            let mut tx = self.begin().await?;
            let [group, bridge, variable] = name.values();
            tx.execute(PUT_KEY, &[group, bridge, variable, stored.into()])
                .await?;
            let change = ("set_group_key", name.described());
            self.commit_with(tx, actor, Some(change)).await?;
            self.bump_accounts();
            Ok(())
        })
        .await
    }

    /// Replaces `old` with another seal of the same value. Returns false if the stored value has
    /// changed. The key itself does not change, so there is no audit record.
    pub async fn reseal_group_key(
        &self,
        name: &GroupKeyName,
        old: &Secret,
        new: &str,
    ) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            let [group, bridge, variable] = name.values();
            let values = [group, bridge, variable, new.into(), old.expose().into()];
            let touched = tx.execute(RESEAL_KEY, &values).await?;
            tx.commit().await?;
            Ok(touched > 0)
        })
        .await
    }

    /// Removes a key. Returns false if there was none.
    pub async fn remove_group_key(
        &self,
        actor: &ChangeActor,
        name: &GroupKeyName,
    ) -> Result<bool, StoreError> {
        let change = ("remove_group_key", name.described());
        self.remove_of_group(actor, REMOVE_KEY, &name.values(), change)
            .await
    }

    /// All endpoints of all groups.
    pub async fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        self.bounded(async {
            let rows: Vec<(String, String, String)> = self.read.fetch(ENDPOINTS, &[]).await?;
            Ok(rows
                .into_iter()
                .map(|(group, bridge, url)| EndpointRow { group, bridge, url })
                .collect())
        })
        .await
    }

    /// Stores an endpoint, replacing an earlier one.
    pub async fn put_endpoint(
        &self,
        actor: &ChangeActor,
        endpoint: &EndpointRow,
    ) -> Result<(), StoreError> {
        fits("the name of the group", &endpoint.group)?;
        shows("the name of the group", &endpoint.group)?;
        fits("the name of the bridge", &endpoint.bridge)?;
        if endpoint.url.len() > URL_MAX {
            return Err(StoreError::Invalid(format!(
                "the URL has {} bytes; at most {URL_MAX} can be stored",
                endpoint.url.len()
            )));
        }
        self.bounded(async {
            let mut tx = self.begin().await?;
            let values = [
                (&endpoint.group).into(),
                (&endpoint.bridge).into(),
                (&endpoint.url).into(),
            ];
            tx.execute(PUT_ENDPOINT, &values).await?;
            let target = format!("{} {}", endpoint.group, endpoint.bridge);
            self.commit_with(tx, actor, Some(("set_endpoint", target)))
                .await?;
            self.bump_accounts();
            Ok(())
        })
        .await
    }

    /// Removes an endpoint. Returns false if there was none.
    pub async fn remove_endpoint(
        &self,
        actor: &ChangeActor,
        group: &str,
        bridge: &str,
    ) -> Result<bool, StoreError> {
        let values = [group.into(), bridge.into()];
        let change = ("remove_endpoint", format!("{group} {bridge}"));
        self.remove_of_group(actor, REMOVE_ENDPOINT, &values, change)
            .await
    }

    /// Removes a row with one statement. Returns whether it existed.
    async fn remove_of_group(
        &self,
        actor: &ChangeActor,
        sql: &'static str,
        values: &[SqlValue<'_>],
        change: (&str, String),
    ) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            let touched = tx.execute(sql, values).await?;
            let is_gone = self
                .commit_with(tx, actor, (touched > 0).then_some(change))
                .await?;
            if is_gone {
                self.bump_accounts();
            }
            Ok(is_gone)
        })
        .await
    }
}
