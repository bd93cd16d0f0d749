//! Writes to standard output and standard error. Many texts contain words of servers and callers, so control
//! characters in each text are escaped.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{config::Diagnostic, plain_text, secret::Redactor};

/// The exit code for bad usage or configuration.
pub const BAD_CONFIG: u8 = 2;

/// Prints a text to standard output. It ignores a reader that has closed the pipe.
pub fn print(text: &str) {
    ignore_broken_pipe(write(text));
}

/// Prints a text to standard output and returns an error if that fails. Use it for long or complete output.
pub fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(plain_text::lines(text).as_bytes())?;
    stdout.flush()
}

/// Prints a line to standard error.
pub fn complain(text: &str) {
    ignore_broken_pipe(writeln!(io::stderr().lock(), "{}", plain_text::lines(text)));
}

/// Prints diagnostics to standard error, separated by empty lines.
pub fn diagnose(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        complain(&format!("{diagnostic}\n"));
    }
}

/// Prints an error on one line and returns the exit code of a failure.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    complain(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

/// Works like [`fail`] and removes secrets. Use it for an error that may quote a server.
pub fn fail_clean(error: &anyhow::Error, redactor: &Redactor) -> ExitCode {
    complain(&redactor.redact(&format!("error: {error:#}")));
    ExitCode::FAILURE
}

/// Ignores a failed write, because there is no other place to report it.
pub fn ignore_broken_pipe(result: io::Result<()>) {
    drop(result);
}
