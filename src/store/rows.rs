//! The rows of the access tables.

/// The user who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeActor {
    /// An e-mail address, the name of an API key, or `operator` for the command line.
    pub id: String,
    /// How they authenticated.
    pub proof: String,
    /// The workspace whose rows they write and see.
    pub workspace: String,
}

/// A grant: what a group may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// The workspace of the callers that the grant applies to. `None` means all, as for rows of
    /// `group_tenant_mapping` and for rows of `bridge_grant` with workspace `*`.
    pub workspace: Option<String>,
    /// The group.
    pub group: String,
    /// The bridge; `tenant_id` in the inherited table.
    pub bridge: String,
    /// Patterns of tool names; empty for all tools.
    pub tools: Vec<String>,
    /// Only tools that are declared as read-only.
    pub read_only: bool,
}

/// What the bridge's tables contain about a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberRow {
    /// Their groups, sorted.
    pub groups: Vec<String>,
    /// `user_admin_status`.
    pub is_admin: bool,
}

/// A user in the list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The e-mail address in lower case.
    pub email: String,
    /// Their groups, sorted.
    pub groups: Vec<String>,
    /// `user_admin_status`.
    pub is_admin: bool,
    /// When their rows last changed, in the format of the database.
    pub updated_at: Option<String>,
}

/// A group in the list of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Its grants, by bridge.
    pub grants: Vec<GrantRow>,
    /// The e-mail addresses of its members, sorted.
    pub users: Vec<String>,
}

/// A stored API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its name in logs.
    pub name: String,
    /// The SHA-256 hash of the key.
    pub hash: [u8; 32],
    /// The groups of its holder.
    pub groups: Vec<String>,
    /// Whether the holder may act for the user named in the request's headers.
    pub forwards: bool,
    /// The workspace of its audit records and grants.
    pub workspace: String,
    /// When it expires, in seconds since 1970; `None` for never.
    pub expires_at: Option<i64>,
}
