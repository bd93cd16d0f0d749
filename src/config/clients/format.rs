//! Detects the language of a file.

use std::path::Path;

/// The language of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigFormat {
    /// JSON, with or without comments.
    Json,
    /// YAML.
    Yaml,
    /// TOML: `bridges.toml`, or Codex's file.
    Toml,
}

impl ConfigFormat {
    /// Detects the language by the first line with content. If that is ambiguous, the file extension decides.
    pub(crate) fn of(path: &Path, text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        // TOML, and YAML in block style, cannot begin with a brace or a slash.
        if text.starts_with(['{', '/']) {
            return Self::Json;
        }
        let by_name = path.extension().and_then(|extension| extension.to_str());
        let is_yaml = by_name
            .is_some_and(|it| it.eq_ignore_ascii_case("yaml") || it.eq_ignore_ascii_case("yml"));
        let mut lines = text.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        match first {
            Some(line) if line.starts_with('[') && starts_a_list(text) => Self::Json,
            _ if is_yaml => Self::Yaml,
            Some(line) if says_yaml(line) => Self::Yaml,
            _ => Self::Toml,
        }
    }
}

/// Whether a text starts a list of objects. In TOML a table's name is not followed by a brace.
fn starts_a_list(text: &str) -> bool {
    let inner = text.strip_prefix('[').map(str::trim_start);
    inner.is_some_and(|inner| inner.starts_with(['{', '/', ']']))
}

/// `key: value`, `- element`, `---`
fn says_yaml(line: &str) -> bool {
    if line.starts_with("---") || line.starts_with("%YAML") || line.starts_with("- ") || line == "-"
    {
        return true;
    }
    let quote = line
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''));
    let rest = match quote {
        Some(quote) => line.get(1..).and_then(|rest| rest.split_once(quote)),
        None => line
            .find(|character: char| {
                !(character.is_alphanumeric()
                    || matches!(character, '-' | '_' | '.' | '$' | '/' | '@'))
            })
            .and_then(|end| line.split_at_checked(end)),
    };
    let after = rest.map(|(_, after)| after.trim_start());
    after
        .and_then(|after| after.strip_prefix(':'))
        .is_some_and(|value| value.is_empty() || value.starts_with([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_first_line() {
        for (name, text, format) in [
            ("x", "\u{feff}// comment\n{}", ConfigFormat::Json),
            ("x", "[ {\"command\": \"x\"} ]", ConfigFormat::Json),
            ("x.yaml", "{}", ConfigFormat::Json),
            ("x", "# comment\n\nmcpServers:\n  a: {}", ConfigFormat::Yaml),
            ("x", "\"mcp.x\" : 1", ConfigFormat::Yaml),
            ("x", "---\nname = 1", ConfigFormat::Yaml),
            ("x", "- name: a", ConfigFormat::Yaml),
            ("x.YML", "anything", ConfigFormat::Yaml),
            ("x", "[bridges.x]", ConfigFormat::Toml),
            ("x", "[[a]]", ConfigFormat::Toml),
            ("x", "url = \"http://x\"", ConfigFormat::Toml),
            ("x", "a.b = \"c: d\"", ConfigFormat::Toml),
            ("x", "x:1", ConfigFormat::Toml),
            ("x", "", ConfigFormat::Toml),
            ("x", "[\"a\"]\nb = 1", ConfigFormat::Toml),
        ] {
            assert_eq!(
                ConfigFormat::of(Path::new(name), text),
                format,
                "{name} {text}"
            );
        }
    }
}
