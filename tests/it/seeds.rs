//! The groups of the shipped `bridges.toml`, in front of servers of those names (requirements
//! S0-DB, S0-US005).

use crate::harness::{Setup, fixture};

/// Every bridge that the shipped groups name, and one that none of them does.
const BRIDGES: [&str; 9] = [
    "atlassian",
    "clickup",
    "filesystem",
    "github",
    "linear",
    "notion",
    "other",
    "sonarqube",
    "trello",
];

/// A group, and the bridges its members see.
const SEEN: [(&str, &[&str]); 4] = [
    ("developers", &["atlassian", "github", "sonarqube"]),
    ("project-managers", &["clickup", "trello"]),
    (
        "all-tools",
        &[
            "atlassian",
            "clickup",
            "filesystem",
            "github",
            "linear",
            "notion",
            "sonarqube",
            "trello",
        ],
    ),
    ("MCP-Admin", &BRIDGES),
];

#[tokio::test]
async fn the_shipped_groups_see_exactly_their_bridges() {
    let shipped = std::fs::read_to_string(fixture("../bridges.toml")).unwrap();
    let (sections, _bridges) = shipped.split_once("# --- bridges").unwrap();
    let keys = SEEN.map(|(group, _)| {
        format!("[identity.keys.{group}]\nkey = '${{SEEDS}}-{group}'\ngroups = ['{group}']\n")
    });
    let bridges = BRIDGES
        .map(|name| format!("[bridges.{name}]\n{{bad good --record {{dir}}/{name}.jsonl}}\n"));
    let text = [sections, &keys.concat(), &bridges.concat()].concat();
    let bridge = Setup::toml(&text)
        .env("SEEDS", "seeds-0123456789")
        .ready()
        .await;
    for (group, seen) in SEEN {
        let caller = bridge.as_bearer(&format!("seeds-0123456789-{group}"));
        let list = caller.get("/servers").await.json();
        let servers = list["servers"].as_array().unwrap();
        let mut ids: Vec<_> = servers
            .iter()
            .map(|it| it["id"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, seen, "{group}");
        for name in BRIDGES {
            let before = bridge.calls(&format!("{name}.jsonl")).len();
            let tool = format!("{name}/echo");
            let answer = caller.call(&tool, r#"{"message": "hi"}"#).await;
            let after = bridge.calls(&format!("{name}.jsonl")).len();
            if seen.contains(&name) {
                assert_eq!((answer.status, after), (200, before + 1), "{group} {name}");
            } else {
                assert_eq!((answer.status, after), (403, before), "{group} {name}");
                assert!(answer.text.contains(name), "{}", answer.text);
            }
        }
    }
}
