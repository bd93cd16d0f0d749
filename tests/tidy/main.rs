//! House rules that rustc and clippy cannot check.

mod code;
mod layers;
mod loops;
mod names;
mod pages;

use std::{fs, path::PathBuf};

/// The longest source file, in lines without its tests.
const MAX_LINES: usize = 500;

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

/// The text before the tests of a source file.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

/// All source files, sorted by path.
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
