//! `access`: manages who may use what from the command line. It needs the configuration, so its user is the operator
//! and may change everything. A running bridge applies the changes at its next call.

mod args;
mod explain;
mod group_keys;
mod keys;
mod run;

pub use args::AccessCommand;
pub use run::main;
