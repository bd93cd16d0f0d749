//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

mod harness;

mod calls;
mod calls_load;
mod cli;
mod identity;
mod reload;
mod remote;
mod remote_calls;
mod remote_openapi;
mod remote_sessions;
mod routes;
mod shutdown;
mod supervision;
mod tls;
