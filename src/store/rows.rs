//! What stands in the tables of access.

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// An e-mail, the name of a key, `operator` for the command line.
    pub id: String,
    /// How they proved it.
    pub proof: String,
    /// Whose rows they write and see.
    pub workspace: String,
}

/// What a group may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// The workspace of callers it counts for; `None` for all of them, as rows of
    /// `group_tenant_mapping` do, and ours of workspace `*`.
    pub workspace: Option<String>,
    /// The group.
    pub group: String,
    /// The bridge; `tenant_id` in the inherited table.
    pub bridge: String,
    /// Globs over tool names; empty for all.
    pub tools: Vec<String>,
    /// Only tools that say they change nothing.
    pub read_only: bool,
}

/// What our tables say of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Their groups, sorted.
    pub groups: Vec<String>,
    /// `user_admin_status`.
    pub is_admin: bool,
}

/// A user in the list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Lower case.
    pub email: String,
    /// Their groups, sorted.
    pub groups: Vec<String>,
    /// `user_admin_status`.
    pub is_admin: bool,
    /// When their rows last changed, as the database writes it.
    pub updated_at: Option<String>,
}

/// A group in the list of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Its grants, by bridge.
    pub grants: Vec<GrantRow>,
    /// Its members' e-mails, sorted.
    pub users: Vec<String>,
}

/// A stored API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// How logs call it.
    pub name: String,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// What it is a member of.
    pub groups: Vec<String>,
    /// Whether it vouches for the user named in the headers beside it.
    pub forwards: bool,
    /// Whose audit and grants it belongs to.
    pub workspace: String,
    /// When it ends, seconds since 1970; `None` for never.
    pub expires_at: Option<i64>,
}
