//! A bridge with a healthy server and the hostile ones of some rows, each of which waits for its attack.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    bounds::Bounds,
    harness::{Bridge, PATIENCE, Setup, client, fixture},
    probe::{Probes, Request, processes, processor, resident},
    rows::{Attack, Row},
};

/// The key of the administrator who looks on.
pub const OPERATOR: &str = "operator-key-0123456789-abcdefgh";
/// The key of the caller who does nothing wrong.
pub const GOOD: &str = "good-key-0123456789-abcdefghijkl";
/// The key of the hostile caller.
pub const LOW: &str = "low-key-0123456789-abcdefghijklm";
/// The bridge that hostile callers call; its server behaves well.
pub const TARGET: &str = "hostile";
/// How long the bridge is watched before the first attack.
const WARM: Duration = Duration::from_millis(300);

/// A running bridge with its peers.
pub struct Stage {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// Resident memory before any attack.
    pub idle: u64,
    /// The share of a core that the probes cost.
    pub share: f64,
    bridge: Bridge,
    /// The bytes of the log that were looked at.
    log_read: usize,
    /// The hostile HTTP servers.
    servers: Vec<Child>,
    client: reqwest::Client,
}

impl Stage {
    /// Starts everything for some rows with the same settings; each server row has a bridge of its own, by its place.
    pub async fn start(rows: &[&Row], bounds: &Bounds) -> Self {
        let setup = Setup::bare();
        let (mut bridges, mut names, mut servers) = (String::new(), Vec::new(), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            let name = name(row, number);
            if names.contains(&name) {
                continue;
            }
            let (lines, server) = hostile(row, &setup.path().join(&name)).await;
            bridges.extend([
                "[bridges.",
                &name,
                "]\nconnect_timeout = '5m'\n",
                &lines,
                "\n",
            ]);
            names.push(name);
            servers.extend(server);
        }
        let text = configuration(rows[0].limits, &names, &bridges);
        setup.write("bridges.toml", &text);
        let program = program(rows[0].descriptors, bounds, setup.path());
        let mut setup = setup.args(["--config", "bridges.toml"]);
        if let Some(program) = program {
            setup = setup.program(&program);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, setup.port()));
        let bridge = setup.listening().await;
        let pid = bridge.child.id().expect("it runs");
        let mut stage = Self {
            pid,
            address,
            idle: 0,
            share: 0.0,
            bridge,
            log_read: 0,
            servers,
            client: client(),
        };
        stage.until_ready("healthy").await;
        for (number, row) in rows.iter().enumerate() {
            if !row.is_first {
                stage.until_ready(&name(row, number)).await;
            }
        }
        stage.warm().await;
        stage
    }

    /// Watches the quiet bridge.
    async fn warm(&mut self) {
        let call = Some(self.call("healthy", GOOD));
        let probes = Probes::start(self.health(), call, self.pid, Bounds::PERIOD);
        sleep(WARM).await;
        let (began, ticks) = (Instant::now(), processor(self.pid));
        sleep(WARM).await;
        let spent = processor(self.pid).saturating_sub(ticks).as_secs_f64();
        self.share = spent / began.elapsed().as_secs_f64();
        let seen = tokio::task::spawn_blocking(|| probes.stop()).await.unwrap();
        assert!(
            seen.calls.wrong.is_empty() && seen.health.wrong.is_empty(),
            "before the attack: {:?} {:?}\n{}",
            seen.calls.wrong,
            seen.health.wrong,
            self.bridge.log()
        );
        self.idle = resident(self.pid);
    }

    /// The folder of the bridge.
    pub fn folder(&self) -> &Path {
        self.bridge.dir.path()
    }

    /// A look at `/health` over a connection of its own.
    pub fn health(&self) -> Request {
        let text = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        Request {
            to: self.address,
            text: text.to_owned(),
            is_kept: false,
        }
    }

    /// A call over a kept connection.
    pub fn call(&self, bridge: &str, key: &str) -> Request {
        let body = r#"{"message":"hi"}"#;
        let text = format!(
            "POST /{bridge}/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Request {
            to: self.address,
            text,
            is_kept: true,
        }
    }

    /// The file that tells a hostile server what to do.
    pub fn switch_of(&self, bridge: &str) -> PathBuf {
        self.folder().join(bridge)
    }

    /// Tells it.
    pub fn switch(&self, bridge: &str, word: &str) {
        let switch = self.switch_of(bridge);
        let partial = switch.with_extension("word");
        fs::write(&partial, word).unwrap();
        fs::rename(partial, &switch).unwrap();
    }

    async fn until_ready(&self, name: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let server = self.status(name).await.unwrap_or_default();
            if server["status"] == "ready" {
                return;
            }
            assert!(
                Instant::now() < end,
                "`{name}` is not ready: {server}\n{}",
                self.bridge.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The entry of a bridge in `/servers`.
    pub async fn status(&self, name: &str) -> Option<Value> {
        let request = self.client.get(format!("{}/servers", self.bridge.base));
        let request = request.header("authorization", format!("Bearer {OPERATOR}"));
        let request = request.timeout(Duration::from_secs(2));
        let text = request.send().await.ok()?.text().await.ok()?;
        let list: Value = serde_json::from_str(&text).ok()?;
        let servers = list["servers"].as_array()?;
        servers.iter().find(|server| server["id"] == name).cloned()
    }

    /// How many tools a bridge has.
    pub async fn tools(&self, name: &str) -> Option<u64> {
        self.status(name).await?["tools"].as_u64()
    }

    /// What the log has, since it was last looked at, that a terminal obeys.
    pub fn odd_log(&mut self) -> Option<String> {
        let log = fs::read(self.folder().join("log")).unwrap();
        let new =
            String::from_utf8_lossy(log.get(self.log_read..).unwrap_or_default()).into_owned();
        self.log_read = log.len();
        let line = new.lines().find(|line| line.chars().any(is_odd))?;
        let line: String = line.chars().take(120).collect();
        Some(format!("the log has control characters: {line:?}"))
    }

    /// SIGTERM: how long it took, and what was wrong: it did not end in time, or not with exit code 0, it left
    /// processes behind, or its log has characters that a terminal obeys.
    pub async fn end(&mut self) -> (Duration, Vec<String>) {
        let mut faults = Vec::new();
        let began = Instant::now();
        self.bridge.signal("TERM");
        let status = timeout(Bounds::STOP, self.bridge.child.wait()).await;
        let took = began.elapsed();
        match status {
            Ok(Ok(status)) if status.code() == Some(0) => {}
            Ok(status) => faults.push(format!("SIGTERM ended it with {status:?}")),
            Err(_) => {
                let within = Bounds::STOP;
                faults.push(format!("SIGTERM was not obeyed within {within:?}"));
                self.bridge.kill().await;
            }
        }
        for mut server in self.servers.drain(..) {
            server.kill().await.unwrap();
        }
        faults.extend(left_running(self.folder()).await);
        faults.extend(self.odd_log());
        (took, faults)
    }
}

/// The name of the bridge that a row attacks with, or attacks.
pub fn name(row: &Row, number: usize) -> String {
    match row.attack {
        Attack::Caller(_) => TARGET.to_owned(),
        Attack::Stdio(_) | Attack::Http(..) => format!("hostile-{number}"),
    }
}

/// Characters that turn a terminal or a reader's eye.
pub fn is_odd(letter: char) -> bool {
    (letter.is_control() && letter != '\t' && letter != '\n')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
}

/// The processes that are still there some time after the end; they are killed.
async fn left_running(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    let mut left = processes(folder);
    while !left.is_empty() && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
        left = processes(folder);
    }
    let killed = left.into_iter().map(|(pid, line)| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        format!("left running: {line}")
    });
    killed.collect()
}

/// The lines of a hostile bridge, and its server where it is not the bridge that starts it.
async fn hostile(row: &Row, switch: &Path) -> (String, Option<Child>) {
    let (script, mode) = match row.attack {
        Attack::Caller(_) => ("hostile_stdio.py", "good"),
        Attack::Stdio(mode) => ("hostile_stdio.py", mode),
        Attack::Http(_, mode) => ("hostile_http.py", mode),
    };
    let script = fixture("it/servers").join(script);
    let Attack::Http(transport, _) = row.attack else {
        let (script, switch) = (script.display(), switch.display());
        let lines = format!("command = 'python3'\nargs = ['{script}', '{mode}', '{switch}']");
        return (lines, None);
    };
    let mut command = Command::new("python3");
    command.arg(script).arg(mode).arg(switch);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    timeout(PATIENCE, stdout.read_line(&mut line))
        .await
        .expect("it starts in time")
        .unwrap();
    let port = line.trim().strip_prefix("PORT ");
    let port = port.expect("it prints its port");
    let path = match transport {
        "openapi" => "openapi.json",
        "sse" => "sse",
        _ => "mcp",
    };
    let lines = format!("url = 'http://127.0.0.1:{port}/{path}'\ntransport = '{transport}'");
    (lines, Some(child))
}

/// The configuration: three keys, of which one may do all, and the bridges.
fn configuration(limits: &str, names: &[String], bridges: &str) -> String {
    let users = names.join("', '");
    format!(
        "[server]\ndrain_timeout = '1s'\n\
         [identity.keys.operator]\nkey = '{OPERATOR}'\ngroups = ['MCP-Admin']\n\
         [identity.keys.good]\nkey = '{GOOD}'\ngroups = ['users']\n\
         [identity.keys.low]\nkey = '{LOW}'\ngroups = ['users']\n\
         [access.groups]\nusers = ['healthy', '{users}']\n\
         [limits]\n{limits}\n\
         [bridges.healthy]\ncommand = 'mcp-bridge'\nargs = ['demo-server']\n\
         {bridges}"
    )
}

/// The program to start, where it is not the debug build as it stands.
fn program(descriptors: Option<u32>, bounds: &Bounds, folder: &Path) -> Option<PathBuf> {
    let program = bounds.program.clone();
    let Some(descriptors) = descriptors else {
        return program;
    };
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_mcp-bridge").into());
    let script = folder.join("start");
    let program = program.display();
    let text = format!("#!/bin/sh\nulimit -n {descriptors}\nexec '{program}' \"$@\"\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    Some(script)
}
