//! The queries of access control: grants, members, keys.

use std::collections::BTreeMap;

use super::{
    GrantRow, GroupRow, KeyRow, MemberRow, Store, StoreError, UserRow, open::ALL,
    pool::DatabaseTransaction,
};

const MAPPINGS: &str =
    "SELECT group_name, tenant_id FROM group_tenant_mapping ORDER BY group_name, tenant_id";
const NARROWED: &str = "SELECT workspace_id, group_name, bridge, tools, read_only \
    FROM bridge_grant ORDER BY group_name, bridge, workspace_id, tools, read_only";
/// One query for the groups and the administrator status; the latter is a row without a group. What
/// `lower` treats as equal depends on the database and its locale, so each e-mail address is
/// compared again.
const MEMBER: &str = "SELECT user_email, group_name, FALSE FROM user_group_membership \
    WHERE lower(user_email) = lower($1) \
    UNION ALL SELECT user_email, NULL, TRUE FROM user_admin_status \
    WHERE lower(user_email) = lower($1) AND is_admin";
const KEYS: &str = "SELECT name, hash, group_names, forwards, workspace_id, expires_at \
    FROM bridge_key ORDER BY workspace_id, name";
const USERS: &str = "SELECT user_email, group_name, FALSE, CAST(created_at AS TEXT) \
    FROM user_group_membership \
    UNION ALL SELECT user_email, NULL, COALESCE(is_admin, FALSE), CAST(updated_at AS TEXT) \
    FROM user_admin_status";
const MEMBERS: &str = "SELECT group_name, user_email FROM user_group_membership";

/// Microseconds per second.
pub(super) const MICROS: i64 = 1_000_000;

impl Store {
    /// Every grant of every group, from `group_tenant_mapping` and `bridge_grant`.
    pub async fn grants(&self) -> Result<Vec<GrantRow>, StoreError> {
        self.bounded(async {
            let mut grants = unnarrowed(self.read.fetch(MAPPINGS, &[]).await?);
            let mut tx = self.begin_reading(ALL).await?;
            grants.extend(narrowed(&mut tx).await?);
            tx.commit().await?;
            Ok(grants)
        })
        .await
    }

    /// What the bridge's tables contain about a user, ignoring the case of letters. The result is
    /// empty if there are no rows.
    pub async fn member(&self, email: &str) -> Result<MemberRow, StoreError> {
        // No table contains such a text.
        if email.contains('\0') {
            return Ok(MemberRow::default());
        }
        self.bounded(async {
            let mut rows: Vec<(String, Option<String>, bool)> =
                self.read.fetch(MEMBER, &[email.into()]).await?;
            rows.retain(|(stored, _, _)| stored.eq_ignore_ascii_case(email));
            let is_admin = rows.iter().any(|(_, _, is_admin)| *is_admin);
            let mut groups: Vec<_> = rows.into_iter().filter_map(|(_, group, _)| group).collect();
            groups.sort();
            groups.dedup();
            Ok(MemberRow { groups, is_admin })
        })
        .await
    }

    /// All stored API keys.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        self.bounded(async {
            let mut tx = self.begin_reading(ALL).await?;
            let rows: Vec<RawKey> = tx.fetch(KEYS, &[]).await?;
            tx.commit().await?;
            Ok(rows.into_iter().filter_map(key).collect())
        })
        .await
    }

    /// All users in the bridge's tables with their groups, sorted by e-mail address.
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        type Row = (String, Option<String>, bool, Option<String>);
        self.bounded(async {
            let rows: Vec<Row> = self.read.fetch(USERS, &[]).await?;
            let mut users = BTreeMap::<String, UserRow>::new();
            for (email, group, is_admin, updated_at) in rows {
                let email = email.to_ascii_lowercase();
                let user = users.entry(email.clone()).or_insert_with(|| UserRow {
                    email,
                    groups: Vec::new(),
                    is_admin: false,
                    updated_at: None,
                });
                user.groups.extend(group);
                user.is_admin |= is_admin;
                // Both databases write times in a format that sorts as text.
                user.updated_at = updated_at.max(user.updated_at.take());
            }
            Ok(users
                .into_values()
                .map(|mut user| {
                    user.groups.sort();
                    user.groups.dedup();
                    user
                })
                .collect())
        })
        .await
    }

    /// All groups that have a grant or a member, by name.
    pub async fn groups(&self) -> Result<Vec<GroupRow>, StoreError> {
        self.bounded(async {
            let mut grants = unnarrowed(self.read.fetch(MAPPINGS, &[]).await?);
            let members: Vec<(String, String)> = self.read.fetch(MEMBERS, &[]).await?;
            let mut tx = self.begin_reading(ALL).await?;
            grants.extend(narrowed(&mut tx).await?);
            tx.commit().await?;
            let mut groups = BTreeMap::<String, GroupRow>::new();
            for grant in grants {
                group(&mut groups, &grant.group).grants.push(grant);
            }
            for (name, email) in members {
                let email = email.to_ascii_lowercase();
                group(&mut groups, &name).users.push(email);
            }
            Ok(groups
                .into_values()
                .map(|mut group| {
                    group.grants.sort_by(|a, b| a.bridge.cmp(&b.bridge));
                    group.users.sort();
                    group.users.dedup();
                    group
                })
                .collect())
        })
        .await
    }
}

/// The group with this name. Creates it if necessary.
fn group<'a>(groups: &'a mut BTreeMap<String, GroupRow>, name: &str) -> &'a mut GroupRow {
    groups.entry(name.to_owned()).or_insert_with(|| GroupRow {
        name: name.to_owned(),
        grants: Vec::new(),
        users: Vec::new(),
    })
}

/// The grants of `group_tenant_mapping`.
fn unnarrowed(rows: Vec<(String, String)>) -> Vec<GrantRow> {
    rows.into_iter()
        .map(|(group, bridge)| GrantRow {
            workspace: None,
            group,
            bridge,
            tools: Vec::new(),
            read_only: false,
        })
        .collect()
}

/// The grants of `bridge_grant` that the transaction may see.
async fn narrowed(tx: &mut DatabaseTransaction) -> Result<Vec<GrantRow>, StoreError> {
    let rows: Vec<(String, String, String, String, bool)> = tx.fetch(NARROWED, &[]).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(workspace, group, bridge, tools, read_only)| {
            let Some(tools) = list(&tools) else {
                // This row was written by hand. A list that cannot be read must not grant
                // everything, so it grants nothing.
                tracing::warn!(
                    "the grant of {group} for {bridge} is ignored: `tools` is not a JSON list"
                );
                return None;
            };
            Some(GrantRow {
                workspace: (workspace != ALL).then_some(workspace),
                group,
                bridge,
                tools,
                read_only,
            })
        })
        .collect())
}

/// A row of `bridge_key`.
type RawKey = (String, Vec<u8>, String, bool, String, Option<i64>);

/// An API key; `None` if the row was written by hand and cannot be read.
fn key((name, hash, groups, forwards, workspace, expires_at): RawKey) -> Option<KeyRow> {
    let (Ok(hash), Some(groups)) = (hash.try_into(), list(&groups)) else {
        tracing::warn!(
            "the stored API key {name} is ignored: \
             its hash is not a SHA-256 hash, or its groups are not a JSON list"
        );
        return None;
    };
    Some(KeyRow {
        name,
        hash,
        groups,
        forwards,
        workspace,
        expires_at: expires_at.map(|micros| micros.div_euclid(MICROS)),
    })
}

/// Parses a JSON list of texts.
pub(super) fn list(json: &str) -> Option<Vec<String>> {
    serde_json::from_str(json).ok()
}

/// Formats a JSON list of texts.
pub(super) fn json(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}
