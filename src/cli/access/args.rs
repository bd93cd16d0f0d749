//! The arguments of `access` and their help texts.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::DEFAULT_WORKSPACE;

/// The commands of `access`.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Explain whether a user may call a tool, and which rule decides it.
    #[command(
        after_help = "Examples:\n  mcp-bridge access explain ann@example.org github\n  \
        mcp-bridge access explain ann@example.org github create_issue\n  \
        mcp-bridge access explain ci-key github create_issue"
    )]
    Explain {
        /// The e-mail address of a user, or the name of an API key.
        user: String,
        /// The name of the bridge.
        bridge: String,
        /// The name of the tool. Without it, the command explains access to the bridge as a whole.
        tool: Option<String>,
    },
    /// List the grants: which groups may use what.
    List {
        /// List the grants of this group only.
        #[arg(long)]
        group: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Grant a group the use of a bridge: all its tools, or some of them.
    #[command(
        after_help = "Examples:\n  mcp-bridge access grant developers github\n  \
        mcp-bridge access grant support github --tools 'list_*' 'get_*'\n  \
        mcp-bridge access grant interns github --read-only"
    )]
    Grant(GrantArgs),
    /// Revoke one grant of a group, or all its grants for a bridge.
    #[command(
        after_help = "Examples:\n  mcp-bridge access revoke sales crm --tools 'get_*'   (only this grant)\n  \
        mcp-bridge access revoke sales crm --whole           (only the grant of all tools)\n  \
        mcp-bridge access revoke sales crm                   (all grants of the group for the bridge)"
    )]
    Revoke(RevokeArgs),
    /// List the users in the database, with their groups.
    Members {
        /// List the members of this group only.
        group: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add a user to a group, for example `mcp-bridge access add ann@example.org developers`.
    Add {
        /// The e-mail address of the user.
        user: String,
        /// The name of the group.
        group: String,
    },
    /// Remove a user from a group.
    Remove {
        /// The e-mail address of the user.
        user: String,
        /// The name of the group.
        group: String,
    },
    /// Make a user an administrator, who may use the admin page and `POST /refresh`. Calls still need a grant.
    Admin {
        /// The e-mail address of the user.
        user: String,
        /// Remove the administrator rights of the user.
        #[arg(long)]
        remove: bool,
    },
    /// Manage API keys that are stored in the database instead of the configuration.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Manage group keys: credentials for servers that only one group uses, encrypted in the database.
    #[command(subcommand)]
    GroupKey(GroupKeyCommand),
}

/// The arguments of `access grant`.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The name of the group.
    pub group: String,
    /// The name of the bridge.
    pub bridge: String,
    /// The tools to which the grant is limited.
    #[command(flatten)]
    pub bounds: GrantLimits,
    /// Limit a narrowed grant to callers of this workspace. The default is all workspaces.
    #[arg(long)]
    pub workspace: Option<String>,
}

/// The limits of a narrowed grant.
#[derive(Debug, Args)]
pub struct GrantLimits {
    /// Only tools whose names match one of these patterns, for example 'list_*'.
    #[arg(long, num_args = 1.., value_name = "GLOB")]
    pub tools: Vec<String>,
    /// Only tools that declare that they change nothing (`readOnlyHint`).
    #[arg(long)]
    pub read_only: bool,
}

impl GrantLimits {
    /// Whether any limit is set.
    pub fn is_narrow(&self) -> bool {
        self.read_only || !self.tools.is_empty()
    }
}

/// The arguments of `access revoke`. Without limits, all grants of the group for the bridge are revoked.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The name of the group.
    pub group: String,
    /// The name of the bridge.
    pub bridge: String,
    /// The limits of one grant, as `access list` shows them.
    #[command(flatten)]
    pub bounds: GrantLimits,
    /// Revoke only the grant of all tools.
    #[arg(long, conflicts_with_all = ["tools", "read_only"])]
    pub whole: bool,
}

/// The commands of `access key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Create a key and print it. It cannot be shown again.
    #[command(
        after_help = "Examples:\n  mcp-bridge access key add ci --group developers --expires 90d\n  \
        mcp-bridge access key add open-webui --forwards"
    )]
    Add(KeyArgs),
    /// List the keys. Their values are not stored and cannot be shown.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: it is no longer accepted.
    Revoke {
        /// The name of the key.
        name: String,
    },
}

/// The arguments of `access key add`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The name of the key in logs and lists.
    pub name: String,
    /// A group whose grants the key has. Repeat the option for more groups.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// The key may act on behalf of the user named in its headers. Use it for the key of Open WebUI.
    #[arg(long)]
    pub forwards: bool,
    /// The time until the key expires, for example 90d or 12h. The default is never.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub expires: Option<Duration>,
    /// The workspace to which the key belongs, for grants and the audit trail.
    #[arg(long, default_value = DEFAULT_WORKSPACE)]
    pub workspace: String,
}

/// The commands of `access group-key`.
#[derive(Debug, Subcommand)]
pub enum GroupKeyCommand {
    /// Store a key for a group: it replaces a variable of the configuration when members of the group call the bridge.
    ///
    /// The command asks for the value, or reads it from standard input.
    #[command(
        after_help = "Examples:\n  mcp-bridge access group-key set support github GITHUB_TOKEN\n  \
        pass show github/support | mcp-bridge access group-key set support github GITHUB_TOKEN"
    )]
    Set(GroupKeyArgs),
    /// List the keys, without their values.
    List {
        /// List the keys of this group only.
        #[arg(long)]
        group: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a key. The group uses the shared credentials again.
    Remove(GroupKeyArgs),
}

/// The arguments that select one group key.
#[derive(Debug, Args)]
pub struct GroupKeyArgs {
    /// The name of the group.
    pub group: String,
    /// The name of the bridge.
    pub bridge: String,
    /// The name of the variable in the configuration of the bridge.
    pub variable: String,
}
