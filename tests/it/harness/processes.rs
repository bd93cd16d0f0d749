//! Processes of this machine, read from `/proc`.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Bridge, PATIENCE};

/// Whether a process is alive (and no zombie).
pub fn is_alive(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

/// Waits until a process is gone.
pub async fn until_gone(pid: u64) {
    let end = Instant::now() + PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < end, "process {pid} is still there");
        sleep(Duration::from_millis(25)).await;
    }
}

/// The processor time that a bridge has used, in ticks of 10 ms.
pub fn ticks(bridge: &Bridge) -> u64 {
    let pid = bridge.child.id().expect("it runs");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
