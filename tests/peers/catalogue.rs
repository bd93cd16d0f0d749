//! `peers.json`, read: one [`Bridge`] for each transport of each server.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// Everything under test.
pub struct Catalogue {
    /// One for each server and transport, in the order of the file.
    pub bridges: Vec<Bridge>,
    packages: Vec<String>,
}

/// A server reached over one transport.
pub struct Bridge {
    /// The name of its table in the configuration.
    pub name: String,
    /// How it is started and reached.
    pub transport: Transport,
    /// How many tools it lists at least.
    pub tools: usize,
    /// What to ask it.
    pub call: Option<Call>,
    /// It must not come up.
    pub fails: Option<Fails>,
    /// More keys of its table in the configuration.
    pub settings: BTreeMap<String, String>,
    /// Whether npm brought it.
    pub is_node: bool,
}

/// How a server is started, and where it is reached unless that is stdio.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// Nothing is started where there is none.
    pub command: Option<String>,
    /// Of the command.
    #[serde(default)]
    pub args: Vec<String>,
    /// Of the command.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it listens; none for stdio.
    pub url: Option<String>,
    /// Sent to it with each request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// A harmless call.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool's own name.
    pub tool: String,
    /// An object.
    pub arguments: Value,
    /// `ok`, `tool_error` or `rpc_error`.
    pub outcome: String,
    /// What the answer must contain.
    pub contains: Option<String>,
}

/// How a server fails.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fails {
    /// The status it must have; `backing_off` or `failed` unless said.
    pub status: Option<String>,
    /// What `reason` must contain.
    pub reason: Option<String>,
    /// What of its stderr must be found in `reason` or in the bridge's log.
    pub stderr: Option<String>,
    /// It may also be up, without tools.
    #[serde(default)]
    pub or_empty: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    peers: Vec<Peer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    name: String,
    package: Option<String>,
    version: Option<String>,
    transports: BTreeMap<String, Transport>,
    #[serde(default)]
    tools: usize,
    #[serde(rename = "corpus")]
    _corpus: Option<String>,
    call: Option<Call>,
    fails: Option<Fails>,
    needs: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(rename = "notes")]
    _notes: Option<String>,
}

impl Catalogue {
    /// Reads `tests/peers/peers.json`.
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/peers.json");
        let text = fs::read_to_string(path).expect("peers.json is readable");
        let file: File =
            serde_json::from_str(&text).expect("peers.json has the shape of this file");
        let packages = file.peers.iter().filter_map(Peer::pinned).collect();
        let bridges = file
            .peers
            .into_iter()
            .filter(|peer| {
                peer.needs
                    .as_deref()
                    .is_none_or(|needs| needs == std::env::consts::ARCH)
            })
            .flat_map(Peer::bridges)
            .collect();
        Self { bridges, packages }
    }

    /// The bridges that must come up.
    pub fn good(&self) -> impl Iterator<Item = &Bridge> {
        self.bridges.iter().filter(|bridge| bridge.fails.is_none())
    }

    /// The bridges that must not.
    pub fn failing(&self) -> impl Iterator<Item = &Bridge> {
        self.bridges.iter().filter(|bridge| bridge.fails.is_some())
    }

    /// `REGISTRY:NAME@VERSION` of every server.
    pub fn packages(&self) -> Vec<String> {
        self.packages.clone()
    }
}

impl Bridge {
    /// Whether the bridge starts the server itself.
    pub fn is_stdio(&self) -> bool {
        self.transport.url.is_none()
    }
}

impl Peer {
    fn pinned(&self) -> Option<String> {
        Some(format!(
            "{}@{}",
            self.package.as_ref()?,
            self.version.as_ref()?
        ))
    }

    fn bridges(self) -> Vec<Bridge> {
        let alone = self.transports.len() == 1;
        self.transports
            .iter()
            .map(|(kind, transport)| Bridge {
                name: if alone || kind == "stdio" {
                    self.name.clone()
                } else {
                    format!("{}-{kind}", self.name)
                },
                transport: transport.clone(),
                tools: self.tools,
                call: self.call.clone(),
                fails: self.fails.clone(),
                settings: self.settings.clone(),
                is_node: self
                    .package
                    .as_ref()
                    .is_some_and(|package| package.starts_with("npm:")),
            })
            .collect()
    }
}
