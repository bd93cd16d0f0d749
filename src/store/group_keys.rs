//! Keys and endpoints that groups have of their own: the proxy's tables `tenant_server_keys` and
//! `tenant_endpoint_overrides`, where a tenant is a group, and a server a bridge.
//!
//! Values stand there sealed; one that the proxy left as it was is sealed when it is found. The
//! tables know no workspaces.

use super::{
    Actor, Store, StoreError,
    admin::{fits, shows},
    pool::Value,
};
use crate::secret::Secret;

/// The longest text in `key_value`, in bytes.
const STORED_MAX: usize = 128 * 1024;
/// The longest URL, in bytes.
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

/// Which key of which group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKeyName {
    /// The group; `tenant_id` in the table.
    pub group: String,
    /// The bridge; `server_id` there.
    pub bridge: String,
    /// The variable of the configuration that it takes the place of; `key_name` there.
    pub variable: String,
}

/// A key of a group as it is stored: sealed, or plain as the proxy left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupKeyRow {
    /// Which one.
    pub name: GroupKeyName,
    /// What stands in the table.
    pub stored: Secret,
}

/// Where a group's calls to a bridge go instead of where the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// The group.
    pub group: String,
    /// The bridge.
    pub bridge: String,
    /// The URL as it stands there.
    pub url: String,
}

impl GroupKeyName {
    /// The values of the first three places.
    fn values(&self) -> [Value<'_>; 3] {
        [
            (&self.group).into(),
            (&self.bridge).into(),
            (&self.variable).into(),
        ]
    }

    /// As records tell it.
    fn described(&self) -> String {
        format!("{} {} {}", self.group, self.bridge, self.variable)
    }
}

impl Store {
    /// All keys of all groups, as they are stored.
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

    /// The names of all keys, and when they last changed, as the database writes it.
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

    /// Stores a key, sealed by whoever calls, over what may be there.
    pub async fn put_group_key(
        &self,
        actor: &Actor,
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

    /// Puts another seal of the same value in the place of `old`; false if something else stands
    /// there by now. It is no change of the key, so it leaves no record.
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

    /// Removes a key; false if there was none.
    pub async fn remove_group_key(
        &self,
        actor: &Actor,
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

    /// Stores an endpoint over what may be there.
    pub async fn put_endpoint(
        &self,
        actor: &Actor,
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

    /// Removes an endpoint; false if there was none.
    pub async fn remove_endpoint(
        &self,
        actor: &Actor,
        group: &str,
        bridge: &str,
    ) -> Result<bool, StoreError> {
        let values = [group.into(), bridge.into()];
        let change = ("remove_endpoint", format!("{group} {bridge}"));
        self.remove_of_group(actor, REMOVE_ENDPOINT, &values, change)
            .await
    }

    /// One statement that removes a row; whether there was one.
    async fn remove_of_group(
        &self,
        actor: &Actor,
        sql: &'static str,
        values: &[Value<'_>],
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
