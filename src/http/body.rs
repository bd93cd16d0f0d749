//! Request bodies: bounded in size and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;
use tokio::time::timeout;

use super::{
    error::ApiError,
    gate::{Seat, UNCOUNTED_BYTES},
};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Why there is no body.
enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It ended early.
    Broken,
    /// There is no room for it.
    NoRoom(ApiError),
}

/// Reads the whole body, within the limit. What a large one holds is counted for its caller.
pub async fn read(body: Body, bytes_max: usize, seat: Option<&Seat>) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    let unread = match timeout(BODY_TIMEOUT, collect(&mut chunks, bytes_max, seat)).await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(unread)) => unread,
        Err(_) => {
            return Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                format!(
                    "the request body did not arrive within {}",
                    humantime::format_duration(BODY_TIMEOUT)
                ),
            ));
        }
    };
    Err(match unread {
        Unread::TooLarge => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the request body is larger than {bytes_max} bytes"),
        ),
        Unread::Broken => ApiError::new(
            StatusCode::BAD_REQUEST,
            "body_incomplete",
            "the request body ended early",
        ),
        Unread::NoRoom(error) => error,
    })
}

/// The whole body. Most come in one piece, which needs no copy.
async fn collect(
    chunks: &mut BodyDataStream,
    bytes_max: usize,
    seat: Option<&Seat>,
) -> Result<Bytes, Unread> {
    let mut whole = Bytes::new();
    let mut more = BytesMut::new();
    let mut counted = UNCOUNTED_BYTES;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        let size = whole.len() + more.len() + chunk.len();
        if size > bytes_max {
            return Err(Unread::TooLarge);
        }
        if size > counted {
            if let Some(seat) = seat {
                seat.hold_body(size - counted).map_err(Unread::NoRoom)?;
            }
            counted = size;
        }
        if whole.is_empty() && more.is_empty() {
            whole = chunk;
        } else {
            more.extend_from_slice(&std::mem::take(&mut whole));
            more.extend_from_slice(&chunk);
        }
    }
    Ok(if more.is_empty() {
        whole
    } else {
        more.freeze()
    })
}
