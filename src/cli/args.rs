//! Our own command line. mcpo's is in [`super::mcpo`].

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config;

/// The file that is read when none is named.
const CONFIG: &str = "bridges.toml";

/// Puts every MCP server a team uses behind one OpenAPI surface.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-bridge",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  mcp-bridge --config bridges.toml\n  mcp-bridge -- npx -y @modelcontextprotocol/server-memory\n  mcp-bridge check"
)]
pub struct Cli {
    /// What to do; `serve` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `serve` takes may stand without the word.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the bridges of a configuration, or one server given after `--`
    Serve(ServeArgs),
    /// Check a configuration; says which bridges are on or off, and why
    Check(ConfigArgs),
    /// List the tools of all bridges, or of one
    Tools(ToolsArgs),
    /// Call one tool and print its result
    Call(CallArgs),
    /// Print the OpenAPI document of all bridges, or of one
    Openapi(ToolsArgs),
    /// Turn an `mcpServers` file (mcpo, Claude, Cline, VS Code) into `bridges.toml`
    Import(ImportArgs),
    /// Ask a running server whether it is healthy; for container health checks
    Healthcheck(HealthcheckArgs),
    /// Be a small MCP server over stdio, to try things with
    DemoServer,
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Configuration: `bridges.toml`, or JSON with `mcpServers`
    #[arg(short, long, value_name = "FILE", env = "MCP_BRIDGE_CONFIG", default_value = CONFIG)]
    pub config: PathBuf,
}

/// What `serve` takes.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Address to listen on, over what the configuration says
    #[arg(short, long, value_name = "HOST:PORT", env = "MCP_BRIDGE_LISTEN", value_parser = config::parse_listen)]
    pub listen: Option<SocketAddr>,
    /// One server, no file: its command, or its URL
    #[arg(last = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

/// What `tools` and `openapi` take.
#[derive(Debug, Clone, Args)]
pub struct ToolsArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only this bridge
    pub bridge: Option<String>,
}

/// What `call` takes.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Name of the bridge
    pub bridge: String,
    /// Name of the tool
    pub tool: String,
    /// Arguments, a JSON object
    #[arg(default_value = "{}")]
    pub arguments: String,
}

/// What `import` takes.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// JSON with `mcpServers`
    pub file: PathBuf,
    /// Write here instead of printing; an existing file is left alone
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the secrets that stood in the file here, as `NAME=value`, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// What `healthcheck` takes.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArgs {
    /// Which server to ask
    #[arg(default_value = "http://127.0.0.1:8000", env = "MCP_BRIDGE_URL")]
    pub url: String,
}

impl ServeArgs {
    /// What of it counts over the file.
    pub fn overrides(&self) -> config::Overrides {
        config::Overrides {
            listen: self.listen,
        }
    }
}

/// The words for mcpo's command line, if that is what was called: as `mcpo …` by a link, or as
/// `mcp-bridge mcpo …`.
pub fn mcpo_words(words: &[OsString]) -> Option<Vec<OsString>> {
    let program = words.first().map(PathBuf::from);
    let stem = program.as_deref().and_then(|program| program.file_stem());
    let (_, rest) = words.split_first()?;
    if stem.is_some_and(|stem| stem == "mcpo") {
        return Some(rest.to_vec());
    }
    let (first, rest) = rest.split_first()?;
    (first == "mcpo").then(|| rest.to_vec())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_when_nothing_is_said() {
        for line in [
            "mcp-bridge --config x.toml --listen localhost:1",
            "mcp-bridge serve -c x.toml -l 127.0.0.1:1",
        ] {
            let cli = Cli::try_parse_from(words(line)).unwrap();
            let args = match cli.command {
                Some(Command::Serve(args)) => args,
                None => cli.serve,
                Some(other) => panic!("{other:?}"),
            };
            assert_eq!(args.config.config, PathBuf::from("x.toml"), "{line}");
            assert_eq!(args.overrides().listen.unwrap().to_string(), "127.0.0.1:1");
        }
        let cli = Cli::try_parse_from(words("mcp-bridge -- npx -y x --flag -- y")).unwrap();
        assert_eq!(cli.serve.server, ["npx", "-y", "x", "--flag", "--", "y"]);
        assert!(Cli::try_parse_from(words("mcp-bridge --listen 8000")).is_err());
    }

    #[test]
    fn mcpo_is_called_by_its_name_or_as_our_first_word() {
        for (line, rest) in [
            ("/usr/bin/mcpo --port 1", Some("--port 1")),
            ("mcp-bridge mcpo -h x", Some("-h x")),
            ("mcp-bridge check", None),
            ("mcp-bridge", None),
        ] {
            assert_eq!(mcpo_words(&words(line)), rest.map(words), "{line}");
        }
    }
}
