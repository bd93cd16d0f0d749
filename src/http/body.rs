//! Request bodies: bounded in size and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;
use tokio::time::timeout;

use super::error::ApiError;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Reads the whole body, within the limit.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    match timeout(BODY_TIMEOUT, collect(&mut chunks, bytes_max)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the request body is larger than {bytes_max} bytes"),
        )),
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
