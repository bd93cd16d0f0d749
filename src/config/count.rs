//! [`BridgeCount`]: how many bridges are on, in the words of the log, of `check` and of `GET /servers`.

use std::fmt;

use crate::config::{BridgeSettings, Config};

/// Whether a bridge is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeAvailability {
    /// It may be called.
    On,
    /// It is on as soon as a user has logged in to its server.
    WaitsForLogin,
    /// It is switched off, or something is missing.
    Off,
}

/// How many bridges there are of each kind: `2 on, 5 wait for a login, 21 off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgeCount {
    /// On.
    pub on: usize,
    /// Waiting for a login.
    pub waiting: usize,
    /// Off.
    pub off: usize,
}

impl BridgeSettings {
    /// How it stands by the configuration alone: a login that is stored may still switch it on.
    pub fn availability(&self) -> BridgeAvailability {
        if self.reason_off().is_none() || self.is_for_groups_alone() {
            BridgeAvailability::On
        } else {
            self.availability_while_off()
        }
    }

    /// How it stands while it may not be called.
    pub fn availability_while_off(&self) -> BridgeAvailability {
        if self.transport.is_ok() && self.waits_for_login.is_some() {
            BridgeAvailability::WaitsForLogin
        } else {
            BridgeAvailability::Off
        }
    }
}

impl Config {
    /// Counts the bridges.
    pub fn count(&self) -> BridgeCount {
        self.bridges
            .iter()
            .map(BridgeSettings::availability)
            .collect()
    }
}

impl FromIterator<BridgeAvailability> for BridgeCount {
    fn from_iter<I: IntoIterator<Item = BridgeAvailability>>(standings: I) -> Self {
        let mut count = Self::default();
        for standing in standings {
            match standing {
                BridgeAvailability::On => count.on += 1,
                BridgeAvailability::WaitsForLogin => count.waiting += 1,
                BridgeAvailability::Off => count.off += 1,
            }
        }
        count
    }
}

/// Kinds without a bridge are left out, but for those that are on.
impl fmt::Display for BridgeCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on", self.on)?;
        match self.waiting {
            0 => {}
            1 => formatter.write_str(", 1 waits for a login")?,
            waiting => write!(formatter, ", {waiting} wait for a login")?,
        }
        match self.off {
            0 => Ok(()),
            off => write!(formatter, ", {off} off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_at_a_glance() {
        for (on, waiting, off, text) in [
            (2, 5, 21, "2 on, 5 wait for a login, 21 off"),
            (0, 1, 0, "0 on, 1 waits for a login"),
            (1, 0, 0, "1 on"),
            (0, 0, 2, "0 on, 2 off"),
        ] {
            assert_eq!(BridgeCount { on, waiting, off }.to_string(), text);
        }
    }
}
