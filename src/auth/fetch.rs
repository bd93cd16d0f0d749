//! Fetches small JSON documents, with limits on time and size, only from the host that was asked.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

/// The total time for a fetch, from the first byte sent to the last byte read.
const DEADLINE: Duration = Duration::from_secs(3);

/// The largest document, in bytes.
const BYTES_MAX: usize = 256 << 10;

/// Why a document could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The status was not 200.
    #[error("it answered with status {0}")]
    Status(StatusCode),
    /// There was no connection, no timely response, or no valid document.
    #[error("{0}")]
    Failed(String),
}

/// Fetches the document at a URL. `bearer` is sent only to the host of that URL.
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
        let late = || FetchError::Failed(format!("it did not respond within {DEADLINE:?}"));
        let body = timeout(DEADLINE, read).await.map_err(|_| late())??;
        serde_json::from_slice(&body).map_err(|_| {
            FetchError::Failed("its response does not have the expected content".to_owned())
        })
    }
}

async fn read(request: reqwest::RequestBuilder, url: &Url) -> Result<BytesMut, FetchError> {
    // The URL in the error may contain a password.
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
                "its response is larger than 256 KiB".to_owned(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
