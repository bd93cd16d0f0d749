//! What metrics need from a bridge: how its calls ended, and how many calls and sessions it has
//! now.

use std::time::Duration;

use super::handle::Bridge;

impl Bridge {
    /// Counts how a call ended: `ok` or the error code, and the duration if the call was made. An
    /// unknown tool name creates no time series.
    pub fn note_call(&self, tool: &str, code: &'static str, time: Option<Duration>) {
        match self.live.tools.load().get(tool) {
            Some(entry) => {
                let outcome = || self.tally.of_tool(&entry.tool.name);
                entry.outcome.get_or_init(outcome).note(code);
            }
            None => self.tally.others().note(code),
        }
        if let Some(time) = time {
            self.tally.times.note(time);
        }
    }

    /// Calls that have a slot.
    pub fn in_flight(&self) -> usize {
        self.limits.running()
    }

    /// Calls that wait for a slot or for the server.
    pub fn queued(&self) -> usize {
        self.limits.waiting()
    }

    /// Sessions that belong to one caller or group.
    pub fn owned_sessions(&self) -> usize {
        self.pool.owned()
    }

    /// Whether the shared session is connected.
    pub fn is_connected(&self) -> bool {
        self.pool.has_shared()
    }

    /// The process groups of its running servers.
    pub fn process_groups(&self) -> Vec<u32> {
        let sessions = self.pool.sessions();
        sessions.iter().filter_map(|it| it.group).collect()
    }
}
