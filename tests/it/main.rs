//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

mod harness;

mod calls;
mod calls_load;
mod remote;
mod remote_calls;
mod remote_sessions;
mod shutdown;
mod supervision;
