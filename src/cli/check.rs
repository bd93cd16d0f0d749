//! `mcp-bridge check`: what is wrong with a configuration, and which bridges would be on.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use crate::config::{
    self, Bridge, Config, Diagnostic, Environment, Flavor, Loaded, Severity, Transport,
};

/// What a check found, ready to print.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The table of bridges, for standard output.
    pub stdout: String,
    /// The problems, for standard error.
    pub stderr: String,
    /// 0, or 2 if the configuration is refused.
    pub code: u8,
}

/// Checks a file and prints what it finds.
#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is the command line"
)]
pub fn run(path: &Path, environment: &Environment) -> ExitCode {
    let report = report(path, config::load(path, environment));
    eprint!("{}", report.stderr);
    print!("{}", report.stdout);
    ExitCode::from(report.code)
}

/// Renders what loading gave.
pub fn report(path: &Path, loaded: Result<Loaded, Vec<Diagnostic>>) -> Report {
    match loaded {
        Ok(loaded) => Report {
            stdout: format!(
                "{}{}",
                table(&loaded.config),
                summary(path, &loaded.config, loaded.warnings.len())
            ),
            stderr: render(&loaded.warnings),
            code: 0,
        },
        Err(diagnostics) => {
            let errors = diagnostics
                .iter()
                .filter(|one| one.severity == Severity::Error)
                .count();
            Report {
                stdout: String::new(),
                stderr: format!(
                    "{}{}: {}\n",
                    render(&diagnostics),
                    path.display(),
                    count(errors, "error")
                ),
                code: 2,
            }
        }
    }
}

/// Diagnostics one after the other, an empty line after each.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        // Writing to a string cannot fail.
        let _ok = write!(text, "{diagnostic}\n\n").is_ok();
    }
    text
}

/// One line a bridge: name, on or off, how it is reached or why it is off.
pub fn table(config: &Config) -> String {
    let width = config
        .bridges
        .iter()
        .map(|bridge| bridge.name.as_str().chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for bridge in &config.bridges {
        let name = bridge.name.as_str();
        let (state, why) = describe(bridge);
        let _ok = writeln!(text, "{name:width$}  {state:3}  {why}").is_ok();
    }
    text
}

/// Shows no argument, no path of a URL and no query: they may hold secrets.
fn describe(bridge: &Bridge) -> (&'static str, String) {
    match &bridge.transport {
        Ok(Transport::Stdio(stdio)) => ("on", stdio.command.clone()),
        Ok(Transport::Remote(remote)) => ("on", remote.url.origin().ascii_serialization()),
        Err(disabled) => ("off", disabled.0.clone()),
    }
}

fn summary(path: &Path, config: &Config, warnings: usize) -> String {
    let on = config
        .bridges
        .iter()
        .filter(|bridge| bridge.transport.is_ok())
        .count();
    let kind = match config.flavor {
        Flavor::Native => "",
        Flavor::Mcpo | Flavor::McpoSingle => " (mcpServers)",
    };
    let warnings = if warnings == 0 {
        String::new()
    } else {
        format!(", {}", count(warnings, "warning"))
    };
    format!(
        "{}{kind}: {}, {on} on{warnings}; listens on {}\n",
        path.display(),
        count(config.bridges.len(), "bridge"),
        config.server.listen
    )
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(text: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, text).unwrap();
        let mut report = report(
            Path::new("bridges.toml"),
            config::load(&path, &Environment::default()),
        );
        let prefix = format!("{}/", folder.path().display());
        report.stderr = report.stderr.replace(&prefix, "");
        report
    }

    #[test]
    fn bridges_are_listed_with_the_reason_why_they_are_off() {
        let report = check(
            r#"
[identity]
anonymous = true

[bridges.time]
command = "uvx"
args    = ["mcp-server-time"]

[bridges.github]
url     = "https://api.githubcopilot.com/mcp/?x=y"
headers = { Authorization = "Bearer ${GITHUB_TOKEN}" }

[bridges.off]
url = "https://example.org/mcp"
enabled = false

[bridges.far]
url = "https://example.org/mcp"
"#,
        );
        assert_eq!((report.code, report.stderr.as_str()), (0, ""));
        insta::assert_snapshot!(report.stdout, @r##"
        time    on   uvx
        github  off  GITHUB_TOKEN is not set
        off     off  switched off in the configuration
        far     on   https://example.org
        bridges.toml: 4 bridges, 2 on; listens on 127.0.0.1:8000
        "##);
    }

    #[test]
    fn an_error_is_exit_code_2() {
        let report = check("[bridges.x]\nurl = 'ftp://x'\n[bridges.y]\n");
        assert_eq!((report.code, report.stdout.as_str()), (2, ""));
        insta::assert_snapshot!(report.stderr, @r##"
        bridges.toml:2:7: error: `url`: `ftp:` is neither `http:` nor `https:`
          |
        2 | url = 'ftp://x'
          |       ^^^^^^^^^
        hint: write `"https://host/path"`

        bridges.toml:3:10: error: the bridge has neither `command` nor `url`
          |
        3 | [bridges.y]
          |          ^
        hint: add `command = "npx"` and `args = ["-y", "PACKAGE"]`, or `url = "https://…/mcp"`

        bridges.toml: 2 errors
        "##);
    }
}
