//! Isolates the programs that the bridge starts, and ends them when the bridge ends.
//!
//! - [`harden()`] protects the memory, environment and open files of this process from other
//!   processes of the same user.
//! - [`command`] and [`spawn`] start a program through a short stage of this binary (`stage`),
//!   which runs between fork and exec. Other code could run there only with `unsafe`. The stage
//!   asks the kernel to kill the program when this process dies, and restores the resource limits
//!   that this process was started with.
//! - A small cleaner process (`cleaner`) ends what is left of each program: its process group after
//!   this process has died, and processes that left the group.
//!
//! All of this needs Linux and `/proc`. On other systems programs are started directly, and only a
//! regular shutdown ends them.

#[cfg(target_os = "linux")]
mod cleaner;
#[cfg(target_os = "linux")]
mod cleaning;
mod harden;
mod stage;
mod starter;

pub use harden::harden;
pub use stage::not_started;
pub use starter::{ProgramRegistration, RunningProgram, command, spawn};

use std::{ffi::OsString, process::ExitCode};

/// Runs the stage or the cleaner if the arguments (including the program's name) ask for one of
/// them. The program uses them to start itself; they are not part of the public command line.
#[cfg(target_os = "linux")]
pub fn run_own_stage(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, word, rest @ ..] = arguments else {
        return None;
    };
    if word == stage::WORD {
        return Some(stage::run(rest));
    }
    if word == cleaner::WORD {
        return Some(cleaner::run(rest));
    }
    None
}

/// Not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn run_own_stage(_arguments: &[OsString]) -> Option<ExitCode> {
    None
}
