//! What tools answer: `results.json`.

use serde_json::Value;

use super::{mcpo, probe_words, recorded_json, without_ours};

#[tokio::test]
async fn every_result_is_what_mcpo_gave_or_a_named_fix() {
    let results = recorded_json("results.json");
    let results = results.as_object().unwrap();
    let fixes = recorded_json("differences_results.json");
    let fixes = fixes.as_array().unwrap();
    let names: Vec<&str> = results.keys().map(String::as_str).collect();
    let mut words = vec!["--".to_owned()];
    words.extend(probe_words(&names.join(",")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bridge = mcpo(&words).ready().await;

    let mut wrong = Vec::new();
    for (name, theirs) in results {
        let answer = bridge.post(&format!("/{name}"), "{}").await;
        let fix = fixes.iter().find(|fix| fix["tool"] == **name);
        let (status, body) = match fix {
            Some(fix) => (&fix["status"], &fix["body"]),
            None => (&theirs["status"], &theirs["body"]),
        };
        let body = body.as_str().unwrap();
        let is_same = answer.status == *status
            && if answer.status == 200 {
                answer.text == body
            } else {
                let wanted: Value = serde_json::from_str(body).unwrap();
                let ours = without_ours(&answer);
                assert!(ours["detail"]["message"].is_string(), "{name}");
                ours == wanted
            };
        if !is_same {
            wrong.push(format!(
                "{name}: {} {} is not {status} {body}",
                answer.status, answer.text
            ));
        }
        assert_eq!(answer.header("content-type"), "application/json", "{name}");
        if let Some(fix) = fix {
            let is_fixed = *status != theirs["status"] || fix["body"] != theirs["body"];
            assert!(is_fixed, "{name} is no fix");
        }
    }
    assert_eq!(results.len(), 89, "the recording changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
