//! An MCP server behind OAuth, made of the official Python SDK (`servers/oauth_peer.py`), and the
//! browser of whoever logs in there.

use std::{path::Path, process::Stdio, time::Duration};

use reqwest::{Client, Url, header};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{client, fixture, free_port, until};

/// A running peer.
pub struct OAuthPeer {
    /// Where it serves MCP.
    pub url: String,
    /// Its origin.
    pub base: String,
    client: Client,
    _child: Child,
}

impl OAuthPeer {
    /// Starts one and waits until it answers.
    pub async fn start(words: &[&str]) -> Self {
        let port = free_port();
        Self::start_at(port, words).await
    }

    /// The same at a port.
    pub async fn start_at(port: u16, words: &[&str]) -> Self {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".peers/py/modern/bin/python");
        assert!(
            python.exists(),
            "the Python MCP SDK is missing: run ./scripts/peers"
        );
        let child = Command::new(python)
            .arg(fixture("it/servers/oauth_peer.py"))
            .args(["--port", &port.to_string()])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let path = if words.contains(&"sse") { "sse" } else { "mcp" };
        let peer = Self {
            url: format!("{base}/{path}"),
            base,
            client: client(),
            _child: child,
        };
        let stats = format!("{}/__stats", peer.base);
        until(async || peer.client.get(&stats).send().await.is_ok()).await;
        peer
    }

    /// What it counted.
    pub async fn stat(&self, name: &str) -> u64 {
        let url = format!("{}/__stats", self.base);
        let stats = self.client.get(url).send().await.unwrap();
        let stats: Value = stats.json().await.unwrap();
        stats[name].as_u64().unwrap()
    }

    /// Has it answer something else at a path.
    pub async fn fault(&self, path: &str, mut fault: Value) {
        fault["path"] = json!(path);
        self.tell("__fault", &fault).await;
    }

    /// Has it answer as it should.
    pub async fn well(&self) {
        self.tell("__faults", &json!({})).await;
    }

    /// No token of its counts any more.
    pub async fn revoke(&self) {
        self.tell("__revoke", &json!({})).await;
    }

    async fn tell(&self, path: &str, body: &Value) {
        let url = format!("{}/{path}", self.base);
        let told = self.client.post(url).json(body).send().await.unwrap();
        assert!(told.status().is_success());
    }
}

/// A browser: it follows redirects, keeps cookies by origin, sends forms.
pub struct Browser {
    client: Client,
    cookies: Vec<(String, String, String)>,
    /// Sent with every request to the bridge: what a person is signed in with there.
    pub headers: Vec<(String, String)>,
}

/// A page that a browser came to.
#[derive(Debug)]
pub struct Page {
    /// Where.
    pub url: Url,
    /// The status code.
    pub status: u16,
    /// The HTML.
    pub text: String,
}

impl Page {
    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let html = self.text.replace('"', "");
        let start = html
            .find(&format!("name={name} value="))
            .unwrap_or_else(|| panic!("no field {name} in {}", self.text));
        let value = &html[start + name.len() + 12..];
        let end = value.find(['>', ' ']).unwrap();
        value[..end].to_owned()
    }
}

impl Browser {
    /// One that knows nobody.
    pub fn new() -> Self {
        Self {
            client: client(),
            cookies: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// One in which somebody is signed in to Open WebUI, whose cookie the bridge sees too.
    pub fn signed_in(token: &str) -> Self {
        let mut browser = Self::new();
        browser.headers = vec![("cookie".to_owned(), format!("token={token}"))];
        browser
    }

    /// Opens a page.
    pub async fn open(&mut self, url: &str) -> Page {
        self.go("GET", url.parse().unwrap(), None).await
    }

    /// Sends a form to the page's own address.
    pub async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let mut url = page.url.clone();
        url.set_query(None);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.go("POST", url, Some(body)).await
    }

    /// Presses the button of our own page, and comes to the peer's consent page.
    pub async fn go_on(&mut self, page: &Page) -> Page {
        let ticket = page.field("ticket");
        self.submit(page, &[("ticket", &ticket)]).await
    }

    /// Logs in at the peer's consent page, or says no.
    pub async fn consent(&mut self, page: &Page, login: &str, action: &str) -> Page {
        let transaction = page.field("txn");
        let fields = [("txn", &*transaction), ("login", login), ("action", action)];
        self.submit(page, &fields).await
    }

    /// Logs in at the peer's consent page, and gives the address that it leads to without going there.
    pub async fn consent_location(&mut self, page: &Page, login: &str) -> String {
        let transaction = page.field("txn");
        let mut url = page.url.clone();
        url.set_query(None);
        let form = [
            ("txn", &*transaction),
            ("login", login),
            ("action", "approve"),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .client
            .post(url)
            .body(body)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        answer.headers()[header::LOCATION]
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// All of it: the link, our page, the peer's, and back.
    pub async fn connect(&mut self, link: &str, login: &str) -> Page {
        let page = self.open(link).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let page = self.go_on(&page).await;
        self.consent(&page, login, "approve").await
    }

    async fn go(&mut self, method: &str, mut url: Url, body: Option<String>) -> Page {
        let mut method = method.parse().unwrap();
        let mut body = body;
        for _ in 0..10 {
            let mut request = self.client.request(method, url.clone());
            let mut cookies: Vec<String> = Vec::new();
            for (name, value) in &self.headers {
                if name == "cookie" {
                    cookies.push(value.clone());
                } else {
                    request = request.header(name, value);
                }
            }
            let origin = url.origin().ascii_serialization();
            let kept = self.cookies.iter().filter(|(from, ..)| *from == origin);
            cookies.extend(kept.map(|(_, name, value)| format!("{name}={value}")));
            if !cookies.is_empty() {
                request = request.header(header::COOKIE, cookies.join("; "));
            }
            if let Some(form) = body.take() {
                request = request
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .header(header::ORIGIN, &origin)
                    .body(form);
            }
            let answer = tokio::time::timeout(Duration::from_secs(30), request.send());
            let answer = answer.await.expect("a page in time").unwrap();
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                let text = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = text.split_once('=').unwrap();
                let kept = (origin.clone(), name.to_owned(), value.to_owned());
                self.cookies
                    .retain(|(from, it, _)| !(*from == origin && it == name));
                self.cookies.push(kept);
            }
            let status = answer.status();
            let Some(location) = answer.headers().get(header::LOCATION) else {
                let text = answer.text().await.unwrap();
                return Page {
                    url,
                    status: status.as_u16(),
                    text,
                };
            };
            url = url.join(location.to_str().unwrap()).unwrap();
            method = reqwest::Method::GET;
        }
        panic!("too many redirects, at {url}");
    }
}
