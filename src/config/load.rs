//! Reads a configuration file of either kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use toml::de::DeTable;

use crate::{
    config::{
        AccessSettings, AnonymousAccess, AuditSettings, BridgeSettings, CliOverrides, Config,
        Diagnostic, Environment, Flavor, IdentitySettings, LimitSettings, LoadedConfig,
        ServerSettings, clients, identity,
        mcp::servers,
        native,
        read::{
            ConfigReader,
            diagnostic::{DiagnosticCollector, Severity, SourceFile},
        },
        sections::telemetry,
    },
    name::BridgeName,
    secret::{Redactor, Secret},
};

/// Reads a file: `bridges.toml`, or a file of another client, detected by its content. A `.env` file next to
/// it adds variables that the environment does not have. Errors come together with all warnings, in the order
/// of the file.
pub fn load(path: &Path, environment: &Environment) -> Result<LoadedConfig, Vec<Diagnostic>> {
    load_with(path, environment, &CliOverrides::default())
}

/// The same as [`load`], with settings of the command line. They are part of loading, because a listen
/// address from the command line changes what is safe.
pub fn load_with(
    path: &Path,
    environment: &Environment,
    overrides: &CliOverrides,
) -> Result<LoadedConfig, Vec<Diagnostic>> {
    with_reader(path, environment, |reader| {
        if clients::is_foreign(path, reader.problems.text()) {
            reader.lenient = true;
            let mut config = of_servers(reader, path, &BTreeMap::new());
            config.server.listen = overrides.listen.unwrap_or(config.server.listen);
            let draft = identity::IdentityDraft::of_environment(reader.environment);
            let (identity, complaint) = draft.resolve(config.server.listen);
            if !reader.problems.has_errors() {
                reader.add_all(complaint.into_iter().collect());
            }
            config.identity = identity;
            config
        } else {
            native::read(reader, overrides)
        }
    })
}

/// Which values the headers of a group's requests may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderSource {
    /// Values of the file, the environment and the keys of the group: the operator configured the server.
    Operator,
    /// Only the keys of the group: an administrator named the server.
    Group,
}

/// Reads one bridge of a file that [`load_with`] accepts, with some variables replaced by the keys of a
/// group. They override the environment and `.env`. The error is one sentence.
pub fn load_bridge(
    path: &Path,
    environment: &Environment,
    overrides: &CliOverrides,
    name: &BridgeName,
    values: &BTreeMap<String, Secret>,
    headers: HeaderSource,
) -> Result<BridgeSettings, String> {
    let mut environment = environment.over(values);
    if headers == HeaderSource::Group {
        environment = environment.with_headers_of(values);
    }
    let loaded = load_with(path, &environment, overrides).map_err(|problems| {
        let first = problems
            .into_iter()
            .find(|problem| problem.severity == Severity::Error);
        let first = first.map_or_else(String::new, |problem| format!(": {}", problem.message));
        format!("the configuration cannot be read{first}")
    })?;
    let mut bridges = loaded.config.bridges.into_iter();
    bridges
        .find(|bridge| bridge.name == *name)
        .ok_or_else(|| format!("the bridge `{name}` is no longer in the configuration"))
}

/// Reads an `mcpServers` file for mcpo's command line, which adds variables to the environment of every child
/// process and defines server and identity itself.
pub fn load_mcpo(
    path: &Path,
    environment: &Environment,
    children: &BTreeMap<String, Secret>,
) -> Result<LoadedConfig, Vec<Diagnostic>> {
    with_reader(path, environment, |reader| {
        reader.lenient = true;
        reader.keeps_unset = true;
        of_servers(reader, path, children)
    })
}

fn of_servers(
    reader: &mut ConfigReader<'_>,
    path: &Path,
    children: &BTreeMap<String, Secret>,
) -> Config {
    let telemetry = telemetry::read(reader, &(0..0), DeTable::new());
    Config {
        flavor: Flavor::Mcpo,
        server: ServerSettings::default(),
        database: None,
        identity: IdentitySettings {
            anonymous: AnonymousAccess::Allowed,
            ..IdentitySettings::default()
        },
        access: AccessSettings::default(),
        limits: LimitSettings::default(),
        audit: AuditSettings::off(),
        telemetry,
        bridges: servers::read(reader, path, children),
    }
}

fn with_reader(
    path: &Path,
    environment: &Environment,
    read: impl FnOnce(&mut ConfigReader<'_>) -> Config,
) -> Result<LoadedConfig, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let text = read_text(path).map_err(|message| {
        let hint = "`--config FILE` names another file; `mcp-bridge import` makes one from an `mcpServers` file";
        vec![Diagnostic::of_file(&file, message).with_hint(hint)]
    })?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let dotenv = folder.join(".env");
    let (environment, warnings) = environment.over_dotenv(&dotenv);
    let mut reader = ConfigReader {
        environment: &environment,
        folder,
        lenient: false,
        keeps_unset: false,
        problems: DiagnosticCollector::new(SourceFile { file, text }),
        files: BTreeSet::new(),
        off: Vec::new(),
        referenced: environment.secrets(),
        variables: BTreeSet::new(),
    };
    reader.add_all(warnings);
    let config = read(&mut reader);
    let failed = reader.problems.has_errors();
    let redactor = Redactor::default();
    let secrets = config.secrets().into_iter();
    redactor.set_configured(secrets.chain(reader.referenced.iter().cloned()));
    let mut diagnostics = reader.problems.finish();
    for diagnostic in &mut diagnostics {
        diagnostic.clean(&redactor);
    }
    if failed {
        return Err(diagnostics);
    }
    let mut sources = vec![path.to_path_buf(), dotenv];
    sources.extend(reader.files);
    debug_assert!(
        diagnostics
            .iter()
            .all(|one| one.severity == Severity::Warning),
        "no errors"
    );
    Ok(LoadedConfig {
        config,
        warnings: diagnostics,
        sources,
        off: reader.off,
        referenced: reader.referenced,
    })
}

/// Returns the text without a byte order mark.
fn read_text(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("the file is not UTF-8: byte {at} is not part of a character")
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}
