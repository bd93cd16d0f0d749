//! Their grammar.

use std::time::Duration;

use clap::Args;

/// What `login` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
        mcp-bridge login linear                            one account for everybody\n  \
        mcp-bridge login linear --user alice@example.com   alice's own (`credential = \"caller\"`)\n\n\
    The page that is printed may be opened on any machine. Where its browser cannot come back to\n\
    this one, paste the address that it ends up at.")]
pub struct LoginArgs {
    /// The bridge.
    pub bridge: String,
    /// Whose account it becomes, where each caller has their own: their e-mail.
    #[arg(long, value_name = "E-MAIL")]
    pub user: Option<String>,
    /// Their workspace.
    #[arg(long, requires = "user", default_value = crate::config::DEFAULT_WORKSPACE)]
    pub workspace: String,
    /// The port that the browser comes back to, on this machine; any free one unless said. Not used
    /// where `public_url` is set: the browser then comes back to the running bridge.
    #[arg(long)]
    pub port: Option<u16>,
    /// How long to wait.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// What `logout` takes.
#[derive(Debug, Clone, Args)]
pub struct LogoutArgs {
    /// The bridge.
    pub bridge: String,
    /// Whose account, where each caller has their own: their e-mail.
    #[arg(long, value_name = "E-MAIL")]
    pub user: Option<String>,
    /// Their workspace.
    #[arg(long, requires = "user", default_value = crate::config::DEFAULT_WORKSPACE)]
    pub workspace: String,
}
