//! mcpo's command line, flag for flag (mcpo contract §2), so that its users change nothing but the
//! name of the image.
//!
//! Two habits are not kept: a misspelt `--env` is an error instead of dropping all of them (B18),
//! and a server that cannot be started is no success (B15, decided where it is started).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{
    ArgAction, CommandFactory as _, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use http::{HeaderName, HeaderValue};

use crate::{
    config::{
        self, ApiKey, Bridge, Config, Diagnostic, Environment, Flavor, Identity, Limits, Loaded,
        LogFormat, RemoteKind, Server, Telemetry, Tls, Transport,
    },
    secret::Secret,
};

/// What mcpo prints when told nothing (C-CLI-4).
const USAGE: &str = "Usage: mcpo --host 0.0.0.0 --port 8000 -- your_mcp_command\n";

/// The end of a command line that is done already.
#[derive(Debug, PartialEq, Eq)]
pub struct McpoExit {
    /// The exit code.
    pub code: u8,
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
}

/// A command line that can be served.
#[derive(Debug)]
pub struct McpoCommand {
    options: Options,
    env: Vec<(String, String)>,
    /// What stands after the first `--`, verbatim.
    words: Vec<String>,
}

/// mcpo's options. Everything after the first `--` is cut off before.
#[derive(Debug, Parser)]
#[command(
    name = "mcpo",
    about = "MCP servers as OpenAPI: mcpo's command line, served by mcp-bridge",
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    override_usage = "mcpo [OPTIONS] -- COMMAND...\n       mcpo [OPTIONS] --config FILE"
)]
struct Options {
    /// Host address
    #[arg(
        short = 'h',
        long,
        default_value = "0.0.0.0",
        allow_hyphen_values = true
    )]
    host: String,
    /// Port number
    #[arg(short, long, default_value = "8000", allow_hyphen_values = true)]
    port: i64,
    /// CORS allowed origins; repeatable
    #[arg(long, allow_hyphen_values = true)]
    cors_allow_origins: Vec<String>,
    /// API key for authentication
    #[arg(short = 'k', long, allow_hyphen_values = true)]
    api_key: Option<String>,
    /// API key protects all endpoints and documentation
    #[arg(long)]
    strict_auth: bool,
    /// Environment variables, KEY=VALUE; repeatable
    #[arg(short, long, allow_hyphen_values = true)]
    env: Vec<String>,
    /// Path to an environment variable file
    #[arg(long, allow_hyphen_values = true)]
    env_path: Option<PathBuf>,
    /// Server type: stdio, sse, streamable-http
    #[arg(
        long = "type",
        alias = "server-type",
        default_value = "stdio",
        allow_hyphen_values = true
    )]
    server_type: String,
    /// Config file path
    #[arg(short, long, allow_hyphen_values = true)]
    config: Option<PathBuf>,
    /// Server name
    #[arg(
        short,
        long,
        default_value = "MCP OpenAPI Proxy",
        allow_hyphen_values = true
    )]
    name: String,
    /// Server description
    #[arg(
        short,
        long,
        default_value = "Automatically generated API from MCP Tool Schemas",
        allow_hyphen_values = true
    )]
    description: String,
    /// Server version
    #[arg(short, long, default_value = "1.0", allow_hyphen_values = true)]
    version: String,
    /// SSL certificate file
    #[arg(short = 't', long, allow_hyphen_values = true)]
    ssl_certfile: Option<PathBuf>,
    /// SSL key file
    #[arg(short = 'K', long, allow_hyphen_values = true)]
    ssl_keyfile: Option<PathBuf>,
    /// Root path, for use behind a reverse proxy
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    root_path: String,
    /// URL prefix before every server
    #[arg(long, allow_hyphen_values = true)]
    path_prefix: Option<String>,
    /// Headers in JSON format, for sse and streamable-http
    #[arg(short = 'H', long, allow_hyphen_values = true)]
    header: Option<String>,
    /// Reload the config file when it changes
    #[arg(long)]
    hot_reload: bool,
    /// Log level
    #[arg(long, allow_hyphen_values = true)]
    log_level: Option<String>,
    /// Show this message and exit
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Taken and ignored, as mcpo does
    #[arg(long, hide = true)]
    install_completion: bool,
    /// Taken and ignored
    #[arg(long, hide = true)]
    show_completion: bool,
    /// Stray words: `command: mcpo --config …` in a compose file runs `mcpo mcpo --config …`
    #[arg(hide = true)]
    stray: Vec<OsString>,
}

/// Reads the words after the program's name.
pub fn parse(words: Vec<OsString>) -> Result<McpoCommand, McpoExit> {
    let mut ours = words;
    let theirs = ours.iter().position(|word| word == "--").map(|at| {
        let theirs = ours.split_off(at);
        theirs.into_iter().skip(1).collect::<Vec<_>>()
    });
    let program = OsString::from("mcpo");
    let options = Options::try_parse_from(std::iter::once(program).chain(ours)).map_err(exit)?;
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
                env.push((name.to_owned(), value.to_owned()))
            }
            // The text may be a value whose name was forgotten, so it is not shown.
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

impl Options {
    fn config(&self) -> Option<&Path> {
        self.config
            .as_deref()
            .filter(|path| !path.as_os_str().is_empty())
    }

    fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref().filter(|key| !key.is_empty())
    }
}

impl McpoCommand {
    /// What mcpo prints first (C-CLI-12).
    pub fn first_line(&self) -> String {
        let options = &self.options;
        match options.config() {
            Some(path) => format!(
                "Starting MCP OpenAPI Proxy with config file: {}",
                path.display()
            ),
            None => format!(
                "Starting MCP OpenAPI Proxy on {}:{} with command: {}",
                options.host,
                options.port,
                self.words.join(" ")
            ),
        }
    }

    /// Whether the file is watched.
    pub fn hot_reload(&self) -> bool {
        self.options.hot_reload && self.options.config().is_some()
    }

    /// Reads the configuration; again on each reload.
    pub fn config(&self, environment: &Environment) -> Result<Loaded, Vec<Diagnostic>> {
        let (children, mut warnings) = self.children(environment);
        // mcpo puts them into its own environment too (C-CLI-9).
        let pairs = children
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()));
        let environment = environment.clone().with(pairs);
        let mut loaded = match self.options.config() {
            Some(path) => config::load_mcpo(path, &environment, &children)?,
            None => self.single(&environment, &children)?,
        };
        let mut errors = Vec::new();
        loaded.config.server = self.server(loaded.config.flavor, &mut errors);
        loaded.config.identity = self.identity();
        loaded.config.telemetry = self.telemetry(&environment, &mut warnings);
        if let Some(path) = &self.options.env_path {
            loaded.sources.push(path.clone());
        }
        warnings.append(&mut loaded.warnings);
        if errors.is_empty() {
            loaded.warnings = warnings;
            return Ok(loaded);
        }
        errors.extend(warnings);
        Err(errors)
    }

    /// The variables of `--env` and `--env-path` for every child. With a file, the file beats
    /// `--env` and our environment beats both; without, `--env` beats our environment (C-CLI-7).
    fn children(&self, environment: &Environment) -> (BTreeMap<String, Secret>, Vec<Diagnostic>) {
        let mut children: BTreeMap<_, _> = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect();
        let path = self.options.env_path.as_deref();
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            return (children, Vec::new());
        };
        let (file, warnings) = config::read_dotenv(path);
        children.extend(file);
        children.retain(|name, _| environment.get(name).is_none());
        (children, warnings)
    }

    /// One server whose tools stand at the root.
    fn single(
        &self,
        environment: &Environment,
        children: &BTreeMap<String, Secret>,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let mut warnings = Vec::new();
        let bridge = match (self.remote_kind(), self.words.first()) {
            (Some(kind), Some(url)) => self.remote(url, kind, &mut warnings)?,
            _ => {
                let mut bridge = config::stdio(&self.words, environment);
                if let Ok(Transport::Stdio(stdio)) = &mut bridge.transport {
                    stdio.env.clone_from(children);
                }
                bridge
            }
        };
        Ok(Loaded {
            config: Config {
                flavor: Flavor::McpoSingle,
                server: Server::default(),
                identity: self.identity(),
                limits: Limits::default(),
                telemetry: Telemetry::default(),
                bridges: vec![bridge],
            },
            warnings,
            sources: Vec::new(),
        })
    }

    fn remote(
        &self,
        url: &str,
        kind: RemoteKind,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Bridge, Vec<Diagnostic>> {
        let mut bridge = config::remote(url, kind)?;
        if let (Ok(Transport::Remote(remote)), Some(text)) =
            (&mut bridge.transport, &self.options.header)
        {
            if let Some(headers) = headers(text) {
                remote.headers = headers;
            } else {
                // C-CLI-10
                let text = "Invalid JSON format for headers. Headers will be ignored.";
                warnings.push(
                    Diagnostic::warning(text).with_hint("write `--header '{\"NAME\": \"value\"}'`"),
                );
            }
        }
        Ok(bridge)
    }

    /// mcpo takes any other word for stdio; a URL that follows cannot be meant as a program.
    fn remote_kind(&self) -> Option<RemoteKind> {
        let plain = self.options.server_type.replace(['-', '_'], "");
        match plain.as_str() {
            "sse" => Some(RemoteKind::Sse),
            "streamablehttp" => Some(RemoteKind::StreamableHttp),
            _ => {
                let url = self.words.first().filter(|word| config::is_url(word));
                url.map(|_| RemoteKind::Auto)
            }
        }
    }

    fn server(&self, flavor: Flavor, errors: &mut Vec<Diagnostic>) -> Server {
        let options = &self.options;
        let default = Server::default();
        let port = u16::try_from(options.port).map_err(|_| format!("{} is no port", options.port));
        let listen = port
            .and_then(|port| config::listen_on(&options.host, port))
            .unwrap_or_else(|reason| {
                let hint = "write `--host 0.0.0.0 --port 8000`";
                errors.push(Diagnostic::error(reason).with_hint(hint));
                default.listen
            });
        let tls = match (&options.ssl_certfile, &options.ssl_keyfile) {
            (Some(cert_file), Some(key_file)) => Some(Tls {
                cert_file: cert_file.clone(),
                key_file: key_file.clone(),
            }),
            (None, None) => None,
            _ => {
                let hint = "give `--ssl-certfile` and `--ssl-keyfile`, or neither";
                errors
                    .push(Diagnostic::error("TLS needs a certificate and its key").with_hint(hint));
                None
            }
        };
        let origins = &options.cors_allow_origins;
        let prefix = options
            .path_prefix
            .as_deref()
            .filter(|_| flavor == Flavor::Mcpo);
        Server {
            listen,
            root_path: config::root_path(&options.root_path),
            path_prefix: config::path_prefix(prefix.unwrap_or_default()),
            public_spec: !(options.strict_auth && options.api_key().is_some()),
            cors_allow_origins: if origins.is_empty() {
                vec!["*".to_owned()]
            } else {
                origins.clone()
            },
            tls,
            title: options.name.clone(),
            description: options.description.clone(),
            version: options.version.clone(),
            ..default
        }
    }

    fn identity(&self) -> Identity {
        let key = self.options.api_key().map(|key| ApiKey {
            name: "api-key".to_owned(),
            key: Secret::new(key),
        });
        Identity {
            anonymous: key.is_none(),
            strict: key.is_some() && self.options.strict_auth,
            keys: key.into_iter().collect(),
        }
    }

    /// `--log-level` is `LOG_LEVEL`.
    fn telemetry(&self, environment: &Environment, warnings: &mut Vec<Diagnostic>) -> Telemetry {
        let said = self
            .options
            .log_level
            .as_deref()
            .or_else(|| environment.get("LOG_LEVEL"));
        let level = said.filter(|level| !level.is_empty()).and_then(|text| {
            let level = config::level(text);
            if level.is_none() {
                let text = format!(
                    "Invalid LOG_LEVEL '{}', defaulting to INFO",
                    text.to_uppercase()
                );
                warnings.push(Diagnostic::warning(text));
            }
            level
        });
        Telemetry {
            format: LogFormat::Text,
            level: level.unwrap_or_else(|| "info".to_owned()),
        }
    }
}

/// `--header`: an object of strings.
fn headers(text: &str) -> Option<Vec<(HeaderName, Secret)>> {
    let map: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    map.into_iter()
        .map(|(name, value)| {
            HeaderValue::from_str(&value).ok()?;
            Some((name.parse().ok()?, Secret::new(value)))
        })
        .collect()
}

/// Says what clap found in typer's words (C-CLI-6).
fn exit(error: clap::Error) -> McpoExit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    // `--port <PORT>` is `'--port' / '-p'` there.
    let option = || {
        let named = context(ContextKind::InvalidArg);
        let long = named
            .split([' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned();
        let command = Options::command();
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
    match error.kind() {
        ErrorKind::DisplayHelp => stop(0, error.render().to_string(), String::new()),
        ErrorKind::UnknownArgument => {
            let named = context(ContextKind::InvalidArg);
            let named = named.split([' ', '=']).next().unwrap_or_default();
            refuse(&format!("No such option: {named}"))
        }
        ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue);
            refuse(&format!(
                "Invalid value for {}: '{value}' is not a valid integer.",
                option().0
            ))
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            refuse(&format!("Option '{}' requires an argument.", option().1))
        }
        _ => stop(2, String::new(), error.render().to_string()),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Stdio;

    fn words(line: &[&str]) -> Vec<OsString> {
        line.iter().map(OsString::from).collect()
    }

    fn command(line: &[&str]) -> McpoCommand {
        parse(words(line)).unwrap_or_else(|exit| panic!("{line:?}: {exit:?}"))
    }

    fn exit_of(line: &str) -> McpoExit {
        parse(words(&line.split_whitespace().collect::<Vec<_>>())).unwrap_err()
    }

    fn config(line: &[&str], environment: &Environment) -> Config {
        command(line).config(environment).unwrap().config
    }

    fn stdio(config: &Config) -> &Stdio {
        match &config.bridges[0].transport {
            Ok(Transport::Stdio(stdio)) => stdio,
            other => panic!("{other:?}"),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    const ONE: &str =
        r#"{"mcpServers": {"ok": {"command": "c", "env": {"FOO": "cfg", "BAR": "${UNSET}"}}}}"#;

    #[test]
    fn every_way_people_start_mcpo_is_understood() {
        let (_folder, path) = file(ONE);
        let equals = format!("--config={path}");
        let none = Environment::default();
        // mcpo contract §14.2; 7 to 12 are about the image, and 14 about the client.
        let single: &[&[&str]] = &[
            &[
                "--api-key",
                "top-secret",
                "--",
                "uvx",
                "mcp-server-time",
                "--local-timezone=America/New_York",
            ],
            &[
                "--",
                "python3",
                "-c",
                "from mcp.server.fastmcp import FastMCP; …",
            ],
            &["--", "/app/.venv/bin/python3", "server.py"],
            &["--port", "8000", "--api-key", "X", "--", "uvx", "x"],
            &[
                "--port",
                "8000",
                "--",
                "env",
                "KEY=v",
                "python",
                "server.py",
            ],
        ];
        for line in single {
            let config = config(line, &none);
            let after = line.iter().position(|word| *word == "--").unwrap() + 1;
            assert_eq!(config.flavor, Flavor::McpoSingle, "{line:?}");
            assert_eq!(config.server.listen.to_string(), "0.0.0.0:8000", "{line:?}");
            let stdio = stdio(&config);
            assert_eq!(stdio.command, line[after], "{line:?}");
            assert_eq!(stdio.args, line[after + 1..], "{line:?}");
            assert!(stdio.inherit_env);
            assert_eq!(config.identity.anonymous, !line.contains(&"--api-key"));
        }
        let files: &[&[&str]] = &[
            &[
                "--host",
                "0.0.0.0",
                "--port",
                "8000",
                "--api-key",
                "k",
                "--config",
                &path,
            ],
            &[
                "--port",
                "8000",
                "--api-key",
                "X",
                "--config",
                &path,
                "--hot-reload",
            ],
            &["mcpo", "--config", &path, "--api-key", "X"],
            &["--port=8000", &equals],
            &["--config", &path],
            &["-c", &path, "-h", "0.0.0.0", "-p", "8000", "-k", "K"],
            &["-c", &path, "--", "ignored"],
            &["--type", "sse", "--config", &path],
        ];
        for line in files {
            let command = command(line);
            let config = command.config(&none).unwrap().config;
            assert_eq!(config.flavor, Flavor::Mcpo, "{line:?}");
            assert_eq!(config.bridges[0].name.as_str(), "ok");
            assert_eq!(config.server.listen.to_string(), "0.0.0.0:8000", "{line:?}");
            assert_eq!(command.hot_reload(), line.contains(&"--hot-reload"));
            assert!(
                command
                    .first_line()
                    .ends_with(&format!("with config file: {path}"))
            );
        }
        let line = [
            "--host",
            "0.0.0.0",
            "--port",
            "8000",
            "--server-type",
            "streamable-http",
            "--",
            "http://gmail-mcp-server:5000/mcp/",
        ];
        let config = config(&line, &none);
        let Ok(Transport::Remote(remote)) = &config.bridges[0].transport else {
            panic!("a URL")
        };
        assert_eq!(remote.url.as_str(), "http://gmail-mcp-server:5000/mcp/");
        assert_eq!(remote.kind, RemoteKind::StreamableHttp);
    }

    #[test]
    fn what_cannot_be_served_ends_as_in_mcpo() {
        for (line, code, stdout, stderr) in [
            ("", 1, USAGE, ""),
            ("--port 1", 1, USAGE, ""),
            ("--config= stray", 1, USAGE, ""),
            (
                "--",
                0,
                "Error: You must specify the MCP server command after '--'\n",
                "",
            ),
            ("--bogus", 2, "", "No such option: --bogus"),
            ("--bogus=1 -- x", 2, "", "No such option: --bogus"),
            ("-x -- x", 2, "", "No such option: -x"),
            (
                "--port abc -- x",
                2,
                "",
                "Invalid value for '--port' / '-p': 'abc' is not a valid integer.",
            ),
            (
                "--version",
                2,
                "",
                "Option '--version' requires an argument.",
            ),
            (
                "-e FOO -e A=b -- x",
                2,
                "",
                "Invalid value for '--env' / '-e': expected KEY=VALUE.",
            ),
        ] {
            let exit = exit_of(line);
            assert_eq!((exit.code, exit.stdout.as_str()), (code, stdout), "{line}");
            assert!(
                exit.stderr.contains(stderr) && exit.stderr.is_empty() == stderr.is_empty(),
                "{line}: {}",
                exit.stderr
            );
        }
        let help = exit_of("--help");
        assert!(help.code == 0 && help.stdout.contains("--hot-reload") && help.stderr.is_empty());
    }

    #[test]
    fn options_are_taken_as_click_takes_them() {
        let none = Environment::default();
        let line = [
            "-h",
            "localhost",
            "-p1",
            "-p",
            "2",
            "-n",
            "N",
            "-d",
            "D",
            "-v",
            "3",
            "--cors-allow-origins",
            "http://a",
            "--cors-allow-origins",
            "http://b",
            "-k",
            "-dash",
            "--strict-auth",
            "--root-path",
            "api/",
            "--path-prefix",
            "/pre",
            "--log-level",
            "WARNING",
            "-t",
            "c.pem",
            "-K",
            "k.pem",
            "-c",
        ];
        let (_folder, path) = file(ONE);
        let line: Vec<_> = line.into_iter().chain([path.as_str()]).collect();
        let config = config(&line, &none);
        let server = &config.server;
        assert_eq!(server.listen.to_string(), "127.0.0.1:2");
        assert_eq!(
            (
                server.title.as_str(),
                server.description.as_str(),
                server.version.as_str()
            ),
            ("N", "D", "3")
        );
        assert_eq!(server.cors_allow_origins, ["http://a", "http://b"]);
        assert_eq!(
            (server.root_path.as_str(), server.path_prefix.as_str()),
            ("/api", "/pre/")
        );
        assert!(!server.public_spec && config.identity.strict && !config.identity.anonymous);
        assert!(config.identity.keys[0].key.matches("-dash"));
        assert_eq!(
            server.tls.as_ref().unwrap().key_file,
            PathBuf::from("k.pem")
        );
        assert_eq!(config.telemetry.level, "warn");
    }

    #[test]
    fn defaults_are_mcpos() {
        let environment = Environment::of([("LOG_LEVEL", "DEBUG")]);
        let config = config(
            &["--strict-auth", "-k", "", "--path-prefix", "x", "--", "c"],
            &environment,
        );
        let server = &config.server;
        assert_eq!(server.cors_allow_origins, ["*"]);
        assert_eq!(
            (server.root_path.as_str(), server.path_prefix.as_str()),
            ("", "/")
        );
        assert_eq!(server.title, "MCP OpenAPI Proxy");
        assert_eq!(server.version, "1.0");
        assert!(server.public_spec && config.identity.anonymous && !config.identity.strict);
        assert_eq!(config.telemetry.level, "debug");
    }

    #[test]
    fn variables_reach_the_children_in_mcpos_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vars");
        fs::write(&path, "FOO=fromfile\nBAR='q x'\nONLYFILE=1\n").unwrap();
        let path = path.to_str().unwrap();
        let process = Environment::of([("FOO", "proc")]);
        let none = Environment::default();
        // What the child sees beyond our environment; observed_more.txt.
        for (line, environment, seen) in [
            (
                &["-e", "FOO=1", "-e", "BAR=a=b"][..],
                &none,
                &[("BAR", "a=b"), ("FOO", "1")][..],
            ),
            (&["--env", "FOO=cli"], &process, &[("FOO", "cli")]),
            (
                &["--env-path", path],
                &none,
                &[("BAR", "q x"), ("FOO", "fromfile"), ("ONLYFILE", "1")],
            ),
            (
                &["--env-path", path],
                &process,
                &[("BAR", "q x"), ("ONLYFILE", "1")],
            ),
            (
                &["--env", "FOO=cli", "--env-path", path],
                &none,
                &[("BAR", "q x"), ("FOO", "fromfile"), ("ONLYFILE", "1")],
            ),
            (
                &["--env", "FOO=cli", "--env-path", path],
                &process,
                &[("BAR", "q x"), ("ONLYFILE", "1")],
            ),
            (
                &["--env", "FOO=1", "--env-path", "/nowhere"],
                &none,
                &[("FOO", "1")],
            ),
        ] {
            let line: Vec<_> = line.iter().copied().chain(["--", "c"]).collect();
            let config = config(&line, environment);
            let env: Vec<_> = stdio(&config)
                .env
                .iter()
                .map(|(name, value)| (name.as_str(), value.expose()))
                .collect();
            assert_eq!(env, seen, "{line:?}");
        }
        let (_folder, file) = file(ONE);
        let config = config(&["-c", &file, "-e", "FOO=cli", "-e", "X=y"], &none);
        let env = &stdio(&config).env;
        assert_eq!(
            (env["FOO"].expose(), env["BAR"].expose(), env["X"].expose()),
            ("cfg", "${UNSET}", "y")
        );
    }

    #[test]
    fn headers_are_for_urls_and_bad_ones_are_a_warning() {
        let none = Environment::default();
        let loaded = command(&["--type", "sse", "-H", r#"{"A": "b"}"#, "--", "http://x/sse"])
            .config(&none)
            .unwrap();
        let Ok(Transport::Remote(remote)) = &loaded.config.bridges[0].transport else {
            panic!("a URL")
        };
        assert_eq!(
            (remote.kind, remote.headers[0].1.expose()),
            (RemoteKind::Sse, "b")
        );
        for bad in ["{", "[]", r#"{"A": 1}"#, r#"{"a b": "c"}"#] {
            let loaded = command(&[
                "--type",
                "streamable_http",
                "--header",
                bad,
                "--",
                "http://x",
            ])
            .config(&none)
            .unwrap();
            assert_eq!(
                loaded.warnings[0].message,
                "Invalid JSON format for headers. Headers will be ignored."
            );
        }
        let loaded = command(&["--log-level", "bogus", "--", "c"])
            .config(&none)
            .unwrap();
        assert_eq!(
            loaded.warnings[0].message,
            "Invalid LOG_LEVEL 'BOGUS', defaulting to INFO"
        );
    }

    #[test]
    fn a_configuration_that_cannot_work_is_an_error() {
        let none = Environment::default();
        for line in [
            &["--port", "99999", "--", "c"][..],
            &["--ssl-certfile", "c", "--", "c"],
            &["--config", "/nowhere.json"],
            &["--type", "sse", "--", "no-url"],
        ] {
            assert!(command(line).config(&none).is_err(), "{line:?}");
        }
    }
}
