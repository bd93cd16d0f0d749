//! `[audit]`: which records of calls are kept.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use toml::de::DeTable;

use crate::config::read::{
    ConfigReader, SectionRules, Span, WordSetting, duration_within, parsed, reads, value,
};

/// `[audit]`: which records of calls are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// Whether calls are recorded. Default true.
    #[serde(rename = "enabled", deserialize_with = "value::flag")]
    pub is_on: bool,
    /// The folder of the journal. Default `mcp-bridge-audit` next to the configuration file.
    pub journal: PathBuf,
    /// The maximum size of the journal while the database is unavailable, in bytes. Default 1 GiB.
    #[serde(deserialize_with = "journal_bytes")]
    pub journal_bytes_max: u64,
    /// How to treat calls that cannot be recorded.
    #[serde(deserialize_with = "value::word")]
    pub on_failure: AuditFailurePolicy,
    /// How long records are kept. Default 90 days; `None` means forever.
    #[serde(deserialize_with = "retention")]
    pub retention: Option<Duration>,
    /// Whether arguments are recorded, with secrets redacted and cut to 4 KiB. Default false.
    pub arguments: bool,
}

/// How to treat calls that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFailurePolicy {
    /// They are executed, and the log and `/health` report it. The default.
    Continue,
    /// They are rejected with 503 `audit_unavailable`.
    Refuse,
}

impl Default for AuditSettings {
    /// Enabled, with its journal in the current folder.
    fn default() -> Self {
        Self::beside(Path::new(""))
    }
}

impl AuditSettings {
    /// Enabled, with its journal next to the configuration file.
    pub fn beside(folder: &Path) -> Self {
        Self {
            is_on: true,
            journal: folder.join("mcp-bridge-audit"),
            ..Self::off()
        }
    }

    /// Disabled.
    pub fn off() -> Self {
        Self {
            is_on: false,
            journal: PathBuf::new(),
            journal_bytes_max: 1 << 30,
            on_failure: AuditFailurePolicy::Continue,
            retention: Some(Duration::from_hours(24 * 90)),
            arguments: false,
        }
    }
}

/// The minimum size of the journal, in bytes. A smaller one would be full within a short outage.
const JOURNAL_BYTES_MIN: usize = 1 << 20;

/// A sanity limit of 100 years. Laws require ten years at most.
const RETENTION_MAX: Duration = Duration::from_hours(24 * 366 * 100);

const RULES: SectionRules = SectionRules {
    optional: &["journal"],
    empty: &["enabled"],
    ..SectionRules::NONE
};

/// Reads the section.
pub fn read(reader: &mut ConfigReader<'_>, at: &Span, table: DeTable<'_>) -> AuditSettings {
    let (audit, notes) = reader.section::<AuditSettings>("audit", at, table, &RULES);
    let mut audit = audit.unwrap_or_default();
    audit.journal = reader.folder.join(audit.journal);
    if let Some(at) = notes.at("on_failure")
        && audit.on_failure == AuditFailurePolicy::Refuse
        && !audit.is_on
    {
        reader.warn(
            at,
            "`on_failure` refuses calls that cannot be recorded, but recording is disabled",
            "remove `enabled = false`, or `on_failure`",
        );
    }
    audit
}

impl WordSetting for AuditFailurePolicy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("continue", Self::Continue), ("refuse", Self::Refuse)];
}

parsed! {
    /// Reads how long records are kept.
    retention -> Option<Duration> = |text| match text.trim() {
        "forever" => Ok(None),
        _ => duration_within(text, RETENTION_MAX).map(Some),
    };
}

reads! {
    /// Reads the maximum size of the journal.
    journal_bytes -> u64 = |it| {
    let bytes = value::count::<JOURNAL_BYTES_MIN, D>(it)?;
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
};
}
