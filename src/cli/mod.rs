//! The command line.

mod args;
mod check;
mod import;
mod mcpo;

use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
