//! `deploy/smoke.sh`: it passes over a stack that works, and no row is `ok` of which the thing did not happen. A fake
//! `docker` (`servers/docker.sh`) fails, or does nothing and says that all is well, in each place.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Postgres, free_port, until};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ADMIN: &str = "the key of an administrator, 0123456789";

/// A stack by the fake `docker`.
struct Stack {
    dir: TempDir,
    database: Postgres,
    port: u16,
}

/// What the script printed: the state of each row by its name, and whether it succeeded.
struct Table {
    rows: BTreeMap<String, String>,
    is_ok: bool,
    text: String,
}

impl Stack {
    /// Starts it. `bridges` is added to the configuration.
    async fn start(bridges: &str) -> Self {
        let stack = Self {
            dir: tempfile::tempdir().unwrap(),
            database: Postgres::create().await,
            port: free_port(),
        };
        let path = stack.dir.path();
        let server = format!("{ROOT}/tests/it/servers/bad_server.py");
        let toml = format!(
            "[database]\nurl = '{}'\n[identity.keys.admin]\nkey = '${{MCP_API_KEY}}'\ngroups = ['MCP-Admin']\n[access.groups]\nstaff = ['good']\n\
             [bridges.good]\ncommand = 'python3'\nargs = ['{server}', 'good', '--record', '{}/smoke-child']\n{bridges}",
            stack.database.url,
            path.display(),
        );
        fs::write(path.join("bridges.toml"), toml).unwrap();
        fs::write(path.join("starts"), "x\n").unwrap();
        symlink(
            format!("{ROOT}/tests/it/servers/docker.sh"),
            path.join("docker"),
        )
        .unwrap();
        let up = stack
            .command("docker")
            .args(["compose", "-f", "x", "up"])
            .status()
            .await;
        assert!(up.unwrap().success());
        let client = crate::harness::client();
        until(async || {
            let ready = client.get(stack.url("/ready")).send().await;
            ready.is_ok_and(|it| it.status() == 200)
        })
        .await;
        stack
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A program with what the stack and the script need in its environment.
    fn command(&self, program: &str) -> Command {
        let path = self.dir.path();
        let search = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
        let program = match program {
            "docker" => path.join("docker"),
            other => PathBuf::from(other),
        };
        let child = path.file_name().unwrap().to_str().unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(path)
            .env("PATH", search)
            .env("MCP_API_KEY", ADMIN)
            .env("BRIDGE_URL", self.url(""))
            .env("BRIDGE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("BRIDGE_CONFIG", path.join("bridges.toml"))
            .env("FAKE_DIR", path)
            .env("FAKE_BRIDGE", env!("CARGO_BIN_EXE_mcp-bridge"))
            .env("FAKE_POSTGRES", std::env::var("TEST_POSTGRES_URL").unwrap())
            .env(
                "FAKE_DATABASE",
                self.database.url.rsplit('/').next().unwrap(),
            )
            .env("SMOKE_CALL", "good/echo")
            .env("SMOKE_BODY", r#"{"message": "hi"}"#)
            // A pattern that its own command line does not fit: outside of a container the script sees itself.
            .env("SMOKE_CHILD", format!("{child}/[s]moke-child"))
            .env("SMOKE_PATIENCE", "15")
            .env_remove("COMPOSE");
        command
    }

    async fn smoke(&self, mode: &str, arguments: &[&str]) -> Table {
        let script = format!("{ROOT}/deploy/smoke.sh");
        let run = self
            .command(&script)
            .args(arguments)
            .env("FAKE_MODE", mode)
            .output()
            .await
            .unwrap();
        let mut text = String::from_utf8_lossy(&run.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&run.stderr));
        let rows = text.lines().filter_map(|line| {
            let (state, rest) = (line.get(..6)?.trim(), line.get(8..)?);
            let name = rest.split("  ").next()?.trim();
            Some((name.to_owned(), state.to_owned()))
        });
        Table {
            rows: rows.collect(),
            is_ok: run.status.success(),
            text,
        }
    }

    /// Ends what a mode left of an outage.
    async fn mend(&self) {
        let start = self
            .command("docker")
            .args(["compose", "-f", "x", "start", "postgres"])
            .status()
            .await;
        assert!(start.unwrap().success());
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).unwrap_or_default();
        if !pid.trim().is_empty() {
            drop(std::process::Command::new("kill").arg(pid.trim()).status());
        }
    }
}

impl Table {
    fn state(&self, row: &str) -> &str {
        self.rows.get(row).map_or("", String::as_str)
    }
}

/// Each row that needs `docker`.
const BY_DOCKER: [&str; 9] = [
    "compose knows the bridge",
    "refused: a key without a grant",
    "kill of a child",
    "no zombie",
    "the database is stopped",
    "restart of the database",
    "restart of the bridge",
    "the calls are in the trail",
    "no record was lost",
];

#[tokio::test]
async fn a_stack_that_works_passes() {
    let stack = Stack::start("").await;
    let table = stack.smoke("", &[]).await;
    assert!(table.is_ok, "{}", table.text);
    for row in BY_DOCKER.iter().chain(&[
        "another one took its place",
        "its keys and grants are kept",
        "a revoked key",
    ]) {
        assert_eq!(table.state(row), "ok", "{row}\n{}", table.text);
    }
}

#[tokio::test]
async fn nothing_passes_where_docker_does_nothing() {
    let stack = Stack::start("").await;
    for mode in ["fail:all", "lie:all"] {
        let table = stack.smoke(mode, &[]).await;
        assert!(!table.is_ok, "{mode}\n{}", table.text);
        for row in BY_DOCKER {
            assert_ne!(table.state(row), "ok", "{mode}: {row}\n{}", table.text);
        }
        assert_eq!(
            table.state("an allowed call"),
            "ok",
            "{mode}\n{}",
            table.text
        );
    }
    // Nor where there is no such program.
    let mut command = stack.command(&format!("{ROOT}/deploy/smoke.sh"));
    let run = command
        .env("COMPOSE", "no-such-docker compose")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(!run.status.success(), "{text}");
    assert!(text.contains("FAILED  restart of the bridge"), "{text}");
}

/// One thing that goes wrong: the rows that say so, and those that are well all the same.
async fn goes_wrong(cases: &[(&str, &[&str], &[&str])]) {
    let stack = Stack::start("").await;
    for (mode, failing, well) in cases {
        let table = stack.smoke(mode, &[]).await;
        assert!(!table.is_ok, "{mode}\n{}", table.text);
        for row in *failing {
            assert_eq!(table.state(row), "FAILED", "{mode}: {row}\n{}", table.text);
        }
        for row in *well {
            assert_eq!(table.state(row), "ok", "{mode}: {row}\n{}", table.text);
        }
        stack.mend().await;
    }
}

#[tokio::test]
async fn a_database_that_was_not_restarted_is_told() {
    goes_wrong(&[
        (
            "fail:stop",
            &["the database is stopped", "restart of the database"],
            &["restart of the bridge"],
        ),
        (
            "lie:stop",
            &["the database is stopped", "restart of the database"],
            &["restart of the bridge"],
        ),
        (
            "fail:start",
            &["the database is started", "restart of the database"],
            &["the database is stopped"],
        ),
        (
            "lie:stat",
            &[
                "the database is stopped",
                "restart of the database",
                "restart of the bridge",
            ],
            &[],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_bridge_that_was_not_restarted_is_told() {
    goes_wrong(&[
        (
            "fail:restart",
            &["restart of the bridge"],
            &["restart of the database", "a revoked key"],
        ),
        (
            "lie:restart",
            &["restart of the bridge"],
            &["restart of the database", "a revoked key"],
        ),
        (
            "fail:kill",
            &["kill of a child"],
            &["restart of the bridge"],
        ),
        ("lie:kill", &["kill of a child"], &["restart of the bridge"]),
    ])
    .await;
}

#[tokio::test]
async fn what_its_commands_do_not_say_is_not_believed() {
    goes_wrong(&[
        (
            "fail:audit",
            &["the calls are in the trail", "no record was lost"],
            &["restart of the bridge"],
        ),
        (
            "lie:audit",
            &["the calls are in the trail", "no record was lost"],
            &["restart of the bridge"],
        ),
        (
            "fail:access",
            &["refused: a key without a grant"],
            &["kill of a child"],
        ),
        (
            "lie:shell",
            &["kill of a child", "no zombie"],
            &["restart of the bridge"],
        ),
        (
            "fail:ps",
            &["compose knows the bridge", "Open WebUI"],
            &["restart of the bridge"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn one_tool_of_every_bridge_is_called() {
    let dead = "[bridges.dead]\ncommand = 'false'\n";
    let more = "[bridges.demo]\ncommand = '{bridge}'\nargs = ['demo-server']\n[bridges.off]\nenabled = false\ncommand = 'true'\n";
    let more = more.replace("{bridge}", env!("CARGO_BIN_EXE_mcp-bridge"));
    let stack = Stack::start(&more).await;
    let table = stack.smoke("", &["--servers"]).await;
    assert!(table.is_ok, "{}", table.text);
    let row = table.text.lines().find(|line| line.contains(" demo "));
    let words: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
    assert!(
        matches!(words[..], ["ok", "demo", "roll_dice", "200", _, "ms"]),
        "{}",
        table.text
    );
    assert!(!table.text.contains(" off  "), "{}", table.text);
    // One that is down is a failure, and so is a key that is none.
    let toml = stack.dir.path().join("bridges.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, format!("{text}{dead}")).unwrap();
    until(async || stack.smoke("", &["--servers"]).await.state("dead") == "FAILED").await;
    let mut command = stack.command(&format!("{ROOT}/deploy/smoke.sh"));
    let run = command
        .arg("--servers")
        .env("MCP_API_KEY", "no-such-key")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(!run.status.success() && text.contains("401"), "{text}");
    assert!(Path::new(&toml).exists());
}
