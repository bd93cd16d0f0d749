//! The set-up: the remote servers on free ports, one configuration for all, the bridge in front.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    catalogue::{Bridge, Catalogue},
    processes::MARK,
};

/// How long until every first connect is settled: some fifty programs start at once on perhaps two cores.
const READY_WITHIN: Duration = Duration::from_mins(3);
/// Keeps Node servers on this machine.
const LOOPBACK: &str = concat!(
    "--require ",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/peers/loopback.cjs"
);
/// Python and Go servers have no such switch, but they heed these: nobody listens at port 1.
pub const NO_INTERNET: [(&str, &str); 4] = [
    ("HTTP_PROXY", "http://127.0.0.1:1"),
    ("HTTPS_PROXY", "http://127.0.0.1:1"),
    ("ALL_PROXY", "http://127.0.0.1:1"),
    ("NO_PROXY", "127.0.0.1,localhost"),
];

/// A running bridge with its servers.
pub struct Stage {
    /// Of the bridge, without a slash at the end.
    pub url: String,
    /// What this run's processes are marked with.
    pub run: String,
    http: reqwest::Client,
    bridge: Child,
    remotes: Vec<Child>,
    folder: TempDir,
}

/// An entry of `/servers`.
pub struct Server {
    /// `ready`, `backing_off`, …
    pub status: String,
    /// Why not ready; empty for none.
    pub reason: String,
    /// How many.
    pub tools: usize,
}

/// An answer to a call.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub text: String,
    /// The body, null if it is no JSON.
    pub json: Value,
    /// Whether `Retry-After` was there.
    pub retry_after: bool,
}

impl Stage {
    /// Starts everything, and waits until the bridge says it is ready.
    pub async fn start(catalogue: &Catalogue) -> Self {
        // Only plain HTTP is spoken here, but the client wants a provider all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().expect("a scratch folder");
        let data = folder.path().join("data");
        prepare_data(&data);

        let run = format!("{}-{}", std::process::id(), free_port());
        let mut remotes = Vec::new();
        let mut waiting = Vec::new();
        let mut tables = toml::Table::new();
        for bridge in &catalogue.bridges {
            let port = free_port();
            let expand = |text: &str| {
                text.replace("{BIN}", env!("CARGO_BIN_EXE_mcp-bridge"))
                    .replace("{PEERS}", concat!(env!("CARGO_MANIFEST_DIR"), "/.peers"))
                    .replace("{DATA}", data.to_str().expect("a path in UTF-8"))
                    .replace("{PORT}", &port.to_string())
            };
            if !bridge.is_stdio()
                && let Some(child) = start_remote(bridge, folder.path(), &expand)
            {
                remotes.push(child);
                waiting.push(port);
            }
            tables.insert(bridge.name.clone(), table(bridge, &run, &expand).into());
        }

        for port in waiting {
            let until = Instant::now() + Duration::from_mins(1);
            while TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }

        let port = free_port();
        let config = folder.path().join("bridges.toml");
        fs::write(&config, document(port, tables)).expect("the configuration is written");
        let log = File::create(folder.path().join("bridge.log")).expect("a log");
        let bridge = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"))
            .arg("--config")
            .arg(&config)
            .current_dir(folder.path())
            .env("PATH", path())
            .env("HOME", folder.path())
            .envs(NO_INTERNET)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the bridge starts");

        let mut stage = Self {
            url: format!("http://127.0.0.1:{port}"),
            run,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_mins(1))
                .build()
                .expect("an HTTP client"),
            bridge,
            remotes,
            folder,
        };
        stage.wait_until_ready().await;
        stage
    }

    async fn wait_until_ready(&mut self) {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let answer = self.http.get(format!("{}/ready", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            let ended = self
                .bridge
                .try_wait()
                .expect("the bridge can be waited for");
            assert!(
                ended.is_none(),
                "the bridge ended: {ended:?}\n{}",
                self.log_tail(40)
            );
            assert!(
                Instant::now() < until,
                "not ready after {READY_WITHIN:?}\n{}",
                self.log_tail(40)
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// `GET /servers`, by name.
    pub async fn servers(&self) -> HashMap<String, Server> {
        let list = self.get_json("/servers").await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        list["servers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| {
                let tools = &entry["tools"];
                let tools = tools.as_u64().and_then(|n| usize::try_from(n).ok());
                let server = Server {
                    status: text(&entry["status"]),
                    reason: text(&entry["reason"]),
                    tools: tools.unwrap_or_default(),
                };
                (text(&entry["id"]), server)
            })
            .collect()
    }

    /// A document; null if there is none.
    pub async fn get_json(&self, path: &str) -> Value {
        match self.http.get(format!("{}{path}", self.url)).send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    /// A call.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let data = self.folder.path().join("data");
        let body = body
            .to_string()
            .replace("{DATA}", data.to_str().expect("a path in UTF-8"));
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request
            .header("content-type", "application/json")
            .body(body);
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let retry_after = answer.headers().contains_key("retry-after");
                let text = answer.text().await.unwrap_or_default();
                let json = serde_json::from_str(&text).unwrap_or_default();
                Answer {
                    status,
                    text,
                    json,
                    retry_after,
                }
            }
            Err(error) => Answer {
                status: 0,
                text: error.to_string(),
                json: Value::Null,
                retry_after: false,
            },
        }
    }

    /// Whether a server that cannot work is shown as such, with its reason and its own words.
    pub fn failure_is_told(&self, bridge: &Bridge, server: &Server) -> Result<(), String> {
        let Some(expected) = &bridge.fails else {
            return Ok(());
        };
        let (status, reason) = (server.status.as_str(), server.reason.as_str());
        if expected.or_empty && status == "ready" && server.tools == 0 {
            return Ok(());
        }
        let right = match &expected.status {
            Some(wanted) => wanted == status,
            None => ["backing_off", "failed"].contains(&status),
        };
        if !right {
            return Err(format!("its status is `{status}` ({reason})"));
        }
        if reason.trim().is_empty() {
            return Err(format!("`{status}` without a reason"));
        }
        if let Some(text) = &expected.reason
            && !reason.contains(text)
        {
            return Err(format!("its reason `{reason}` does not have `{text}`"));
        }
        if let Some(text) = &expected.stderr
            && !reason.contains(text)
            && !self
                .log()
                .lines()
                .any(|line| line.contains(&bridge.name) && line.contains(text))
        {
            return Err(format!(
                "neither its reason `{reason}` nor the log repeats `{text}` of its stderr"
            ));
        }
        Ok(())
    }

    /// SIGTERM; the exit status, if it came in time.
    pub fn stop(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        signal(&self.bridge, Signal::TERM);
        loop {
            if let Some(status) = self
                .bridge
                .try_wait()
                .expect("the bridge can be waited for")
            {
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of the bridge's log.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<_> = log.lines().collect();
        all.get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .join("\n")
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("bridge.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if matches!(self.bridge.try_wait(), Ok(None)) {
            signal(&self.bridge, Signal::KILL);
        }
        drop(self.bridge.wait());
        for remote in &mut self.remotes {
            if let Some(group) = pid(remote) {
                kill_process_group(group, Signal::KILL).ok();
            }
            drop(remote.wait());
        }
    }
}

/// What the servers look at: a text file, a git repository, a cluster that does not exist.
fn prepare_data(data: &Path) {
    fs::create_dir_all(data.join("arxiv")).expect("a scratch folder");
    fs::write(data.join("hello.txt"), "hello\n").expect("a text");
    fs::write(data.join("kubeconfig"), include_str!("kubeconfig.yaml")).expect("a kubeconfig");
    let done = Command::new("git")
        .args(["init", "--quiet"])
        .arg(data.join("repo"))
        .status()
        .expect("git is installed");
    assert!(done.success(), "git init: {done}");
}

/// Starts a server that is reached by URL, in a process group of its own.
fn start_remote(bridge: &Bridge, folder: &Path, expand: &dyn Fn(&str) -> String) -> Option<Child> {
    let command = bridge.transport.command.as_ref()?;
    let log = File::create(folder.join(format!("{}.log", bridge.name))).expect("a log");
    let child = Command::new(expand(command))
        .args(bridge.transport.args.iter().map(|text| expand(text)))
        .envs(environment(bridge, expand))
        .env("PATH", path())
        .env("HOME", folder)
        .envs(NO_INTERNET)
        .current_dir(folder)
        .process_group(0)
        // Some stop when stdin closes, so it stays open.
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("a server of peers.json starts");
    Some(child)
}

fn environment(bridge: &Bridge, expand: &dyn Fn(&str) -> String) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<_, _> = bridge
        .transport
        .env
        .iter()
        .map(|(name, text)| (name.clone(), expand(text)))
        .collect();
    if bridge.is_node {
        environment.insert("NODE_OPTIONS".to_owned(), LOOPBACK.to_owned());
    }
    environment
}

/// `[bridges.NAME]`
fn table(bridge: &Bridge, run: &str, expand: &dyn Fn(&str) -> String) -> toml::Table {
    let mut table = toml::Table::new();
    if let Some(url) = &bridge.transport.url {
        table.insert("url".to_owned(), expand(url).into());
        if !bridge.transport.headers.is_empty() {
            table.insert(
                "headers".to_owned(),
                strings(bridge.transport.headers.clone()),
            );
        }
    } else {
        let command = bridge.transport.command.as_deref().unwrap_or_default();
        let args: Vec<_> = bridge
            .transport
            .args
            .iter()
            .map(|text| expand(text))
            .collect();
        let mut environment = environment(bridge, expand);
        environment.insert(MARK.to_owned(), format!("{run}/{}", bridge.name));
        table.insert("command".to_owned(), expand(command).into());
        table.insert("args".to_owned(), args.into());
        table.insert("env".to_owned(), strings(environment));
    }
    for (key, value) in &bridge.settings {
        table.insert(key.clone(), value.clone().into());
    }
    table
}

/// `bridges.toml`
fn document(port: u16, bridges: toml::Table) -> String {
    let mut server = toml::Table::new();
    server.insert("listen".to_owned(), format!("127.0.0.1:{port}").into());
    let mut identity = toml::Table::new();
    identity.insert("anonymous".to_owned(), true.into());
    let mut document = toml::Table::new();
    document.insert("server".to_owned(), server.into());
    document.insert("identity".to_owned(), identity.into());
    document.insert("bridges".to_owned(), bridges.into());
    toml::to_string(&document).expect("tables are TOML")
}

fn strings(texts: BTreeMap<String, String>) -> toml::Value {
    toml::Value::Table(
        texts
            .into_iter()
            .map(|(name, text)| (name, text.into()))
            .collect(),
    )
}

/// `scripts/peers` brings a Node.js of its own where the system's is too old.
pub fn path() -> String {
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.peers/node/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = own
        .exists()
        .then_some(own)
        .into_iter()
        .chain(std::env::split_paths(&path));
    let joined = std::env::join_paths(folders).expect("folders without a colon");
    joined.into_string().expect("a PATH in UTF-8")
}

/// Below the range that outgoing connections take their ports from.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap_or_default() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        // It may have ended by itself meanwhile.
        kill_process(pid, signal).ok();
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().try_into().ok()?)
}
