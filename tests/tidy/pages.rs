//! Pages of the documentation: their links, and the statuses that they explain.

use std::{collections::BTreeSet, fs, path::PathBuf};

/// The page that explains every status of a bridge.
const TROUBLES: &str = "docs/troubleshooting.md";

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
