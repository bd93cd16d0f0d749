//! The binary: everything is in the library.

use std::process::ExitCode;

/// glibc's allocator keeps the memory of large answers in its arenas; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcp_bridge::cli::main()
}
