//! `secrets`: what is sealed in the database, and under which key.

mod args;
mod run;

pub use args::SecretsCommand;
pub use run::main;
