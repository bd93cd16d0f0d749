//! `[telemetry]`: logs, metrics and traces.

use std::net::SocketAddr;

use serde::Deserialize;
use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use crate::config::{
    Diagnostic,
    read::{BadValue, ConfigReader, KEY, SectionRules, Span, WordSetting, nearest, parsed, value},
    sections::{
        otlp::{self, OtlpSettings, told},
        server::parse_listen,
    },
};

/// `[telemetry]`: logs, metrics and traces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// `text` (default) or `json`.
    #[serde(deserialize_with = "value::word")]
    pub format: LogFormat,
    /// A tracing filter: `info` (default), `debug`, `mcp_bridge=debug,rmcp=warn`.
    #[serde(deserialize_with = "read_level")]
    pub level: String,
    /// Who may read `/metrics`. Default: administrators.
    #[serde(deserialize_with = "value::word")]
    pub metrics: MetricsAudience,
    /// An additional address for `/metrics`, where no identity is needed. Default none.
    #[serde(deserialize_with = "metrics_listen")]
    pub metrics_listen: Option<SocketAddr>,
    /// The destination of traces. Default none.
    pub otlp: Option<OtlpSettings>,
}

/// Who may read `/metrics` at the listen address for callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsAudience {
    /// The route does not exist.
    Off,
    /// Administrators, for example with an API key. The default.
    Admins,
    /// Everyone, without authentication.
    Everyone,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log levels of tracing.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

const RULES: SectionRules = SectionRules {
    optional: &["metrics_listen", "otlp_endpoint"],
    empty: &["otlp_headers"],
    groups: &[("otlp", &["otlp_endpoint", "otlp_headers"])],
    ..SectionRules::NONE
};

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            metrics: MetricsAudience::Admins,
            metrics_listen: None,
            otlp: None,
        }
    }
}

/// Reads the section. The destination of traces is from the environment if the file leaves it blank.
pub fn read(reader: &mut ConfigReader<'_>, at: &Span, table: DeTable<'_>) -> TelemetrySettings {
    let (telemetry, notes) = reader.section::<TelemetrySettings>("telemetry", at, table, &RULES);
    let mut telemetry = telemetry.unwrap_or_default();
    let endpoint = "otlp_endpoint";
    let is_blank = notes.at(endpoint).is_none() || notes.why_blank(endpoint).is_some();
    match &mut telemetry.otlp {
        None if is_blank => {
            let found = reader.or_report(otlp::of_environment(reader.environment));
            telemetry.otlp = found.flatten();
        }
        Some(otlp) if notes.at("otlp_headers").is_none() => {
            let found = reader.or_report(otlp::headers_of(reader.environment));
            otlp.headers = found.unwrap_or_default();
        }
        None | Some(_) => {}
    }
    telemetry
}

impl ConfigReader<'_> {
    /// Reports an invalid value in the environment.
    fn or_report<T>(&mut self, read: Result<T, Box<Diagnostic>>) -> Option<T> {
        read.map_err(|problem| self.problems.add(*problem)).ok()
    }
}

impl WordSetting for MetricsAudience {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("admin", Self::Admins),
        ("open", Self::Everyone),
    ];
}

impl WordSetting for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

parsed! {
    /// Reads the additional address for `/metrics`.
    metrics_listen -> Option<SocketAddr> = |text| told(parse_listen(text)).map(Some);
    /// Reads a level or filter.
    read_level -> String = |text| level(text).ok_or_else(|| {
        let near = nearest(text, LEVELS.iter().copied()).unwrap_or("info");
        let hint = format!("write `\"{near}\"`, or a filter: `\"info,mcp_bridge=debug\"`");
        BadValue::new(format!("{KEY}: there is no `{text}`"), hint)
    });
}

/// Parses a level or filter of tracing. Python's names of levels are accepted too.
pub(crate) fn level(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let level = match lower.as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        "notset" => "trace",
        other => other,
    };
    if LEVELS.contains(&level) {
        return Some(level.to_owned());
    }
    // A filter would accept any single word as the name of a crate.
    let filter = text.trim();
    (filter.contains(['=', ',']) && EnvFilter::try_new(filter).is_ok()).then(|| filter.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load_named;

    #[test]
    fn levels_are_those_of_tracing_and_python() {
        for (text, read) in [
            ("info", Some("info")),
            ("WARNING", Some("warn")),
            ("info,mcp_bridge=debug", Some("info,mcp_bridge=debug")),
            ("bogus", None),
            ("mcp_bridge=loud", None),
            ("", None),
        ] {
            assert_eq!(level(text).as_deref(), read, "{text}");
        }
    }

    /// Reads the section from these lines, with these environment variables.
    fn read(lines: &str, pairs: &[(&str, &str)]) -> Result<TelemetrySettings, String> {
        let text = format!("[telemetry]\n{lines}\n");
        let (result, shown) = load_named("bridges.toml", &text, pairs);
        result.map_or(Err(shown), |loaded| Ok(loaded.config.telemetry))
    }

    #[test]
    fn traces_go_where_the_file_says_or_else_the_environment() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318");
        const HEADERS: (&str, &str) = ("OTEL_EXPORTER_OTLP_HEADERS", "a=one");
        for (lines, pairs, url, headers) in [
            ("", &[][..], None, 0),
            (
                "",
                &[ENDPOINT, HEADERS],
                Some("http://env:4318/v1/traces"),
                1,
            ),
            (
                "otlp_endpoint = ' '",
                &[ENDPOINT],
                Some("http://env:4318/v1/traces"),
                0,
            ),
            (
                "otlp_endpoint = 'http://file'",
                &[ENDPOINT, HEADERS],
                Some("http://file/v1/traces"),
                1,
            ),
            (
                "otlp_endpoint = 'http://file'\notlp_headers = ''",
                &[HEADERS],
                Some("http://file/v1/traces"),
                0,
            ),
            (
                "otlp_endpoint = 'http://file'\notlp_headers = 'a=b,c=d'",
                &[],
                Some("http://file/v1/traces"),
                2,
            ),
        ] {
            let otlp = read(lines, pairs).unwrap().otlp;
            let read = otlp.as_ref().map(|otlp| otlp.url.as_str());
            assert_eq!(read, url, "{lines} {pairs:?}");
            assert_eq!(
                otlp.map_or(0, |otlp| otlp.headers.len()),
                headers,
                "{lines}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_telemetry_is_told_without_secrets() {
        for (lines, pairs, expected) in [
            ("metrics = 'opne'", &[][..], "did you mean `open`?"),
            (
                "metrics_listen = '9464'",
                &[],
                "`metrics_listen`: `9464` has no port",
            ),
            (
                "otlp_endpoint = 'grpc://c:4317'",
                &[],
                "`otlp_endpoint`: has the scheme `grpc:`",
            ),
            (
                "otlp_endpoint = 'http://c'\notlp_headers = 'S3CRET-value'",
                &[],
                "`otlp_headers`: has a part without `=`",
            ),
            (
                "",
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318")],
                "`OTEL_EXPORTER_OTLP_ENDPOINT` has the scheme `c:`",
            ),
        ] {
            let shown = read(lines, pairs).unwrap_err();
            assert!(shown.contains(expected), "{lines}: {shown}");
        }
    }

    #[test]
    fn what_goes_to_the_collector_is_a_secret() {
        let text = "[telemetry]\notlp_endpoint = 'http://u:s3cret-of-the-url@c'\notlp_headers = 'authorization=Bearer%20s3cret-of-the-header'\n";
        let (result, _shown) = load_named("bridges.toml", text, &[]);
        let secrets: Vec<_> = result.unwrap().secrets().collect();
        for secret in ["s3cret-of-the-url", "Bearer s3cret-of-the-header"] {
            assert!(secrets.iter().any(|it| it.expose() == secret), "{secret}");
        }
    }
}
