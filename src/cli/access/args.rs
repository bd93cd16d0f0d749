//! The grammar of `access`, with the help that teaches it.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::DEFAULT_WORKSPACE;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Say whether a user may call a tool, and which rule decides.
    #[command(
        after_help = "Examples:\n  mcp-bridge access explain ann@example.org github\n  \
        mcp-bridge access explain ann@example.org github create_issue\n  \
        mcp-bridge access explain ci-key github create_issue"
    )]
    Explain {
        /// An e-mail, or the name of an API key.
        user: String,
        /// The bridge.
        bridge: String,
        /// The tool; without one: whether they may use anything of the bridge.
        tool: Option<String>,
    },
    /// List the grants: which groups may use what.
    List {
        /// Only this group.
        #[arg(long)]
        group: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let the members of a group use a bridge.
    #[command(
        after_help = "Examples:\n  mcp-bridge access grant developers github\n  \
        mcp-bridge access grant support github --tools 'list_*' 'get_*'\n  \
        mcp-bridge access grant interns github --read-only"
    )]
    Grant(GrantArgs),
    /// Take back one grant of a group, or everything that it may do with a bridge.
    #[command(
        after_help = "Examples:\n  mcp-bridge access revoke sales crm --tools 'get_*'   (this grant alone)\n  \
        mcp-bridge access revoke sales crm --whole           (the grant of all tools alone)\n  \
        mcp-bridge access revoke sales crm                   (all grants of the group for the bridge)"
    )]
    Revoke(RevokeArgs),
    /// List the users that are known here, with their groups.
    Members {
        /// Only members of this group.
        group: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a user a member of a group.
    Add {
        /// Their e-mail.
        user: String,
        /// The group.
        group: String,
    },
    /// Take a user out of a group.
    Remove {
        /// Their e-mail.
        user: String,
        /// The group.
        group: String,
    },
    /// Let a user administer: the admin page, `POST /refresh`. Calls still need a grant.
    Admin {
        /// Their e-mail.
        user: String,
        /// No longer.
        #[arg(long)]
        remove: bool,
    },
    /// API keys that stand in the database instead of the configuration.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Keys that groups have of their own for the servers of bridges, sealed in the database.
    #[command(subcommand)]
    GroupKey(GroupKeyCommand),
}

/// What `access grant` takes.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The group.
    pub group: String,
    /// The bridge.
    pub bridge: String,
    /// What it is narrowed to.
    #[command(flatten)]
    pub bounds: Bounds,
    /// Whose callers a narrowed grant counts for; all of them unless said.
    #[arg(long)]
    pub workspace: Option<String>,
}

/// What a grant is narrowed to.
#[derive(Debug, Args)]
pub struct Bounds {
    /// Only tools whose names match one of these: `list_*`, say.
    #[arg(long, num_args = 1.., value_name = "GLOB")]
    pub tools: Vec<String>,
    /// Only tools that say of themselves that they change nothing.
    #[arg(long)]
    pub read_only: bool,
}

impl Bounds {
    /// Whether there are any.
    pub fn is_narrow(&self) -> bool {
        self.read_only || !self.tools.is_empty()
    }
}

/// What `access revoke` takes. Without bounds all grants of the group for the bridge go.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The group.
    pub group: String,
    /// The bridge.
    pub bridge: String,
    /// The bounds of one grant, as `access list` shows them.
    #[command(flatten)]
    pub bounds: Bounds,
    /// Only the grant of all tools.
    #[arg(long, conflicts_with_all = ["tools", "read_only"])]
    pub whole: bool,
}

/// What to do with stored API keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it: it cannot be shown again.
    #[command(
        after_help = "Examples:\n  mcp-bridge access key add ci --group developers --expires 90d\n  \
        mcp-bridge access key add open-webui --forwards"
    )]
    Add(KeyArgs),
    /// List the keys; not their texts, which are not kept.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a key back.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// What `access key add` takes.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// How logs and lists call it.
    pub name: String,
    /// What it is a member of.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// It vouches for the user named in the headers beside it: Open WebUI's own key.
    #[arg(long)]
    pub forwards: bool,
    /// When it ends: `90d`, `12h`. By default never.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub expires: Option<Duration>,
    /// Whose audit and grants it belongs to.
    #[arg(long, default_value = DEFAULT_WORKSPACE)]
    pub workspace: String,
}

/// What to do with the keys of groups.
#[derive(Debug, Subcommand)]
pub enum GroupKeyCommand {
    /// Store a value that takes the place of a variable of the configuration when members of the
    /// group call the bridge. It is asked for, or read from standard input.
    #[command(
        after_help = "Examples:\n  mcp-bridge access group-key set support github GITHUB_TOKEN\n  \
        pass show github/support | mcp-bridge access group-key set support github GITHUB_TOKEN"
    )]
    Set(GroupKeyArgs),
    /// List the keys; not their values.
    List {
        /// Only those of this group.
        #[arg(long)]
        group: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a key: the shared credentials count again.
    Remove(GroupKeyArgs),
}

/// Which key of which group.
#[derive(Debug, Args)]
pub struct GroupKeyArgs {
    /// The group.
    pub group: String,
    /// The bridge.
    pub bridge: String,
    /// The variable, as the bridge is configured with it.
    pub variable: String,
}
