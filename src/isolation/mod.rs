//! Keeps the programs that we start apart from us, and ends them when we end.
//!
//! - [`harden`] closes our memory, our environment and our open files to other processes of our user.
//! - [`command`] and [`spawn`] start a program through a short stage of our own binary (`stage`). It runs
//!   between fork and exec, where nothing else may run without `unsafe`: the kernel is told to kill the
//!   program when we die, and the program gets back the resource limits that we were started with.
//! - A small cleaner process (`cleaner`) ends what is left of each program: its process group when we
//!   died, and the processes that left the group.
//!
//! All of it needs Linux and `/proc`. Elsewhere programs are started directly, and only an orderly end
//! of ours ends them.

#[cfg(target_os = "linux")]
mod cleaner;
#[cfg(target_os = "linux")]
mod cleaning;
mod harden;
mod stage;
mod starter;

pub use harden::harden;
pub use stage::not_started;
pub use starter::{Registration, Started, command, spawn};

use std::{ffi::OsString, process::ExitCode};

/// Runs the stage or the cleaner, if the arguments (with the program's name first) ask for one of them.
/// They are how this program starts itself and no part of the command line that people use.
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

/// There is none here.
#[cfg(not(target_os = "linux"))]
pub fn run_own_stage(_arguments: &[OsString]) -> Option<ExitCode> {
    None
}
