//! The grammar of `secrets`, with the help that teaches it.

use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Say whether everything that is sealed opens with the keys there are; changes nothing.
    Check,
    /// Seal everything that opens under the current key.
    ///
    /// What does not open is left as it stands. Afterwards nothing needs the old keys any more,
    /// unless this says so.
    #[command(after_help = "Examples:\n  \
        BRIDGE_SECRET_KEY_OLD=$BRIDGE_SECRET_KEY BRIDGE_SECRET_KEY=$(openssl rand -hex 32)   both are set for the service\n  \
        mcp-bridge secrets rotate                                                          everything is under the new one\n  \
        mcp-bridge secrets check                                                           and the old one can go")]
    Rotate,
}
