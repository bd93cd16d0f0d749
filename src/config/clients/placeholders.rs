//! Converts placeholders such as `${input:token}`, `$NAME`, `{env:NAME}` and `${workspaceFolder}` to
//! references of the form `${NAME}`, so that a missing value disables its bridge and the placeholder itself
//! is never sent.

use crate::config::{is_variable, read::reference::split_at_close, variable_of};

/// The maximum length of a placeholder.
const LENGTH_MAX: usize = 1024;
/// The maximum depth of defaults within defaults.
const DEPTH_MAX: usize = 8;
/// The prefix that the Copilot agent uses for the secrets of a repository.
const COPILOT: &str = "COPILOT_MCP_";

/// Placeholders that editors fill in themselves, and the corresponding variables.
const BUILTIN: &[(&str, &str)] = &[
    ("userHome", "HOME"),
    ("workspaceFolder", "WORKSPACE_FOLDER"),
    ("workspaceRoot", "WORKSPACE_FOLDER"),
    ("workspaceFolderBasename", "WORKSPACE_FOLDER_BASENAME"),
];

/// The placeholder syntax of a value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PlaceholderStyle<'s> {
    /// `$NAME` is a placeholder anywhere, as in Gemini CLI.
    pub(crate) is_dollar: bool,
    /// `{file:PATH}` is a placeholder, as in opencode.
    pub(crate) is_braces: bool,
    /// The value is a shell command line, which has variables of its own.
    pub(crate) is_script: bool,
    /// Variables that the server receives and replaces itself.
    pub(crate) own: &'s [&'s str],
}

/// A value with converted references.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RewrittenText {
    /// The value.
    pub(crate) text: String,
    /// The variables that it needs.
    pub(crate) variables: Vec<PlaceholderVariable>,
    /// Whether it refers to variables or files.
    pub(crate) has_references: bool,
}

/// A variable that replaces a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceholderVariable {
    /// The name.
    pub(crate) name: String,
    /// The placeholder, as written.
    pub(crate) written: String,
    /// The VS Code input that asks for it.
    pub(crate) input: Option<String>,
    /// Whether the value contains a default for it.
    pub(crate) has_default: bool,
}

/// Converts a value.
pub(crate) fn rewrite(text: &str, style: PlaceholderStyle<'_>) -> RewrittenText {
    let mut rewritten = RewrittenText::default();
    scan(text, style, 0, &mut rewritten);
    rewritten
}

/// Returns the variable of a converted value that consists only of a reference, optionally after `Bearer`.
pub(crate) fn alone(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.chars().all(char::is_alphabetic) => rest.trim(),
        _ => text,
    };
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    is_variable(name).then_some(name)
}

fn scan(text: &str, style: PlaceholderStyle<'_>, depth: usize, into: &mut RewrittenText) {
    if is_copilot_secret(text) {
        into.add(text, text, None, None);
        return;
    }
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '$' if before != Some('$') => dollar(rest, before, style, depth, into),
            '{' if before != Some('$') => brace(rest, style, into),
            _ => 0,
        };
        if taken > 0 {
            let (placeholder, tail) = rest.split_at_checked(taken).unwrap_or((rest, ""));
            before = placeholder.chars().next_back();
            rest = tail;
        } else {
            into.text.push(first);
            before = Some(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
}

fn is_copilot_secret(text: &str) -> bool {
    text.starts_with(COPILOT) && is_variable(text)
}

/// Converts a placeholder that begins with `$`. Returns its length in bytes, or 0 if it is not a placeholder.
fn dollar(
    rest: &str,
    before: Option<char>,
    style: PlaceholderStyle<'_>,
    depth: usize,
    into: &mut RewrittenText,
) -> usize {
    let Some(after) = rest.strip_prefix("${") else {
        return bare(rest, before, style, into);
    };
    if let Some(inner) = after
        .strip_prefix('{')
        .and_then(|after| window(after).split_once("}}"))
    {
        // `${{ secrets.NAME }}`
        let written = rest.get(..inner.0.len() + 5).unwrap_or(rest);
        let name = inner.0.trim().rsplit('.').next().unwrap_or_default();
        if is_word(name) {
            into.add(&variable_of(name), written, None, None);
            return written.len();
        }
    }
    let Some((inner, _)) = split_at_close(window(after)) else {
        into.text.push_str("$${");
        return 2;
    };
    let length = inner.len() + 3;
    let written = rest.get(..length).unwrap_or(rest);
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if let Some(path) = name.strip_prefix("file:").filter(|path| !path.is_empty()) {
        let path = nested(path, style, depth, into);
        let default = default.map(|default| nested(default, style, depth, into));
        into.reference(&format!("file:{path}"), default);
        return length;
    }
    if matches!(name, "pathSeparator" | "/") {
        into.text.push('/');
        return length;
    }
    let is_left = style.own.contains(&name)
        || style.is_script && name.chars().all(|it| it.is_ascii_lowercase() || it == '_');
    let Some(variable) = variable(name).filter(|_| !is_left) else {
        into.text.push_str("$${");
        return 2;
    };
    let default = default.map(|default| nested(default, style, depth, into));
    let input = name.strip_prefix("input:").map(str::to_owned);
    into.add(&variable, written, input, default);
    length
}

/// Converts the text inside a placeholder.
fn nested(
    text: &str,
    style: PlaceholderStyle<'_>,
    depth: usize,
    into: &mut RewrittenText,
) -> String {
    let mut inner = RewrittenText::default();
    if depth < DEPTH_MAX {
        scan(text, style, depth + 1, &mut inner);
    }
    into.variables.append(&mut inner.variables);
    inner.text
}

/// The part of a text in which a placeholder must end.
fn window(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LENGTH_MAX))
        .unwrap_or(text)
}

/// Returns the variable for the text between braces. `None` if it does not name one.
fn variable(name: &str) -> Option<String> {
    if let Some((_, ours)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        return Some((*ours).to_owned());
    }
    if is_variable(name) {
        return Some(name.to_owned());
    }
    match name.split_once(':') {
        Some(("env", variable)) => is_variable(variable).then(|| variable.to_owned()),
        Some(("input", id)) => (!id.trim().is_empty()).then(|| variable_of(id.trim())),
        _ => is_word(name).then(|| variable_of(name)),
    }
}

/// `command:extension.id`, `user_config.api-key`
fn is_word(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !name.ends_with(':')
        && !name.contains("::")
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "_.:/-".contains(it))
}

/// `$NAME`
fn bare(
    rest: &str,
    before: Option<char>,
    style: PlaceholderStyle<'_>,
    into: &mut RewrittenText,
) -> usize {
    let after = rest.strip_prefix('$').unwrap_or_default();
    let end = after.find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
    let name = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
    if style.is_script || !is_variable(name) || style.own.contains(&name) {
        return 0;
    }
    // Elsewhere it is a placeholder only in upper case and at the start of a word: `pa$word` is not one.
    let is_loud = name.len() > 1 && !name.contains(|it: char| it.is_ascii_lowercase());
    let is_start = before.is_none_or(|it| it.is_whitespace() || "=:/,;&?@\"'(<".contains(it));
    if !(style.is_dollar || is_loud && is_start) {
        return 0;
    }
    let length = name.len() + 1;
    into.add(name, rest.get(..length).unwrap_or(rest), None, None);
    length
}

/// `{env:NAME}`, `{file:PATH}`, `{{NAME}}`
fn brace(rest: &str, style: PlaceholderStyle<'_>, into: &mut RewrittenText) -> usize {
    let closed = |open: &str, close: &str| {
        let inner = window(rest.strip_prefix(open)?).split_once(close)?.0;
        Some((inner.to_owned(), open.len() + inner.len() + close.len()))
    };
    if let Some((name, length)) = closed("{env:", "}")
        && is_variable(name.trim())
    {
        into.add(name.trim(), rest.get(..length).unwrap_or(rest), None, None);
        return length;
    }
    if let Some((path, length)) = closed("{file:", "}").filter(|_| style.is_braces)
        && !path.trim().is_empty()
        && !path.contains([':', '$', '{'])
    {
        let path = path.trim();
        let path = match path.strip_prefix("~/") {
            Some(path) => format!("${{HOME}}/{path}"),
            None => path.to_owned(),
        };
        into.reference(&format!("file:{path}"), None);
        return length;
    }
    if let Some((name, length)) = closed("{{", "}}") {
        let name = name.trim();
        let is_loud = name.len() > 1 && !name.contains(|it: char| it.is_ascii_lowercase());
        if is_loud && is_variable(name) {
            into.add(name, rest.get(..length).unwrap_or(rest), None, None);
            return length;
        }
    }
    0
}

impl RewrittenText {
    fn reference(&mut self, name: &str, default: Option<String>) {
        self.text.push_str("${");
        self.text.push_str(name);
        if let Some(default) = default {
            self.text.push_str(":-");
            self.text.push_str(&default);
        }
        self.text.push('}');
        self.has_references = true;
    }

    fn add(&mut self, name: &str, written: &str, input: Option<String>, default: Option<String>) {
        let has_default = default.is_some();
        self.reference(name, default);
        self.variables.push(PlaceholderVariable {
            name: name.to_owned(),
            written: written.to_owned(),
            input,
            has_default,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: PlaceholderStyle<'_> = PlaceholderStyle {
        is_dollar: false,
        is_braces: false,
        is_script: false,
        own: &[],
    };

    #[test]
    fn placeholders_become_references() {
        for (text, ours) in [
            ("", ""),
            ("plain $ } {", "plain $ } {"),
            ("${A}${A:-d}", "${A}${A:-d}"),
            ("${env:A}/${env:A:-x}", "${A}/${A:-x}"),
            ("Bearer ${input:my-token}", "Bearer ${MY_TOKEN}"),
            ("${A:-${env:B}}", "${A:-${B}}"),
            ("${A:-${input:b:-c}}", "${A:-${B:-c}}"),
            (
                "${workspaceFolder}/x${/}y${pathSeparator}",
                "${WORKSPACE_FOLDER}/x/y/",
            ),
            ("${userHome}", "${HOME}"),
            ("${workspaceFolder:api}", "${WORKSPACEFOLDER_API}"),
            ("${command:ext.pick}", "${COMMAND_EXT_PICK}"),
            ("${user_config.api_key}", "${USER_CONFIG_API_KEY}"),
            ("${{ secrets.API_KEY }}x", "${API_KEY}x"),
            ("${file:/run/x}", "${file:/run/x}"),
            ("{env:A}{env:}", "${A}{env:}"),
            ("{file:x}", "{file:x}"),
            (
                "{{LIBRECHAT_USER_ID}} {{.Names}}",
                "${LIBRECHAT_USER_ID} {{.Names}}",
            ),
            ("$NAME", "${NAME}"),
            ("Bearer $NAME", "Bearer ${NAME}"),
            ("--key=$NAME", "--key=${NAME}"),
            ("https://x/$NAME/$n", "https://x/${NAME}/$n"),
            ("pa$WORD $1 $$NAME $A", "pa$WORD $1 $$NAME $A"),
            ("$${A}", "$${A}"),
            ("${", "$${"),
            ("${} ${a b} ${#x}", "$${} $${a b} $${#x}"),
            ("COPILOT_MCP_TOKEN", "${COPILOT_MCP_TOKEN}"),
        ] {
            assert_eq!(rewrite(text, PLAIN).text, ours, "{text}");
        }
    }

    #[test]
    fn clients_have_placeholders_of_their_own() {
        let gemini = PlaceholderStyle {
            is_dollar: true,
            ..PLAIN
        };
        assert_eq!(rewrite("pa$word/$A", gemini).text, "pa${word}/${A}");
        let opencode = PlaceholderStyle {
            is_braces: true,
            ..PLAIN
        };
        let files = rewrite("{file:~/k} {file:./k}", opencode).text;
        assert_eq!(files, "${file:${HOME}/k} ${file:./k}");
        let script = PlaceholderStyle {
            is_script: true,
            ..PLAIN
        };
        assert_eq!(
            rewrite("for i in $A; do ${i} ${TOKEN}", script).text,
            "for i in $A; do $${i} ${TOKEN}"
        );
        let own = PlaceholderStyle {
            own: &["AUTH"],
            ..PLAIN
        };
        assert_eq!(
            rewrite("X:${AUTH} $AUTH ${B}", own).text,
            "X:$${AUTH} $AUTH ${B}"
        );
    }

    #[test]
    fn variables_are_told_with_what_was_written() {
        let [input, env] = &rewrite("${input:tok} ${env:B:-c}", PLAIN).variables[..] else {
            panic!("two variables")
        };
        assert_eq!(
            (input.name.as_str(), input.written.as_str()),
            ("TOK", "${input:tok}")
        );
        assert_eq!(
            (input.input.as_deref(), input.has_default),
            (Some("tok"), false)
        );
        assert_eq!(
            (env.written.as_str(), env.has_default),
            ("${env:B:-c}", true)
        );
        for (text, name) in [
            ("${A}", Some("A")),
            (" Bearer  ${A}", Some("A")),
            ("${A}x", None),
            ("x-y ${A}", None),
            ("${A:-b}", None),
            ("$${A}", None),
        ] {
            assert_eq!(alone(text), name, "{text}");
        }
    }

    #[test]
    fn a_long_text_of_openings_costs_little() {
        let text = "${".repeat(20_000);
        let began = std::time::Instant::now();
        assert_eq!(rewrite(&text, PLAIN).text.len(), 60_000);
        assert!(began.elapsed().as_secs() < 10);
    }

    proptest! {
        #[test]
        fn what_comes_out_can_always_be_read(
            words in prop::collection::vec(
                prop::sample::select(vec!["${", "}", "$", "{", "{{", "}}", "{env:", "A", "b", ":-", "input:", "file:", " ", "-", "/"]),
                0..24,
            ),
        ) {
            let text = words.concat();
            for style in [PLAIN, PlaceholderStyle { is_dollar: true, is_braces: true, ..PLAIN }, PlaceholderStyle { is_script: true, ..PLAIN }] {
                let ours = rewrite(&text, style).text;
                prop_assert!(crate::config::read::reference::is_readable(&ours), "{text} became {ours}");
            }
        }
    }
}
