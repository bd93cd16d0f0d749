//! Uses and misuses everything that a bridge offers, and notes what it says.

use std::path::PathBuf;

use base64::{Engine as _, prelude::*};
use reqwest::Method;
use serde_json::json;

use super::{
    REMOTES, SHOWN, TOOLS, plant,
    planted::{PLANTED, filled, text_of},
    seen::{Medium, Seen},
};
use crate::harness::{Bridge, Setup, until};

/// A bridge and what was seen of it.
pub struct Run {
    pub bridge: Bridge,
    pub seen: Seen,
    /// What its servers tell.
    file: PathBuf,
}

impl Run {
    /// Starts it and waits until everything was tried once and the database is there.
    pub async fn start(setup: Setup, file: PathBuf) -> Self {
        let mut run = Self::listen(setup, file).await;
        let admin = run.bridge.as_bearer(text_of("OPS_KEY")).api();
        until(async || admin.get("/users").await.status == 200).await;
        run.seen.processes(run.pid());
        run
    }

    /// Starts it and waits until everything was tried once.
    pub async fn listen(setup: Setup, file: PathBuf) -> Self {
        Self {
            bridge: setup.ready().await,
            seen: Seen::default(),
            file,
        }
    }

    fn pid(&self) -> u32 {
        self.bridge.child.id().expect("it runs")
    }

    /// A request as administrator.
    pub async fn ask(&mut self, method: Method, path: &str, body: &str) -> u16 {
        let key = format!("Bearer {}", text_of("OPS_KEY"));
        let headers = [
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
            ("x-request-id", SHOWN),
        ];
        self.send(method, path, &headers, body).await
    }

    /// Any request.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> u16 {
        let place = format!("{method} {path}");
        let answer = self.bridge.send(method, path, headers, body).await;
        // What they sent comes back as they sent it.
        let id = headers.iter().find(|(name, _)| *name == "x-request-id");
        let id = id.map_or("", |(_, value)| value);
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let sent = format!("{path} {id} {body}");
        self.seen.answer_to(&sent, &place, &answer);
        answer.status
    }

    /// What waits for the database.
    fn read_journal(&mut self) {
        let folder = self.bridge.dir.path().join("mcp-bridge-audit");
        if folder.is_dir() {
            self.seen.files(Medium::Journal, &folder, "");
        }
    }

    /// Calls everything, and reads everything.
    pub async fn use_all(&mut self) {
        let names = ["program", "garbage", "ok", "events", "old"];
        let told = json!({ "told": text_of("DEV_KEY"), "shown": SHOWN }).to_string();
        for name in names {
            for tool in TOOLS {
                let path = format!("/{name}/{tool}");
                self.ask(Method::POST, &path, "{}").await;
            }
            self.ask(Method::POST, &format!("/{name}/leak_fail"), &told)
                .await;
            self.read_journal();
        }
        for status in [200, 401, 404, 422, 429, 500] {
            let path = format!("/openapi/call_{status}");
            self.ask(Method::POST, &path, r#"{"q": "x"}"#).await;
        }
        let down = REMOTES.iter().map(|(name, _)| *name);
        let all = down
            .chain(names)
            .chain(["dies", "dies-listing", "program-refuses"]);
        for name in all {
            self.ask(Method::POST, &format!("/{name}/{SHOWN}"), "{}")
                .await;
            for page in ["", "/openapi.json", "/docs"] {
                self.ask(Method::GET, &format!("/{name}{page}"), "").await;
            }
            let path = format!("/admin/api/explain?user=ops&bridge={name}&tool={SHOWN}");
            self.ask(Method::GET, &path, "").await;
        }
        for path in [
            "/",
            "/servers",
            "/health",
            "/ready",
            "/openapi.json",
            "/docs",
            "/redoc",
            "/metrics",
            "/admin",
            "/admin/page.js",
            "/admin/page.css",
            "/docs/assets/index.html",
        ] {
            self.ask(Method::GET, path, "").await;
        }
        for path in [
            "me",
            "users",
            "groups",
            "grants",
            "keys",
            "servers",
            "bridges",
            "plan",
            "nothing",
            "calls?limit=1000",
            "changes?limit=1000",
        ] {
            self.ask(Method::GET, &format!("/admin/api/{path}"), "")
                .await;
        }
        self.seen.processes(self.pid());
    }

    /// Sends secrets where they do not belong: in paths, names, arguments, as credentials of another
    /// kind.
    pub async fn misuse_all(&mut self) {
        let is_sent = |name| !matches!(name, "KEY_FILE" | "NEXT_SECRET");
        for it in PLANTED.iter().filter(|it| is_sent(it.name)).step_by(2) {
            let text = filled(&format!("<%{}>", it.name));
            let body = json!({ "message": it.text, it.text: 1 }).to_string();
            for path in [
                format!("/{text}"),
                format!("/{text}/{text}?{text}={text}"),
                format!("/program/{text}"),
                format!("/program_{text}"),
                format!("/{text}/openapi.json"),
                format!("/admin/api/explain?user={text}&bridge={text}&tool={text}"),
                format!("/admin/api/groups/{text}"),
                format!("/admin/api/calls?caller={text}&bridge={text}&since={text}"),
                format!("/docs/assets/{text}"),
            ] {
                self.ask(Method::GET, &path, "").await;
                self.ask(Method::POST, &path, &body).await;
            }
            self.ask(Method::POST, "/program/leak_fail", &body).await;
            self.ask(Method::POST, "/program/leak_fail", it.text).await;
            for path in ["grants", "users/groups", "admins", "keys", "groups"] {
                let body = json!({
                    "email": it.text, "expires_at": it.text, "name": it.text, "bridge": it.text,
                });
                let path = format!("/admin/api/{path}");
                self.ask(Method::DELETE, &path, &body.to_string()).await;
            }
            self.read_journal();
            if !it.text.is_ascii() {
                continue;
            }
            let bearer = format!("Bearer {}", it.text);
            let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("u:{}", it.text)));
            let cookie = format!("token={}", it.text);
            for header in [
                ("authorization", bearer.as_str()),
                ("authorization", basic.as_str()),
                ("x-gateway-secret", it.text),
                ("x-user-email", it.text),
                ("x-openwebui-user-jwt", it.text),
                ("x-request-id", it.text),
                ("cookie", cookie.as_str()),
            ] {
                self.send(Method::POST, "/program/leak_rpc", &[header], "{}")
                    .await;
            }
        }
    }

    /// Calls with a credential that is no secret of the configuration.
    pub async fn call_with(&mut self, authorization: &str) -> u16 {
        let headers = [("authorization", authorization)];
        self.send(Method::POST, "/program/leak_fail", &headers, "{}")
            .await
    }

    /// Loads a file with errors, then one with another secret.
    pub async fn reload(&mut self) {
        let good = self.bridge.read("bridges.toml");
        let url = filled("ftp://u:<%DSN_PASSWORD>@h/${URL_TOKEN}");
        let broken = format!(
            "{good}\n[bridges.broken]\ncommand = 7\nenv = {{ X = '{}' }}\nurl = '{url}'\n\
             transport = '${{STDIO_TOKEN}}'\n",
            text_of("STDIO_SECRET"),
        );
        self.bridge.write("bridges.toml", &broken);
        assert_eq!(self.ask(Method::POST, "/refresh", "").await, 409);
        self.ask(Method::GET, "/admin/api/plan", "").await;
        assert_eq!(self.command(&["check"]).await, 2);
        let other = good.replace(text_of("STDIO_SECRET"), text_of("NEXT_SECRET"));
        self.bridge.write("bridges.toml", &other);
        self.ask(Method::GET, "/admin/api/plan", "").await;
        assert_eq!(self.ask(Method::POST, "/refresh", "").await, 200);
        // What the old servers knew is still not told.
        plant(&self.file, |_name| true);
        for name in ["program", "ok", "status-401", "dies"] {
            let path = format!("/admin/api/bridges/{name}/restart");
            self.ask(Method::POST, &path, "").await;
        }
    }

    /// A key that is made while we run: told once, and never again.
    pub async fn make_key(&mut self) -> String {
        let admin = self.bridge.as_bearer(text_of("OPS_KEY")).api();
        let body = r#"{"name": "made", "groups": ["MCP-Admin"]}"#;
        let made = admin.post("/keys", body).await;
        let text = made.json()["text"].as_str().unwrap().to_owned();
        self.ask(Method::POST, &format!("/program/{text}"), "{}")
            .await;
        assert_eq!(self.call_with(&format!("Bearer {text}")).await, 422);
        text
    }

    /// Runs a command.
    async fn command(&mut self, words: &[&str]) -> i32 {
        let (code, said) = self.bridge.cli(words).await.said();
        self.seen.add(Medium::CommandLine, &words.join(" "), said);
        code
    }

    /// Runs every command that shows something.
    pub async fn run_all(&mut self) {
        // A program that begins now has never heard of it.
        plant(&self.file, |name| name != "STDIO_SECRET");
        for words in [
            "check",
            "tools program",
            "tools --json",
            "openapi",
            "openapi garbage",
            "call nowhere x",
            "call dies leak_text",
            "call status-500 leak_text",
            "call openapi call_422",
            "call ok leak_text",
            "call ok leak_rpc",
            "access list",
            "access users --json",
            "access key list",
            "audit tail",
            "audit query",
            "audit query --format csv",
            "audit query --format jsonl",
            "audit changes",
            "migrate",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            self.command(&words).await;
        }
        for tool in TOOLS {
            self.command(&["call", "program", tool]).await;
        }
    }

    /// Ends it.
    pub async fn end(&mut self) {
        self.read_journal();
        self.bridge.signal("TERM");
        self.bridge.exit_code().await;
        self.seen.add(Medium::Log, "log", self.bridge.log());
        self.read_journal();
    }
}
