//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

mod harness;

mod remote;
mod remote_calls;
mod remote_sessions;
mod shutdown;
mod supervision;
