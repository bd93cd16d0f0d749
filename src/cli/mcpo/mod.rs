//! The command line of mcpo with all its options, so that its users need to change only the name of the image.
//!
//! Two behaviors differ from mcpo. A malformed `--env` is an error; mcpo ignores all `--env` options then. And the
//! program exits with an error if its server cannot be started.

mod command;
mod options;

pub use command::McpoCommand;
pub use options::parse;

#[cfg(test)]
mod tests;
