//! What came of one attack, as a line of the table.

use std::time::Duration;

use crate::{bounds::MIB, rows::Row};

/// What was measured, and what of it breaks a bound.
#[derive(Default)]
pub struct Verdict {
    /// Resident memory before the attack, in bytes.
    pub idle: u64,
    /// At its highest during the attack and until all was as before.
    pub peak: u64,
    /// What it may be.
    pub peak_max: u64,
    /// The 99th percentile of `/health`.
    pub health: Duration,
    /// The 99th percentile of healthy calls.
    pub call: Duration,
    /// Share of one core beyond what the probes cost, in percent.
    pub cpu: f64,
    /// How long that was measured, in seconds.
    pub seconds: f64,
    /// Bytes that the files grew by.
    pub disk: u64,
    /// The slowest answer to the attacker's own calls, where the row bounds it.
    pub answer: Option<Duration>,
    /// How long it took until all was as before.
    pub after: Duration,
    /// How long it took to stop, where SIGTERM came during the attack.
    pub stop: Option<Duration>,
    /// Status and reason of the attacked bridge after the attack.
    pub status: String,
    /// What breaks a bound, with the bound.
    pub faults: Vec<String>,
}

impl Verdict {
    /// The names of the columns.
    pub const HEAD: &'static str = "kind     attack                        idle   peak    max MiB  health    call    cpu %  disk KiB  answer   after    stop  seen";

    /// One line.
    pub fn line(&self, row: &Row) -> String {
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let verdict = if self.faults.is_empty() {
            self.status.clone()
        } else {
            format!("FAILED: {} [{}]", self.faults.join("; "), self.status)
        };
        format!(
            "{:8} {:28} {:5} {:6} {:6} {:>12} {:>8} {:7.0} {:9} {:>8} {:>7} {:>7}  {verdict}",
            row.kind,
            row.name,
            self.idle / MIB,
            self.peak / MIB,
            self.peak_max / MIB,
            ms(self.health),
            ms(self.call),
            self.cpu,
            self.disk / 1024,
            self.answer.map_or_else(|| "-".to_owned(), ms),
            ms(self.after),
            self.stop.map_or_else(|| "-".to_owned(), ms),
        )
    }
}
