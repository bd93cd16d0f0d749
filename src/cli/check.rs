//! `mcp-bridge check`: reports the errors of a configuration, and which of its bridges are on.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use url::Url;

use super::{exposure, tables};
use crate::config::{
    self, AnonymousAccess, ApiKey, BridgeSettings, Config, CredentialScope, DatabaseUrl,
    Diagnostic, DisabledPart, Environment, Flavor, IssuerSettings, LoadedConfig, OpenWebUiSettings,
    Severity, TransportSettings,
};
use crate::secret::Redactor;

/// The result of a check, ready to print.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The table of bridges, for standard output.
    pub stdout: String,
    /// The problems, for standard error.
    pub stderr: String,
    /// The exit code: 0, or 2 if the configuration has errors.
    pub code: u8,
}

/// Checks a file and prints what it finds.
#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is the command line"
)]
pub fn run(path: &Path, environment: &Environment) -> ExitCode {
    let mut loaded = config::load(path, environment);
    if let Ok(loaded) = &mut loaded {
        let warnings = exposure::warnings(path, loaded, environment);
        loaded.warnings.extend(warnings);
        loaded.warnings.extend(config::unread(path, &loaded.config));
        loaded.warnings.extend(tables::warnings(&loaded.config));
    }
    let report = report(path, loaded);
    eprint!("{}", report.stderr);
    print!("{}", report.stdout);
    ExitCode::from(report.code)
}

/// Renders the result of loading a configuration.
pub fn report(path: &Path, loaded: Result<LoadedConfig, Vec<Diagnostic>>) -> CheckReport {
    match loaded {
        Ok(loaded) => {
            let redactor = Redactor::default();
            redactor.set_configured(loaded.secrets());
            let text = format!(
                "{}{}{}",
                table(&loaded.config),
                sections(&loaded.config, &loaded.off),
                summary(path, &loaded.config, loaded.warnings.len())
            );
            CheckReport {
                stdout: redactor.redact(&text).into_owned(),
                stderr: render(&loaded.warnings),
                code: 0,
            }
        }
        Err(diagnostics) => {
            let errors = diagnostics
                .iter()
                .filter(|one| one.severity == Severity::Error)
                .count();
            CheckReport {
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

/// Renders diagnostics, with an empty line after each.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        // Writing to a string cannot fail.
        let _ok = write!(text, "{diagnostic}\n\n").is_ok();
    }
    text
}

/// Renders one line for each bridge: its name, on or off, how it is reached or why it is off.
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

/// Describes a bridge. It omits arguments, URL paths and queries, because they can contain secrets.
fn describe(bridge: &BridgeSettings) -> (&'static str, String) {
    if let Some(reason) = bridge.reason_off() {
        return if bridge.is_for_groups_alone() {
            let why = format!("only for groups that have their own keys; {reason}");
            ("on", why)
        } else {
            ("off", reason.to_owned())
        };
    }
    let how = match &bridge.transport {
        Ok(TransportSettings::Stdio(stdio)) => match &stdio.user {
            Some(user) => format!("{}, as user {}", stdio.command, user.name),
            None => stdio.command.clone(),
        },
        Ok(TransportSettings::Remote(remote)) => {
            let origin = remote.url.origin().ascii_serialization();
            match &remote.oauth {
                Some(_) => format!("{origin}  OAuth"),
                None => origin,
            }
        }
        Err(disabled) => disabled.0.clone(),
    };
    let whose = match bridge.credential {
        CredentialScope::Shared => "",
        CredentialScope::Group => ", group keys",
        CredentialScope::Caller => ", each caller's own account",
    };
    ("on", format!("{how}{whose}"))
}

/// Renders who may call, which rules decide, and where data is stored. A configuration of mcpo has none of these.
fn sections(config: &Config, off: &[DisabledPart]) -> String {
    let Some(database) = &config.database else {
        return String::new();
    };
    let mut lines = vec!["who may call".to_owned()];
    lines.extend(proofs(config).iter().map(|proof| format!("  on   {proof}")));
    lines.extend(
        off.iter()
            .map(|it| format!("  off  {}: {}", it.what, it.why)),
    );
    lines.push(format!("access    {}", access(config)));
    let mut kept = place(&database.url);
    if let Some(open_webui) = &database.open_webui
        && *open_webui != database.url
    {
        kept = format!("{kept}; Open WebUI's: {}", place(open_webui));
    }
    if database.redis.is_some() {
        kept.push_str("; with Redis");
    }
    lines.push(format!("database  {kept}"));
    lines.push(format!("audit     {}", audit(&config.audit)));
    lines.push(String::new());
    lines.join("\n")
}

/// Lists the ways to authenticate that are on.
fn proofs(config: &Config) -> Vec<String> {
    let identity = &config.identity;
    let mut proofs: Vec<String> = identity.keys.iter().map(key).collect();
    let open_webui = &identity.open_webui;
    let has_directory = config
        .database
        .as_ref()
        .is_some_and(|database| database.open_webui.is_some());
    match (&open_webui.secret_key, &open_webui.url) {
        (Some(_), _) if has_directory => {
            proofs.push("Open WebUI's sessions, checked in its database".to_owned());
        }
        (_, Some(url)) => proofs.push(format!(
            "Open WebUI's sessions, checked by {}",
            url.origin().ascii_serialization()
        )),
        (Some(_) | None, None) => {}
    }
    if open_webui.jwt_secret.is_some() {
        proofs.push(signed(open_webui).to_owned());
    }
    if let Some(gateway) = &identity.gateway {
        let mut from: Vec<String> = gateway
            .trusted_peers
            .iter()
            .map(ToString::to_string)
            .collect();
        if gateway.secret.is_some() {
            from.push(format!(
                "callers that send the secret in `{}`",
                gateway.secret_header
            ));
        }
        let from = from.join(if gateway.secret.is_some() {
            " and "
        } else {
            ", "
        });
        proofs.push(format!("a gateway's headers, from {from}"));
    }
    for issuer in &identity.oidc {
        let url = issuer.issuer.as_str();
        proofs.push(format!(
            "OpenID issuer `{}`: {url}, {}",
            issuer.name,
            emails(issuer)
        ));
    }
    match identity.anonymous {
        AnonymousAccess::Allowed => proofs.push("everyone: `anonymous = true`".to_owned()),
        AnonymousAccess::Loopback => proofs.push(format!(
            "everyone who can reach {}, because no other way to authenticate is on",
            config.server.listen
        )),
        AnonymousAccess::Refused if proofs.is_empty() => {
            proofs.push("nothing: every call is refused".to_owned());
        }
        AnonymousAccess::Refused => {}
    }
    proofs
}

/// Describes when Open WebUI's signed headers are accepted.
fn signed(open_webui: &OpenWebUiSettings) -> &'static str {
    match (open_webui.jwt_alone, &open_webui.jwt_audience) {
        (true, _) => "Open WebUI's signed headers, even without an API key (`jwt_alone`)",
        (false, Some(_)) => {
            "Open WebUI's signed headers, with a key that has `forwards` or with the configured audience"
        }
        (false, None) => "Open WebUI's signed headers, with a key that has `forwards`",
    }
}

/// Describes how the tokens of an issuer name users.
fn emails(issuer: &IssuerSettings) -> String {
    let claims = issuer.email_claims.join("`, then `");
    match (&*claims, issuer.emails_verified) {
        ("", _) => "users are named by their subject (`sub`) only".to_owned(),
        ("email", false) => {
            "e-mail addresses that the issuer marks as verified (`email_verified`)".to_owned()
        }
        ("email", true) => {
            "e-mail addresses, unless the issuer marks them as unverified".to_owned()
        }
        _ => format!("e-mail addresses from `{claims}`"),
    }
}

fn key(key: &ApiKey) -> String {
    let groups = if key.groups.is_empty() {
        String::new()
    } else {
        format!(", in {}", key.groups.join(", "))
    };
    let forwards = if key.forwards {
        ", may act on behalf of the user in its headers"
    } else {
        ""
    };
    format!("key `{}`{groups}{forwards}", key.name)
}

/// Describes which rules decide who may use what.
fn access(config: &Config) -> String {
    let access = &config.access;
    if !config.is_access_enforced() {
        return "every caller may call every tool: there is no `[access]`".to_owned();
    }
    let mut text = format!(
        "grants decide; members of {} may use everything",
        access.admin_groups.join(", ")
    );
    if !access.admins.is_empty() {
        let admins = count(access.admins.len(), "administrator");
        text = format!("{text}, with {admins} by e-mail");
    }
    if !access.default_groups.is_empty() {
        text = format!(
            "{text}; every caller is in {}",
            access.default_groups.join(", ")
        );
    }
    if !access.groups.is_empty() {
        let names: Vec<_> = access
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        text = format!("{text}; seeded: {}", names.join(", "));
    }
    text
}

/// Describes where a database is, without its user and password.
fn place(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(path) => format!("SQLite {}", path.display()),
        DatabaseUrl::Postgres(secret) => {
            let url = Url::parse(secret.expose()).ok();
            let host = url.as_ref().and_then(Url::host_str).unwrap_or("a socket");
            let name = url.as_ref().map_or("", Url::path);
            format!("PostgreSQL {host}{name}")
        }
    }
}

fn audit(audit: &config::AuditSettings) -> String {
    if !audit.is_on {
        return "off".to_owned();
    }
    let kept = audit.retention.map_or_else(
        || "forever".to_owned(),
        |time| match time.as_secs() / 86_400 {
            0 => format!("for {}", humantime::format_duration(time)),
            days => format!(
                "for {}",
                count(usize::try_from(days).unwrap_or(usize::MAX), "day")
            ),
        },
    );
    let arguments = if audit.arguments { "with" } else { "without" };
    format!(
        "every call, {arguments} arguments, kept {kept}; journal {}",
        audit.journal.display()
    )
}

fn summary(path: &Path, config: &Config, warnings: usize) -> String {
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
        "{}{kind}: {}, {}{warnings}; listens on {}\n",
        path.display(),
        count(config.bridges.len(), "bridge"),
        config.count(),
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

    fn check(text: &str) -> CheckReport {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, text).unwrap();
        let mut report = report(
            Path::new("bridges.toml"),
            config::load(&path, &Environment::default()),
        );
        let prefix = format!("{}/", folder.path().display());
        report.stderr = report.stderr.replace(&prefix, "");
        report.stdout = report.stdout.replace(&prefix, "");
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
        off     off  disabled in the configuration
        far     on   https://example.org
        who may call
          on   everyone: `anonymous = true`
        access    every caller may call every tool: there is no `[access]`
        database  SQLite mcp-bridge.db
        audit     every call, without arguments, kept for 90 days; journal mcp-bridge-audit
        bridges.toml: 4 bridges, 2 on, 2 off; listens on 127.0.0.1:8000
        "##);
    }

    #[test]
    fn a_bridge_that_signs_in_says_how_and_for_whom() {
        let report = check(
            r#"
[bridges.all]
url     = "https://example.org/mcp"
headers = { Authorization = "Bearer ${LINEAR_API_KEY}" }
oauth   = {}

[bridges.later]
url     = "https://example.org/mcp"
headers = { Authorization = "Bearer ${LINEAR_API_KEY}" }
oauth   = {}
enabled = "auto"

[bridges.each]
url        = "https://example.org/mcp"
oauth      = {}
credential = "caller"

[bridges.groups]
command    = "npx"
env        = { K = "${K}" }
credential = "group"
"#,
        );
        let bridges: Vec<_> = report.stdout.lines().take(4).collect();
        insta::assert_snapshot!(bridges.join("\n"), @r##"
        all     on   https://example.org  OAuth
        later   off  LINEAR_API_KEY is not set, and no user has logged in: mcp-bridge login later
        each    on   https://example.org  OAuth, each caller's own account
        groups  on   only for groups that have their own keys; K is not set
        "##);
        assert!(
            report
                .stdout
                .contains("4 bridges, 3 on, 1 waits for a login"),
            "{}",
            report.stdout
        );
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
