//! House rules that rustc and clippy cannot check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What explains every status of a bridge.
const TROUBLES: &str = "docs/troubleshooting.md";
/// No source file grows past this, its tests not counted.
const MAX_LINES: usize = 500;

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
fn every_file_opens_with_its_purpose_and_stays_readable() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            broken.push(format!("{}: must open with a `//!` line", path.display()));
        }
        let lines = without_tests(&text).lines().count();
        if lines > MAX_LINES && !path.ends_with("tests.rs") {
            broken.push(format!(
                "{}: {lines} lines, the limit is {MAX_LINES}",
                path.display()
            ));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page is readable");
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.with_file_name("").join(path),
            };
            let holds = anchor.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
            if !target.exists() || !holds {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The pages of the documentation.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [".", "docs", "examples"] {
        for entry in fs::read_dir(folder).expect("the folder is readable") {
            let path = entry.expect("an entry is readable").path();
            if path.extension().is_some_and(|it| it == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 15, "found {pages:?}");
    pages
}

/// Where a page leads, within the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let plain = line.trim_start_matches('#').trim().to_lowercase();
            let kept = plain.chars().filter_map(|letter| match letter {
                ' ' => Some('-'),
                letter if letter.is_alphanumeric() || "-_".contains(letter) => Some(letter),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

#[test]
fn every_status_of_a_bridge_is_explained() {
    let text = fs::read_to_string("src/bridge/status.rs").expect("sources are UTF-8");
    let page = fs::read_to_string(TROUBLES).expect("the page is there");
    let (_, body) = text
        .split_once("pub fn as_str")
        .expect("a status has a word");
    let body = body.split("\n    }\n").next().unwrap_or_default();
    let words: Vec<_> = body.split('"').skip(1).step_by(2).collect();
    assert!(words.len() > 5, "found no statuses in src/bridge/status.rs");
    for word in words {
        assert!(
            page.contains(&format!("\n| `{word}` |")),
            "{TROUBLES} does not explain `{word}`"
        );
    }
}

/// Reads the layers off `src/lib.rs`: each blank-line-separated group of `mod`
/// lines is one layer, lowest first.
fn layers() -> BTreeMap<String, usize> {
    let text = fs::read_to_string("src/lib.rs").expect("src/lib.rs is readable");
    let mut layers = BTreeMap::new();
    for (layer, group) in text.split("\n\n").enumerate() {
        for line in group.lines() {
            let line = line.trim_start_matches("pub ");
            if let Some(name) = line
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(';'))
            {
                layers.insert(name.to_owned(), layer);
            }
        }
    }
    assert!(layers.len() > 1, "found no modules in src/lib.rs");
    layers
}

/// `src/bridge/plan.rs` and `src/bridge.rs` both belong to `bridge`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix("src").ok()?.iter().next()?.to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// Yields the line number and first segment of every `crate::…` path in code.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_group = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default().trim();
        if in_group {
            found.extend(leading_word(code).map(|word| (number + 1, word)));
            in_group = !code.contains("};");
        }
        // Every other piece is outside of string quotes.
        for piece in code.split('"').step_by(2) {
            for rest in piece.split("crate::").skip(1) {
                in_group |= rest.starts_with('{') && !rest.contains("};");
                for part in rest
                    .trim_start_matches('{')
                    .split(if rest.starts_with('{') { ',' } else { ';' })
                {
                    found.extend(leading_word(part.trim()).map(|word| (number + 1, word)));
                }
            }
        }
    }
    found
}

fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

fn leading_word(code: &str) -> Option<String> {
    let word = code
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}
