//! Layers of modules, and the one module that each special dependency is used in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{sources, without_tests};

/// Crates that only one module uses.
const HOMES: [(&str, &str); 6] = [
    ("chacha20poly1305", "vault"),
    ("clap", "cli"),
    ("opentelemetry", "telemetry"),
    ("prometheus", "http"),
    ("rmcp", "mcp"),
    ("sqlx", "store"),
];

#[test]
fn modules_use_only_the_layers_below_them() {
    let layers = layers();
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else {
            continue;
        };
        let Some(own) = layers.get(&module) else {
            continue;
        };
        for (line, used) in crate_paths(without_tests(&text)) {
            if used != module && layers.get(&used).is_some_and(|layer| own <= layer) {
                broken.push(format!(
                    "{}:{line}: `{module}` may not use `{used}`",
                    path.display()
                ));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "see the module list in src/lib.rs:\n{}",
        broken.join("\n")
    );
}

#[test]
fn each_special_dependency_is_used_in_one_module() {
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        for (number, line) in without_comments_and_strings(&text).lines().enumerate() {
            for (dependency, home) in HOMES {
                if !uses(line, dependency) {
                    continue;
                }
                used.insert(dependency);
                if module.as_deref() != Some(home) {
                    let place = format!("{}:{}", path.display(), number + 1);
                    broken.push(format!("{place}: only `{home}` may use `{dependency}`"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_eq!(used.len(), HOMES.len(), "some are not used: {used:?}");
}

/// Whether a line of code has a path that starts with this crate.
fn uses(line: &str, dependency: &str) -> bool {
    line.match_indices(dependency).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + dependency.len()..).unwrap_or_default();
        after.starts_with("::")
            && !before.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c))
    })
}

/// Reads the layers off `src/lib.rs`: each blank-line-separated group of `mod` lines is one layer,
/// lowest first.
fn layers() -> BTreeMap<String, usize> {
    let text = fs::read_to_string("src/lib.rs").expect("src/lib.rs is readable");
    let groups = text.split("\n\n").enumerate();
    let layers: BTreeMap<_, _> = groups
        .flat_map(|(layer, group)| {
            group
                .lines()
                .filter_map(module_in)
                .map(move |it| (it, layer))
        })
        .collect();
    assert!(layers.len() > 1, "found no modules in src/lib.rs");
    layers
}

/// The modules of `src/lib.rs`, lowest layer first.
pub fn in_order() -> Vec<String> {
    let text = fs::read_to_string("src/lib.rs").expect("src/lib.rs is readable");
    text.lines().filter_map(module_in).collect()
}

/// The module that a line declares.
fn module_in(line: &str) -> Option<String> {
    let line = line.trim_start_matches("pub ");
    let name = line.strip_prefix("mod ")?.strip_suffix(';')?;
    Some(name.to_owned())
}

/// `src/bridge/plan.rs` and `src/bridge.rs` both belong to `bridge`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix("src").ok()?.iter().next()?.to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// The line number and first segment of every `crate::…` path in code.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let code = without_comments_and_strings(text);
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let (before, rest) = code.split_at(at + path.len());
        let mut line = before.lines().count();
        if !rest.starts_with('{') {
            found.extend(leading_word(rest).map(|word| (line, word)));
            continue;
        }
        let mut depth = 0_usize;
        for (at, letter) in rest.char_indices() {
            match letter {
                '\n' => line += 1,
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            let is_start = depth == 1 && "{,".contains(letter);
            let next = rest.get(at + 1..).unwrap_or_default().trim_start();
            found.extend(
                leading_word(next)
                    .filter(|_| is_start)
                    .map(|word| (line, word)),
            );
        }
    }
    found
}

/// A source text without the parts in which a path means nothing. Lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let code = text.lines().map(|line| {
        let code = line.split("//").next().unwrap_or_default();
        // Every other piece is outside of string quotes.
        code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
    });
    code.collect::<Vec<_>>().join("\n")
}

#[test]
fn paths_are_found_in_nested_groups() {
    let text = "use crate::a::x;\nuse crate::{\n    b::{x, y::z},\n    c, d::{x},\n};\nlet e = crate::f(\"crate::g\"); // crate::h\n";
    let found = crate_paths(text);
    let found: Vec<_> = found.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(found, ["a", "b", "c", "d", "f"]);
}

fn leading_word(code: &str) -> Option<String> {
    let word = code
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    (!word.is_empty()).then(|| word.to_owned())
}
