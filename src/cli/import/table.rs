//! The table of one bridge.

use super::text::{comment_of, key_of, line, list, plain, quote};
use crate::config::{
    clients::{ClientFile, Node, Style, Tree, Variable, is_script, rewrite},
    exact_glob,
};

/// The keys of one bridge, ready to write.
pub(super) struct Table<'t> {
    /// The file that it comes from.
    pub(super) file: &'t ClientFile,
    /// Its name.
    pub(super) bridge: &'t str,
    /// Variables that the server replaces itself in its arguments.
    pub(super) own: &'t [&'t str],
    /// What it says.
    pub(super) lines: String,
    /// What it cannot say.
    pub(super) comments: String,
    /// Whether it says where the server is.
    pub(super) has_place: bool,
}

impl Table<'_> {
    /// Writes a key.
    pub(super) fn line(&mut self, key: &str, value: &str) {
        line(&mut self.lines, &format!("{key} = {value}"));
    }

    /// Writes a string and says beside it what its variables stand for.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.text_in(key, text, &[]);
    }

    /// The same where variables of the server's own may stand.
    pub(super) fn text_in(&mut self, key: &str, text: &str, own: &[&str]) {
        let rewritten = rewrite(text, self.file.style(own));
        let notes = notes(self.file, &rewritten.variables);
        self.line(key, &format!("{}{notes}", quote(&rewritten.text)));
    }

    /// Writes `args`.
    pub(super) fn args(&mut self, args: &[Node]) {
        let mut written = Vec::new();
        let mut variables = Vec::new();
        let mut before = None;
        for arg in args {
            let Some(text) = arg.scalar() else {
                continue;
            };
            let style = Style {
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

    /// Switches it off, and says why beside it.
    pub(super) fn switch_off(&mut self, reason: Option<&str>) {
        // Several keys may say the same.
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

    /// Keeps what is not imported, secrets apart.
    pub(super) fn lost(&mut self, key: &str, shown: &str, value: &Node) {
        let hint = match key {
            "envFile" => {
                "; `--read-env-files` takes its variables over, or name them here: env.NAME = \"${NAME}\""
            }
            _ => "",
        };
        line(
            &mut self.comments,
            &format!("# not imported: {shown} = {}{hint}", comment_of(key, value)),
        );
    }

    /// Writes what programs and URLs share; whether the value could be taken.
    pub(super) fn common(&mut self, key: &str, value: &Node) -> bool {
        match (key, &value.tree) {
            ("description" | "timeout", Tree::Text(text)) => self.text(key, text),
            ("connect_timeout", Tree::Text(text)) => self.line(key, &quote(text)),
            ("timeout", Tree::Number(number)) => match number.parse::<f64>() {
                // As the loader reads it: seconds, or from 1000 on milliseconds.
                Ok(number) if number > 0.0 && number < 1000.0 => {
                    self.line(key, &format!("\"{:.0}ms\"", number * 1000.0));
                }
                Ok(number) if number > 0.0 && number < 1e12 => {
                    self.line(key, &format!("\"{number:.0}ms\""));
                }
                _ => return false,
            },
            ("disabled", Tree::Switch(true)) | ("enabled", Tree::Switch(false)) => {
                self.switch_off(None);
            }
            ("disabled" | "enabled", Tree::Switch(_)) => {}
            ("tools_allow", Tree::List(globs)) => {
                if !globs.is_empty() {
                    self.line(key, &list(globs.iter().filter_map(Node::scalar)));
                }
            }
            _ => return false,
        }
        true
    }

    /// Writes `tools_deny` out of mcpo's names and patterns of ours.
    pub(super) fn denied(&mut self, names: &[Node], globs: &[Node]) {
        let names = names.iter().filter_map(Node::text).map(exact_glob);
        let globs = globs.iter().filter_map(Node::scalar);
        self.line("tools_deny", &list(names.chain(globs)));
    }

    /// Writes `oauth`. Of what mcpo has there only the scopes mean anything here (mcpo contract §9.2).
    pub(super) fn oauth(&mut self, entry: &Node) {
        let scope = entry.get("client_metadata").and_then(|it| it.get("scope"));
        let scopes = scope.and_then(Node::text).unwrap_or_default();
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
    pub(super) fn entry(&mut self, map: &str, name: &str, text: &str, variables: &[Variable]) {
        let notes = notes(self.file, variables);
        let key = format!("{map}.{}", key_of(name));
        self.line(&key, &format!("{}{notes}", quote(text)));
    }
}

/// What variables stand for, where their names do not say it.
fn notes(file: &ClientFile, variables: &[Variable]) -> String {
    let mut notes: Vec<String> = Vec::new();
    for variable in variables {
        let Variable { name, written, .. } = variable;
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
