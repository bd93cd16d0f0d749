//! Reads the command line, and adds to clap what it lacks: blank variables, a URL as the server, better errors.

use std::ffi::{OsStr, OsString};

use clap::{
    Command, CommandFactory as _, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::args::{Cli, VARIABLES};
use crate::{config::Environment, near};

/// The commands that use the listening address.
const LISTENING: [&str; 2] = ["serve", "healthcheck"];
/// The commands that do not read the configuration.
const WITHOUT_CONFIG: [&str; 3] = ["import", "mcpo", "demo-server"];
/// The global options that take a value.
const WITH_VALUE: [&str; 3] = ["-c", "--config", "--listen"];
/// The most commands that an error suggests.
const NEAREST_MAX: usize = 3;

/// Reads the command line. A blank environment variable counts as not set, because compose files pass variables
/// that `.env` may not define.
pub fn parse(arguments: Vec<OsString>, environment: &Environment) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    for (argument, variable) in VARIABLES {
        let is_blank = |value: &str| value.trim().is_empty();
        if environment.get(variable).is_some_and(is_blank) {
            command = command.mut_arg(argument, |it| it.env(None::<&'static str>));
        }
    }
    let mut command = without_needless(command);
    let arguments = with_url_last(arguments);
    let first = first_word(&arguments).map(|(_, word)| word.to_owned());
    match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => Cli::from_arg_matches(&matches),
        Err(error) => Err(explained(error, &mut command, first.as_deref())),
    }
}

/// Hides in the help of each command the global options that have no effect there. They are still accepted, for
/// scripts that pass the same options to every command.
fn without_needless(command: Command) -> Command {
    let globals: Vec<_> = command
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .cloned()
        .collect();
    command.mut_subcommands(|mut sub| {
        let name = sub.get_name().to_owned();
        for argument in &globals {
            let is_needless = match argument.get_id().as_str() {
                "listen" => !LISTENING.contains(&name.as_str()),
                _ => WITHOUT_CONFIG.contains(&name.as_str()),
            };
            if is_needless {
                sub = sub.arg(argument.clone().hide(true));
            }
        }
        sub
    })
}

/// Returns the first word that is neither an option nor the value of one, and its index.
fn first_word(arguments: &[OsString]) -> Option<(usize, &OsStr)> {
    let mut words = arguments.iter().enumerate().skip(1);
    while let Some((place, word)) = words.next() {
        let text = word.to_string_lossy();
        if WITH_VALUE.contains(&&*text) {
            words.next();
        } else if text == "--" {
            return None;
        } else if !text.starts_with('-') {
            return Some((place, word));
        }
    }
    None
}

/// Rewrites `mcp-bridge URL` as `mcp-bridge -- URL`, and moves the options before it.
fn with_url_last(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_url = |word: &OsStr| {
        let word = word.to_string_lossy();
        word.starts_with("http://") || word.starts_with("https://")
    };
    let found = first_word(&arguments).filter(|(_, word)| is_url(word));
    let Some(place) = found.map(|(place, _)| place) else {
        return arguments;
    };
    if arguments.iter().any(|word| word == "--") {
        return arguments;
    }
    let url = arguments.remove(place);
    arguments.push("--".into());
    arguments.push(url);
    arguments
}

/// Improves the error for an unknown command: it suggests similar commands, or how to serve a program.
fn explained(error: clap::Error, command: &mut Command, first: Option<&OsStr>) -> clap::Error {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => return error,
    };
    let is_first = first.is_some_and(|first| first == named);
    if error.kind() != ErrorKind::UnknownArgument || !is_first {
        return error;
    }
    let commands: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let near = near::nearest(named, commands.iter().map(String::as_str), NEAREST_MAX);
    let meant = if near.is_empty() {
        format!("; to serve a program, write `mcp-bridge -- {named}` and its arguments")
    } else {
        format!("; did you mean {}?", near::either(&near))
    };
    let shown: String = named.chars().take(100).collect();
    command.error(
        ErrorKind::InvalidSubcommand,
        format!("there is no command `{shown}`{meant}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    fn parsed(words: &str) -> Result<Cli, String> {
        let words = ["mcp-bridge"].into_iter().chain(words.split(' '));
        let words = words.filter(|word| !word.is_empty()).map(OsString::from);
        let cli = parse(words.collect(), &Environment::default());
        cli.map_err(|error| error.render().to_string())
    }

    #[test]
    fn a_server_is_named_by_a_program_or_a_url() {
        for (words, server, listen) in [
            ("-- uvx x --y", "uvx x --y", false),
            ("--listen 127.0.0.1:1 -- uvx x", "uvx x", true),
            ("-- https://x.example/mcp", "https://x.example/mcp", false),
            ("https://x.example/mcp", "https://x.example/mcp", false),
            (
                "--listen 127.0.0.1:1 https://x.example/mcp",
                "https://x.example/mcp",
                true,
            ),
            (
                "http://x.example --listen=127.0.0.1:1",
                "http://x.example",
                true,
            ),
            ("", "", false),
        ] {
            let cli = parsed(words).unwrap();
            assert_eq!(cli.start.server.join(" "), server, "{words}");
            assert_eq!(cli.start.listen.is_some(), listen, "{words}");
            assert!(cli.command.is_none(), "{words}");
        }
        let cli = parsed("healthcheck --url https://x.example").unwrap();
        assert!(matches!(
            cli.command,
            Some(args::CliCommand::Healthcheck { url: Some(_) })
        ));
    }

    #[test]
    fn a_word_that_is_no_command_leads_on() {
        let said = parsed("chek").unwrap_err();
        assert!(
            said.contains("there is no command `chek`; did you mean `check`?"),
            "{said}"
        );
        assert!(
            said.contains("Usage: mcp-bridge [OPTIONS] [COMMAND]"),
            "{said}"
        );
        let said = parsed("-c x.toml acess grant").unwrap_err();
        assert!(said.contains("did you mean `access`"), "{said}");
        let said = parsed("uvx mcp-server-time").unwrap_err();
        assert!(said.contains("write `mcp-bridge -- uvx`"), "{said}");
        let said = parsed("check surplus").unwrap_err();
        assert!(said.contains("unexpected argument 'surplus'"), "{said}");
        let said = parsed("--lisen x").unwrap_err();
        assert!(said.contains("--listen"), "{said}");
    }

    #[test]
    fn the_help_of_a_command_has_what_means_something_there() {
        for (words, config, listen) in [
            ("serve --help", true, true),
            ("healthcheck --help", true, true),
            ("check --help", true, false),
            ("access grant --help", true, false),
            ("import --help", false, false),
            ("demo-server --help", false, false),
            ("--help", true, true),
        ] {
            let help = parsed(words).unwrap_err();
            assert_eq!(help.contains("--config"), config, "{words}: {help}");
            assert_eq!(help.contains("--listen"), listen, "{words}: {help}");
        }
        assert!(parsed("--help").unwrap_err().contains("\n  mcpo "));
        // The option is hidden but still accepted, before and after the command.
        let cli = parsed("check --listen 127.0.0.1:1").unwrap();
        assert!(cli.start.listen.is_some());
        assert!(
            parsed("--listen 127.0.0.1:1 access list")
                .unwrap()
                .start
                .listen
                .is_some()
        );
    }
}
