//! Problems of a configuration, displayed with their position and a hint.
//!
//! A quoted line never shows a literal secret: [`mask`] replaces it with asterisks and keeps the columns.

use std::{
    fmt::{self, Display},
    ops::Range,
};

use crate::{config::read::lint, secret::Redactor};

/// A position in a source, in bytes.
pub type Span = Range<usize>;

/// How severe a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is rejected.
    Error,
    /// The configuration works, but probably not as intended.
    Warning,
}

/// One problem of a configuration. `Display` writes several lines, without color and without a final newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The position; `None` for a value from the command line.
    pub place: Option<SourceLocation>,
    /// What is wrong, as a phrase.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

/// A part of a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line, or the part of it that fits. Literal secrets are replaced with asterisks.
    pub text: String,
    /// How many characters of `text` precede the marked part.
    pub indent: usize,
    /// How many characters of `text` are marked, at least 1.
    pub length: usize,
}

impl Diagnostic {
    /// Creates an error without a position.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, None, message)
    }

    /// Creates a warning without a position.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, None, message)
    }

    /// Creates an error for a whole file, for example if it is unreadable.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        let place = SourceLocation {
            file: file.to_owned(),
            line: 0,
            column: 0,
            text: String::new(),
            indent: 0,
            length: 0,
        };
        Self::new(Severity::Error, Some(place), message)
    }

    fn new(severity: Severity, place: Option<SourceLocation>, message: impl Into<String>) -> Self {
        Self {
            severity,
            place,
            message: message.into(),
            hint: None,
        }
    }

    /// Writes a warning to the log. The message is complete without the position and the hint, which are
    /// fields.
    pub fn log(&self) {
        let at = self
            .place
            .as_ref()
            .map(|place| format!("{}:{}:{}", place.file, place.line, place.column));
        tracing::warn!(at, hint = self.hint, "{}", self.message);
    }

    /// Redacts secrets, because a message may quote the value of a reference.
    pub fn clean(&mut self, redactor: &Redactor) {
        redactor.clean(&mut self.message);
        for text in self
            .hint
            .iter_mut()
            .chain(self.place.as_mut().map(|it| &mut it.text))
        {
            redactor.clean(text);
        }
    }

    /// Adds a hint.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint to a new value.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{}:", place.file)?;
            if place.line > 0 {
                write!(formatter, "{}:{}:", place.line, place.column)?;
            }
            formatter.write_str(" ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, "{severity}: {}", self.message)?;
        if let Some(place) = self.place.as_ref().filter(|place| place.line > 0) {
            let gutter = place.line.to_string().len();
            write!(
                formatter,
                "\n{:gutter$} |\n{} | {}\n{:gutter$} | {:indent$}{}",
                "",
                place.line,
                place.text,
                "",
                "",
                "^".repeat(place.length),
                indent = place.indent,
            )?;
        }
        if let Some(hint) = &self.hint {
            write!(formatter, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// A file: its name and text.
#[derive(Debug)]
pub struct SourceFile {
    /// The name that the user gave.
    pub file: String,
    /// The text without a byte order mark.
    pub text: String,
}

impl SourceFile {
    /// Finds the line of a span. Spans beyond the text are cut.
    fn place(&self, span: &Span) -> SourceLocation {
        let start = floor(&self.text, span.start);
        let (before, after) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self
            .text
            .get(line_start..)
            .and_then(|rest| rest.split('\n').next())
            .unwrap_or_default()
            .trim_end_matches('\r');
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let meant = after
            .get(..floor(after, span.end.saturating_sub(start)))
            .and_then(|meant| meant.split('\n').next())
            .unwrap_or_default();
        let shown: String = line
            .chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect();
        let length = meant.trim_end().chars().count();
        let (text, indent) = cut(&mask_plain(&mask(&shown)), column);
        let room = text.chars().count().saturating_sub(indent);
        SourceLocation {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            text,
            indent,
            length: length.min(room).max(1),
        }
    }
}

/// The longest displayed line, in characters.
const WIDTH_MAX: usize = 160;

/// Cuts a long line around a column. Returns the new column too.
fn cut(line: &str, column: usize) -> (String, usize) {
    let skipped = column.saturating_sub(WIDTH_MAX / 4);
    if line.chars().count() <= WIDTH_MAX {
        (line.to_owned(), column)
    } else {
        let text = line.chars().skip(skipped).take(WIDTH_MAX).collect();
        (text, column - skipped)
    }
}

/// Collects the problems of one source.
#[derive(Debug)]
pub struct DiagnosticCollector {
    source: SourceFile,
    list: Vec<Diagnostic>,
}

impl DiagnosticCollector {
    /// Creates an empty collection.
    pub fn new(source: SourceFile) -> Self {
        Self {
            source,
            list: Vec::new(),
        }
    }

    /// The text that spans refer to.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// Returns the position of a span.
    pub fn place(&self, span: &Span) -> SourceLocation {
        self.source.place(span)
    }

    /// Adds an error.
    pub fn error(&mut self, span: &Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, message.into())
    }

    /// Adds a warning.
    pub fn warning(&mut self, span: &Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, message.into())
    }

    fn push(&mut self, severity: Severity, span: &Span, message: String) -> &mut Diagnostic {
        let place = Some(self.source.place(span));
        self.list.push(Diagnostic::new(severity, place, message));
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Adds a diagnostic with its own position, or without one.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// The number of problems, for [`DiagnosticCollector::soften`].
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Turns the errors after the first `from` into warnings. Returns the message of the first one.
    pub fn soften(&mut self, from: usize) -> Option<String> {
        let mut first = None;
        for diagnostic in self.list.iter_mut().skip(from) {
            if diagnostic.severity == Severity::Error {
                diagnostic.severity = Severity::Warning;
                first.get_or_insert_with(|| diagnostic.message.clone());
            }
        }
        first
    }

    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.has_errors_since(0)
    }

    /// Whether there is an error after the first `from`.
    pub fn has_errors_since(&self, from: usize) -> bool {
        self.list
            .iter()
            .skip(from)
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns all problems in the order of the file.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| {
            diagnostic
                .place
                .as_ref()
                .map_or((0, 0), |place| (place.line, place.column))
        });
        self.list.dedup();
        self.list
    }
}

/// Returns the known word that is most similar to the written one, if any is similar.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase().replace(['-', ' '], "_");
    let far = (written.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written, word), word))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `` `a`, `b` ``
pub fn list(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// Replaces literal secrets of a line with asterisks and keeps every column: quoted text after a key with a
/// secret name, and words with a well-known token prefix. References `${…}` stay.
fn mask(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut before = String::new();
    let mut characters = line.chars().peekable();
    while let Some(quote) = characters.next() {
        masked.push(quote);
        if quote != '"' && quote != '\'' {
            before.push(quote);
            continue;
        }
        let mut inner = String::new();
        let mut closed = false;
        while let Some(character) = characters.next() {
            if character == quote {
                closed = true;
                break;
            }
            inner.push(character);
            if character == '\\' && quote == '"' {
                inner.extend(characters.next());
            }
        }
        let is_key = closed
            && characters
                .clone()
                .find(|character| !character.is_whitespace())
                .is_some_and(|next| next == ':' || next == '=');
        if !is_key && (lint::ends_in_secret_name(&before) || lint::has_token_prefix(&inner)) {
            masked.push_str(&star_out(&inner));
        } else {
            masked.push_str(&mask_password(&inner));
        }
        before.push_str(&inner);
        if closed {
            masked.push(quote);
        }
    }
    masked
}

/// Masks an unquoted secret, as in YAML: `API_KEY: abc`, `- ghp_abc`.
fn mask_plain(line: &str) -> String {
    let (key, value) = match line.split_once(": ") {
        Some((key, value)) => (key, value),
        None => match line.trim_start().strip_prefix("- ") {
            Some(value) => ("", value),
            None => ("", line),
        },
    };
    let is_plain = !value.trim_start().starts_with(['"', '\'', '[', '{']) && !key.contains('=');
    let is_secret = lint::looks_secret(key.trim_start_matches(['-', ' ']));
    let value = value.trim();
    if !is_plain || value.is_empty() || !(is_secret || lint::has_token_prefix(value)) {
        return line.to_owned();
    }
    line.replacen(value, &star_out(value), 1)
}

/// Masks the password of a URL.
fn mask_password(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        let (user, password) = match authority.rsplit_once('@') {
            Some((login, _host)) => login.split_once(':')?,
            // A password with an unescaped `/`, `?` or `#`, unless it is a port.
            None => rest.rsplit_once('@')?.0.split_once(':').filter(|_| {
                let port = authority.rsplit_once(':').map_or("", |(_host, port)| port);
                !port.bytes().all(|byte| byte.is_ascii_digit())
            })?,
        };
        let tail = rest
            .strip_prefix(user)?
            .strip_prefix(':')?
            .strip_prefix(password)?;
        Some((scheme, user, password, tail))
    });
    match parts {
        Some((scheme, user, password, tail)) => {
            format!("{scheme}://{user}:{}{tail}", star_out(password))
        }
        None => text.to_owned(),
    }
}

/// Replaces everything except references with asterisks.
fn star_out(text: &str) -> String {
    let mut starred = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once("${") {
        starred.extend(literal.chars().map(star));
        starred.push_str("${");
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        starred.push_str(name);
        if after.len() > name.len() {
            starred.push('}');
        }
        rest = tail;
    }
    starred.extend(rest.chars().map(star));
    starred
}

fn star(character: char) -> char {
    if character == ' ' { ' ' } else { '*' }
}

/// Returns the nearest character boundary at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_secrets_are_starred_out_of_quoted_lines() {
        for (line, shown) in [
            (r#"url = "https://x""#, r#"url = "https://x""#),
            (r#"API_KEY = "abc def""#, r#"API_KEY = "*** ***""#),
            (
                r#""API_KEY": "abc", "X": "y""#,
                r#""API_KEY": "***", "X": "y""#,
            ),
            (
                r#"Authorization = "Bearer ${T}""#,
                r#"Authorization = "****** ${T}""#,
            ),
            (
                r#"args = ["--token", "abc"]"#,
                r#"args = ["--token", "***"]"#,
            ),
            (r#"args = ["--token=x"]"#, r#"args = ["--token=x"]"#),
            (r#"x = "ghp_abcdefgh""#, r#"x = "************""#),
            (
                r#"url = "http://u:p:w@h/x@y""#,
                r#"url = "http://u:***@h/x@y""#,
            ),
            (r#"url = "http://u:p/w#x@h""#, r#"url = "http://u:*****@h""#),
            (r#"url = "http://h:80/x@y""#, r#"url = "http://h:80/x@y""#),
            (r#"PASSWORD = "abc"#, r#"PASSWORD = "***"#),
        ] {
            assert_eq!(mask(line), shown);
        }
    }

    #[test]
    fn literal_secrets_are_starred_out_of_yaml() {
        for (line, shown) in [
            ("  API_KEY: abc def", "  API_KEY: *** ***"),
            ("  - token: ${A}x", "  - token: ${A}*"),
            ("  - ghp_abcdefgh", "  - ************"),
            ("    eyJabcdefghi", "    ************"),
            ("  url: https://x", "  url: https://x"),
            ("  Authorization: \"x\"", "  Authorization: \"x\""),
            ("key = 1 # token: none", "key = 1 # token: none"),
        ] {
            assert_eq!(mask_plain(line), shown);
        }
    }

    #[test]
    fn a_place_is_counted_in_characters() {
        let source = SourceFile {
            file: "f".to_owned(),
            text: "ä = 1\r\nöö = 2\n".to_owned(),
        };
        let at = source.text.find('2').unwrap();
        let place = source.place(&(at..at + 1));
        assert_eq!((place.line, place.column, place.length), (2, 6, 1));
        assert_eq!(place.text, "öö = 2");
        assert_eq!(source.place(&(900..9000)).line, 3);
        let long = SourceFile {
            file: "f".to_owned(),
            text: "x".repeat(100_000) + "y" + &"z".repeat(100_000),
        };
        let place = long.place(&(100_000..200_000));
        assert_eq!(
            (place.column, place.indent, place.length),
            (100_001, 40, 120)
        );
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("comand", ["command", "args"]), Some("command"));
        assert_eq!(nearest("idle-stop", ["idle_stop"]), Some("idle_stop"));
        assert_eq!(nearest("zzz", ["command", "args"]), None);
    }
}
