//! `[telemetry]`: what we say of ourselves.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::{
    LogFormat, Telemetry,
    diagnostic::nearest,
    reader::{Reader, Text},
};

/// The levels of tracing.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// As it stands in the file. Defaults are those of [`Telemetry`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TelemetryTable {
    format: Option<Text>,
    level: Option<Text>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

impl TelemetryTable {
    /// Checks and resolves the section.
    pub(super) fn resolve(self, reader: &mut Reader<'_>) -> Telemetry {
        let mut telemetry = Telemetry::default();
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
}

/// A level or filter as tracing knows it, Python's names of levels included.
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
    // A filter would take any single word for the name of a crate.
    let filter = text.trim();
    (filter.contains(['=', ',']) && EnvFilter::try_new(filter).is_ok()).then(|| filter.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
