//! Every path and every name that the documentation for contributors mentions must exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{layers::in_order, sources};

/// The pages that describe the code.
const PAGES: [&str; 4] = [
    "ARCHITECTURE.md",
    "AGENTS.md",
    "CONTRIBUTING.md",
    "docs/glossary.md",
];
/// Folders of this repository that these pages name files of.
const FOLDERS: [&str; 8] = [
    "src/",
    "tests/",
    "docs/",
    "examples/",
    "fuzz/",
    "migrations/",
    "scripts/",
    ".config/",
];
/// Names of the language and its standard library.
const FOREIGN: [&str; 5] = ["Debug", "PartialEq", "panic!", "println!", "todo!"];
/// Crates whose names are not ours.
const FOREIGN_CRATES: [&str; 2] = ["std", "tokio"];
/// What can stand before a name where it is defined.
const KEYWORDS: [&str; 9] = [
    "struct",
    "enum",
    "trait",
    "fn",
    "type",
    "const",
    "static",
    "mod",
    "macro_rules",
];

#[test]
fn every_path_and_name_of_these_pages_exists() {
    let code = Code::read();
    let mut broken = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(page).expect("the page is readable");
        for flaw in code.flaws(&text) {
            broken.push(format!("{page}: {flaw}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_wrong_path_or_name_is_found() {
    let code = Code::read();
    for right in [
        "`src/http/tools.rs`",
        "`src/bridge/`",
        "`src/**/tests.rs`",
        "`Bridge`",
        "`Bridge::call`",
        "`Bridge::call()`",
        "`ErrorCode::Busy`",
        "`ProcessLifecycle::soft`",
        "`bridge::Bridge`",
        "`plan()`",
        "`config::plan()`",
        "`error_codes!`",
        "`HEALTHY_AFTER`",
        "`src/bridge/call.rs::Bridge::call`",
        "`tests/it/access.rs::every_outcome_is_written_down_once`",
        "`cargo build`, `drain_delay`, `GET`, `rmcp`, `println!`",
        "```sh\n`Nothing` is checked here but src/lib.rs\n```",
    ] {
        assert_eq!(code.flaws(right), Vec::<String>::new(), "{right}");
    }
    for wrong in [
        "`src/http/tool.rs`",
        "see src/nothing.rs.",
        "`docs/nothing.md`",
        "`http/tools.rs`",
        "`Bridge2`",
        "`Bridge::calls`",
        "`Nothing::call`",
        "`ErrorCode::Bussy`",
        "`http::Bridge`",
        "`planned()`",
        "`mcp::plan()`",
        "`error_code!`",
        "`HEALTHY_BEFORE`",
        "`src/bridge/call.rs::Bridge::calls`",
        "`src/bridge/call.rs::resolve`",
        "`tests/it/access.rs::nothing_is_tested`",
        "```sh\ncat src/nothing.rs\n```",
    ] {
        assert_eq!(code.flaws(wrong).len(), 1, "{wrong}");
    }
}

#[test]
fn every_module_is_described_in_its_order() {
    let text = fs::read_to_string("ARCHITECTURE.md").expect("the page is readable");
    let (_, table) = text
        .split_once("| module | ")
        .expect("there is a table of modules");
    let mut described = Vec::new();
    for row in table.lines().take_while(|row| !row.is_empty()).skip(2) {
        let first = row.split('|').nth(1).unwrap_or_default();
        described.extend(first.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    assert_eq!(described, in_order(), "the table differs from src/lib.rs");
}

/// All source files.
struct Code(Vec<File>);

/// A source file.
struct File {
    path: PathBuf,
    text: String,
    /// What it defines: the keyword and the name.
    defined: BTreeSet<(&'static str, String)>,
}

impl File {
    fn new(path: PathBuf, text: String) -> Self {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let mut words = text
            .split(|letter: char| !is_part(letter))
            .filter(|word| !word.is_empty());
        let mut defined = BTreeSet::new();
        let mut last = words.next();
        for word in words {
            let keyword = KEYWORDS.into_iter().find(|it| last == Some(*it));
            defined.extend(keyword.map(|it| (it, word.to_owned())));
            last = Some(word);
        }
        Self {
            path,
            text,
            defined,
        }
    }

    fn defines(&self, name: &str) -> bool {
        KEYWORDS.into_iter().any(|keyword| self.has(keyword, name))
    }

    fn has(&self, keyword: &'static str, name: &str) -> bool {
        self.defined.contains(&(keyword, name.to_owned()))
    }
}

impl Code {
    /// Reads them.
    fn read() -> Self {
        let files = sources().into_iter();
        Self(files.map(|(path, text)| File::new(path, text)).collect())
    }

    /// The paths and names in a page that do not exist.
    fn flaws(&self, page: &str) -> Vec<String> {
        let mut flaws = Vec::new();
        let mut is_fenced = false;
        for line in page.lines() {
            if line.starts_with("```") {
                is_fenced = !is_fenced;
                continue;
            }
            let spans = line.split('`').skip(1).step_by(2);
            let spans = spans.filter(|_| !is_fenced);
            flaws.extend(spans.filter_map(|span| self.flaw(span)));
            let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            let plain = if is_fenced { line } else { &prose };
            let words = plain.split(|c: char| c.is_whitespace() || "()[]\",;|".contains(c));
            let paths = words.filter(|word| is_path(word));
            flaws.extend(paths.filter_map(|path| missing(path.trim_end_matches(['.', ':']))));
        }
        flaws
    }

    /// What is wrong with the text between two backticks.
    fn flaw(&self, span: &str) -> Option<String> {
        if FOREIGN.contains(&span) {
            return None;
        }
        if let Some((file, name)) = span.split_once(".rs::") {
            return Self::flaw_in(&format!("{file}.rs"), name.trim_end_matches("()"));
        }
        if is_path(span) || is_file_name(span) {
            return missing(span);
        }
        let is_called = span.ends_with("()") || span.ends_with('!');
        let name = span.trim_end_matches("()").trim_end_matches('!');
        let steps: Vec<&str> = name.split("::").collect();
        if !steps.iter().all(|step| is_identifier(step)) || FOREIGN_CRATES.contains(&steps[0]) {
            return None;
        }
        let is_checked = is_called || steps.len() > 1 || is_type(name) || is_constant(name);
        let is_defined = match (span.ends_with('!'), is_called, &steps[..]) {
            (true, ..) => self.has("macro_rules", name),
            (_, true, [name]) => self.has("fn", name),
            _ => self.defines(&steps),
        };
        (is_checked && !is_defined).then(|| format!("`{span}` is not defined in src/"))
    }

    /// What is wrong with a name that must be defined in a file.
    fn flaw_in(file: &str, name: &str) -> Option<String> {
        let Ok(text) = fs::read_to_string(file) else {
            return Some(format!("`{file}` does not exist"));
        };
        let file = File::new(file.into(), text);
        let last = name.rsplit("::").next().unwrap_or(name);
        let first = name.split("::").next().unwrap_or(name);
        let is_there = file.defines(last) && (first == last || is_home(&file, first));
        (!is_there).then(|| format!("`{name}` is not defined in {}", file.path.display()))
    }

    /// Whether a name of these steps is defined: `Type`, `Type::method`, `module::function`.
    fn defines(&self, steps: &[&str]) -> bool {
        self.0.iter().any(|file| match steps {
            [name] => file.defines(name),
            [.., owner, name] if is_type(owner) => {
                is_home(file, owner) && (file.defines(name) || has_member(&file.text, name))
            }
            [module, .., name] => {
                let mut folders = file.path.iter();
                folders.any(|it| Path::new(it).with_extension("") == Path::new(module))
                    && file.defines(name)
            }
            [] => false,
        })
    }

    /// Whether a file defines this name with this keyword.
    fn has(&self, keyword: &'static str, name: &str) -> bool {
        self.0.iter().any(|file| file.has(keyword, name))
    }
}

/// Whether a word is a path of this repository.
fn is_path(word: &str) -> bool {
    FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains("::")
}

/// Whether a text is the path of a source file or a page.
fn is_file_name(span: &str) -> bool {
    let path = Path::new(span);
    let is_known = |ending| path.extension().is_some_and(|it| it == ending);
    (is_known("rs") || is_known("md")) && !span.contains(' ')
}

/// What is wrong with a path. Of a pattern the part before the first star must exist.
fn missing(path: &str) -> Option<String> {
    let path = path.split('#').next().unwrap_or(path);
    let there = match path.split_once('*') {
        Some((before, _)) => before.rsplit_once('/').map_or(".", |(folder, _)| folder),
        None => path,
    };
    (!Path::new(there).exists()).then(|| format!("`{path}` does not exist"))
}

/// Whether a file defines a type or has methods of it.
fn is_home(file: &File, owner: &str) -> bool {
    let is_impl = |line: &str| line.starts_with("impl") && has_word(line, owner);
    file.defines(owner) || file.text.lines().any(is_impl)
}

/// Whether a text has a variant or a field of this name.
fn has_member(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start().trim_start_matches("pub ");
        line.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty() || rest.trim_start().starts_with([',', '(', '{', ':', '='])
        })
    })
}

/// Whether a text has these words, not as a part of longer ones.
fn has_word(text: &str, words: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let after = text.get(at + words.len()..).unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

fn is_identifier(step: &str) -> bool {
    step.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `SeveralWords` or `Word`, but not `GET`.
fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains(|c: char| c.is_ascii_lowercase())
}

/// `TWO_WORDS`.
fn is_constant(name: &str) -> bool {
    name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase())
}
