//! `[limits]`: every queue, buffer and wait has a limit.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{
    LimitSettings,
    reader::{ConfigReader, ScalarSetting, Text},
};

/// The section in the file. Defaults are those of [`LimitSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    body_bytes_max: Option<Spanned<ScalarSetting>>,
    result_bytes_max: Option<Spanned<ScalarSetting>>,
    tools_bytes_max: Option<Spanned<ScalarSetting>>,
    requests_max: Option<Spanned<ScalarSetting>>,
    calls_per_minute: Option<Spanned<ScalarSetting>>,
    groups: BTreeMap<Text, Spanned<ScalarSetting>>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            body_bytes_max: 10 << 20,
            result_bytes_max: 32 << 20,
            tools_bytes_max: 8 << 20,
            requests_max: 2048,
            calls_per_minute: None,
            groups: BTreeMap::new(),
        }
    }
}

impl LimitsTable {
    /// Validates and resolves the section.
    pub(super) fn resolve(self, reader: &mut ConfigReader<'_>) -> LimitSettings {
        let mut limits = LimitSettings::default();
        for (key, scalar, least, place) in [
            (
                "body_bytes_max",
                self.body_bytes_max,
                1024,
                &mut limits.body_bytes_max,
            ),
            (
                "result_bytes_max",
                self.result_bytes_max,
                1024,
                &mut limits.result_bytes_max,
            ),
            (
                "tools_bytes_max",
                self.tools_bytes_max,
                1024,
                &mut limits.tools_bytes_max,
            ),
            (
                "requests_max",
                self.requests_max,
                1,
                &mut limits.requests_max,
            ),
        ] {
            if let Some(number) = scalar.and_then(|scalar| reader.count(key, &scalar, least)) {
                *place = number;
            }
        }
        limits.calls_per_minute = self
            .calls_per_minute
            .and_then(|scalar| reader.per_minute("calls_per_minute", &scalar));
        for (name, scalar) in self.groups {
            if let Some(number) = reader.per_minute(name.get_ref(), &scalar) {
                limits.groups.insert(name.into_inner(), number);
            }
        }
        limits
    }
}
