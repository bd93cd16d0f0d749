//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

mod harness;

mod calls;
mod golden;
mod reload;
mod routes;
mod shutdown;
mod supervision;
