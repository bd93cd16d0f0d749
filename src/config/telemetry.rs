//! `[telemetry]`: logs, metrics and traces.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::{
    Diagnostic, LogFormat, MetricsAudience, OtlpSettings, TelemetrySettings,
    diagnostic::nearest,
    otlp,
    reader::{ConfigReader, Text},
    server::parse_listen,
};

/// The log levels of tracing.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// The section in the file. Defaults are those of [`TelemetrySettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TelemetryTable {
    format: Option<Text>,
    level: Option<Text>,
    metrics: Option<Text>,
    metrics_listen: Option<Text>,
    otlp_endpoint: Option<Text>,
    otlp_headers: Option<Text>,
}

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

impl TelemetryTable {
    /// Validates and resolves the section.
    pub(super) fn resolve(mut self, reader: &mut ConfigReader<'_>) -> TelemetrySettings {
        let mut telemetry = TelemetrySettings::default();
        if let Some(text) = self.metrics.take().and_then(|text| reader.required(&text)) {
            let choices = [
                ("off", MetricsAudience::Off),
                ("admin", MetricsAudience::Admins),
                ("open", MetricsAudience::Everyone),
            ];
            let choice = reader.choice("metrics", &text, &choices);
            telemetry.metrics = choice.unwrap_or(telemetry.metrics);
        }
        if let Some(Some(Ok(text))) = self.metrics_listen.take().map(|it| reader.optional(&it)) {
            telemetry.metrics_listen = reader.told("metrics_listen", &text, parse_listen);
        }
        telemetry.otlp = self.otlp(reader);
        if let Some(text) = self.format.and_then(|text| reader.required(&text)) {
            let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
            telemetry.format = reader
                .choice("format", &text, &formats)
                .unwrap_or(telemetry.format);
        }
        if let Some(text) = self.level.and_then(|text| reader.required(&text)) {
            if let Some(level) = level(text.get_ref()) {
                telemetry.level = level;
            } else {
                let near = nearest(text.get_ref(), LEVELS.iter().copied()).unwrap_or("info");
                reader
                    .problems
                    .error(
                        &text.span(),
                        format!("`level`: there is no `{}`", text.get_ref()),
                    )
                    .hint(format!(
                        "write `\"{near}\"`, or a filter: `\"info,mcp_bridge=debug\"`"
                    ));
            }
        }
        telemetry
    }

    /// Returns the destination of traces: from the file, or from the environment if the file leaves it blank.
    fn otlp(&mut self, reader: &mut ConfigReader<'_>) -> Option<OtlpSettings> {
        let said = match self.otlp_endpoint.take() {
            Some(text) => reader.optional(&text)?.ok(),
            None => None,
        };
        let Some(endpoint) = said else {
            return reader.or_report(otlp::of_environment(reader.environment))?;
        };
        let url = reader.told("otlp_endpoint", &endpoint, otlp::below)?;
        let headers = match self.otlp_headers.take() {
            None => reader.or_report(otlp::headers_of(reader.environment))?,
            Some(text) => match reader.optional(&text)? {
                Err(_blank) => Vec::new(),
                Ok(text) => reader.told("otlp_headers", &text, otlp::headers)?,
            },
        };
        Some(OtlpSettings { url, headers })
    }
}

impl ConfigReader<'_> {
    /// Returns a value, or reports what is wrong with it.
    fn told<T>(
        &mut self,
        key: &str,
        text: &Text,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(text.get_ref()) {
            Ok(value) => Some(value),
            Err(reason) => {
                let message = format!("`{key}`: {reason}");
                self.problems.error(&text.span(), message);
                None
            }
        }
    }

    /// Reports an invalid value in the environment.
    fn or_report<T>(&mut self, read: Result<T, Box<Diagnostic>>) -> Option<T> {
        read.map_err(|problem| self.problems.add(*problem)).ok()
    }
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
