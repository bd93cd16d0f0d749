//! Writes the table of one bridge.

use super::text::{comment_of, key_of, line, list, plain, quote};
use crate::config::{
    clients::{
        ClientFile, PlaceholderStyle, PlaceholderVariable, SpannedValue, ValueContent, is_script,
        rewrite,
    },
    exact_glob,
};

/// The table of one bridge, ready to write.
pub(super) struct ImportedBridge<'t> {
    /// The imported file.
    pub(super) file: &'t ClientFile,
    /// The name of the bridge.
    pub(super) bridge: &'t str,
    /// The variables that the server itself replaces in its arguments.
    pub(super) own: &'t [&'t str],
    /// The lines of its keys.
    pub(super) lines: String,
    /// The comments for settings that were not imported.
    pub(super) comments: String,
    /// Whether it has a `command` or a `url`.
    pub(super) has_place: bool,
}

impl ImportedBridge<'_> {
    /// Writes a key.
    pub(super) fn line(&mut self, key: &str, value: &str) {
        line(&mut self.lines, &format!("{key} = {value}"));
    }

    /// Writes a string, with a comment that explains its variables.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.text_in(key, text, &[]);
    }

    /// Works like `text` for a string that may contain variables of the server itself.
    pub(super) fn text_in(&mut self, key: &str, text: &str, own: &[&str]) {
        let rewritten = rewrite(text, self.file.style(own));
        let notes = notes(self.file, &rewritten.variables);
        self.line(key, &format!("{}{notes}", quote(&rewritten.text)));
    }

    /// Writes `args`.
    pub(super) fn args(&mut self, args: &[SpannedValue]) {
        let mut written = Vec::new();
        let mut variables = Vec::new();
        let mut before = None;
        for arg in args {
            let Some(text) = arg.scalar() else {
                continue;
            };
            let style = PlaceholderStyle {
                is_script: is_script(before, &text),
                ..self.file.style(self.own)
            };
            let mut rewritten = rewrite(&text, style);
            written.push(rewritten.text);
            variables.append(&mut rewritten.variables);
            before = arg.text();
        }
        let notes = notes(self.file, &variables);
        self.line("args", &format!("{}{notes}", list(written)));
    }

    /// Disables the bridge, with a comment that gives the reason.
    pub(super) fn switch_off(&mut self, reason: Option<&str>) {
        // Several keys can disable the same bridge.
        if self
            .lines
            .lines()
            .any(|line| line.starts_with("enabled = false"))
        {
            return;
        }
        let reason = reason.map_or_else(String::new, |reason| format!(" # {}", plain(reason)));
        self.line("enabled", &format!("false{reason}"));
    }

    /// Keeps a setting that is not imported as a comment, without its secrets.
    pub(super) fn lost(&mut self, key: &str, shown: &str, value: &SpannedValue) {
        let hint = match key {
            "envFile" => {
                "; import its variables with `--read-env-files`, or name them here: env.NAME = \"${NAME}\""
            }
            _ => "",
        };
        line(
            &mut self.comments,
            &format!("# not imported: {shown} = {}{hint}", comment_of(key, value)),
        );
    }

    /// Writes a key that programs and URLs share. Returns whether the value was valid.
    pub(super) fn common(&mut self, key: &str, value: &SpannedValue) -> bool {
        match (key, &value.tree) {
            ("description" | "timeout", ValueContent::Text(text)) => self.text(key, text),
            ("connect_timeout", ValueContent::Text(text)) => self.line(key, &quote(text)),
            ("timeout", ValueContent::Number(number)) => match number.parse::<f64>() {
                // The loader reads a number below 1000 as seconds, and other numbers as milliseconds.
                Ok(number) if number > 0.0 && number < 1000.0 => {
                    self.line(key, &format!("\"{:.0}ms\"", number * 1000.0));
                }
                Ok(number) if number > 0.0 && number < 1e12 => {
                    self.line(key, &format!("\"{number:.0}ms\""));
                }
                _ => return false,
            },
            ("disabled", ValueContent::Switch(true)) | ("enabled", ValueContent::Switch(false)) => {
                self.switch_off(None);
            }
            ("disabled" | "enabled", ValueContent::Switch(_)) => {}
            ("tools_allow", ValueContent::List(globs)) => {
                if !globs.is_empty() {
                    self.line(key, &list(globs.iter().filter_map(SpannedValue::scalar)));
                }
            }
            _ => return false,
        }
        true
    }

    /// Writes `tools_deny` from the names of mcpo and the patterns of mcp-bridge.
    pub(super) fn denied(&mut self, names: &[SpannedValue], globs: &[SpannedValue]) {
        let names = names.iter().filter_map(SpannedValue::text).map(exact_glob);
        let globs = globs.iter().filter_map(SpannedValue::scalar);
        self.line("tools_deny", &list(names.chain(globs)));
    }

    /// Writes `oauth`. It imports only the scopes, because the other settings of mcpo have no equivalent here.
    pub(super) fn oauth(&mut self, entry: &SpannedValue) {
        let scope = entry.get("client_metadata").and_then(|it| it.get("scope"));
        let scopes = scope.and_then(SpannedValue::text).unwrap_or_default();
        let scopes: Vec<_> = scopes
            .split_whitespace()
            .map(|word| rewrite(word, self.file.style(&[])).text)
            .collect();
        if scopes.is_empty() {
            self.line("oauth", "{}");
        } else {
            self.line("oauth", &format!("{{ scopes = {} }}", list(scopes)));
        }
    }

    /// Writes one entry of `env` or `headers`.
    pub(super) fn entry(
        &mut self,
        map: &str,
        name: &str,
        text: &str,
        variables: &[PlaceholderVariable],
    ) {
        let notes = notes(self.file, variables);
        let key = format!("{map}.{}", key_of(name));
        self.line(&key, &format!("{}{notes}", quote(text)));
    }
}

/// Renders a comment that explains the variables whose names do not explain themselves.
fn notes(file: &ClientFile, variables: &[PlaceholderVariable]) -> String {
    let mut notes: Vec<String> = Vec::new();
    for variable in variables {
        let PlaceholderVariable { name, written, .. } = variable;
        let note = match &variable.input {
            Some(id) => {
                let input = file.inputs.iter().find(|input| input.id == *id);
                let description = input.and_then(|input| input.description.as_deref());
                let description = description.filter(|it| !it.is_empty());
                description.map_or_else(
                    || format!("{name}: asked for as `{written}`"),
                    |description| format!("{name}: {description}"),
                )
            }
            None if written.contains(name.as_str()) => continue,
            None => format!("{name}: in place of `{written}`"),
        };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if notes.is_empty() {
        return String::new();
    }
    format!(" # {}", plain(&notes.join("; ")))
}
