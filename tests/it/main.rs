//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

mod harness;

mod mcpo;
mod shutdown;
mod supervision;
