//! Reads sources as text: which file uses which. Tests are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The path of a module from the root of the crate.
type Module = Vec<String>;

/// The modules of the crate that are compiled without tests.
pub struct Sources(BTreeMap<Module, File>);

/// One module.
struct File {
    /// Its text without comments, literals and tests.
    code: String,
    /// The names that it defines.
    items: BTreeSet<String>,
    /// What its `use` lines bring in.
    uses: Vec<Use>,
}

/// One name that a `use` brings in.
struct Use {
    path: Vec<String>,
    name: String,
    /// Whether it is only passed on to others, as `pub use` does.
    is_passed_on: bool,
}

impl Sources {
    /// Reads files by their path.
    pub fn new(files: Vec<(PathBuf, String)>) -> Self {
        let read = files.into_iter().filter_map(|(path, text)| {
            let code = without_tests(&without_comments_and_literals(&text));
            Some((module_of(&path)?, File::new(&code)))
        });
        let mut all: BTreeMap<_, _> = read.collect();
        let modules: Vec<Module> = all.keys().cloned().collect();
        // Parents come before their children.
        for module in modules {
            if let Some((name, parent)) = module.split_last() {
                let declared = format!("mod {name};");
                if !all
                    .get(parent)
                    .is_some_and(|it| it.code.contains(&declared))
                {
                    all.remove(&module);
                }
            }
        }
        Self(all)
    }

    /// The modules that each module names, but for what it only passes on.
    pub fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |(module, file): (&Module, &File)| {
            let uses = file.uses.iter().filter(|it| !it.is_passed_on);
            let mut paths: Vec<_> = uses.map(|it| it.path.clone()).collect();
            paths.extend(paths_in(&file.code));
            let named = paths
                .iter()
                .filter_map(|path| self.resolve(module, path, 0));
            let others = named.filter(|it| it != module && !it.is_empty());
            (module.clone(), others.collect())
        };
        self.0.iter().map(of).collect()
    }

    /// The module that defines what a path names, followed through `pub use`; `None` for another crate.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let first = path.first()?;
        let mut rest = path;
        let mut at = module.clone();
        match first.as_str() {
            _ if depth > 8 => return None,
            "crate" => {
                at.clear();
                rest = &path[1..];
            }
            "super" | "self" => {
                while let Some((word @ ("super" | "self"), after)) = rest
                    .split_first()
                    .map(|(word, after)| (word.as_str(), after))
                {
                    if word == "super" {
                        at.pop();
                    }
                    rest = after;
                }
            }
            _ if self.0.contains_key(&joined(module, first)) => {}
            _ => return None,
        }
        for part in rest {
            let child = joined(&at, part);
            if self.0.contains_key(&child) {
                at = child;
                continue;
            }
            return Some(self.origin(&at, part, depth).unwrap_or(at));
        }
        Some(at)
    }

    /// Where a name comes from that a module does not define itself.
    fn origin(&self, at: &Module, name: &str, depth: usize) -> Option<Module> {
        let file = self.0.get(at).filter(|file| !file.items.contains(name))?;
        file.uses.iter().find_map(|used| match used.name.as_str() {
            "*" => {
                let found = self.resolve(at, &used.path, depth + 1)?;
                let defines = self.0.get(&found)?.items.contains(name);
                defines.then_some(found)
            }
            own if own == name => self.resolve(at, &used.path, depth + 1),
            _ => None,
        })
    }
}

impl File {
    fn new(code: &str) -> Self {
        let items = code.lines().filter_map(item_in).collect();
        let (uses, code) = split_uses(code);
        Self { code, items, uses }
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are both `a::b`; the program itself is another crate.
fn module_of(path: &Path) -> Option<Module> {
    let path = path.strip_prefix("src").ok()?.with_extension("");
    let parts: Vec<_> = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .filter(|part| !matches!(part.as_str(), "mod" | "lib"))
        .collect();
    (parts != ["main"]).then_some(parts)
}

fn joined(module: &[String], name: &str) -> Module {
    let mut joined = module.to_vec();
    joined.push(name.to_owned());
    joined
}

/// A line of code without `pub` or `pub(…)`.
fn without_visibility(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("pub") else {
        return line;
    };
    let scoped = rest.strip_prefix('(').and_then(|it| it.split_once(')'));
    match scoped {
        Some((_, rest)) => rest.trim_start(),
        None if rest.starts_with(' ') => rest.trim_start(),
        None => line,
    }
}

/// The name that a line at the left margin defines.
fn item_in(line: &str) -> Option<String> {
    let line = without_visibility(line);
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '!');
    let mut words = words.skip_while(|word| matches!(*word, "async" | "unsafe"));
    let keyword = words.next()?;
    let mut name = words.next()?;
    match keyword {
        "const" if matches!(name, "fn" | "async") => name = words.find(|it| *it != "fn")?,
        "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static"
        | "macro_rules!" => {}
        _ => return None,
    }
    Some(name.to_owned())
}

/// The `use` lines of a code, and the code without them.
fn split_uses(code: &str) -> (Vec<Use>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let whole = line.trim_start();
        let plain = without_visibility(whole);
        let Some(tree) = plain.strip_prefix("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            let Some(line) = lines.next() else { break };
            tree.push_str(line.trim());
        }
        let tree = tree.split(';').next().unwrap_or_default();
        expand(tree, &[], plain != whole, &mut uses);
    }
    (uses, rest)
}

/// Adds every path of a `use` tree.
fn expand(tree: &str, prefix: &[String], is_passed_on: bool, uses: &mut Vec<Use>) {
    let segments = |text: &str| -> Vec<String> {
        let parts = text.split("::").map(str::trim);
        parts
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    };
    if let Some((before, inner)) = tree.split_once('{') {
        let prefix = [prefix, &segments(before)].concat();
        let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
        let (mut depth, mut start) = (0_usize, 0);
        for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
            match letter {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    let part = inner.get(start..at).unwrap_or_default();
                    expand(part, &prefix, is_passed_on, uses);
                    start = (at + 1).min(inner.len());
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let own = segments(path);
    let mut path = [prefix, &own].concat();
    if own.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    if let (Some(last), false) = (path.last(), own.is_empty()) {
        let name = if alias.is_empty() { last } else { alias.trim() };
        let name = name.to_owned();
        uses.push(Use {
            path,
            name,
            is_passed_on,
        });
    }
}

/// The paths in code that begin with `crate`, `super` or `self`.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let (before, after) = code.split_at(at);
            let is_first = !before.ends_with(|c: char| is_letter(c) || c == ':');
            let path = after.split(|c: char| !is_letter(c) && c != ':').next();
            let parts = path
                .unwrap_or_default()
                .split("::")
                .filter(|part| !part.is_empty());
            if is_first {
                found.push(parts.map(str::to_owned).collect());
            }
        }
    }
    found
}

/// Code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, item)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let mut depth = 0_usize;
        let end = item.char_indices().find(|(_, letter)| {
            match letter {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(letter, ';' | '}' | ',')
        });
        rest = end.map_or("", |(at, _)| item.split_at(at + 1).1);
    }
    kept + rest
}

/// Code with empty literals and without comments.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let hashes = rest
            .strip_prefix('r')
            .map_or(0, |it| it.len() - it.trim_start_matches('#').len());
        let is_word =
            code.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !code.ends_with('b');
        let raw = rest.get(1 + hashes..).is_some_and(|it| it.starts_with('"'));
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if letter == 'r' && raw && !is_word {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = 2 + hashes;
            rest.split_at(from)
                .1
                .find(&end)
                .map_or(rest.len(), |at| from + at + end.len())
        } else if letter == '"' {
            end_of_string(rest)
        } else if let Some(length) = length_of_character(rest) {
            length
        } else {
            code.push(letter);
            rest = rest.split_at(letter.len_utf8()).1;
            continue;
        };
        if !rest.starts_with("//") {
            code.push_str("\"\"");
        }
        rest = rest.split_at(skipped).1;
    }
    code
}

/// The length of the string that a text begins with.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character literal that a text begins with; `None` for a lifetime.
fn length_of_character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return Some(inner.get(2..)?.find('\'')? + 4);
    }
    let letter = inner.chars().next()?;
    let after = inner.get(letter.len_utf8()..)?;
    after.starts_with('\'').then_some(letter.len_utf8() + 2)
}
