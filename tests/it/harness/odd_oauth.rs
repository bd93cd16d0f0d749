//! MCP servers behind OAuth as it stands in the field (`servers/odd_oauth.py`).

use std::collections::BTreeMap;

use reqwest::Client;
use serde_json::Value;
use tokio::process::Child;

use super::{client, python};

/// Some scenarios, each at a port of its own.
pub struct OddOAuth {
    ports: BTreeMap<String, u16>,
    client: Client,
    _child: Child,
}

impl OddOAuth {
    /// Starts them.
    pub async fn start(scenarios: &[&str]) -> Self {
        let (child, line) = python("odd_oauth.py", scenarios).await;
        Self {
            ports: serde_json::from_str(&line).expect("its ports"),
            client: client(),
            _child: child,
        }
    }

    /// The origin of a scenario.
    pub fn base(&self, scenario: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[scenario])
    }

    /// What a scenario was asked.
    pub async fn log(&self, scenario: &str) -> Vec<Value> {
        let url = format!("{}/__log", self.base(scenario));
        let log = self.client.get(url).send().await.unwrap();
        log.json().await.unwrap()
    }

    /// The requests of one kind that a scenario got.
    pub async fn asked(&self, scenario: &str, kind: &str) -> Vec<String> {
        let log = self.log(scenario).await;
        let asked = log.iter().filter(|it| it[0] == kind);
        asked
            .map(|it| it[1].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}
