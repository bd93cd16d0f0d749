//! [`Clean`]: the way of log lines to stderr, which no secret passes.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::secret::Redactor;

/// Makes the writer of one event.
#[derive(Debug, Clone)]
pub struct Clean {
    /// Knows the secrets.
    redactor: Redactor,
}

impl Clean {
    /// For these secrets.
    pub fn new(redactor: &Redactor) -> Self {
        let redactor = redactor.clone();
        Self { redactor }
    }
}

impl MakeWriter<'_> for Clean {
    type Writer = Event<io::Stderr>;

    fn make_writer(&self) -> Self::Writer {
        Event {
            redactor: self.redactor.clone(),
            text: Vec::new(),
            out: io::stderr(),
        }
    }
}

/// One event: written whole when it is dropped, because a secret may come in two pieces.
#[derive(Debug)]
pub struct Event<W: Write> {
    /// Knows the secrets.
    redactor: Redactor,
    /// What came of it.
    text: Vec<u8>,
    /// Where it goes.
    out: W,
}

impl<W: Write> Write for Event<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for Event<W> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        // Where the log cannot be written there is nobody to tell.
        let _written = self
            .out
            .write_all(self.redactor.redact(&text).as_bytes())
            .is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_secret_in_two_pieces_does_not_pass() {
        let redactor = Redactor::default();
        redactor.learn(Secret::new("s3cret-token"));
        let mut out = Vec::new();
        let mut event = Event {
            redactor,
            text: Vec::new(),
            out: &mut out,
        };
        event
            .write_all(b"WARN the server says stderr=s3cr")
            .unwrap();
        event.write_all(b"et-token \xff\n").unwrap();
        drop(event);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "WARN the server says stderr=*** \u{fffd}\n");
    }
}
