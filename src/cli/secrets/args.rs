//! The arguments of `secrets` and their help texts.

use clap::Subcommand;

/// The commands of `secrets`.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Check whether all stored secrets can be decrypted with the configured keys. Changes nothing.
    Check,
    /// Encrypt all stored secrets again with the current key.
    ///
    /// Secrets that cannot be decrypted stay unchanged. If the command reports no problem, you can remove the old
    /// keys from the configuration.
    #[command(after_help = "Examples:\n  \
        BRIDGE_SECRET_KEY_OLD=$BRIDGE_SECRET_KEY BRIDGE_SECRET_KEY=$(openssl rand -hex 32)   set both for the service\n  \
        mcp-bridge secrets rotate                                                          encrypt with the new key\n  \
        mcp-bridge secrets check                                                           then remove the old key")]
    Rotate,
}
