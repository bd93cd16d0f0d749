//! The command line: reads the arguments, starts the parts of the program and prints the results. Exit codes:
//! 0 for success, 1 for a failure, 2 for bad usage or configuration.

mod access;
mod args;
mod audit;
mod check;
mod exposure;
mod healthcheck;
mod import;
mod inspect;
mod login;
mod mcpo;
mod memory;
mod migrate;
mod output;
mod parse;
mod secrets;
mod serve;
mod sources;
mod tables;

use std::{ffi::OsString, path::Path, process::ExitCode};

use self::args::{Cli, CliCommand};
use crate::{config::Environment, isolation, mcp, secret::Redactor};

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = isolation::run_own_stage(&arguments) {
        return code;
    }
    // This comes first, because it replaces the process and loses all that is set up before.
    if let Err(problem) = memory::give_back(&arguments) {
        output::complain(&format!("warning: {problem}"));
    }
    // This comes before any secret is read.
    if let Err(problem) = isolation::harden() {
        output::complain(&format!("warning: {problem}"));
    }
    // The TLS listener and the TLS clients both use the crypto provider of the process.
    mcp::install_tls();
    if is_mcpo(arguments.first()) {
        return run_mcpo(arguments.into_iter().skip(1).collect());
    }
    if arguments.get(1).is_some_and(|word| word == "mcpo") {
        return run_mcpo(arguments.into_iter().skip(2).collect());
    }
    match parse::parse(arguments, &Environment::process()) {
        Ok(cli) => run(cli),
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            output::ignore_broken_pipe(error.print());
            ExitCode::from(code)
        }
    }
}

/// Whether the program was started under the name `mcpo`, through a link or as the entry point of an image.
fn is_mcpo(program: Option<&OsString>) -> bool {
    program
        .and_then(|program| Path::new(program).file_stem())
        .is_some_and(|stem| stem == "mcpo")
}

/// Runs the command line of mcpo. `words` are the arguments after the program's name.
fn run_mcpo(words: Vec<OsString>) -> ExitCode {
    let command = match mcpo::parse(words) {
        Ok(command) => command,
        Err(exit) => {
            output::print(&exit.stdout);
            if !exit.stderr.is_empty() {
                output::complain(exit.stderr.trim_end());
            }
            return ExitCode::from(exit.code);
        }
    };
    let environment = Environment::process();
    let redactor = Redactor::default();
    redactor.set_configured(command.secrets(&environment));
    output::print(&redactor.redact(&format!("{}\n", command.first_line())));
    serve::run(serve::ServeOptions {
        variants: serve::no_variants(),
        is_watched: command.hot_reload(),
        // mcpo exits with this code too.
        bad_config: 1,
        source: Box::new(move || command.config(&environment)),
    })
}

/// Runs one command.
fn run(cli: Cli) -> ExitCode {
    let start = cli.start;
    match cli.command {
        None | Some(CliCommand::Serve) => serve::main(&start),
        Some(CliCommand::Check) => check::run(&start.config, &Environment::process()),
        Some(CliCommand::Tools { bridge, json }) => inspect::tools(&start, bridge.as_deref(), json),
        Some(CliCommand::Call {
            bridge,
            tool,
            arguments,
        }) => inspect::call(&start, &bridge, &tool, &arguments),
        Some(CliCommand::Openapi { bridge }) => inspect::openapi(&start, bridge.as_deref()),
        Some(CliCommand::Import(args)) => import::run(&args),
        Some(CliCommand::Healthcheck { url }) => healthcheck::main(&start, url),
        Some(CliCommand::Login(args)) => login::login(&start, &args),
        Some(CliCommand::Logout(args)) => login::logout(&start, &args),
        Some(CliCommand::Accounts { json }) => login::accounts(&start, json),
        Some(CliCommand::Access { command }) => access::main(&start, command),
        Some(CliCommand::Migrate) => migrate::main(&start),
        Some(CliCommand::Audit { command }) => audit::main(&start, command),
        Some(CliCommand::Secrets { command }) => secrets::main(&start, &command),
        Some(CliCommand::Mcpo { words }) => run_mcpo(words),
        Some(CliCommand::DemoServer) => serve::demo_server(),
    }
}
