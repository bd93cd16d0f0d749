//! `[limits]`: every queue, buffer and wait has a limit.

use std::{collections::BTreeMap, num::NonZeroU32};

use serde::Deserialize;

use crate::config::read::value;

/// `[limits]`: every queue, buffer and wait has a limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest request body, in bytes. Default 10 MiB.
    #[serde(deserialize_with = "value::count::<1024, _>")]
    pub body_bytes_max: usize,
    /// The largest answer of a server, in bytes. Default 32 MiB.
    #[serde(deserialize_with = "value::count::<1024, _>")]
    pub result_bytes_max: usize,
    /// The largest tool list of a server, with all its pages, or its OpenAPI document, in bytes. Default 8
    /// MiB.
    #[serde(deserialize_with = "value::count::<1024, _>")]
    pub tools_bytes_max: usize,
    /// The maximum number of concurrent requests. Further requests get 503. Default 2,048.
    #[serde(deserialize_with = "value::count::<1, _>")]
    pub requests_max: usize,
    /// The limit of calls per minute for one caller. Further calls get 429. Default: no limit.
    #[serde(deserialize_with = "value::per_minute")]
    pub calls_per_minute: Option<NonZeroU32>,
    /// `[limits.groups]`: the limit of calls per minute for all members of a group together.
    #[serde(deserialize_with = "value::per_minute_each")]
    pub groups: BTreeMap<String, NonZeroU32>,
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
