//! `login`, `logout` and `accounts`: manage accounts at servers from a terminal.

mod args;
mod run;
mod wait;

pub use args::{LoginArgs, LogoutArgs};
pub use run::{accounts, login, logout};
