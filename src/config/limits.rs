//! `[limits]`: every queue, buffer and wait has a limit.

use std::collections::BTreeMap;

use super::Limits;

impl Default for Limits {
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
