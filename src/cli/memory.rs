//! [`give_back`]: freed memory goes back to the system.
//!
//! glibc raises its thresholds as large blocks are freed: after one answer of 30 MB it keeps up to 64 MB
//! at the top of each arena, for good. A program can fix the thresholds by a variable that is read when
//! it is started, so we set it and start ourselves once more, in the same process.

use std::ffi::OsString;

/// The variable (glibc manual, Memory Allocation Tunables).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Blocks of so many bytes are mapped on their own, and given back when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: usize = 1 << 20;

/// So many freed blocks of each size are kept by each thread: as many as calls that are under way.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const THREAD_CACHE: usize = 64;

/// So many bytes stay at the top of an arena.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: usize = 4 << 20;

/// Starts this program once more with the thresholds fixed, unless the operator has set any. Gives what
/// could not be done; returns at once where there is nothing to do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back(arguments: &[OsString]) -> Result<(), String> {
    use std::{os::unix::process::CommandExt as _, process::Command, thread};

    if std::env::var_os(TUNABLES).is_some() {
        return Ok(());
    }
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tunables = format!(
        "glibc.malloc.mmap_threshold={MMAP_THRESHOLD}:glibc.malloc.trim_threshold={TRIM_THRESHOLD}:\
         glibc.malloc.tcache_count={THREAD_CACHE}:glibc.malloc.arena_max={}",
        cores + 2
    );
    let failed = |error: std::io::Error| format!("freed memory is kept for longer: {error}");
    let mut again = Command::new(std::env::current_exe().map_err(failed)?);
    if let Some((name, rest)) = arguments.split_first() {
        again.arg0(name).args(rest);
    }
    Err(failed(again.env(TUNABLES, tunables).exec()))
}

/// Other allocators have no such thresholds.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back(_arguments: &[OsString]) -> Result<(), String> {
    Ok(())
}
