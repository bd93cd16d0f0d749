//! The command line's grammar, with the help that teaches it.

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

/// The shapes of a command line.
const USAGE: &str = "mcp-bridge [OPTIONS] [COMMAND]\n       \
    mcp-bridge [OPTIONS] -- PROGRAM [ARGUMENT]...\n       \
    mcp-bridge [OPTIONS] URL";

/// Puts every MCP server a team uses behind one OpenAPI surface.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-bridge",
    version,
    about,
    long_about = "Puts every MCP server a team uses behind one OpenAPI surface.\n\n\
        Reads bridges.toml, starts or reaches each server in it, and serves every tool as\n\
        POST /{bridge}/{tool}, described in /openapi.json and on the page /docs.",
    after_help = "Examples:\n  \
        mcp-bridge                                     serve the bridges of ./bridges.toml\n  \
        mcp-bridge check                               say what is wrong with it, and which bridges are on\n  \
        mcp-bridge -- uvx mcp-server-time              serve one server, without a file\n  \
        mcp-bridge call demo add '{\"a\": 2, \"b\": 3}'    call one tool and print its answer\n  \
        mcp-bridge import claude.json > bridges.toml   take over a mcpo or Claude configuration\n  \
        mcp-bridge mcpo --port 8000 -- uvx x           mcpo's own command line",
    override_usage = USAGE,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub start: Start,
}

/// The arguments that a variable may stand for.
pub const VARIABLES: [(&str, &str); 2] = [("config", "BRIDGE_CONFIG"), ("listen", "BRIDGE_LISTEN")];

/// Where the configuration comes from, for every command that needs one.
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// The configuration: bridges.toml, or the file of another MCP client, `mcpServers` say.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "BRIDGE_CONFIG",
        default_value = "bridges.toml"
    )]
    pub config: PathBuf,
    /// The address to listen on, over the file's.
    #[arg(long, global = true, value_name = "ADDRESS:PORT", env = "BRIDGE_LISTEN", value_parser = config::parse_listen)]
    pub listen: Option<SocketAddr>,
    /// One server to serve without a file: a program and its arguments after `--`, or a URL.
    #[arg(last = true, value_name = "SERVER")]
    pub server: Vec<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the bridges (the default).
    Serve,
    /// Say what is wrong with the configuration, and which bridges are on or off and why.
    Check,
    /// Connect to the servers and list their tools.
    Tools {
        /// Only this bridge.
        bridge: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Call one tool and print its answer.
    Call {
        /// The bridge.
        bridge: String,
        /// The tool.
        tool: String,
        /// The arguments, a JSON object; `-` reads them from standard input.
        #[arg(default_value = "{}")]
        arguments: String,
    },
    /// Connect to the servers and print the OpenAPI document.
    Openapi {
        /// Only this bridge.
        bridge: Option<String>,
    },
    /// Turn a mcpo or Claude configuration (JSON) into bridges.toml, on standard output.
    Import(ImportArgs),
    /// Ask a running bridge for its health; exit code 0 or 1, for container probes.
    Healthcheck {
        /// Where it listens; by default as configured.
        #[arg(long)]
        url: Option<Url>,
    },
    /// Log in to a server that asks for it (OAuth), from a terminal, for all or for one user.
    Login(LoginArgs),
    /// Forget a login.
    Logout(LogoutArgs),
    /// List who is logged in where.
    Accounts {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say and decide who may use what: groups, grants, members, administrators, keys.
    Access {
        /// What to do.
        #[command(subcommand)]
        command: AccessCommand,
    },
    /// Create or update the tables of the database; serving does that too.
    Migrate,
    /// Read the audit trail: who called which tool, when, and how it ended.
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Look after what is sealed in the database: tokens, and keys of groups.
    Secrets {
        /// What to do.
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Take mcpo's own command line; `mcp-bridge mcpo --help` lists its options.
    Mcpo {
        /// mcpo's words.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "WORD"
        )]
        words: Vec<OsString>,
    },
    /// Run the small MCP server inside this program, on standard input and output.
    DemoServer,
}

/// What `import` takes.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The file of mcpo or of another MCP client: JSON, YAML or Codex's TOML.
    pub file: PathBuf,
    /// Write here instead of printing; an existing file is left alone.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the secrets that stood in the file here, as NAME=value, readable by you alone.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// mcpo's `--api-key`: becomes `[identity.keys.openwebui]`, and its text goes to `--env-file`.
    #[arg(long, value_name = "KEY", env = "MCPO_API_KEY", hide_env_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    pub api_key: Option<Secret>,
    /// Read the files that servers name as `envFile`, and take over their variables.
    #[arg(long)]
    pub read_env_files: bool,
}
