//! The binary: everything is in the library.

use std::process::ExitCode;

/// Small allocations are most of what a call costs us.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcp_bridge::cli::main()
}
