//! [`give_back`] makes glibc return freed memory to the system.
//!
//! glibc raises its thresholds when large blocks are freed: after one answer of 30 MB it keeps up to 64 MB at the
//! top of each arena until the process ends. An environment variable fixes the thresholds, but glibc reads it only
//! at the start of a program. So this module sets the variable and executes the program again in the same process.

use std::ffi::OsString;

/// The environment variable (glibc manual, Memory Allocation Tunables).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TUNABLES: &str = "GLIBC_TUNABLES";

/// The size in bytes from which a block gets its own mapping, which returns to the system when the block is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: usize = 1 << 20;

/// The number of freed blocks of each size that a thread keeps. It is about the number of concurrent calls.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const THREAD_CACHE: usize = 64;

/// The number of free bytes that stay at the top of an arena.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: usize = 4 << 20;

/// Executes this program again with fixed thresholds. It returns at once if the operator has set thresholds.
/// The error says why the program could not be executed again.
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
    let failed = |error: std::io::Error| {
        format!(
            "cannot set the thresholds of the memory allocator; the process may use more memory: {error}"
        )
    };
    let mut again = Command::new(std::env::current_exe().map_err(failed)?);
    if let Some((name, rest)) = arguments.split_first() {
        again.arg0(name).args(rest);
    }
    Err(failed(again.env(TUNABLES, tunables).exec()))
}

/// Does nothing: other allocators have no such thresholds.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back(_arguments: &[OsString]) -> Result<(), String> {
    Ok(())
}
