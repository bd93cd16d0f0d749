//! Printing: the one place that writes to standard output and standard error. What servers and callers
//! said is in many a text, so each is written as plain text.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{config::Diagnostic, plain_text, secret::Redactor};

/// The exit code for bad usage or configuration.
pub const BAD_CONFIG: u8 = 2;

/// Prints a text to standard output; a reader that went away is no error of ours.
pub fn print(text: &str) {
    ignore_broken_pipe(write(text));
}

/// Prints a text to standard output, for what is long or must be whole: says so when it cannot.
pub fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(plain_text::lines(text).as_bytes())?;
    stdout.flush()
}

/// Prints a line to standard error.
pub fn complain(text: &str) {
    ignore_broken_pipe(writeln!(io::stderr().lock(), "{}", plain_text::lines(text)));
}

/// Prints diagnostics to standard error, apart by an empty line.
pub fn diagnose(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        complain(&format!("{diagnostic}\n"));
    }
}

/// Prints one clear line and gives the exit code of a failure.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    complain(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

/// The same without secrets, for an error that may quote a server.
pub fn fail_clean(error: &anyhow::Error, redactor: &Redactor) -> ExitCode {
    complain(&redactor.redact(&format!("error: {error:#}")));
    ExitCode::FAILURE
}

/// Where a write fails there is nobody left to tell.
pub fn ignore_broken_pipe(result: io::Result<()>) {
    drop(result);
}
