//! Converts the options of mcpo to a configuration.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::options::{McpoOptions, path};
use crate::{
    config::{
        self, AccessSettings, AnonymousAccess, ApiKey, ApiKeyValue, AuditSettings, BridgeSettings,
        Config, Diagnostic, Environment, Flavor, IdentitySettings, LimitSettings, LoadedConfig,
        LogFormat, RemoteKind, ServerSettings, TelemetrySettings, TlsSettings, TransportSettings,
    },
    secret::Secret,
};

/// A command line that can be served.
#[derive(Debug)]
pub struct McpoCommand {
    pub(super) options: McpoOptions,
    /// `--env`
    pub(super) env: Vec<(String, String)>,
    /// The arguments after the first `--`, unchanged.
    pub(super) words: Vec<String>,
}

impl McpoCommand {
    /// Returns the first line that mcpo prints.
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

    /// Returns the secrets of the command line, which must not appear in the output.
    pub fn secrets(&self, environment: &Environment) -> Vec<Secret> {
        let mut secrets = environment.secrets();
        secrets.extend(config::stdio(&self.words, environment).secrets());
        secrets
    }

    /// Whether to watch the configuration file.
    pub fn hot_reload(&self) -> bool {
        self.options.hot_reload && self.options.config().is_some()
    }

    /// Reads the configuration. Each reload calls it again.
    pub fn config(&self, environment: &Environment) -> Result<LoadedConfig, Vec<Diagnostic>> {
        let (children, mut warnings) = self.children(environment);
        // mcpo also sets them in its own environment.
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
        loaded.config.telemetry = TelemetrySettings {
            otlp: loaded.config.telemetry.otlp.take(),
            ..self.telemetry(&environment, &mut warnings)
        };
        if let Some(path) = path(self.options.env_path.as_ref()) {
            loaded.sources.push(path.to_path_buf());
        }
        warnings.append(&mut loaded.warnings);
        if errors.is_empty() {
            loaded.warnings = warnings;
            return Ok(loaded);
        }
        errors.extend(warnings);
        Err(errors)
    }

    /// Returns the variables of `--env` and `--env-path` for every child process. With `--env-path`, its file overrides
    /// `--env`, and the environment overrides both. Without it, `--env` overrides the environment.
    fn children(&self, environment: &Environment) -> (BTreeMap<String, Secret>, Vec<Diagnostic>) {
        let mut children: BTreeMap<_, _> = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect();
        let mut warnings = Vec::new();
        if let Some(path) = path(self.options.env_path.as_ref()) {
            let (file, complaints) = config::read_dotenv(path);
            warnings = complaints;
            children.extend(file);
            children.retain(|name, _| environment.get(name).is_none());
        }
        if let Some(level) = &self.options.log_level {
            // mcpo sets this variable for itself, and child processes inherit it.
            children.insert("LOG_LEVEL".to_owned(), Secret::new(level.clone()));
        }
        (children, warnings)
    }

    /// Builds the configuration of one server, whose tools are served at the root path.
    fn single(
        &self,
        environment: &Environment,
        children: &BTreeMap<String, Secret>,
    ) -> Result<LoadedConfig, Vec<Diagnostic>> {
        let mut warnings = Vec::new();
        let bridge = if let (Some(kind), Some(url)) = (self.remote_kind(), self.words.first()) {
            self.remote(url, kind, &mut warnings)?
        } else {
            let mut bridge = config::stdio(&self.words, environment);
            if let Ok(TransportSettings::Stdio(stdio)) = &mut bridge.transport {
                stdio.env.clone_from(children);
            }
            bridge
        };
        Ok(LoadedConfig {
            off: Vec::new(),
            referenced: environment.secrets(),
            config: Config {
                flavor: Flavor::McpoSingle,
                server: ServerSettings::default(),
                database: None,
                identity: self.identity(),
                access: AccessSettings::default(),
                limits: LimitSettings::default(),
                audit: AuditSettings::off(),
                telemetry: TelemetrySettings::default(),
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
    ) -> Result<BridgeSettings, Vec<Diagnostic>> {
        let mut bridge = config::remote(url, kind)?;
        let header = self
            .options
            .header
            .as_deref()
            .filter(|text| !text.is_empty());
        if let (Ok(TransportSettings::Remote(remote)), Some(text)) = (&mut bridge.transport, header)
        {
            if let Some(headers) = headers(text) {
                remote.headers = headers;
            } else {
                // mcpo prints this text.
                let text = "Invalid JSON format for headers. Headers will be ignored.";
                warnings.push(
                    Diagnostic::warning(text).with_hint("write `--header '{\"NAME\": \"value\"}'`"),
                );
            }
        }
        Ok(bridge)
    }

    /// Returns the transport of a remote server. mcpo treats any unknown `--type` as stdio; here a URL after it still
    /// means a remote server, because it cannot be a program.
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

    fn server(&self, flavor: Flavor, errors: &mut Vec<Diagnostic>) -> ServerSettings {
        let options = &self.options;
        let default = ServerSettings::default();
        let port = u16::try_from(options.port).map_err(|_| format!("{} is no port", options.port));
        let listen = port
            .and_then(|port| config::listen_on(&options.host, port))
            .unwrap_or_else(|reason| {
                let hint = "write `--host 0.0.0.0 --port 8000`";
                errors.push(Diagnostic::error(reason).with_hint(hint));
                default.listen
            });
        for text in [Some(&options.root_path), options.path_prefix.as_ref()] {
            if let Some(odd) = text.and_then(|text| config::odd_in_path(text)) {
                let hint = "write a path such as `/api/mcpo`";
                let message = format!("a path prefix cannot contain {odd:?}");
                errors.push(Diagnostic::error(message).with_hint(hint));
            }
        }
        let origins = &options.cors_allow_origins;
        let prefix = options
            .path_prefix
            .as_deref()
            .filter(|_| flavor == Flavor::Mcpo);
        ServerSettings {
            listen,
            root_path: config::root_path(&options.root_path),
            path_prefix: config::path_prefix(prefix.unwrap_or_default()),
            public_spec: !(options.strict_auth && options.api_key().is_some()),
            // mcpo allows every web page to call. Here a page needs the API key, or the operator allows its
            // origin.
            cors_allow_origins: if origins.is_empty() && options.api_key().is_some() {
                vec!["*".to_owned()]
            } else {
                origins.clone()
            },
            tls: self.tls(errors),
            title: options.name.clone(),
            description: options.description.clone(),
            version: options.version.clone(),
            ..default
        }
    }

    fn tls(&self, errors: &mut Vec<Diagnostic>) -> Option<TlsSettings> {
        let cert = path(self.options.ssl_certfile.as_ref());
        let key = path(self.options.ssl_keyfile.as_ref());
        if cert.is_some() != key.is_some() {
            let hint = "give `--ssl-certfile` and `--ssl-keyfile`, or neither";
            errors.push(Diagnostic::error("TLS needs a certificate and its key").with_hint(hint));
        }
        Some(TlsSettings {
            cert_file: cert?.to_path_buf(),
            key_file: key?.to_path_buf(),
        })
    }

    fn identity(&self) -> IdentitySettings {
        let key = self.options.api_key().map(|key| ApiKey {
            name: "api-key".to_owned(),
            key: ApiKeyValue::Plain(Secret::new(key)),
            groups: Vec::new(),
            forwards: false,
            workspace: config::DEFAULT_WORKSPACE.to_owned(),
        });
        IdentitySettings {
            anonymous: if key.is_none() {
                AnonymousAccess::Allowed
            } else {
                AnonymousAccess::Refused
            },
            strict: key.is_some() && self.options.strict_auth,
            keys: key.into_iter().collect(),
            ..IdentitySettings::default()
        }
    }

    /// Reads the log level from `--log-level`, or from `LOG_LEVEL`.
    fn telemetry(
        &self,
        environment: &Environment,
        warnings: &mut Vec<Diagnostic>,
    ) -> TelemetrySettings {
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
        TelemetrySettings {
            format: LogFormat::Text,
            level: level.unwrap_or_else(|| "info".to_owned()),
            ..TelemetrySettings::default()
        }
    }
}

/// Parses `--header`: a JSON object of strings.
fn headers(text: &str) -> Option<Vec<(HeaderName, Secret)>> {
    let map: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    map.into_iter()
        .map(|(name, value)| {
            HeaderValue::from_str(&value).ok()?;
            Some((name.parse().ok()?, Secret::new(value)))
        })
        .collect()
}
