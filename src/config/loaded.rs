//! What a configuration file is loaded into.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    config::{Config, Diagnostic, DisabledPart},
    secret::Secret,
};

/// A usable configuration.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: Config,
    /// Warnings about the configuration.
    pub warnings: Vec<Diagnostic>,
    /// The files to watch: the configuration, `.env` next to it whether it exists or not, and every
    /// `${file:…}`.
    pub sources: Vec<PathBuf>,
    /// Other parts of the configuration that blank values disable, besides bridges.
    pub off: Vec<DisabledPart>,
    /// The values of references to secrets, and of environment variables with secret names. They must never
    /// be shown.
    pub referenced: Vec<Secret>,
}

impl LoadedConfig {
    /// All values that must never be shown.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> {
        self.config
            .secrets()
            .into_iter()
            .chain(self.referenced.iter().cloned())
    }
}

/// Settings of the command line, which override the file.
#[derive(Debug, Clone, Default)]
pub struct CliOverrides {
    /// `--listen`
    pub listen: Option<SocketAddr>,
}
