//! What is wrong with arguments, for people at a terminal: one line for each fault.

use serde_json::Value;

use super::{
    advice::{in_words, place},
    detail::ValidationDetail,
    refusal::ArgumentError,
};

/// How much of what was sent is repeated, in characters of JSON.
const SENT_CHARS_MAX: usize = 60;

/// Comparisons in pydantic's words, and as signs.
const SIGNS: [(&str, &str); 4] = [
    ("less than or equal to ", "≤ "),
    ("greater than or equal to ", "≥ "),
    ("less than ", "< "),
    ("greater than ", "> "),
];

impl ArgumentError {
    /// Whether it is about single arguments, and not about all of them together.
    pub fn is_of_arguments(&self) -> bool {
        match self {
            Self::Invalid { details, .. } => details.iter().all(|detail| detail.loc.len() > 1),
            Self::InvalidJson { .. } | Self::TooCostly | Self::TooManyValues(_) => false,
        }
    }

    /// One line for each fault: `count: should be ≤ 100, is 500`. What is no fault of one argument is one
    /// sentence.
    pub fn lines(&self) -> Vec<String> {
        let Self::Invalid { details, message } = self else {
            return vec![self.to_string()];
        };
        let mut lines: Vec<String> = Vec::new();
        for line in details.iter().map(of_detail) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        // Arguments that were misspelt are told in the sentence for models; they may be no fault themselves.
        let sentences = message.as_deref().unwrap_or_default().split_inclusive('?');
        for sentence in sentences.map(str::trim) {
            let misspelt = sentence.strip_prefix('`').and_then(|rest| {
                let (name, rest) = rest.split_once('`')?;
                rest.contains("did you mean")
                    .then(|| format!("{name}:{rest}"))
            });
            if let Some(line) = misspelt {
                let plain = line.split(';').next().unwrap_or_default().to_owned();
                lines.retain(|it| *it != plain);
                lines.push(line);
            }
        }
        lines
    }
}

/// One fault.
fn of_detail(detail: &ValidationDetail) -> String {
    let (name, path) = match detail.loc.split_last() {
        Some((last, rest)) if !rest.is_empty() => (last, rest.get(1..).unwrap_or_default()),
        _ => return whole(detail),
    };
    let name = match name {
        Value::String(name) => place(path, name),
        index => place(path, &format!("[{index}]")),
    };
    if detail.kind == "missing" {
        return format!("{name}: is missing");
    }
    let words = in_words(detail, &name);
    let told = words
        .strip_prefix(&format!("`{name}` "))
        .or_else(|| words.strip_prefix(&format!("{name} ")))
        .or_else(|| words.strip_prefix(&format!("{name}: ")))
        .unwrap_or(&words);
    let mut told = told.to_owned();
    for (long, sign) in SIGNS {
        told = told.replacen(long, sign, 1);
    }
    if detail.kind == "extra_forbidden" {
        return format!("{name}: {told}");
    }
    format!("{name}: {told}, is {}", sent(&detail.input))
}

/// What is wrong with all of them together.
fn whole(detail: &ValidationDetail) -> String {
    if detail.input.is_null() {
        return "the arguments should be a JSON object".to_owned();
    }
    format!(
        "the arguments should be a JSON object, are {}",
        sent(&detail.input)
    )
}

/// What was sent, or its kind where that is long.
fn sent(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SENT_CHARS_MAX {
        return text;
    }
    match value {
        Value::Array(items) => format!("a list of {} items", items.len()),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let start: String = text.chars().take(SENT_CHARS_MAX).collect();
            format!("{start}…")
        }
    }
}
