//! The programs of the shipped `bridges.toml`, started by its very lines: `npx` and `uvx` are stood for by
//! `tests/peers/bin`, which takes the pinned versions out of `.peers`, and keys are made up.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{NO_INTERNET, free_port, path};

/// A dozen programs start at once.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// Each program of the file, and how many tools it lists at least.
const PROGRAMS: [(&str, u64); 12] = [
    ("demo", 4),
    ("notion", 24),
    ("trello", 57),
    ("clickup", 90),
    ("airtable", 16),
    ("sonarqube", 28),
    ("playwright", 25),
    ("grafana", 79),
    ("filesystem", 14),
    ("excel", 49),
    ("dashboard", 2),
    ("postgresql", 4),
];

/// Made-up keys, and places on this machine where nobody listens.
const VARIABLES: [(&str, &str); 12] = [
    (
        "NOTION_API_KEY",
        "ntn_0000000000000000000000000000000000000000000000",
    ),
    ("TRELLO_API_KEY", "00000000000000000000000000000000"),
    (
        "TRELLO_API_TOKEN",
        "ATTA00000000000000000000000000000000000000000000",
    ),
    ("CLICKUP_API_TOKEN", "pk_0_FAKE"),
    ("AIRTABLE_API_KEY", "pat0000000000.0000"),
    ("SONARQUBE_TOKEN", "fake-token-0000000000000000000000000000"),
    ("SONARQUBE_URL", "http://127.0.0.1:1"),
    ("MCP_PLAYWRIGHT", "true"),
    ("GRAFANA_URL", "http://127.0.0.1:1"),
    ("GRAFANA_SERVICE_ACCOUNT_TOKEN", "glsa_fake"),
    ("MCP_EXCEL_DIR", "{DIR}/workbooks"),
    ("MCP_FILESYSTEM_DIR", "{DIR}/files"),
];

/// A running bridge; it ends with this.
pub struct Shipped {
    bridge: Child,
    url: String,
    http: reqwest::Client,
    folder: TempDir,
}

impl Shipped {
    /// Starts it with every program of the file, and waits for their first attempts.
    pub async fn start() -> Self {
        // Only plain HTTP is spoken here, but the client wants a provider all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().expect("a scratch folder");
        for name in ["files", "workbooks"] {
            fs::create_dir(folder.path().join(name)).expect("a scratch folder");
        }
        fs::write(folder.path().join("files/hello.txt"), "hello\n").expect("a text");
        let port = free_port();
        fs::write(folder.path().join("bridges.toml"), document(port)).expect("a configuration");
        let log = File::create(folder.path().join("log")).expect("a log");
        let dir = folder.path().to_str().expect("a path in UTF-8");
        let variables = VARIABLES.map(|(name, value)| (name, value.replace("{DIR}", dir)));
        let database = std::env::var_os("TEST_POSTGRES_URL")
            .and_then(|url| url.into_string().ok())
            .expect("TEST_POSTGRES_URL is not set: run ./scripts/test");
        let bridge = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
            .args(["--config", "bridges.toml"])
            .current_dir(folder.path())
            .env_clear()
            .env(
                "PATH",
                format!("{}/tests/peers/bin:{}", env!("CARGO_MANIFEST_DIR"), path()),
            )
            .env("HOME", folder.path())
            .envs(NO_INTERNET)
            .envs(variables)
            .env("MCP_DASHBOARD_COMMAND", dashboard())
            .env(
                "MCP_EXCEL_PROGRAM",
                concat!(env!("CARGO_MANIFEST_DIR"), "/examples/excel/server.py"),
            )
            .env(
                "POSTGRES_MCP_URL",
                database.replace("postgres://", "postgresql://"),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the bridge starts");
        let shipped = Self {
            bridge,
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_mins(1))
                .build()
                .expect("an HTTP client"),
            folder,
        };
        let until = Instant::now() + READY_WITHIN;
        while !shipped.is_ready().await {
            assert!(Instant::now() < until, "not ready\n{}", shipped.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        shipped
    }

    async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// What is wrong with a program: each is up and lists its tools.
    pub async fn faults(&self) -> Vec<String> {
        let list = self.http.get(format!("{}/servers", self.url)).send().await;
        let list: Value = list
            .expect("an answer")
            .json()
            .await
            .expect("/servers is JSON");
        let servers = list["servers"].as_array().expect("a list");
        let servers: BTreeMap<_, _> = servers
            .iter()
            .map(|server| (server["id"].as_str().unwrap_or_default(), server))
            .collect();
        let names: Vec<_> = servers.keys().copied().collect();
        let mut expected = PROGRAMS.map(|(name, _)| name).to_vec();
        expected.sort_unstable();
        assert_eq!(names, expected, "the programs of bridges.toml");
        let is_up = |server: &Value, tools: u64| {
            server["status"] == "ready" && server["tools"].as_u64() >= Some(tools)
        };
        PROGRAMS
            .iter()
            .filter_map(|(name, tools)| Some((name, servers.get(name)?, tools)))
            .filter(|(_, server, tools)| !is_up(server, **tools))
            .map(|(name, server, _)| format!("{name}: {server}"))
            .collect()
    }

    /// A call: status, `Content-Type`, `Content-Disposition`, body.
    pub async fn call(&self, path: &str, arguments: Value) -> (u16, String, String, String) {
        let request = self.http.post(format!("{}{path}", self.url));
        let answer = request.json(&arguments).send().await.expect("an answer");
        let header = |name: &str| {
            let value = answer.headers().get(name);
            let value = value.and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (kind, place) = (header("content-type"), header("content-disposition"));
        let status = answer.status().as_u16();
        (status, kind, place, answer.text().await.expect("a body"))
    }

    /// What is behind the link in an answer: status, type, the first bytes.
    pub async fn open(&self, answer: &str) -> (u16, String, Vec<u8>) {
        let told: Value = serde_json::from_str(answer).expect("an answer is JSON");
        let link = told[1].as_str().expect("a link");
        let path = link.split_once("/files/").expect("a link to a file").1;
        let file = self.http.get(format!("{}/files/{path}", self.url)).send();
        let file = file.await.expect("an answer");
        let kind = file.headers()["content-type"].to_str().expect("ASCII");
        let (status, kind) = (file.status().as_u16(), kind.to_owned());
        (status, kind, file.bytes().await.expect("a body").to_vec())
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        drop(self.bridge.kill());
        drop(self.bridge.wait());
    }
}

/// The tables of the programs as they are shipped, for everybody on this machine.
fn document(port: u16) -> String {
    let text = fs::read_to_string("bridges.toml").expect("bridges.toml is readable");
    let shipped: toml::Table = text.parse().expect("bridges.toml is TOML");
    let bridges = shipped["bridges"].as_table().expect("a table");
    // Some bridges start a program only with a key; those that are installed for the tests are started.
    let is_program = |name: &str, bridge: &toml::Value| {
        bridge.get("command").is_some() || PROGRAMS.iter().any(|(program, _)| *program == name)
    };
    let programs: toml::Table = bridges
        .iter()
        .filter(|(name, bridge)| is_program(name, bridge))
        .map(|(name, bridge)| (name.clone(), bridge.clone()))
        .collect();
    let mut document: toml::Table =
        format!("[server]\nlisten = '127.0.0.1:{port}'\n[identity]\nanonymous = true\n")
            .parse()
            .expect("this is TOML");
    document.insert("bridges".to_owned(), programs.into());
    toml::to_string(&document).expect("tables are TOML")
}

/// Builds the example as the file says, and gives its path.
fn dashboard() -> String {
    let done = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--example", "dashboard"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(done.success(), "the example does not build");
    let program = Path::new(env!("CARGO_BIN_EXE_mcp-bridge")).parent();
    let program = program.expect("a folder").join("examples/dashboard");
    program.to_str().expect("a path in UTF-8").to_owned()
}

/// What is asked of the dashboard.
pub fn board() -> Value {
    json!({
        "title": "Sales <b>",
        "charts": [
            { "kind": "numbers", "labels": ["Revenue"], "series": [{ "values": [1234.5] }] },
            { "kind": "bar", "title": "By month", "labels": ["May", "June"], "series": [{ "values": [1, 2] }] },
        ],
    })
}
