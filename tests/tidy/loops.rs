//! Files of a top-level module do not depend on each other in a circle, so that each can be read after the ones it uses.

use std::collections::{BTreeMap, BTreeSet};

use super::{code::Sources, sources};

/// Cycles that are permitted: their files, and the reason.
const PERMITTED: [(&[&str], &str); 2] = [
    (
        &[
            "cli::access::explain",
            "cli::access::group_keys",
            "cli::access::keys",
            "cli::access::run",
        ],
        "a command and its subcommands, which share its context",
    ),
    (
        &["cli::mcpo::command", "cli::mcpo::options"],
        "a command and the options of its command line",
    ),
];

#[test]
fn files_of_a_module_do_not_depend_on_each_other_in_a_circle() {
    let mut permitted: BTreeMap<String, &str> = PERMITTED
        .iter()
        .map(|(files, reason)| (files.join(" "), *reason))
        .collect();
    let mut broken = Vec::new();
    for cycle in cycles(&Sources::new(sources()).imports()) {
        let files: Vec<_> = cycle.iter().map(|module| module.join("::")).collect();
        if permitted.remove(&files.join(" ")).is_none() {
            broken.push(format!("a cycle of files: {}", files.join(", ")));
        }
    }
    for (files, reason) in permitted {
        broken.push(format!(
            "the permitted cycle of {files} no longer exists ({reason}); remove it from the list"
        ));
    }
    assert!(
        broken.is_empty(),
        "move what both files need to a file below them:\n{}",
        broken.join("\n")
    );
}

type Module = Vec<String>;

/// The groups of more than one file of which each depends on all others, within a top-level module.
fn cycles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Vec<Module>> {
    let reached: BTreeMap<_, _> = imports
        .keys()
        .map(|module| (module, reachable(imports, module)))
        .collect();
    let mut found = BTreeSet::new();
    for (module, below) in &reached {
        let mut cycle: Vec<Module> = below
            .iter()
            .filter(|other| {
                reached
                    .get(other)
                    .is_some_and(|back| back.contains(*module))
            })
            .cloned()
            .collect();
        cycle.sort();
        if cycle.len() > 1 {
            found.insert(cycle);
        }
    }
    found
}

/// The files of the same top-level module that a file depends on, directly or through others.
fn reachable(imports: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if next.first() == from.first() && found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}

#[test]
fn a_cycle_is_found_through_a_re_export_and_not_in_tests() {
    let cycles_of = |files: &[(&str, &str)]| -> Vec<String> {
        let files = files
            .iter()
            .map(|(path, text)| (format!("src/{path}").into(), (*text).to_owned()));
        let found = cycles(&Sources::new(files.collect()).imports());
        found
            .iter()
            .map(|cycle| {
                let files: Vec<_> = cycle.iter().map(|module| module.join("::")).collect();
                files.join(" ")
            })
            .collect()
    };
    let lib = ("lib.rs", "mod a;\nmod b;\n");
    let a = (
        "a/mod.rs",
        "mod x;\nmod y;\npub use x::{One, Two as Too};\n",
    );
    let x = |uses: &'static str| ("a/x.rs", uses);
    let y = |uses: &'static str| ("a/y.rs", uses);
    let b = ("b.rs", "use crate::a::One;\nfn three() {}\n");
    let uses_y = x("use super::y::helper;\npub struct One;\npub struct Two;\n");
    for (text, is_cycle) in [
        ("use super::One;\npub fn helper() {}\n", true),
        ("use super::{\n    Too,\n};\npub fn helper() {}\n", true),
        (
            "use crate::{b, a::{x::{self}}};\npub fn helper() {}\n",
            true,
        ),
        ("pub fn helper() { super::One; }\n", true),
        ("pub fn helper() {\n    use super::x::Two;\n}\n", true),
        ("pub use super::x::One;\npub fn helper() {}\n", false),
        ("use crate::b::three;\npub fn helper() {}\n", false),
        (
            "// use super::One;\npub fn helper() { \"super::One\"; }\n",
            false,
        ),
        ("pub fn helper() { r#\"\"{ super::One \"#; '\"'; }\n", false),
        (
            "#[cfg(test)]\nmod tests {\n    use super::super::One;\n}\npub fn helper() {}\n",
            false,
        ),
        ("#[cfg(test)]\nuse super::One;\npub fn helper() {}\n", false),
        ("#[cfg(test)]\nmod tests;\npub fn helper() {}\n", false),
    ] {
        let tests = (
            "a/y/tests.rs",
            "use super::super::x::One;\nuse super::helper;\n",
        );
        let found = cycles_of(&[lib, a, uses_y, y(text), b, tests]);
        let expected: &[&str] = if is_cycle { &["a::x a::y"] } else { &[] };
        assert_eq!(found, expected, "{text}");
    }
}
