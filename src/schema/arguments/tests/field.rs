//! Tests with the schemas of real servers.

use std::{collections::BTreeMap, fs};

use super::*;

/// Returns every tool of the known servers, with the file that contains it.
fn corpus() -> Vec<(String, Value)> {
    let mut tools = Vec::new();
    for entry in fs::read_dir("tests/corpus/tools").unwrap() {
        let path = entry.unwrap().path();
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for tool in file["tools"].as_array().unwrap() {
            let name = format!(
                "{}/{}",
                path.file_stem().unwrap().to_string_lossy(),
                tool["name"].as_str().unwrap()
            );
            tools.push((name, tool["inputSchema"].clone()));
        }
    }
    tools
}

#[test]
fn every_schema_of_the_field_compiles() {
    let mut warned: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let tools = corpus();
    assert!(tools.len() > 2_000);
    for (name, schema) in &tools {
        let (compiled, warnings) = compile_alone(schema);
        assert!(compiled.validator.is_some(), "{name}: {warnings:?}");
        // An empty object is either accepted, or the answer names what is missing.
        if let Err(refusal) = compiled.accept(b"{}", CheckEffort::Full) {
            let detail = refusal.detail();
            assert!(
                detail[0]["loc"].as_array().is_some_and(|loc| loc.len() > 1),
                "{name}: {detail}"
            );
        }
        if !warnings.is_empty() {
            warned.insert(name.clone(), warnings);
        }
    }
    insta::assert_json_snapshot!(warned);
}
