//! `access`: who may use what, from the command line. Whoever runs it holds the configuration and
//! so may change everything; a running bridge obeys at its next call.

mod args;
mod explain;
mod group_keys;
mod keys;
mod run;

pub use args::AccessCommand;
pub use run::main;
