//! A caller of a running bridge: the headers that prove who sends a request.

use std::borrow::Borrow;

use reqwest::Method;
use serde_json::Value;

use super::{Answer, Bridge};

/// Sends requests with the same headers.
#[derive(Clone)]
pub struct TestCaller<'a> {
    /// Where the requests go.
    bridge: &'a Bridge,
    /// What each path begins with.
    root: &'static str,
    /// The headers of each request.
    headers: Vec<(String, String)>,
}

/// The body of a request. JSON `null` means that there is no body.
pub trait TestBody {
    /// The text that is sent.
    fn into_text(self) -> String;
}

impl TestBody for &str {
    fn into_text(self) -> String {
        self.to_owned()
    }
}

impl TestBody for &String {
    fn into_text(self) -> String {
        self.clone()
    }
}

impl TestBody for &Value {
    fn into_text(self) -> String {
        if self.is_null() {
            String::new()
        } else {
            self.to_string()
        }
    }
}

impl TestBody for Value {
    fn into_text(self) -> String {
        (&self).into_text()
    }
}

impl Bridge {
    /// A caller with these headers.
    pub fn caller<V: Borrow<str>>(&self, headers: &[(&str, V)]) -> TestCaller<'_> {
        let caller = TestCaller {
            bridge: self,
            root: "",
            headers: Vec::new(),
        };
        let headers = headers.iter();
        headers.fold(caller, |caller, (name, value)| {
            caller.with(name, value.borrow())
        })
    }

    /// A caller with an API key or a token in the `Authorization` header.
    pub fn as_bearer(&self, key: &str) -> TestCaller<'_> {
        self.caller(&[("authorization", format!("Bearer {key}"))])
    }

    /// The administrator that [`Setup::admin_key`](super::Setup::admin_key) names.
    pub fn as_admin(&self) -> TestCaller<'_> {
        self.as_bearer(self.start.admin_key.as_deref().expect("an administrator"))
    }

    /// The same, with `/admin/api` before each path.
    pub fn admin_api(&self) -> TestCaller<'_> {
        self.as_admin().api()
    }

    /// A user whom the key of [`Setup::forwarder_key`](super::Setup::forwarder_key) vouches for.
    pub fn as_user(&self, email: &str) -> TestCaller<'_> {
        let forwarder = self.start.forwarder_key.as_deref();
        self.as_bearer(forwarder.expect("a key that forwards users"))
            .with("x-openwebui-user-email", email)
    }
}

impl TestCaller<'_> {
    /// Adds a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts `/admin/api` before each path.
    pub fn api(mut self) -> Self {
        self.root = "/admin/api";
        self
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: impl TestBody) -> Answer {
        self.send(Method::POST, path, body).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: impl TestBody) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, body: impl TestBody) -> Answer {
        self.send(Method::DELETE, path, body).await
    }

    /// Calls the tool `BRIDGE/TOOL`.
    pub async fn call(&self, tool: &str, arguments: impl TestBody) -> Answer {
        self.post(&format!("/{tool}"), arguments).await
    }

    /// Any request. Unless the caller has a `Content-Type` of its own, the body is sent as JSON.
    pub async fn send(&self, method: Method, path: &str, body: impl TestBody) -> Answer {
        let headers = self.headers.iter();
        let mut headers: Vec<_> = headers.map(|(name, value)| (&**name, &**value)).collect();
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type", "application/json"));
        }
        let path = format!("{}{path}", self.root);
        let body = body.into_text();
        self.bridge.send(method, &path, &headers, &body).await
    }
}
