//! The options of mcpo, and its error messages for invalid ones.

use std::{ffi::OsString, path::Path};

use clap::{
    ArgAction, CommandFactory as _, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::McpoCommand;

/// The usage text that mcpo prints without a command.
pub(super) const USAGE: &str = "Usage: mcpo --host 0.0.0.0 --port 8000 -- your_mcp_command\n";

/// The output and exit code of a command line that ends at once.
#[derive(Debug, PartialEq, Eq)]
pub struct McpoExit {
    /// The exit code.
    pub code: u8,
    /// The text for standard output.
    pub stdout: String,
    /// The text for standard error.
    pub stderr: String,
}

/// The options of mcpo. The first `--` and all arguments after it are removed before parsing.
#[derive(Debug, Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "mcpo's switches, one field each"
)]
#[command(
    name = "mcpo",
    about = "MCP servers as OpenAPI: mcpo's command line, served by mcp-bridge",
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    override_usage = "mcpo [OPTIONS] -- COMMAND...\n       mcpo [OPTIONS] --config FILE"
)]
pub(super) struct McpoOptions {
    /// Host address
    #[arg(
        short = 'h',
        long,
        default_value = "0.0.0.0",
        allow_hyphen_values = true
    )]
    pub(super) host: String,
    /// Port number
    #[arg(short, long, default_value = "8000", allow_hyphen_values = true)]
    pub(super) port: i64,
    /// CORS allowed origins; repeatable
    #[arg(long, allow_hyphen_values = true)]
    pub(super) cors_allow_origins: Vec<String>,
    /// API key for authentication
    #[arg(short = 'k', long, allow_hyphen_values = true)]
    pub(super) api_key: Option<String>,
    /// API key protects all endpoints and documentation
    #[arg(long)]
    pub(super) strict_auth: bool,
    /// Environment variables, KEY=VALUE; repeatable
    #[arg(short, long, allow_hyphen_values = true)]
    pub(super) env: Vec<String>,
    /// Path to an environment variable file
    #[arg(long, allow_hyphen_values = true)]
    pub(super) env_path: Option<OsString>,
    /// Server type: stdio, sse, streamable-http
    #[arg(
        long = "type",
        alias = "server-type",
        default_value = "stdio",
        allow_hyphen_values = true
    )]
    pub(super) server_type: String,
    /// Config file path
    #[arg(short, long, allow_hyphen_values = true)]
    pub(super) config: Option<OsString>,
    /// Server name
    #[arg(
        short,
        long,
        default_value = "MCP OpenAPI Proxy",
        allow_hyphen_values = true
    )]
    pub(super) name: String,
    /// Server description
    #[arg(
        short,
        long,
        default_value = "Automatically generated API from MCP Tool Schemas",
        allow_hyphen_values = true
    )]
    pub(super) description: String,
    /// Server version
    #[arg(short, long, default_value = "1.0", allow_hyphen_values = true)]
    pub(super) version: String,
    /// SSL certificate file
    #[arg(short = 't', long, allow_hyphen_values = true)]
    pub(super) ssl_certfile: Option<OsString>,
    /// SSL key file
    #[arg(short = 'K', long, allow_hyphen_values = true)]
    pub(super) ssl_keyfile: Option<OsString>,
    /// Root path, for use behind a reverse proxy
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(super) root_path: String,
    /// URL prefix before every server
    #[arg(long, allow_hyphen_values = true)]
    pub(super) path_prefix: Option<String>,
    /// Headers in JSON format, for sse and streamable-http
    #[arg(short = 'H', long, allow_hyphen_values = true)]
    pub(super) header: Option<String>,
    /// Reload the config file when it changes
    #[arg(long)]
    pub(super) hot_reload: bool,
    /// Log level
    #[arg(long, allow_hyphen_values = true)]
    pub(super) log_level: Option<String>,
    /// Show this message and exit
    #[arg(long, action = ArgAction::Help)]
    pub(super) help: Option<bool>,
    /// Taken and ignored, as mcpo does
    #[arg(long, hide = true)]
    pub(super) install_completion: bool,
    /// Taken and ignored
    #[arg(long, hide = true)]
    pub(super) show_completion: bool,
    /// Stray words: `command: mcpo --config …` in a compose file runs `mcpo mcpo --config …`
    #[arg(hide = true)]
    pub(super) stray: Vec<OsString>,
}

/// Parses the arguments after the program's name.
pub fn parse(words: Vec<OsString>) -> Result<McpoCommand, McpoExit> {
    let mut ours = words;
    let theirs = ours.iter().position(|word| word == "--").map(|at| {
        let theirs = ours.split_off(at);
        theirs.into_iter().skip(1).collect::<Vec<_>>()
    });
    let program = OsString::from("mcpo");
    let options = McpoOptions::try_parse_from(std::iter::once(program).chain(ours))
        .map_err(|error| exit(&error))?;
    if options.install_completion || options.show_completion {
        return Err(stop(
            0,
            String::new(),
            "mcp-bridge has no shell completion for mcpo\n".to_owned(),
        ));
    }
    let has_config = options.config().is_some();
    let mut env = Vec::new();
    for pair in &options.env {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                env.push((name.to_owned(), value.to_owned()));
            }
            // The text may be a secret value without its name, so the error does not show it.
            _ => {
                return Err(refuse(
                    "Invalid value for '--env' / '-e': expected KEY=VALUE.",
                ));
            }
        }
    }
    let words = match theirs {
        _ if has_config => Vec::new(),
        None => return Err(stop(1, USAGE.to_owned(), String::new())),
        Some(words) if words.is_empty() => {
            let text = "Error: You must specify the MCP server command after '--'\n";
            return Err(stop(0, text.to_owned(), String::new()));
        }
        Some(words) => words
            .into_iter()
            .map(OsString::into_string)
            .collect::<Result<_, _>>()
            .map_err(|_| refuse("the command after '--' is not UTF-8"))?,
    };
    Ok(McpoCommand {
        options,
        env,
        words,
    })
}

impl McpoOptions {
    /// Returns the configuration file, if one is given.
    pub(super) fn config(&self) -> Option<&Path> {
        path(self.config.as_ref())
    }

    /// Returns the API key, if one is given.
    pub(super) fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref().filter(|key| !key.is_empty())
    }
}

/// Returns the given path. A blank path, from a variable that is not set, counts as not given.
pub(super) fn path(word: Option<&OsString>) -> Option<&Path> {
    word.filter(|word| !word.is_empty()).map(Path::new)
}

/// Renders an error of clap in the format of typer, which mcpo uses.
fn exit(error: &clap::Error) -> McpoExit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    // typer writes `--port <PORT>` as `'--port' / '-p'`.
    let option = || {
        let named = context(ContextKind::InvalidArg);
        let long = named
            .split([' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned();
        let command = McpoOptions::command();
        let short = command
            .get_arguments()
            .find(|arg| {
                arg.get_long()
                    .is_some_and(|name| long == format!("--{name}"))
            })
            .and_then(clap::Arg::get_short);
        (
            short.map_or_else(
                || format!("'{long}'"),
                |short| format!("'{long}' / '-{short}'"),
            ),
            long,
        )
    };
    let kind = error.kind();
    let value = context(ContextKind::InvalidValue);
    if kind == ErrorKind::DisplayHelp {
        stop(0, error.render().to_string(), String::new())
    } else if kind == ErrorKind::UnknownArgument {
        let named = context(ContextKind::InvalidArg);
        let named = named.split([' ', '=']).next().unwrap_or_default();
        refuse(&format!("No such option: {named}"))
    } else if kind == ErrorKind::ValueValidation {
        let (option, _) = option();
        refuse(&format!(
            "Invalid value for {option}: '{value}' is not a valid integer."
        ))
    } else if kind == ErrorKind::InvalidValue && value.is_empty() {
        let (_, long) = option();
        refuse(&format!("Option '{long}' requires an argument."))
    } else {
        stop(2, String::new(), error.render().to_string())
    }
}

fn refuse(message: &str) -> McpoExit {
    let text = format!("Usage: mcpo [OPTIONS]\nTry 'mcpo --help' for help.\n\nError: {message}\n");
    stop(2, String::new(), text)
}

fn stop(code: u8, stdout: String, stderr: String) -> McpoExit {
    McpoExit {
        code,
        stdout,
        stderr,
    }
}
