//! House rules that rustc and clippy cannot check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use http::StatusCode;

/// What explains every code that we answer, and every status of a bridge.
const TROUBLES: &str = "docs/troubleshooting.md";
/// The codes that are no text in place: who computes them, and in which file. What they may be stands
/// there as a text, or beside its status.
const COMPUTED: [(&str, &str); 6] = [
    ("src/http/connect/routes.rs", "code"),
    ("src/http/error.rs", "code"),
    ("src/http/error.rs", "refusal.code()"),
    ("src/http/error.rs", "refusal.code()"),
    ("src/http/error.rs", "refusal.code()"),
    ("src/http/tools.rs", "refusal.code()"),
];
/// The files in which a `fn code` has texts.
const COMPUTING: [&str; 2] = ["src/auth/refusal.rs", "src/schema/arguments/refusal.rs"];

/// The codes that no call of a tool ends with: they are of the admin API and of logins in a browser.
const NOT_OF_CALLS: [&str; 13] = [
    "admin_group",
    "bad_link",
    "invalid_config",
    "invalid_endpoint",
    "invalid_name",
    "invalid_request",
    "login_refused",
    "login_unknown",
    "no_database",
    "no_login_here",
    "not_your_link",
    "other_browser",
    "taken",
];

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
fn every_code_that_is_answered_is_explained_with_its_statuses() {
    let answered = codes();
    let explained = explained();
    let known: BTreeSet<_> = answered.keys().collect();
    let told: BTreeSet<_> = explained.keys().collect();
    let missing: Vec<_> = known.difference(&told).collect();
    let foreign: Vec<_> = told.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "{TROUBLES} does not explain {missing:?}"
    );
    assert!(
        foreign.is_empty(),
        "{TROUBLES} explains {foreign:?}, which nothing answers"
    );
    for (code, statuses) in answered {
        let words = &explained[&code];
        for status in statuses {
            assert!(
                words.contains(&status),
                "{TROUBLES}: `{code}` is answered with {status} too, not only: {words}"
            );
        }
    }
}

#[test]
fn the_audit_trail_can_be_asked_for_every_code() {
    let page = fs::read_to_string("src/audit/outcomes.rs").expect("sources are UTF-8");
    let missing: Vec<_> = codes()
        .into_keys()
        .filter(|code| !NOT_OF_CALLS.contains(&code.as_str()))
        .filter(|code| !page.contains(&format!("    \"{code}\",\n")))
        .collect();
    assert!(missing.is_empty(), "OUTCOMES lacks {missing:?}");
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

/// Every code in the sources, with the statuses that stand beside it there.
fn codes() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    let mut computed = Vec::new();
    for (path, text) in sources() {
        let code = without_tests(&text);
        let path = path.display().to_string();
        if path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("testing.rs") {
            continue;
        }
        for (status, word) in answers(code, path == "src/http/error.rs") {
            match literal(&word) {
                Some(code) => found.entry(code).or_default().extend(number(&status)),
                None => computed.push((path.clone(), word)),
            }
        }
        if COMPUTING.contains(&path.as_str()) {
            let (_, body) = code.split_once("fn code(&self)").expect("it has codes");
            let body = body.split("\n    }\n").next().unwrap_or_default();
            for word in body.split('"').skip(1).step_by(2) {
                found.entry(word.to_owned()).or_default();
            }
        }
    }
    computed.sort();
    let known = COMPUTED.map(|(path, word)| (path.to_owned(), word.to_owned()));
    assert_eq!(computed, known, "say where the codes of these come from");
    assert!(found.len() > 40, "found no codes");
    found
}

/// The status and the code of every answer that is made in a source: the first two arguments of what makes
/// one, and pairs of both.
fn answers(code: &str, is_maker: bool) -> Vec<(String, String)> {
    let mut makers = vec!["ApiError::new(", "ApiError::with_detail("];
    if is_maker {
        makers.extend(["Self::new(", "Self::with_detail("]);
    }
    let mut found = Vec::new();
    for maker in makers {
        for rest in code.split(maker).skip(1) {
            found.extend(first_two(rest));
        }
    }
    for rest in code.split("(StatusCode::").skip(1) {
        let pair = first_two(rest).filter(|(_, word)| literal(word).is_some());
        found.extend(pair.map(|(status, word)| (format!("StatusCode::{status}"), word)));
    }
    found
}

/// The first two arguments.
fn first_two(rest: &str) -> Option<(String, String)> {
    let mut words = rest.split([',', ';']).map(str::trim);
    let (status, word) = (words.next()?, words.next()?);
    // `refusal.code()` ends with its own parenthesis, a pair with that of the pair.
    let word = if word.contains('(') {
        word
    } else {
        word.trim_end_matches(')')
    };
    Some((status.to_owned(), word.to_owned()))
}

/// The text of a literal.
fn literal(word: &str) -> Option<String> {
    let text = word.strip_prefix('"')?.split('"').next()?;
    Some(text.to_owned())
}

/// `503` of `StatusCode::SERVICE_UNAVAILABLE`.
fn number(status: &str) -> Option<String> {
    let name = status.rsplit_once("StatusCode::")?.1;
    let known = (100..600).filter_map(|number| StatusCode::from_u16(number).ok());
    let mut same = known.filter(|status| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace([' ', '-'], "_") == name
    });
    same.next().map(|status| status.as_str().to_owned())
}

/// What the page says of each code: the line below its heading, where the statuses stand.
fn explained() -> BTreeMap<String, String> {
    let page = fs::read_to_string(TROUBLES).expect("the page is there");
    let mut found = BTreeMap::new();
    for section in page.split("\n### `").skip(1) {
        let (code, rest) = section.split_once('`').expect("a heading is closed");
        let line = rest.trim_start().lines().next().unwrap_or_default();
        let before = found.insert(code.to_owned(), line.to_owned());
        assert!(before.is_none(), "{TROUBLES} explains `{code}` twice");
    }
    found
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
