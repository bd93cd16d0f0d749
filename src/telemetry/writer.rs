//! [`EventWriterFactory`]: writes log lines to stderr, without secrets and without characters that could mislead
//! a reader of other lines.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::{plain_text, secret::Redactor};

/// Creates the writer of one event.
#[derive(Debug, Clone)]
pub struct EventWriterFactory {
    /// Removes secrets.
    redactor: Redactor,
    /// Whether lines have colors. Their fields are then already plain text ([`super::fields`]).
    is_colored: bool,
}

impl EventWriterFactory {
    /// A writer that removes these secrets.
    pub fn new(redactor: &Redactor, is_colored: bool) -> Self {
        let redactor = redactor.clone();
        Self {
            redactor,
            is_colored,
        }
    }
}

impl MakeWriter<'_> for EventWriterFactory {
    type Writer = EventWriter<io::Stderr>;

    fn make_writer(&self) -> Self::Writer {
        EventWriter {
            redactor: self.redactor.clone(),
            is_colored: self.is_colored,
            text: Vec::new(),
            out: io::stderr(),
        }
    }
}

/// One event. It is written as a whole when it is dropped, because a secret may arrive in two
/// pieces.
#[derive(Debug)]
pub struct EventWriter<W: Write> {
    /// Removes secrets.
    redactor: Redactor,
    /// See [`EventWriterFactory::is_colored`].
    is_colored: bool,
    /// The text so far.
    text: Vec<u8>,
    /// The output.
    out: W,
}

impl<W: Write> Write for EventWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for EventWriter<W> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let text = self.redactor.redact(&text);
        let line = if self.is_colored {
            text
        } else {
            let event = text.strip_suffix('\n').unwrap_or(&text);
            Cow::Owned(format!("{}\n", plain_text::line(event)))
        };
        // If the log cannot be written, the error cannot be reported.
        let _written = self.out.write_all(line.as_bytes()).is_ok();
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
        let mut event = EventWriter {
            redactor,
            is_colored: false,
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

    #[test]
    fn an_event_is_one_line_of_plain_text() {
        let mut out = Vec::new();
        let mut event = EventWriter {
            redactor: Redactor::default(),
            is_colored: false,
            text: Vec::new(),
            out: &mut out,
        };
        let said =
            "INFO stderr=a\u{1b}[2Jb\rc\u{1b}]8;;https://x\u{7}\nINFO fake\u{202e}\u{200b}\n";
        event.write_all(said.as_bytes()).unwrap();
        drop(event);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "INFO stderr=a\\u001b[2Jb\\rc\\u001b]8;;https://x\\u0007\\nINFO fake\\u202e\\u200b\n"
        );
    }
}
