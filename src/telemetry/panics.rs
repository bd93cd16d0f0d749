//! Panic messages without secrets.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write as _},
    panic::{self, PanicHookInfo},
};

use crate::{plain_text, secret::Redactor};

/// Makes panics print their usual message on stderr, with secrets removed: a message may quote any
/// data.
pub fn clean_panics(redactor: &Redactor) {
    let redactor = redactor.clone();
    panic::set_hook(Box::new(move |panic| {
        let told = told(panic);
        // If stderr is closed, the message cannot be reported.
        let told = redactor.redact(&told);
        let _written = writeln!(io::stderr().lock(), "{}", plain_text::lines(&told)).is_ok();
    }));
}

/// The message of the standard library. `RUST_BACKTRACE=1` adds the backtrace.
fn told(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let message = panic.payload_as_str().unwrap_or("Box<dyn Any>");
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    let told = format!("thread '{name}' panicked at {place}:\n{message}");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("{told}\nstack backtrace:\n{backtrace}"),
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::secret::Secret;

    /// Set in the process that panics.
    const PANICS: &str = "TEST_PANICS";

    #[test]
    fn a_panic_tells_no_secret() {
        let secret = "s3cret-token";
        if std::env::var_os(PANICS).is_some() {
            let redactor = Redactor::default();
            clean_panics(&redactor);
            redactor.learn(Secret::new(secret));
            panic!("no session with {secret}");
        }
        let myself = std::env::current_exe().unwrap();
        let test = "telemetry::panics::tests::a_panic_tells_no_secret";
        for backtrace in ["0", "1"] {
            let ended = Command::new(&myself)
                .args(["--exact", test, "--nocapture"])
                .env(PANICS, "1")
                .env("RUST_BACKTRACE", backtrace)
                .output()
                .unwrap();
            let (out, err) = (ended.stdout, String::from_utf8(ended.stderr).unwrap());
            assert!(!ended.status.success() && !String::from_utf8(out).unwrap().contains(secret));
            assert!(!err.contains(secret), "{err}");
            assert!(err.contains("no session with ***"), "{err}");
            assert!(
                err.contains("panicked at src/telemetry/panics.rs:"),
                "{err}"
            );
            assert_eq!(err.contains("stack backtrace:"), backtrace == "1", "{err}");
        }
    }
}
