//! `[audit]`: which records of calls are kept.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{
    AuditFailurePolicy, AuditSettings,
    reader::{ConfigReader, ScalarSetting, Text},
    setting::FlagSetting,
};

/// The minimum size of the journal, in bytes. A smaller one would be full within a short outage.
const JOURNAL_BYTES_MIN: usize = 1 << 20;

/// A sanity limit of 100 years. Laws require ten years at most.
const RETENTION_MAX: Duration = Duration::from_hours(24 * 366 * 100);

/// The section in the file. Defaults are those of [`AuditSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditTable {
    enabled: Option<Spanned<FlagSetting>>,
    journal: Option<Text>,
    journal_bytes_max: Option<Spanned<ScalarSetting>>,
    on_failure: Option<Text>,
    retention: Option<Text>,
    arguments: Option<bool>,
}

impl AuditTable {
    /// Validates and resolves the section.
    pub(super) fn resolve(self, reader: &mut ConfigReader<'_>) -> AuditSettings {
        let mut audit = AuditSettings::beside(&reader.folder);
        if let Some(flag) = &self.enabled {
            audit.is_on = reader.flag("enabled", flag).unwrap_or(audit.is_on);
        }
        if let Some(Some(Ok(text))) = self.journal.map(|text| reader.optional(&text)) {
            audit.journal = reader.folder.join(text.into_inner());
        }
        if let Some(scalar) = self.journal_bytes_max
            && let Some(number) = reader.count("journal_bytes_max", &scalar, JOURNAL_BYTES_MIN)
        {
            audit.journal_bytes_max = u64::try_from(number).unwrap_or(u64::MAX);
        }
        if let Some(text) = self.on_failure.and_then(|text| reader.required(&text)) {
            let choices = [
                ("continue", AuditFailurePolicy::Continue),
                ("refuse", AuditFailurePolicy::Refuse),
            ];
            let choice = reader.choice("on_failure", &text, &choices);
            audit.on_failure = choice.unwrap_or(audit.on_failure);
            if !audit.is_on && audit.on_failure == AuditFailurePolicy::Refuse {
                reader
                    .problems
                    .warning(
                        &text.span(),
                        "`on_failure` refuses calls that cannot be recorded, but recording is disabled",
                    )
                    .hint("remove `enabled = false`, or `on_failure`");
            }
        }
        if let Some(text) = self.retention.and_then(|text| reader.required(&text)) {
            audit.retention = match text.get_ref().trim() {
                "forever" => None,
                _ => reader
                    .duration_up_to("retention", &text, RETENTION_MAX)
                    .or(audit.retention),
            };
        }
        audit.arguments = self.arguments.unwrap_or(audit.arguments);
        audit
    }
}
