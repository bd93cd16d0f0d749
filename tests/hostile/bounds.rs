//! What an attack may cost.

use std::{fmt, path::PathBuf, time::Duration};

/// A mebibyte.
pub const MIB: u64 = 1 << 20;

/// What holds for every row. A row may add to it, see [`crate::rows::Row`].
pub struct Bounds {
    /// The program under attack; the debug build when absent.
    pub program: Option<PathBuf>,
    /// How long each attack lasts.
    pub attack: Duration,
    /// Whether a row that fails is not tried again.
    pub is_once: bool,
    /// What times are multiplied with: 1 for a release build. A debug build computes some ten times slower and shares
    /// the machine with other tests, so its times are multiplied by 4; memory is bounded alike in both.
    pub factor: u32,
}

impl Bounds {
    /// Resident memory above that of the idle bridge.
    pub const MEMORY: u64 = 64 * MIB;
    /// All must be as before within this time after the attack.
    pub const RECOVERY: Duration = Duration::from_secs(10);
    /// The bridge must end within this time after SIGTERM, with `drain_timeout` at one second.
    pub const STOP: Duration = Duration::from_secs(6);
    /// Time of the processor that a bounded share does not count: ending a server and starting it again.
    pub const RESTART: Duration = Duration::from_millis(100);
    /// How often the probes ask.
    pub const PERIOD: Duration = Duration::from_millis(8);

    /// What the environment asks for.
    pub fn read() -> Self {
        let program = std::env::var_os("HOSTILE_PROGRAM").map(PathBuf::from);
        let program = program.map(|path| path.canonicalize().expect("HOSTILE_PROGRAM exists"));
        let seconds = std::env::var("HOSTILE_SECONDS").map_or(0.75, |text| {
            text.parse().expect("HOSTILE_SECONDS is a number")
        });
        Self {
            factor: if program.is_some() { 1 } else { 4 },
            program,
            attack: Duration::from_secs_f64(seconds),
            is_once: std::env::var("HOSTILE_ONCE").is_ok(),
        }
    }

    /// The 99th percentile of `GET /health` over a fresh connection.
    pub fn health(&self) -> Duration {
        Duration::from_millis(100) * self.factor
    }

    /// The 99th percentile of a call of the healthy bridge over a kept connection.
    pub fn call(&self) -> Duration {
        Duration::from_millis(250) * self.factor
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} build: memory at most idle + {} MiB, health p99 at most {:?}, healthy call p99 at most {:?}, as before \
             within {:?}, stopped within {:?}; each attack lasts {:?}",
            if self.program.is_some() {
                "given"
            } else {
                "debug"
            },
            Self::MEMORY / MIB,
            self.health(),
            self.call(),
            Self::RECOVERY,
            Self::STOP,
            self.attack,
        )
    }
}
