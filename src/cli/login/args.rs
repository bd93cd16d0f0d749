//! The arguments of `login` and `logout` and their help texts.

use std::time::Duration;

use clap::Args;

/// The arguments of `login`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
        mcp-bridge login linear                            one account that all callers share\n  \
        mcp-bridge login linear --user alice@example.com   the account of alice (`credential = \"caller\"`)\n\n\
    The command prints the address of a login page, which you can open in a browser on any machine. If the\n\
    browser then cannot reach this machine, paste the address that the browser shows into the terminal.")]
pub struct LoginArgs {
    /// The name of the bridge.
    pub bridge: String,
    /// The e-mail address of the user who owns the account, if each caller has their own account.
    #[arg(long, value_name = "E-MAIL")]
    pub user: Option<String>,
    /// The workspace of the user.
    #[arg(long, requires = "user", default_value = crate::config::DEFAULT_WORKSPACE)]
    pub workspace: String,
    /// The port on this machine to which the browser returns. The default is any free port. With `public_url`, the
    /// browser returns to the running bridge, and this option has no effect.
    #[arg(long)]
    pub port: Option<u16>,
    /// The time to wait for the login.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// The arguments of `logout`.
#[derive(Debug, Clone, Args)]
pub struct LogoutArgs {
    /// The name of the bridge.
    pub bridge: String,
    /// The e-mail address of the user who owns the account, if each caller has their own account.
    #[arg(long, value_name = "E-MAIL")]
    pub user: Option<String>,
    /// The workspace of the user.
    #[arg(long, requires = "user", default_value = crate::config::DEFAULT_WORKSPACE)]
    pub workspace: String,
}
