//! [`preview`]: the beginning of an answer, for an error message.

use crate::secret::Redactor;

/// How much of an unusable answer is shown, in characters.
const PREVIEW_CHARS: usize = 100;
/// How much of the answer is read for the preview, in bytes.
const PREVIEW_BYTES_MAX: usize = 64 << 10;

/// Returns the beginning of a body on one line, for an error message. Secrets are redacted before it is cut.
pub fn preview(body: &[u8], redactor: &Redactor) -> String {
    let begin = body.get(..body.len().min(PREVIEW_BYTES_MAX));
    let text = String::from_utf8_lossy(begin.unwrap_or_default());
    let text = redactor.redact(&text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut preview: String = line.chars().take(PREVIEW_CHARS).collect();
    if preview.len() < line.len() {
        preview.push('…');
    }
    preview
}
