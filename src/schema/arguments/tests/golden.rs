//! Tests against calls recorded from mcpo 0.0.20. `differences_request.json` next to the recording lists the
//! intended differences, with reasons.

use super::*;

/// Reads a file next to the recording.
macro_rules! data {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!(
            "../../../../tests/golden/mcpo/",
            $name
        )))
        .unwrap()
    };
}

/// One recorded call.
struct Call {
    tool: String,
    /// As the recording prints it.
    printed: String,
    body: Vec<u8>,
    status: u16,
    answer: String,
}

/// Reads the recording up to the section about routes.
fn calls() -> Vec<Call> {
    let text = include_str!("../../../../tests/golden/mcpo/observed_request.txt");
    let text = text.split("-- routes").next().unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-- "));
    lines
        .map(|line| {
            let (call, answer) = line.split_once(" -> ").unwrap();
            let (status, answer) = answer.split_once(' ').unwrap();
            let (tool, printed) = call.split_once('\'').unwrap();
            let printed = printed.trim_end().trim_end_matches('\'');
            Call {
                tool: tool.trim_end_matches('b').trim_end().to_owned(),
                printed: printed.to_owned(),
                body: unquoted(printed),
                status: status.parse().unwrap(),
                answer: answer.to_owned(),
            }
        })
        .collect()
}

/// Decodes the escapes of a Python literal.
fn unquoted(text: &str) -> Vec<u8> {
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
            other => bytes.push(other),
        }
    }
    bytes
}

/// Returns the outcome of a recorded call, printed as in the recording.
fn ours(schema: &ArgumentSchema, body: &[u8]) -> (u16, String) {
    match schema.accept(body, CheckEffort::Full) {
        Ok(arguments) => (200, format!("ARGS {}", Value::Object(arguments))),
        Err(refusal) => (
            refusal.code().status(),
            json!({ "detail": refusal.detail() }).to_string(),
        ),
    }
}

/// Whether two texts are equal except for the order of keys and the format of numbers.
fn agree(a: &str, b: &str) -> bool {
    let read = |text: &str| {
        let text = text.strip_prefix("ARGS ").unwrap_or(text);
        serde_json::from_str::<Value>(text).unwrap()
    };
    same(&read(a), &read(b))
}

/// An intended difference from mcpo 0.0.20.
#[derive(serde::Deserialize)]
struct Difference {
    tool: String,
    /// As the recording prints it.
    body: String,
    /// mcpo's status.
    theirs: u16,
    /// Our status.
    ours: u16,
    /// The arguments that the server receives.
    #[serde(default)]
    arguments: Value,
    /// Why the server receives nothing.
    #[serde(default)]
    detail: Value,
}

impl Difference {
    /// Our answer, printed as the recording prints it.
    fn answer(&self) -> String {
        if self.ours == 200 {
            format!("ARGS {}", self.arguments)
        } else {
            json!({ "detail": self.detail }).to_string()
        }
    }
}

#[test]
fn every_call_ends_as_with_mcpo_or_differs_on_purpose() {
    let mut tools: Vec<Value> = data!("tools.json");
    // Tools whose schemas were not recorded. They were reconstructed from the answers.
    tools.extend::<Vec<Value>>(data!("lost_tools.json"));
    let differences: Vec<Difference> = data!("differences_request.json");
    let mut wrong = Vec::new();
    let mut used = vec![false; differences.len()];
    for call in calls() {
        let tool = tools.iter().find(|tool| tool["name"] == *call.tool);
        let tool = tool.unwrap_or_else(|| panic!("no schema of `{}`", call.tool));
        let (schema, _) = compile_alone(&tool["inputSchema"]);
        let (status, answer) = ours(&schema, &call.body);
        let equal = status == call.status && agree(&answer, &call.answer);
        let place = differences.iter().position(|it| {
            (&it.tool, &it.body, it.theirs) == (&call.tool, &call.printed, call.status)
        });
        let shown = format!(
            "{} {}: {} {}\n    -> {status} {answer}",
            call.tool, call.printed, call.status, call.answer
        );
        match place {
            None if equal => {}
            None => wrong.push(shown),
            Some(place) => {
                used[place] = true;
                let expected = differences[place].answer();
                if equal {
                    wrong.push(format!("no longer differs: {shown}"));
                } else if (status, &answer) != (differences[place].ours, &expected) {
                    wrong.push(format!(
                        "differs in another way: {shown}\n    not {expected}"
                    ));
                }
            }
        }
    }
    for (difference, used) in differences.iter().zip(used) {
        if !used {
            wrong.push(format!(
                "was never called: {} {}",
                difference.tool, difference.body
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
