//! Resource usage of processes, from Linux's `/proc`. Other systems report nothing.

use std::{collections::HashMap, time::Duration};

/// The time limit for reading all processes. Those that were not reached are left out.
#[cfg(target_os = "linux")]
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The usage of a process group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessGroupUsage {
    /// The number of processes.
    pub processes: u32,
    /// The memory of its processes in bytes. Shared memory is counted for each process.
    pub resident_bytes: u64,
    /// The CPU time of its processes, and of the child processes they have waited for.
    pub cpu: Duration,
}

/// The usage of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnProcessUsage {
    /// The memory in bytes.
    pub resident_bytes: u64,
    /// The CPU time.
    pub cpu: Duration,
    /// The start time, in seconds since 1970.
    pub started_at: u64,
    /// The number of open files and sockets.
    pub fds: Option<u64>,
    /// The maximum number of open files.
    pub fds_max: Option<u64>,
}

/// The usage of every process group, by its ID. Reads a file for each process.
#[cfg(target_os = "linux")]
pub fn by_group() -> HashMap<u32, ProcessGroupUsage> {
    let began = std::time::Instant::now();
    let mut groups = HashMap::<u32, ProcessGroupUsage>::new();
    let Ok(processes) = procfs::process::all_processes() else {
        return groups;
    };
    for process in processes {
        if began.elapsed() > LOOK_MAX {
            tracing::debug!("too many processes; some are not counted");
            break;
        }
        // A process that ended in the meantime is skipped.
        let Ok(stat) = process.and_then(|process| process.stat()) else {
            continue;
        };
        let Ok(group) = u32::try_from(stat.pgrp) else {
            continue;
        };
        let usage = groups.entry(group).or_default();
        usage.processes += u32::from(stat.state != 'Z');
        usage.resident_bytes += resident(&stat);
        let waited_for = [stat.cutime, stat.cstime].map(|ticks| u64::try_from(ticks).unwrap_or(0));
        usage.cpu += ticks(stat.utime + stat.stime + waited_for.iter().sum::<u64>());
    }
    groups
}

/// The usage of this process.
#[cfg(target_os = "linux")]
pub fn myself() -> Option<OwnProcessUsage> {
    let process = procfs::process::Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let limit = process.limits().ok().map(|it| it.max_open_files.soft_limit);
    Some(OwnProcessUsage {
        resident_bytes: resident(&stat),
        cpu: ticks(stat.utime + stat.stime),
        started_at: procfs::boot_time_secs().ok()? + ticks(stat.starttime).as_secs(),
        fds: process
            .fd_count()
            .ok()
            .and_then(|it| u64::try_from(it).ok()),
        fds_max: match limit {
            Some(procfs::process::LimitValue::Value(value)) => Some(value),
            Some(procfs::process::LimitValue::Unlimited) | None => None,
        },
    })
}

#[cfg(target_os = "linux")]
fn resident(stat: &procfs::process::Stat) -> u64 {
    stat.rss.saturating_mul(procfs::page_size())
}

/// Converts ticks, the kernel's unit of CPU time, of which there are a hundred per second.
#[cfg(target_os = "linux")]
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(1_000) / procfs::ticks_per_second().max(1))
}

/// Not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn by_group() -> HashMap<u32, ProcessGroupUsage> {
    HashMap::new()
}

/// Not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn myself() -> Option<OwnProcessUsage> {
    None
}
