//! The command-line arguments and their help texts.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{
    Args, Parser, Subcommand,
    builder::{StringValueParser, TypedValueParser as _},
};
use url::Url;

use super::{
    access::AccessCommand,
    audit::AuditCommand,
    login::{LoginArgs, LogoutArgs},
    secrets::SecretsCommand,
};
use crate::{config, secret::Secret};

/// The usage line of `--help`.
const USAGE: &str = "mcp-bridge [OPTIONS] [COMMAND]\n       \
    mcp-bridge [OPTIONS] -- PROGRAM [ARGUMENT]...\n       \
    mcp-bridge [OPTIONS] URL";

/// Serves the MCP servers of a team as one OpenAPI service.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-bridge",
    version,
    about,
    long_about = "Serves the MCP servers of a team as one OpenAPI service.\n\n\
        Reads bridges.toml, starts or connects to each server in it, and serves every tool as\n\
        POST /{bridge}/{tool}. /openapi.json and the page /docs describe the tools.",
    after_help = "Examples:\n  \
        mcp-bridge                                     serve the bridges of ./bridges.toml\n  \
        mcp-bridge check                               check ./bridges.toml and list its bridges\n  \
        mcp-bridge -- uvx mcp-server-time              serve one server, without a configuration file\n  \
        mcp-bridge call demo add '{\"a\": 2, \"b\": 3}'    call one tool and print its result\n  \
        mcp-bridge import claude.json > bridges.toml   convert a configuration of mcpo or Claude\n  \
        mcp-bridge mcpo --port 8000 -- uvx mcp-server-time   use the command line of mcpo",
    override_usage = USAGE,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    /// The command to run. The default is `serve`.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// The options that select the configuration.
    #[command(flatten)]
    pub start: ConfigOptions,
}

/// The arguments that an environment variable can set.
pub const VARIABLES: [(&str, &str); 2] = [("config", "BRIDGE_CONFIG"), ("listen", "BRIDGE_LISTEN")];

/// The options that select the configuration, for every command that reads it.
#[derive(Debug, Clone, Args)]
pub struct ConfigOptions {
    /// The configuration file: bridges.toml, or the file of another MCP client (for example, `mcpServers` JSON).
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "BRIDGE_CONFIG",
        default_value = "bridges.toml"
    )]
    pub config: PathBuf,
    /// The address to listen on. It overrides `listen` in the file, for example 127.0.0.1:8000.
    #[arg(long, global = true, value_name = "ADDRESS:PORT", env = "BRIDGE_LISTEN", value_parser = config::parse_listen)]
    pub listen: Option<SocketAddr>,
    /// Serves one server without a file: a program and its arguments after `--`, or a URL.
    #[arg(last = true, value_name = "SERVER")]
    pub server: Vec<String>,
}

/// The commands of `mcp-bridge`.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Serve the configured bridges over HTTP (the default command).
    Serve,
    /// Check the configuration: report its errors, and list which bridges are on or off and why.
    Check,
    /// Connect to the servers and list their tools, for example `mcp-bridge tools github`.
    Tools {
        /// List the tools of this bridge only.
        bridge: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Call one tool and print its result, for example `mcp-bridge call demo add '{"a": 2, "b": 3}'`.
    Call {
        /// The name of the bridge.
        bridge: String,
        /// The name of the tool.
        tool: String,
        /// The arguments of the tool, as a JSON object. `-` reads them from standard input.
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// Connect to the servers and print the OpenAPI document.
    Openapi {
        /// Print the document of this bridge only.
        bridge: Option<String>,
    },
    /// Convert the configuration of mcpo, Claude or another MCP client to bridges.toml, on standard output.
    Import(ImportArgs),
    /// Ask a running bridge for its health. The exit code is 0 (healthy) or 1, for container probes.
    Healthcheck {
        /// The URL of the bridge. The default is the configured address.
        #[arg(long)]
        url: Option<Url>,
    },
    /// Log in to a server that uses OAuth, for all users or for one, for example `mcp-bridge login linear`.
    Login(LoginArgs),
    /// Delete a login and its tokens, for example `mcp-bridge logout linear`.
    Logout(LogoutArgs),
    /// List the accounts that are logged in to servers.
    Accounts {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Manage who may use what: groups, grants, members, administrators and API keys.
    Access {
        /// The command to run.
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// Create or update the tables of the database. `serve` does this too when it starts.
    Migrate,
    /// Read the audit trail: who called which tool, when, and with which outcome.
    Audit {
        /// The command to run.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Check or rotate the encryption of secrets in the database: tokens and group keys.
    Secrets {
        /// The command to run.
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Serve with the command line of mcpo. `mcp-bridge mcpo --help` lists its options.
    Mcpo {
        /// The arguments of mcpo.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "WORD"
        )]
        words: Vec<OsString>,
    },
    /// Run the built-in demo MCP server on standard input and output.
    DemoServer,
}

/// The arguments of `import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The configuration file of mcpo or of another MCP client: JSON, YAML, or the TOML of Codex.
    pub file: PathBuf,
    /// Write to this file instead of standard output. The file must not exist.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the secrets of the file to this file, as NAME=value, with permissions for your user only.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// The `--api-key` of mcpo. It becomes `[identity.keys.openwebui]`, and `--env-file` gets its value.
    #[arg(long, value_name = "KEY", env = "MCPO_API_KEY", hide_env_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    pub api_key: Option<Secret>,
    /// Read the files that servers name in `envFile`, and import their variables.
    #[arg(long)]
    pub read_env_files: bool,
}
