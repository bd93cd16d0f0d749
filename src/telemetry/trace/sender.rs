//! [`SpanSender`]: posts batches of spans with the bridge's own HTTP client.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// How much of a response is read, in bytes. Collectors send short ones.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Posts on the Tokio runtime, because the span queue runs on a thread of its own that has no
/// runtime.
#[derive(Debug)]
pub(super) struct SpanSender {
    /// Sends the requests.
    client: reqwest::Client,
    /// The runtime.
    runtime: Handle,
    /// Tracks running requests.
    tracker: TaskTracker,
    /// The timeout of a request.
    limit: Duration,
    /// Why the last request failed.
    trouble: LastSendError,
}

/// Why the last request failed.
#[derive(Debug, Clone, Default)]
pub(super) struct LastSendError(Arc<ArcSwapOption<String>>);

impl LastSendError {
    /// The reason as text.
    pub(super) fn last(&self) -> Option<String> {
        self.0.load().as_deref().cloned()
    }
}

impl SpanSender {
    /// A sender that uses the current runtime.
    pub(super) fn new(client: reqwest::Client, limit: Duration) -> Self {
        Self {
            client,
            runtime: Handle::current(),
            tracker: TaskTracker::new(),
            limit,
            trouble: LastSendError::default(),
        }
    }

    /// Why requests fail.
    pub(super) fn trouble(&self) -> LastSendError {
        self.trouble.clone()
    }
}

#[async_trait]
impl HttpClient for SpanSender {
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
            Ok(response) => Some(format!("it returns HTTP {}", response.status())),
            Err(error) => Some(in_words(error)),
        };
        self.trouble.0.store(trouble.map(Arc::new));
        Ok(posted?)
    }
}

/// Sends a request and reads the beginning of the response.
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

/// The innermost cause is the most useful one. The outer ones repeat the URL.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not respond in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
