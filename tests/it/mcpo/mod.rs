//! A drop-in for mcpo 0.0.20: what was recorded of it (`tests/golden/mcpo`), replayed against the
//! real binary. Every difference is named where it is allowed, with its reason.

mod auth;
mod cascade;
mod cli;
mod modes;
mod network;
mod patterns;
mod reload;
mod request;
mod results;
mod schemas;

use std::{fs, process::Command, sync::LazyLock};

use serde_json::{Map, Value, json};

use crate::harness::{Answer, Setup, fixture};

/// The interpreter itself: wrappers of version managers cost more than the servers.
pub static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let asked = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("python3 is there");
    String::from_utf8(asked.stdout).unwrap().trim().to_owned()
});

/// A file of the recording.
pub fn recorded(name: &str) -> String {
    fs::read_to_string(fixture("golden/mcpo").join(name)).unwrap()
}

/// A JSON file of the recording.
pub fn recorded_json(name: &str) -> Value {
    serde_json::from_str(&recorded(name)).unwrap()
}

/// Every tool of the recorded server, with what it does under `_do`.
pub fn tools() -> Vec<Value> {
    let mut tools = recorded_json("tools.json").as_array().unwrap().clone();
    tools.extend(recorded_json("lost_tools.json").as_array().unwrap().clone());
    tools
}

/// mcpo's command line at a free port, in a folder with the recorded server's `tools.json`.
pub fn mcpo(options: &[&str]) -> Setup {
    let setup = folder();
    let port = setup.port().to_string();
    setup
        .args(["mcpo", "--host", "127.0.0.1", "--port", &port])
        .args(options)
}

/// The same with a `config.json` of these servers.
pub fn with_config(servers: &[(&str, Value)], options: &[&str]) -> Setup {
    let setup = mcpo(&["--config", "{dir}/config.json"]);
    setup.write("config.json", &config(servers));
    setup.args(options)
}

/// A folder with the recorded server's tools, no arguments.
pub fn folder() -> Setup {
    let setup = Setup::bare();
    setup.write("tools.json", &Value::from(tools()).to_string());
    setup
}

/// The text of a `config.json`.
pub fn config(servers: &[(&str, Value)]) -> String {
    let servers: Map<String, Value> = servers
        .iter()
        .map(|(name, entry)| ((*name).to_owned(), entry.clone()))
        .collect();
    json!({ "mcpServers": servers }).to_string()
}

/// The words that start the recorded server with some of its tools.
pub fn probe_words(tools: &str) -> Vec<String> {
    [
        &PYTHON,
        "{tests}/golden/mcpo/probe_server.py",
        "{dir}/tools.json",
        tools,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// An entry of `config.json` for the recorded server with some of its tools.
pub fn probe(tools: &str) -> Value {
    let words = probe_words(tools);
    json!({"command": words[0], "args": words[1..]})
}

/// [`probe`] with members of its own.
pub fn probe_with(tools: &str, members: Value) -> Value {
    let mut entry = probe(tools);
    let Value::Object(members) = members else {
        panic!("an object")
    };
    for (key, value) in members {
        match (&key[..], value) {
            ("args", Value::Array(more)) => entry["args"].as_array_mut().unwrap().extend(more),
            (_, value) => entry[key] = value,
        }
    }
    entry
}

/// Takes the escapes of a Python literal out, which is what the recordings print.
pub fn unquoted(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'x' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                let hex = std::str::from_utf8(&hex).unwrap();
                bytes.push(u8::from_str_radix(hex, 16).unwrap());
            }
            b'n' => bytes.push(b'\n'),
            other => bytes.push(other),
        }
    }
    bytes
}

/// The body of an error without the members that mcpo does not have.
pub fn without_ours(answer: &Answer) -> Value {
    let mut body = answer.json();
    if let Some(members) = body.as_object_mut() {
        assert!(members.remove("code").is_some_and(|code| code.is_string()));
        assert!(
            members
                .remove("request_id")
                .is_some_and(|id| id.is_string())
        );
    }
    body
}

/// Equal but for the order of keys and the spelling of numbers: `1` and `1.0`.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}
