//! Request bodies: bounded in size and time, and read to their end where the answer is a refusal.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;
use tokio::time::timeout;

use super::error::ApiError;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a body that nobody wants is read on. A client that is still writing when we close the
/// connection sees a broken pipe instead of the answer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of it, in bytes.
const DISCARD_BYTES_MAX: usize = 64 << 20;

/// Reads the whole body, within the limit.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    match timeout(BODY_TIMEOUT, collect(&mut chunks, bytes_max)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            discard(chunks).await;
            Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the request body is larger than {bytes_max} bytes"),
            ))
        }
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "body_incomplete",
            "the request body ended early",
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!(
                "the request body did not arrive within {}",
                humantime::format_duration(BODY_TIMEOUT)
            ),
        )),
    }
}

/// Reads a body to its end without keeping it, within bounds.
pub async fn discard(mut chunks: BodyDataStream) {
    let mut left = DISCARD_BYTES_MAX;
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    if timeout(DISCARD_TIMEOUT, reading).await.is_err() {
        tracing::debug!("a refused client goes on sending; its connection is closed");
    }
}

/// The whole body, or `None` as soon as it passes the limit. Most come in one piece, which needs
/// no copy.
async fn collect(
    chunks: &mut BodyDataStream,
    bytes_max: usize,
) -> Result<Option<Bytes>, axum::Error> {
    let mut whole = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if whole.len() + more.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        if whole.is_empty() && more.is_empty() {
            whole = chunk;
        } else {
            more.extend_from_slice(&std::mem::take(&mut whole));
            more.extend_from_slice(&chunk);
        }
    }
    Ok(Some(if more.is_empty() {
        whole
    } else {
        more.freeze()
    }))
}
