//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests may be blunt"
)]

mod harness;

mod shutdown;
mod supervision;
