//! `[audit]`: which records of calls are kept.

use std::time::Duration;

use serde::Deserializer;
use toml::de::DeTable;

use super::{
    Audit, OnFailure,
    diagnostic::Span,
    read::{
        section::SectionRules,
        value::{self, WordSetting, duration_within, parsed},
    },
    reader::Reader,
};

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
pub(super) fn read(reader: &mut Reader<'_>, at: &Span, table: DeTable<'_>) -> Audit {
    let (audit, notes) = reader.section::<Audit>("audit", at, table, &RULES);
    let mut audit = audit.unwrap_or_default();
    audit.journal = reader.folder.join(audit.journal);
    if let Some(at) = notes.at("on_failure")
        && audit.on_failure == OnFailure::Refuse
        && !audit.is_on
    {
        reader
            .problems
            .warning(
                at,
                "`on_failure` refuses calls that cannot be recorded, but recording is disabled",
            )
            .hint("remove `enabled = false`, or `on_failure`");
    }
    audit
}

impl WordSetting for OnFailure {
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

/// Reads the maximum size of the journal.
pub(super) fn journal_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let bytes = value::count::<JOURNAL_BYTES_MIN, D>(deserializer)?;
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}
