//! `secrets`: checks and rotates the encryption of secrets in the database.

mod args;
mod run;

pub use args::SecretsCommand;
pub use run::main;
