//! The command line: reads arguments, puts the rest together, prints. Exit codes: 0 fine, 1 failed,
//! 2 bad usage or configuration.

mod args;
mod check;
mod healthcheck;
mod import;
mod inspect;
mod mcpo;
mod output;
mod serve;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser as _;

use self::args::{Cli, Command};

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if is_mcpo(arguments.first()) {
        return mcpo::main(arguments.into_iter().skip(1).collect());
    }
    if arguments.get(1).is_some_and(|word| word == "mcpo") {
        return mcpo::main(arguments.into_iter().skip(2).collect());
    }
    match Cli::try_parse_from(arguments) {
        Ok(cli) => run(cli),
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            output::ignore_broken_pipe(error.print());
            ExitCode::from(code)
        }
    }
}

/// Whether we were started under mcpo's name, by a link or as an image's entry point.
fn is_mcpo(program: Option<&OsString>) -> bool {
    program
        .and_then(|program| Path::new(program).file_stem())
        .is_some_and(|stem| stem == "mcpo")
}

/// Runs one command.
fn run(cli: Cli) -> ExitCode {
    let start = cli.start;
    match cli.command {
        None | Some(Command::Serve) => serve::main(&start),
        Some(Command::Check) => check::main(&start),
        Some(Command::Tools { bridge, json }) => inspect::tools(&start, bridge.as_deref(), json),
        Some(Command::Call {
            bridge,
            tool,
            arguments,
        }) => inspect::call(&start, &bridge, &tool, &arguments),
        Some(Command::Openapi { bridge }) => inspect::openapi(&start, bridge.as_deref()),
        Some(Command::Import { file }) => import::main(&file),
        Some(Command::Healthcheck { url }) => healthcheck::main(&start, url),
        Some(Command::DemoServer) => serve::demo_server(),
    }
}
