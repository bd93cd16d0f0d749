//! Changes of members, administrators and grants. Each change and its audit record are one
//! transaction. A call that changes nothing leaves no record.
//!
//! Each transaction uses the inherited tables first, because after [`Store::scope`] it may no
//! longer have the right to use them.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{
    ChangeActor, GrantRow, Store, StoreError,
    access::json,
    changes::record,
    open::{ALL, now},
    pool::{DatabaseTransaction, SqlValue},
    text_rules::{fits, lower_email, shows},
};
use crate::config::DEFAULT_WORKSPACE;

/// The stored spellings of a member's e-mail address. What `lower` treats as equal depends on the
/// database and its locale, so [`written`] compares again.
const WRITTEN_MEMBER: &str = "SELECT user_email FROM user_group_membership \
    WHERE lower(user_email) = lower($1) AND group_name = $2";
const ADD_MEMBER: &str = "INSERT INTO user_group_membership (user_email, group_name) \
    VALUES ($1, $2) ON CONFLICT DO NOTHING";
const REMOVE_MEMBER: &str =
    "DELETE FROM user_group_membership WHERE user_email = $1 AND group_name = $2";
/// The same for administrators.
const WRITTEN_ADMIN: &str =
    "SELECT user_email FROM user_admin_status WHERE lower(user_email) = lower($1)";
const PROMOTE: &str = "UPDATE user_admin_status SET is_admin = TRUE, updated_at = CURRENT_TIMESTAMP \
    WHERE user_email = $1 AND NOT COALESCE(is_admin, FALSE)";
const ADD_ADMIN: &str = "INSERT INTO user_admin_status (user_email, is_admin) \
    VALUES ($1, TRUE) ON CONFLICT DO NOTHING";
const DEMOTE: &str = "UPDATE user_admin_status SET is_admin = FALSE, updated_at = CURRENT_TIMESTAMP \
    WHERE user_email = $1 AND is_admin";
const ADD_MAPPING: &str = "INSERT INTO group_tenant_mapping (group_name, tenant_id) \
    SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM group_tenant_mapping \
    WHERE group_name = $1 AND tenant_id = $2) ON CONFLICT DO NOTHING";
const REMOVE_MAPPING: &str =
    "DELETE FROM group_tenant_mapping WHERE group_name = $1 AND tenant_id = $2";
const MAPPINGS_OF: &str = "SELECT tenant_id FROM group_tenant_mapping WHERE group_name = $1";
const ADD_NARROWED: &str = "INSERT INTO bridge_grant \
    (id, workspace_id, group_name, bridge, tools, read_only, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
const REMOVE_NARROWED: &str = "DELETE FROM bridge_grant WHERE group_name = $1 AND bridge = $2 \
    AND ($3 = '*' OR workspace_id = $3 OR ($3 = 'default' AND workspace_id = '*'))";
const REMOVE_ONE: &str = "DELETE FROM bridge_grant WHERE group_name = $1 AND bridge = $2 \
    AND ($3 = '*' OR workspace_id = $3 OR ($3 = 'default' AND workspace_id = '*')) \
    AND tools = $4 AND read_only = $5";
const EVERYWHERE: &str = "SELECT COUNT(*) FROM bridge_grant \
    WHERE group_name = $1 AND bridge = $2 AND workspace_id = '*'";
const WHOLE: &str =
    "SELECT COUNT(*) FROM group_tenant_mapping WHERE group_name = $1 AND tenant_id = $2";
const REMOVE_MEMBERS: &str = "DELETE FROM user_group_membership WHERE group_name = $1";
const REMOVE_MAPPINGS: &str = "DELETE FROM group_tenant_mapping WHERE group_name = $1";
const REMOVE_ALL_NARROWED: &str = "DELETE FROM bridge_grant WHERE group_name = $1 \
    AND ($2 = '*' OR workspace_id = $2 OR ($2 = 'default' AND workspace_id = '*'))";

impl Store {
    /// Adds a member. Returns false if they already were one.
    pub async fn add_member(
        &self,
        actor: &ChangeActor,
        email: &str,
        group: &str,
    ) -> Result<bool, StoreError> {
        let email = &lower_email(email)?;
        fits("the name of the group", group)?;
        self.bounded(async {
            let mut tx = self.begin().await?;
            let is_change = self.put_member(&mut tx, email, group).await?;
            let change = is_change.then(|| ("add_member", format!("{email} {group}")));
            self.finish(tx, actor, change).await
        })
        .await
    }

    /// Removes a member. Returns false if they were not one.
    pub async fn remove_member(
        &self,
        actor: &ChangeActor,
        email: &str,
        group: &str,
    ) -> Result<bool, StoreError> {
        let email = &lower_email(email)?;
        fits("the name of the group", group)?;
        self.bounded(async {
            let mut tx = self.begin().await?;
            let mut touched = 0;
            let values = [email.into(), group.into()];
            for found in written(&mut tx, WRITTEN_MEMBER, &values, email).await? {
                let values = [found.into(), group.into()];
                touched += tx.execute(REMOVE_MEMBER, &values).await?;
            }
            let change = (touched > 0).then(|| ("remove_member", format!("{email} {group}")));
            self.finish(tx, actor, change).await
        })
        .await
    }

    /// Makes a user an administrator, or removes that right. Returns false if nothing changed.
    pub async fn set_admin(
        &self,
        actor: &ChangeActor,
        email: &str,
        is_admin: bool,
    ) -> Result<bool, StoreError> {
        let email = lower_email(email)?;
        self.bounded(async {
            let mut tx = self.begin().await?;
            let (action, is_change) = if is_admin {
                ("set_admin", self.put_admin(&mut tx, &email).await?)
            } else {
                let mut touched = 0;
                let values = [(&email).into()];
                for found in written(&mut tx, WRITTEN_ADMIN, &values, &email).await? {
                    touched += tx.execute(DEMOTE, &[found.into()]).await?;
                }
                ("unset_admin", touched > 0)
            };
            self.finish(tx, actor, is_change.then_some((action, email)))
                .await
        })
        .await
    }

    /// Adds a grant. Returns false if the same grant already existed. A grant for all tools,
    /// without `read_only`, is stored in `group_tenant_mapping`. Others are stored in
    /// `bridge_grant`, for the workspace they name or else for the actor's workspace. The
    /// operator's grants apply to all workspaces.
    pub async fn grant(&self, actor: &ChangeActor, grant: &GrantRow) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            let is_new = self.put_grant(&mut tx, actor, grant).await?;
            self.finish(tx, actor, is_new.then(|| ("grant", described(grant))))
                .await
        })
        .await
    }

    /// Writes a grant into its table. Returns false if it already existed.
    pub(super) async fn put_grant(
        &self,
        tx: &mut DatabaseTransaction,
        actor: &ChangeActor,
        grant: &GrantRow,
    ) -> Result<bool, StoreError> {
        fits("the name of the group", &grant.group)?;
        shows("the name of the group", &grant.group)?;
        fits("the name of the bridge", &grant.bridge)?;
        if grant.tools.is_empty() && !grant.read_only {
            let values = [(&grant.group).into(), (&grant.bridge).into()];
            return Ok(tx.execute(ADD_MAPPING, &values).await? > 0);
        }
        let workspace = grant.workspace.as_deref().unwrap_or(&actor.workspace);
        may_write(actor, workspace)?;
        let tools = tools_of(grant);
        let id = digest(&[
            workspace,
            &grant.group,
            &grant.bridge,
            &tools,
            if grant.read_only { "read_only" } else { "" },
        ]);
        self.scope(tx, &actor.workspace).await?;
        let values = [
            id.into(),
            workspace.into(),
            (&grant.group).into(),
            (&grant.bridge).into(),
            tools.into(),
            grant.read_only.into(),
            now().into(),
        ];
        Ok(tx.execute(ADD_NARROWED, &values).await? > 0)
    }

    /// Revokes all grants of a group for a bridge. Returns how many there were.
    ///
    /// Grants that apply to every workspace are revoked only by the operator or an administrator of
    /// the default workspace. If another administrator revokes, they stay. If there is nothing else
    /// to revoke, the call is refused, so that the administrator does not think the grant is
    /// revoked.
    pub async fn revoke(
        &self,
        actor: &ChangeActor,
        group: &str,
        bridge: &str,
    ) -> Result<u64, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            let mut gone = 0;
            let mut left: Vec<(i64,)> = Vec::new();
            let whole = [group.into(), bridge.into()];
            if reach(actor) == ALL || actor.workspace == ALL {
                gone += tx.execute(REMOVE_MAPPING, &whole).await?;
            } else {
                left = tx.fetch(WHOLE, &whole).await?;
            }
            self.scope(&mut tx, reach(actor)).await?;
            let values = [group.into(), bridge.into(), (&actor.workspace).into()];
            gone += tx.execute(REMOVE_NARROWED, &values).await?;
            if gone == 0 {
                left.extend(tx.fetch::<(i64,)>(EVERYWHERE, &values[..2]).await?);
                must_be_none(group, bridge, &left)?;
            }
            self.finish(
                tx,
                actor,
                (gone > 0).then(|| ("revoke", format!("{group} {bridge}"))),
            )
            .await?;
            Ok(gone)
        })
        .await
    }

    /// Revokes one grant as listed. Other grants of the group for the bridge stay. Returns false if
    /// there was no such grant. Grants that apply to every workspace are refused as in
    /// [`Store::revoke`].
    pub async fn revoke_grant(
        &self,
        actor: &ChangeActor,
        grant: &GrantRow,
    ) -> Result<bool, StoreError> {
        let (group, bridge) = (&grant.group, &grant.bridge);
        self.bounded(async {
            let mut tx = self.begin().await?;
            let named = [group.into(), bridge.into()];
            let is_whole = grant.tools.is_empty() && !grant.read_only;
            let reaches_all = reach(actor) == ALL || actor.workspace == ALL;
            let gone = if is_whole && reaches_all {
                tx.execute(REMOVE_MAPPING, &named).await?
            } else if is_whole {
                let left: Vec<(i64,)> = tx.fetch(WHOLE, &named).await?;
                must_be_none(group, bridge, &left)?;
                0
            } else {
                self.scope(&mut tx, reach(actor)).await?;
                let values = [
                    group.into(),
                    bridge.into(),
                    (&actor.workspace).into(),
                    tools_of(grant).into(),
                    grant.read_only.into(),
                ];
                tx.execute(REMOVE_ONE, &values).await?
            };
            let change = (gone > 0).then(|| ("revoke", described(grant)));
            self.finish(tx, actor, change).await?;
            Ok(gone > 0)
        })
        .await
    }

    /// Replaces the grants of a group in `group_tenant_mapping`.
    pub async fn set_grants(
        &self,
        actor: &ChangeActor,
        group: &str,
        bridges: &[String],
    ) -> Result<(), StoreError> {
        fits("the name of the group", group)?;
        if !bridges.is_empty() {
            shows("the name of the group", group)?;
        }
        for bridge in bridges {
            fits("the name of the bridge", bridge)?;
        }
        let wanted: BTreeSet<&str> = bridges.iter().map(String::as_str).collect();
        self.bounded(async {
            let mut tx = self.begin().await?;
            let rows: Vec<(String,)> = tx.fetch(MAPPINGS_OF, &[group.into()]).await?;
            let had: BTreeSet<&str> = rows.iter().map(|(bridge,)| bridge.as_str()).collect();
            let mut touched = 0;
            for &bridge in had.difference(&wanted) {
                touched += tx
                    .execute(REMOVE_MAPPING, &[group.into(), bridge.into()])
                    .await?;
            }
            for &bridge in wanted.difference(&had) {
                touched += tx
                    .execute(ADD_MAPPING, &[group.into(), bridge.into()])
                    .await?;
            }
            let target = || {
                let bridges = wanted.iter().copied().collect::<Vec<_>>().join(",");
                format!("{group} {bridges}").trim_end().to_owned()
            };
            self.finish(tx, actor, (touched > 0).then(|| ("set_grants", target())))
                .await?;
            Ok(())
        })
        .await
    }

    /// Removes a group with its members and grants. Returns how many there were of each. Grants of
    /// other workspaces in `bridge_grant` stay, as in [`Store::revoke`].
    pub async fn delete_group(
        &self,
        actor: &ChangeActor,
        group: &str,
    ) -> Result<(u64, u64), StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            let members = tx.execute(REMOVE_MEMBERS, &[group.into()]).await?;
            let mut grants = tx.execute(REMOVE_MAPPINGS, &[group.into()]).await?;
            self.scope(&mut tx, reach(actor)).await?;
            grants += tx
                .execute(
                    REMOVE_ALL_NARROWED,
                    &[group.into(), (&actor.workspace).into()],
                )
                .await?;
            let is_change = members + grants > 0;
            self.finish(
                tx,
                actor,
                is_change.then(|| ("delete_group", group.to_owned())),
            )
            .await?;
            Ok((members, grants))
        })
        .await
    }

    /// Writes the audit record of an access change, if there was one, and commits. Returns whether
    /// there was one.
    pub(super) async fn finish(
        &self,
        tx: DatabaseTransaction,
        actor: &ChangeActor,
        change: Option<(&str, String)>,
    ) -> Result<bool, StoreError> {
        let is_change = self.commit_with(tx, actor, change).await?;
        if is_change {
            self.bump();
        }
        Ok(is_change)
    }

    /// Like [`Store::finish`], but without notifying about a change; that is up to the caller.
    pub(super) async fn commit_with(
        &self,
        mut tx: DatabaseTransaction,
        actor: &ChangeActor,
        change: Option<(&str, String)>,
    ) -> Result<bool, StoreError> {
        let is_change = change.is_some();
        if let Some((action, target)) = change {
            self.scope(&mut tx, &actor.workspace).await?;
            record(&mut tx, actor, action, &target).await?;
        }
        tx.commit().await?;
        Ok(is_change)
    }

    /// Makes a user an administrator. Returns false if they already were one.
    pub(super) async fn put_admin(
        &self,
        tx: &mut DatabaseTransaction,
        email: &str,
    ) -> Result<bool, StoreError> {
        let found = written(tx, WRITTEN_ADMIN, &[email.into()], email).await?;
        if found.is_empty() {
            return Ok(tx.execute(ADD_ADMIN, &[email.into()]).await? > 0);
        }
        let mut touched = 0;
        for email in found {
            touched += tx.execute(PROMOTE, &[email.into()]).await?;
        }
        Ok(touched > 0)
    }

    /// Adds a member from the configuration file. Returns false if they already were one.
    pub(super) async fn put_member(
        &self,
        tx: &mut DatabaseTransaction,
        email: &str,
        group: &str,
    ) -> Result<bool, StoreError> {
        shows("the name of the group", group)?;
        shows("the e-mail", email)?;
        let values = [email.into(), group.into()];
        let found = written(tx, WRITTEN_MEMBER, &values, email).await?;
        Ok(found.is_empty() && tx.execute(ADD_MEMBER, &values).await? > 0)
    }
}

/// Refuses rows of another workspace, which PostgreSQL's policies would refuse too.
pub(super) fn may_write(actor: &ChangeActor, workspace: &str) -> Result<(), StoreError> {
    if actor.workspace == ALL || actor.workspace == workspace {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "`{workspace}` is not your workspace; your workspace is `{}`",
        actor.workspace
    )))
}

/// The workspace of a transaction in which an actor removes grants. Administrators of the default
/// workspace may also remove grants that apply everywhere, because they can write the inherited
/// grants, which apply everywhere too.
fn reach(actor: &ChangeActor) -> &str {
    if actor.workspace == DEFAULT_WORKSPACE {
        ALL
    } else {
        &actor.workspace
    }
}

/// Refuses to revoke grants that the actor may not revoke. `left` is the number of such grants.
fn must_be_none(group: &str, bridge: &str, left: &[(i64,)]) -> Result<(), StoreError> {
    if left.iter().all(|&(count,)| count == 0) {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "the grant of `{group}` for `{bridge}` applies to every workspace; an administrator of the \
         workspace `{DEFAULT_WORKSPACE}` can revoke it, or `mcp-bridge access revoke`"
    )))
}

/// The tool patterns of a grant as stored: sorted and without duplicates.
pub(super) fn tools_of(grant: &GrantRow) -> String {
    let mut tools = grant.tools.clone();
    tools.sort();
    tools.dedup();
    json(&tools)
}

/// The stored spellings of an e-mail address, which differ only in the case of ASCII letters.
async fn written(
    tx: &mut DatabaseTransaction,
    sql: &'static str,
    values: &[SqlValue<'_>],
    email: &str,
) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = tx.fetch(sql, values).await?;
    let same = rows.into_iter().map(|(found,)| found);
    Ok(same
        .filter(|found| found.eq_ignore_ascii_case(email))
        .collect())
}

/// A grant as text, for audit records.
pub(super) fn described(grant: &GrantRow) -> String {
    let mut text = format!("{} {}", grant.group, grant.bridge);
    if !grant.tools.is_empty() {
        text.push_str(" tools=");
        text.push_str(&grant.tools.join(","));
    }
    if grant.read_only {
        text.push_str(" read_only");
    }
    text
}

/// The SHA-256 hash over texts in hex. Each text is preceded by its length.
pub(super) fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    }
    HEXLOWER.encode(&hash.finalize())
}
