//! One server from the command line, without a file: `mcp-bridge -- CMD…`.

use std::{collections::BTreeMap, time::Duration};

use url::Url;

use crate::{
    config::{
        AccessSettings, AuditSettings, BridgeSettings, CliOverrides, Config, Diagnostic,
        Environment, Flavor, LimitSettings, LoadedConfig, RemoteKind, RemoteSettings,
        ServerSettings, StdioSettings, TelemetrySettings, TransportKind, TransportSettings,
        bridges::transport::OWN_NAME,
        identity::IdentityDraft,
        naming::{name_of_command, name_of_url},
        read::diagnostic::Severity,
        sections::otlp,
    },
    name::BridgeName,
};

/// Creates a configuration with one bridge. A single URL is a remote server. Anything else is a program with
/// arguments, which inherits the whole environment, as it would from the shell. If `MCP_API_KEY` is set,
/// callers must send that key.
pub fn single(
    words: &[String],
    environment: &Environment,
    overrides: &CliOverrides,
) -> Result<LoadedConfig, Vec<Diagnostic>> {
    let bridge = match words {
        [] => {
            let hint =
                "write `mcp-bridge -- npx -y PACKAGE`, or `mcp-bridge --config bridges.toml`";
            return Err(vec![
                Diagnostic::error("there is no command after `--`").with_hint(hint),
            ]);
        }
        [word] if is_url(word) => remote(word, RemoteKind::Auto)?,
        words => stdio(words, environment),
    };
    let telemetry = TelemetrySettings {
        otlp: otlp::of_environment(environment).map_err(|problem| vec![*problem])?,
        ..TelemetrySettings::default()
    };
    let mut server = ServerSettings::default();
    server.listen = overrides.listen.unwrap_or(server.listen);
    let (identity, complaint) = IdentityDraft::of_environment(environment).resolve(server.listen);
    let warnings: Vec<_> = complaint.into_iter().collect();
    if warnings.iter().any(|one| one.severity == Severity::Error) {
        return Err(warnings);
    }
    Ok(LoadedConfig {
        config: Config {
            flavor: Flavor::Native,
            server,
            database: None,
            identity,
            access: AccessSettings::default(),
            limits: LimitSettings::default(),
            audit: AuditSettings::off(),
            telemetry,
            bridges: vec![bridge],
        },
        warnings,
        sources: Vec::new(),
        off: Vec::new(),
        referenced: environment.secrets(),
    })
}

/// Creates a bridge for a program and names it after the program.
pub fn stdio(words: &[String], environment: &Environment) -> BridgeSettings {
    let (command, args) = words
        .split_first()
        .map_or((String::new(), &[][..]), |(first, rest)| {
            (first.clone(), rest)
        });
    let own = environment.executable().filter(|_| command == OWN_NAME);
    let transport = TransportSettings::Stdio(StdioSettings {
        command: own.map_or(command, |own| own.to_string_lossy().into_owned()),
        args: args.to_vec(),
        env: BTreeMap::new(),
        inherit_env: true,
        cwd: None,
        user: None,
    });
    bridge(name_of_command(words), transport)
}

/// Creates a bridge for a URL and names it after the host.
pub fn remote(text: &str, kind: RemoteKind) -> Result<BridgeSettings, Vec<Diagnostic>> {
    let url = Url::parse(text)
        .ok()
        .filter(|_| is_url(text))
        .ok_or_else(|| {
            let hint = "write `https://host/mcp`";
            // The text may contain a secret, so the error does not repeat it.
            vec![Diagnostic::error("this is not a server URL").with_hint(hint)]
        })?;
    let name = name_of_url(&url);
    Ok(bridge(
        name,
        TransportSettings::Remote(RemoteSettings::new(url, kind)),
    ))
}

/// Whether a word of the command line is a URL and not a program.
pub fn is_url(word: &str) -> bool {
    word.starts_with("http://") || word.starts_with("https://")
}

/// The connect timeout if none is configured and mcpo has none: a first `npx` or `uvx` downloads the server.
const FIRST_DOWNLOAD: Duration = Duration::from_mins(5);

fn bridge(name: BridgeName, transport: TransportSettings) -> BridgeSettings {
    let kind = match &transport {
        TransportSettings::Stdio(_) => TransportKind::Stdio,
        TransportSettings::Remote(remote) => remote.kind.into(),
    };
    BridgeSettings {
        name,
        transport: Ok(transport),
        kind,
        connect_timeout: FIRST_DOWNLOAD,
        ..BridgeSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AnonymousAccess;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_is_a_bridge_with_our_environment() {
        let loaded = single(
            &words("npx -y @scope/server-time@1 -- x"),
            &Environment::default(),
            &CliOverrides::default(),
        )
        .unwrap();
        let [bridge] = &loaded.config.bridges[..] else {
            panic!("one bridge")
        };
        assert_eq!(bridge.name.as_str(), "server-time");
        let Ok(TransportSettings::Stdio(stdio)) = &bridge.transport else {
            panic!("a program")
        };
        assert_eq!(stdio.args, ["-y", "@scope/server-time@1", "--", "x"]);
        assert!(stdio.inherit_env && loaded.config.identity.anonymous == AnonymousAccess::Loopback);
    }

    #[test]
    fn a_url_is_a_server_behind_it_and_a_key_closes_the_door() {
        let environment = Environment::of([("MCP_API_KEY", "k")]);
        let overrides = CliOverrides {
            listen: Some("0.0.0.0:1".parse().unwrap()),
        };
        let loaded = single(
            &words("https://mcp.example.org/mcp"),
            &environment,
            &overrides,
        )
        .unwrap();
        assert_eq!(loaded.config.bridges[0].name.as_str(), "mcp.example.org");
        assert_eq!(loaded.config.identity.anonymous, AnonymousAccess::Refused);
        assert!(single(&words("x"), &Environment::default(), &overrides).is_err());
        assert!(single(&[], &environment, &overrides).is_err());
    }

    #[test]
    fn our_own_name_is_the_program_that_runs() {
        let environment = Environment::default().with_executable("/opt/mcp-bridge");
        let bridge = stdio(&words("mcp-bridge demo-server"), &environment);
        let Ok(TransportSettings::Stdio(stdio)) = bridge.transport else {
            panic!("a program")
        };
        assert_eq!(stdio.command, "/opt/mcp-bridge");
    }
}
