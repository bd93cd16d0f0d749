//! Who is running: the processes whose environment carries a mark.
//!
//! A mark, unlike a parent or a group, stays with a process whatever it does to get away.

use std::{collections::BTreeMap, fs};

use rustix::process::{Pid, Signal, kill_process};

/// The variable every child of the bridge under test is given: `RUN/BRIDGE`.
pub const MARK: &str = "PEERS_RUN";

/// Whether this system shows the environment of processes.
pub const VISIBLE: bool = cfg!(target_os = "linux");

/// The living processes of a run, by bridge, in order.
pub fn by_bridge(run: &str) -> BTreeMap<String, Vec<u32>> {
    let wanted = format!("{MARK}={run}/");
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // Zombies have no environment any more.
        let Ok(environment) = fs::read(entry.path().join("environ")) else {
            continue;
        };
        let bridge = environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok())
            .find_map(|variable| variable.strip_prefix(&wanted));
        if let Some(bridge) = bridge {
            found.entry(bridge.to_owned()).or_default().push(pid);
        }
    }
    for pids in found.values_mut() {
        pids.sort_unstable();
    }
    found
}

/// Ends what should not be there, so that one failed test does not spoil the next.
pub fn kill(pids: impl Iterator<Item = u32>) {
    for pid in pids.filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)) {
        // It may have ended by itself meanwhile.
        kill_process(pid, Signal::KILL).ok();
    }
}
