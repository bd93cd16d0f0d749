//! mcpo's command line, flag for flag (mcpo contract §2), so that its users change nothing but the
//! name of the image.
//!
//! Two habits are not kept: a misspelt `--env` is an error instead of dropping all of them (B18),
//! and a server that cannot be started is no success (B15, decided where it is started).

mod command;
mod options;

pub use command::McpoCommand;
pub use options::parse;

#[cfg(test)]
mod tests;
