//! The program. All its code is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_bridge::cli::main()
}
