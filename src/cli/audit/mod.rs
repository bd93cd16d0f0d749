//! `audit`: reads the audit trail from the configured database.

mod args;
mod run;
mod text;

#[cfg(test)]
mod tests;

pub use args::AuditCommand;
pub use run::main;
