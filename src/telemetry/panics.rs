//! What a panic says, without secrets.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write as _},
    panic::{self, PanicHookInfo},
};

use crate::secret::Redactor;

/// Has panics tell on stderr what they always do, secrets taken out: a message may quote whatever the
/// code had in hand.
pub fn clean_panics(redactor: &Redactor) {
    let redactor = redactor.clone();
    panic::set_hook(Box::new(move |panic| {
        let told = told(panic);
        // Where stderr is gone there is nobody to tell.
        let _written = writeln!(io::stderr().lock(), "{}", redactor.redact(&told)).is_ok();
    }));
}

/// In the words of the standard library. The backtrace comes with `RUST_BACKTRACE=1`.
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
