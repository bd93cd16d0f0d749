//! [`DocumentFlaws`]: the operations of a document that could not become tools, in a limited number of lines.

use crate::plain_text;

/// The maximum number of lines for one document.
const LINES_MAX: usize = 50;

/// The longest path that is shown, in characters.
const PATH_CHARS_MAX: usize = 100;

/// The flaws of one document.
#[derive(Debug, Default)]
pub struct DocumentFlaws {
    /// The first lines.
    lines: Vec<String>,
    /// The number of further flaws.
    more: usize,
}

impl DocumentFlaws {
    /// Adds what is wrong with an operation.
    pub fn note(&mut self, method: &str, path: &str, what: &str) {
        if self.lines.len() >= LINES_MAX {
            self.more += 1;
            return;
        }
        let mut shown: String = path.chars().take(PATH_CHARS_MAX).collect();
        if shown.len() < path.len() {
            shown.push('…');
        }
        let line = format!("`{} {shown}`: {what}", method.to_ascii_uppercase());
        self.lines.push(plain_text::line(&line).into_owned());
    }

    /// Returns all lines.
    pub fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines
                .push(format!("{} more operations have such flaws", self.more));
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_flaws_is_told_in_a_few_lines() {
        let mut flaws = DocumentFlaws::default();
        for index in 0..1_000 {
            flaws.note(
                "post",
                &format!("/{index}\u{1b}{}", "x".repeat(500)),
                "left out: so",
            );
        }
        let lines = flaws.into_lines();
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines[0].starts_with("`POST /0") && lines[0].ends_with("x…`: left out: so"));
        assert!(
            lines
                .iter()
                .all(|it| it.len() < 200 && !it.contains('\u{1b}'))
        );
        assert_eq!(lines[LINES_MAX], "950 more operations have such flaws");
    }
}
