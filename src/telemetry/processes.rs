//! What processes use, as Linux tells it under `/proc`; elsewhere nothing is told.

use std::{collections::HashMap, time::Duration};

/// How long a look at all processes may take. Those that were not reached are left out.
#[cfg(target_os = "linux")]
const LOOK_MAX: Duration = Duration::from_millis(500);

/// What a process group uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its processes.
    pub processes: u32,
    /// Their memory, in bytes; what they share is counted for each.
    pub resident_bytes: u64,
    /// Their processor time, and that of processes that they waited for.
    pub cpu: Duration,
}

/// What we use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Myself {
    /// Our memory, in bytes.
    pub resident_bytes: u64,
    /// Our processor time.
    pub cpu: Duration,
    /// When we started, in seconds since 1970.
    pub started_at: u64,
    /// Open files and sockets.
    pub fds: Option<u64>,
    /// So many at most.
    pub fds_max: Option<u64>,
}

/// What every process group uses, by its number. Reads a file for each process there is.
#[cfg(target_os = "linux")]
pub fn by_group() -> HashMap<u32, Usage> {
    let began = std::time::Instant::now();
    let mut groups = HashMap::<u32, Usage>::new();
    let Ok(processes) = procfs::process::all_processes() else {
        return groups;
    };
    for process in processes {
        if began.elapsed() > LOOK_MAX {
            tracing::debug!("there are too many processes to look at all of them");
            break;
        }
        // One that ends meanwhile has nothing to tell.
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

/// What we use ourselves.
#[cfg(target_os = "linux")]
pub fn myself() -> Option<Myself> {
    let process = procfs::process::Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let limit = process.limits().ok().map(|it| it.max_open_files.soft_limit);
    Some(Myself {
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

/// The kernel counts processor time in ticks, a hundred a second.
#[cfg(target_os = "linux")]
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(1_000) / procfs::ticks_per_second().max(1))
}

/// Nothing is told here.
#[cfg(not(target_os = "linux"))]
pub fn by_group() -> HashMap<u32, Usage> {
    HashMap::new()
}

/// Nothing is told here.
#[cfg(not(target_os = "linux"))]
pub fn myself() -> Option<Myself> {
    None
}
