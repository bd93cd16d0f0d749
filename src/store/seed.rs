//! Seeding: copies the grants and administrators of the configuration file into the tables, each
//! line only once. Seeding never removes anything.

use std::{collections::HashSet, time::Duration};

use super::{
    ChangeActor, GrantRow, Store, StoreError,
    admin::{described, digest, tools_of},
    calls::no_nul,
    changes::record,
    open::{ALL, now},
    pool::DatabaseTransaction,
    text_rules::{fits, lower_email},
};
use crate::config::{self, DEFAULT_WORKSPACE};

/// The time limit. The file may contain thousands of lines.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

const SOWN: &str = "SELECT id FROM bridge_seed";
const MARK: &str = "INSERT INTO bridge_seed (id, action, target, sown_at) \
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

/// A line of the configuration file.
enum SeedLine {
    /// An entry of `admins`.
    Admin(String),
    /// The same administrator as a member of the first group of administrators.
    Member(String, String),
    /// A grant of `[access.groups]`.
    Grant(GrantRow),
}

/// A line that can be stored.
struct SeedEntry {
    /// Identifies the line.
    id: String,
    /// The action, as in the audit record of the change.
    action: &'static str,
    /// The target of the action.
    target: String,
    line: SeedLine,
}

impl Store {
    /// Copies the grants and administrators of the file into the tables. Deletes nothing.
    ///
    /// Each line is seeded once in the life of a database, and the database remembers it: a grant
    /// that an administrator revoked does not come back with the next start, although the file
    /// still contains it. A new or changed line is seeded. To restore a revoked grant, use
    /// `mcp-bridge access grant`.
    pub async fn seed(&self, access: &config::AccessSettings) -> Result<(), StoreError> {
        self.bounded_by(TIMEOUT, self.sow(access)).await
    }

    /// [`Store::seed`] without checking the health first.
    pub(super) async fn sow(&self, access: &config::AccessSettings) -> Result<(), StoreError> {
        let mut seeds = seeds(access);
        if !seeds.is_empty() {
            let sown: Vec<(String,)> = self.read.fetch(SOWN, &[]).await?;
            let sown: HashSet<String> = sown.into_iter().map(|(id,)| id).collect();
            seeds.retain(|seed| !sown.contains(&seed.id));
        }
        if seeds.is_empty() {
            return Ok(());
        }
        // Sort the lines, or two replicas that seed at the same time could deadlock.
        seeds.sort_by(|a, b| (a.action, &a.target, &a.id).cmp(&(b.action, &b.target, &b.id)));
        let mut tx = self.begin().await?;
        let seeds = mark(&mut tx, seeds).await?;
        let is_change = self.put_seeds(&mut tx, &seeds).await?;
        tx.commit().await?;
        if is_change {
            self.bump();
        }
        Ok(())
    }

    /// Writes the lines into their tables. Returns whether any of them was new.
    async fn put_seeds(
        &self,
        tx: &mut DatabaseTransaction,
        seeds: &[SeedEntry],
    ) -> Result<bool, StoreError> {
        let everywhere = author(ALL);
        // Write the inherited tables first: a scoped transaction may not be able to use them.
        let (narrowed, inherited): (Vec<_>, Vec<_>) =
            seeds.iter().partition(|seed| seed.line.is_narrowed());
        let mut changes = Vec::new();
        for seed in inherited.into_iter().chain(narrowed) {
            let is_new = match &seed.line {
                SeedLine::Admin(email) => self.put_admin(tx, email).await?,
                SeedLine::Member(email, group) => self.put_member(tx, email, group).await?,
                SeedLine::Grant(grant) => self.put_grant(tx, &everywhere, grant).await?,
            };
            if is_new {
                changes.push(seed);
            }
        }
        if changes.is_empty() {
            return Ok(false);
        }
        // The administrators of the default workspace see the audit records.
        let author = author(DEFAULT_WORKSPACE);
        self.scope(tx, &author.workspace).await?;
        for seed in changes {
            record(tx, &author, seed.action, &seed.target).await?;
        }
        Ok(true)
    }
}

/// The configuration file as the actor of a change in a workspace.
fn author(workspace: &str) -> ChangeActor {
    ChangeActor {
        id: "configuration".to_owned(),
        proof: "configuration".to_owned(),
        workspace: workspace.to_owned(),
    }
}

/// Marks the lines as seeded. Returns those that no other replica has seeded in the meantime.
async fn mark(
    tx: &mut DatabaseTransaction,
    seeds: Vec<SeedEntry>,
) -> Result<Vec<SeedEntry>, StoreError> {
    let mut ours = Vec::with_capacity(seeds.len());
    for seed in seeds {
        let values = [
            (&seed.id).into(),
            seed.action.into(),
            no_nul(&seed.target),
            now().into(),
        ];
        if tx.execute(MARK, &values).await? > 0 {
            ours.push(seed);
        }
    }
    Ok(ours)
}

/// All lines of the file. A line that cannot be stored must not prevent the start.
fn seeds(access: &config::AccessSettings) -> Vec<SeedEntry> {
    let admins = access.admins.iter().flat_map(|email| {
        let group = access.admin_groups.first().cloned();
        let member = group.map(|group| SeedLine::Member(email.clone(), group));
        [SeedLine::Admin(email.clone())].into_iter().chain(member)
    });
    let groups = access.groups.iter();
    let grants = groups.flat_map(|group| group.grants.iter().map(|grant| line(&group.name, grant)));
    admins
        .chain(grants)
        .filter_map(|line| {
            SeedEntry::new(line)
                .inspect_err(|error| {
                    tracing::warn!("cannot store a line of [access]; it is skipped: {error}");
                })
                .ok()
        })
        .collect()
}

/// A grant from the file.
fn line(group: &str, grant: &config::SeedGrant) -> SeedLine {
    SeedLine::Grant(GrantRow {
        workspace: None,
        group: group.to_owned(),
        bridge: grant.bridge.as_str().to_owned(),
        tools: grant.tools.clone(),
        read_only: grant.read_only,
    })
}

impl SeedLine {
    /// Whether it belongs into `bridge_grant`.
    fn is_narrowed(&self) -> bool {
        matches!(self, Self::Grant(grant) if grant.read_only || !grant.tools.is_empty())
    }
}

impl SeedEntry {
    /// Converts a line. The error says why it cannot be stored.
    fn new(line: SeedLine) -> Result<Self, StoreError> {
        let (id, action, target, line) = match line {
            SeedLine::Admin(email) => {
                let email = lower_email(&email)?;
                let id = digest(&["admin", &email]);
                (id, "set_admin", email.clone(), SeedLine::Admin(email))
            }
            SeedLine::Member(email, group) => {
                let email = lower_email(&email)?;
                fits("the name of the group", &group)?;
                let id = digest(&["member", &email, &group]);
                let target = format!("{email} {group}");
                (id, "add_member", target, SeedLine::Member(email, group))
            }
            SeedLine::Grant(grant) => {
                fits("the name of the group", &grant.group)?;
                fits("the name of the bridge", &grant.bridge)?;
                let read_only = if grant.read_only { "read_only" } else { "" };
                let tools = tools_of(&grant);
                let id = digest(&["grant", &grant.group, &grant.bridge, &tools, read_only]);
                (id, "grant", described(&grant), SeedLine::Grant(grant))
            }
        };
        Ok(Self {
            id,
            action,
            target,
            line,
        })
    }
}
