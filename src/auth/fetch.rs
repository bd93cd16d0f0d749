//! Fetches small JSON documents: bounded in time and size, from the very host that was asked.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

/// How long an answer may take, from the first byte we send to the last we read.
const DEADLINE: Duration = Duration::from_secs(3);

/// The largest document, in bytes.
const BYTES_MAX: usize = 256 << 10;

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Another status than 200.
    #[error("it answered with status {0}")]
    Status(StatusCode),
    /// No connection, no answer in time, or not a document we can read.
    #[error("{0}")]
    Failed(String),
}

/// The document at a URL. `bearer` is shown to that host and to no other.
pub fn json<T: DeserializeOwned>(
    http: &reqwest::Client,
    url: Url,
    bearer: Option<&str>,
) -> impl Future<Output = Result<T, FetchError>> + use<T> {
    let mut request = http.get(url.clone());
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    async move {
        let read = read(request, &url);
        let late = || FetchError::Failed(format!("it did not answer within {DEADLINE:?}"));
        let body = timeout(DEADLINE, read).await.map_err(|_| late())??;
        serde_json::from_slice(&body)
            .map_err(|_| FetchError::Failed("its answer is not what was asked for".to_owned()))
    }
}

async fn read(request: reqwest::RequestBuilder, url: &Url) -> Result<BytesMut, FetchError> {
    // The URL of an error may hold a password.
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        FetchError::Failed(format!("{error}{}", cause.unwrap_or_default()))
    };
    let mut response = request.send().await.map_err(failed)?;
    if response.url().origin() != url.origin() {
        return Err(FetchError::Failed(
            "it redirects to another host".to_owned(),
        ));
    }
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(FetchError::Failed(
                "its answer is larger than 256 KiB".to_owned(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
