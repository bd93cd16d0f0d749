//! [`Sender`]: posts batches of spans with our own HTTP client.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// How much of an answer is read, in bytes; a collector says little.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Posts on the runtime: the queue of spans has a thread of its own, which knows no sockets.
#[derive(Debug)]
pub(super) struct Sender {
    /// Sends the requests.
    client: reqwest::Client,
    /// Where.
    runtime: Handle,
    /// Keeps the requests under way.
    tracker: TaskTracker,
    /// How long one may take.
    limit: Duration,
    /// Why the last one failed.
    trouble: Trouble,
}

/// Why the last request failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble(Arc<ArcSwapOption<String>>);

impl Trouble {
    /// In words.
    pub(super) fn last(&self) -> Option<String> {
        self.0.load().as_deref().cloned()
    }
}

impl Sender {
    /// On the runtime that this is called in.
    pub(super) fn new(client: reqwest::Client, limit: Duration) -> Self {
        Self {
            client,
            runtime: Handle::current(),
            tracker: TaskTracker::new(),
            limit,
            trouble: Trouble::default(),
        }
    }

    /// Why requests fail.
    pub(super) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let mut request = reqwest::Request::try_from(request)?;
        *request.timeout_mut() = Some(self.limit);
        let post = post(self.client.clone(), request);
        let posted = self.tracker.spawn_on(post, &self.runtime).await?;
        let trouble = match &posted {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers HTTP {}", response.status())),
            Err(error) => Some(in_words(error)),
        };
        self.trouble.0.store(trouble.map(Arc::new));
        Ok(posted?)
    }
}

/// Sends a request and reads the beginning of its answer.
async fn post(
    client: reqwest::Client,
    request: reqwest::Request,
) -> Result<http::Response<Bytes>, reqwest::Error> {
    let mut response = client.execute(request).await?;
    let mut answer = http::Response::new(Bytes::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    while body.len() < ANSWER_BYTES_MAX
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    *answer.body_mut() = body.freeze();
    Ok(answer)
}

/// The innermost cause says most; the outer ones repeat the URL.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
