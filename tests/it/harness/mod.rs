//! Starts the real binary in a folder of its own and talks to it.

mod answer;
mod bad_http;
mod caller;
mod chat_api;
mod cli;
mod collector;
mod databases;
mod issuer;
mod oauth_peer;
mod oauth_peers;
mod odd_oauth;
mod odd_peer;
mod open_webui;
mod processes;
mod python;
mod upstream;

pub use answer::Answer;
pub use bad_http::BadHttp;
pub use caller::TestCaller;
pub use chat_api::ChatApi;
pub use cli::CliOutput;
pub use collector::{Collector, Seen};
pub use databases::{Postgres, redis_url};
pub use issuer::Issuer;
pub use oauth_peer::{Browser, OAuthPeer, Page};
pub use oauth_peers::Ports;
pub use odd_oauth::OddOAuth;
pub use odd_peer::{OddPeer, odd_stdio};
pub use open_webui::{OpenWebUi, User, token};
pub use processes::{is_alive, ticks, until_gone};
pub use python::{port_in, python};
pub use upstream::Upstream;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running bridge.
pub struct Bridge {
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub base: String,
    /// Its folder: `bridges.toml`, the log, whatever servers write.
    pub dir: TempDir,
    /// Reuses connections.
    client: Client,
    /// How it was started.
    start: Start,
}

/// A program and what it gets.
struct Start {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// Whether it gets nothing of our environment but PATH.
    is_alone: bool,
    /// The key of an administrator.
    admin_key: Option<String>,
    /// The key that names users in headers.
    forwarder_key: Option<String>,
    port: u16,
}

/// How to start it.
pub struct Setup {
    start: Start,
    dir: TempDir,
}

impl Setup {
    /// A folder with a `bridges.toml`. `{bad ARGS}` in the text becomes the command line of the
    /// misbehaving server, `{dir}` the folder.
    pub fn toml(text: &str) -> Self {
        let setup = Self::bare();
        setup.write("bridges.toml", text);
        let config = setup.dir.path().join("bridges.toml");
        setup.args(["--config", config.to_str().unwrap()])
    }

    /// An empty folder and no arguments but the address.
    pub fn bare() -> Self {
        let port = free_port();
        Self {
            start: Start {
                program: env!("CARGO_BIN_EXE_mcp-bridge").into(),
                args: Vec::new(),
                env: Vec::new(),
                is_alone: false,
                admin_key: None,
                forwarder_key: None,
                port,
            },
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Writes a file of the folder, placeholders replaced.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), expand(text, self.dir.path())).unwrap();
    }

    /// Adds arguments.
    pub fn args<I: AsRef<str>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        let dir = self.dir.path().to_path_buf();
        self.start
            .args
            .extend(args.into_iter().map(|arg| expand(arg.as_ref(), &dir)));
        self
    }

    /// Starts it by another name.
    pub fn program(mut self, path: &Path) -> Self {
        self.start.program = path.to_path_buf();
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.start.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a variable to the key of [`Bridge::as_admin`].
    pub fn admin_key(mut self, name: &str, key: &str) -> Self {
        self.start.admin_key = Some(key.to_owned());
        self.env(name, key)
    }

    /// Sets a variable to the key of [`Bridge::as_user`].
    pub fn forwarder_key(mut self, name: &str, key: &str) -> Self {
        self.start.forwarder_key = Some(key.to_owned());
        self.env(name, key)
    }

    /// Keeps our environment from it, PATH apart.
    pub fn alone(mut self) -> Self {
        self.start.is_alone = true;
        self
    }

    /// The port it will listen on.
    pub fn port(&self) -> u16 {
        self.start.port
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it; does not wait for anything.
    pub fn spawn(self) -> Bridge {
        let Self { start, dir } = self;
        Bridge {
            child: start.spawn(dir.path()),
            base: format!("http://127.0.0.1:{}", start.port),
            dir,
            client: client(),
            start,
        }
    }

    /// Starts it and waits until it listens.
    pub async fn listening(self) -> Bridge {
        let mut bridge = self.spawn();
        bridge.wait_for("/health", |status| status == 200).await;
        bridge
    }

    /// Starts it and waits until every bridge had its first attempt.
    pub async fn ready(self) -> Bridge {
        let mut bridge = self.spawn();
        bridge.wait_for("/ready", |status| status == 200).await;
        bridge
    }

    /// Starts it and waits until the admin API answers, which needs the database.
    pub async fn with_database(self) -> Bridge {
        let bridge = self.ready().await;
        until(async || bridge.admin_api().get("/users").await.status == 200).await;
        bridge
    }

    /// Runs it to its end: exit code and everything it printed.
    pub async fn output(self) -> (i32, String) {
        let mut bridge = self.spawn();
        let status = timeout(PATIENCE, bridge.child.wait())
            .await
            .expect("it ends")
            .unwrap();
        (status.code().unwrap_or(-1), bridge.log())
    }
}

impl Start {
    /// The program with the environment it is given.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove("MCP_API_KEY");
        if self.is_alone {
            command.env_clear();
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        }
        command
    }

    /// Starts it in a folder; what it prints is added to the log there.
    fn spawn(&self, dir: &Path) -> Child {
        let log = dir.join("log");
        let log = fs::File::options().create(true).append(true).open(log);
        let log = log.unwrap();
        self.command()
            .args(&self.args)
            .env("BRIDGE_LISTEN", format!("127.0.0.1:{}", self.port))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

impl Bridge {
    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again in the same folder and waits until every bridge had its first attempt.
    pub async fn start_again(&mut self) {
        self.child = self.start.spawn(self.dir.path());
        self.wait_for("/ready", |status| status == 200).await;
    }

    /// Sets a variable for the next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.start.env.retain(|(known, _)| known != name);
        self.start.env.push((name.to_owned(), value.to_owned()));
    }

    /// What it printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Writes a file of its folder, placeholders replaced.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), expand(text, self.dir.path())).unwrap();
    }

    /// Reads a file of its folder; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// The calls that a server saw, by its `--record {dir}/FILE`: each with `tool` and `arguments`.
    pub fn calls(&self, file: &str) -> Vec<Value> {
        let lines = self.read(file);
        let events = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        events.filter(|it: &Value| it["event"] == "call").collect()
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, &[], body).await
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = timeout(PATIENCE, request.body(body.to_owned()).send())
            .await
            .expect("an answer in time")
            .unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()));
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// `GET /servers`, the entry of one bridge.
    pub async fn server(&self, name: &str) -> Value {
        entry(&self.get("/servers").await.json(), name)
    }

    /// Waits until a bridge has a status.
    pub async fn until(&self, name: &str, status: &str) -> Value {
        self.until_server(name, |server| server["status"] == status)
            .await
    }

    /// Waits until the entry of a bridge is as wanted.
    pub async fn until_server(&self, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let server = self.server(name).await;
            if is_wanted(&server) {
                return server;
            }
            assert!(Instant::now() < end, "still {server}\n{}", self.log());
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until a bridge is down, and says why it is.
    pub async fn until_down(&self, name: &str) -> String {
        let is_down = |server: &Value| {
            let has_reason = server["reason"].is_string();
            has_reason && (server["status"] == "backing_off" || server["status"] == "failed")
        };
        let server = self.until_server(name, is_down).await;
        server["reason"].as_str().unwrap().to_owned()
    }

    /// Fails unless `good`, which is `{bad good}`, answers a call in time.
    pub async fn assert_good_answers(&self, within: Duration) {
        let began = Instant::now();
        let answer = self.post("/good/echo", r#"{"message": "hi"}"#).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, r#""hi""#));
        let took = began.elapsed();
        assert!(took < within, "{took:?}");
    }

    /// Waits until the merged document holds a path that starts like this.
    pub async fn until_published(&self, path: &str) {
        let end = Instant::now() + PATIENCE;
        let needle = format!("\"{path}");
        while !self.get("/openapi.json").await.text.contains(&needle) {
            assert!(Instant::now() < end, "{path} is not published");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a status of a path; fails at once when the process is gone.
    pub async fn wait_for(&mut self, path: &str, is_wanted: impl Fn(u16) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}:\n{}", self.log());
            }
            let answer = self.client.get(format!("{}{path}", self.base)).send().await;
            if answer.is_ok_and(|answer| is_wanted(answer.status().as_u16())) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{path} is not as wanted:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub async fn exit_code(&mut self) -> i32 {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends in time")
            .unwrap();
        status.code().unwrap_or(-1)
    }
}

/// The entry of a bridge in the answer of `GET /servers`.
pub fn entry(list: &Value, name: &str) -> Value {
    let mut servers = list["servers"].as_array().unwrap().iter();
    let found = servers.find(|server| server["id"] == name);
    found
        .unwrap_or_else(|| panic!("no bridge {name} in {list}"))
        .clone()
}

/// An HTTP client that follows nothing.
pub fn client() -> Client {
    // reqwest wants a TLS provider even where only plain HTTP is spoken.
    let _already = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Waits until something is so.
pub async fn until(is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "it did not come about");
        sleep(Duration::from_millis(25)).await;
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A file of the tests.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Replaces placeholders: `{dir}`, `{tests}`, `{bad MODE…}`.
fn expand(text: &str, dir: &Path) -> String {
    let mut out = text.replace("{dir}", dir.to_str().unwrap()).replace(
        "{tests}",
        fixture("").to_str().unwrap().trim_end_matches('/'),
    );
    while let Some(at) = out.find("{bad ") {
        let end = at + out[at..].find('}').expect("a closing brace");
        let words: Vec<String> = out[at + 5..end]
            .split_whitespace()
            .map(|word| format!("{word:?}"))
            .collect();
        let script = fixture("it/servers/bad_server.py");
        let line = format!(
            "command = \"python3\"\nargs = [{:?}, {}]",
            script.to_str().unwrap(),
            words.join(", ")
        );
        out.replace_range(at..=end, &line);
    }
    out
}
