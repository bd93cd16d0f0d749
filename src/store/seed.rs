//! Seeding: the grants and administrators of the file go into the tables, and nothing comes out.

use std::time::Duration;

use super::{
    Actor, GrantRow, Store, StoreError,
    admin::{described, fits, lower_email},
    changes::record,
    pool::Tx,
};
use crate::config::{self, DEFAULT_WORKSPACE};

/// How long it may take: there may be thousands of lines in the file.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Store {
    /// Puts the grants and administrators of the file into the tables; deletes nothing.
    pub async fn seed(&self, access: &config::Access) -> Result<(), StoreError> {
        self.bounded_by(TIMEOUT, self.sow(access)).await
    }

    /// [`Store::seed`] without a look at the health.
    pub(super) async fn sow(&self, access: &config::Access) -> Result<(), StoreError> {
        if access.groups.is_empty() && access.admins.is_empty() {
            return Ok(());
        }
        let actor = Actor {
            id: "configuration".to_owned(),
            proof: "configuration".to_owned(),
            workspace: DEFAULT_WORKSPACE.to_owned(),
        };
        let mut tx = self.begin().await?;
        let mut changes = Vec::new();
        for email in &access.admins {
            // One line that cannot be stored must not keep us from serving.
            match self.put_admin_of_file(&mut tx, email, access).await {
                Err(StoreError::Invalid(reason)) => warn_of_line(&reason),
                result => changes.extend(result?),
            }
        }
        let mut grants: Vec<_> = grants(access).collect();
        // The inherited table first: a scoped transaction may not touch it any more.
        grants.sort_by_key(|grant| !grant.tools.is_empty() || grant.read_only);
        for grant in &grants {
            match self.put_grant(&mut tx, &actor, grant).await {
                Ok(true) => changes.push(("grant", described(grant))),
                Ok(false) => {}
                Err(StoreError::Invalid(reason)) => warn_of_line(&reason),
                Err(error) => return Err(error),
            }
        }
        if !changes.is_empty() {
            self.scope(&mut tx, &actor.workspace).await?;
        }
        for (action, target) in &changes {
            record(&mut tx, &actor, action, target).await?;
        }
        tx.commit().await?;
        if !changes.is_empty() {
            self.bump();
        }
        Ok(())
    }

    /// One of `admins`, with the first group of administrators; says what changed.
    async fn put_admin_of_file(
        &self,
        tx: &mut Tx,
        email: &str,
        access: &config::Access,
    ) -> Result<Vec<(&'static str, String)>, StoreError> {
        let email = lower_email(email)?;
        let mut changes = Vec::new();
        if self.put_admin(tx, &email).await? {
            changes.push(("set_admin", email.clone()));
        }
        if let Some(group) = access.admin_groups.first() {
            fits("the name of the group", group)?;
            if self.put_member(tx, &email, group).await? {
                changes.push(("add_member", format!("{email} {group}")));
            }
        }
        Ok(changes)
    }
}

/// Says which line of `[access]` counts for nothing.
fn warn_of_line(reason: &str) {
    tracing::warn!("a line of [access] cannot be stored and is left out: {reason}");
}

/// The grants of the file as rows.
fn grants(access: &config::Access) -> impl Iterator<Item = GrantRow> + '_ {
    access.groups.iter().flat_map(|group| {
        group.grants.iter().map(|grant| GrantRow {
            workspace: None,
            group: group.name.clone(),
            bridge: grant.bridge.as_str().to_owned(),
            tools: grant.tools.clone(),
            read_only: grant.read_only,
        })
    })
}
