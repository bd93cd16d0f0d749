//! [`PlainFields`]: the fields of an event for a terminal with colors. The log's own escape
//! sequences stay, those in the data are made harmless.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

use crate::plain_text;

/// Writes `message name=value` in plain text.
#[derive(Debug)]
pub(super) struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut line = FieldText::default();
        fields.record(&mut line);
        writer.write_str(&plain_text::line(&line.0))
    }
}

/// The fields, one after another.
#[derive(Default)]
struct FieldText(String);

impl Visit for FieldText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        let text = match field.name() {
            "message" => format!("{separator}{value:?}"),
            name => format!("{separator}{name}={value:?}"),
        };
        self.0.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    use tracing_subscriber::fmt;

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            shown.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_gets_our_colors_and_none_of_strangers() {
        let shown = Shown::default();
        let writer = shown.clone();
        let subscriber = fmt()
            .with_ansi(true)
            .without_time()
            .fmt_fields(PlainFields)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let said = "a\u{1b}[2Jb\rc\u{202e}";
            tracing::info!(stderr = %said, caller = said, count = 3, "the server {said} says");
        });
        let text = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("\u{1b}[32m"), "{text:?}");
        assert!(
            !text.contains("\u{1b}[2J") && !text.contains(['\r', '\u{202e}']),
            "{text:?}"
        );
        assert!(
            text.contains(r"the server a\u001b[2Jb\rc\u202e says"),
            "{text:?}"
        );
        assert!(text.contains(r"stderr=a\u001b[2Jb\rc\u202e") && text.contains("count=3"));
    }
}
