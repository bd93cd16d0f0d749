//! Request bodies, bounded in size and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use bytes::BytesMut;
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::{
    call::ServiceError,
    compute::in_place,
    error_code::ErrorCode,
    json,
    schema::BODY_VALUES_MAX,
    settings::{PlaceError, RequestPlace, UNCOUNTED_BYTES},
};

/// The time in which a body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a body could not be read.
enum BodyReadError {
    /// The body is larger than the limit.
    TooLarge,
    /// The body ended early.
    Broken,
    /// There is no memory left for the body.
    NoRoom(PlaceError),
}

/// The memory that one value of a body takes once it is parsed, in bytes. It includes the value's
/// share of the lists and objects around it.
const VALUE_BYTES: usize = 128;

/// Reads the whole body, within the limit. The memory for a large body and for its parsed values
/// counts for its caller.
pub async fn read(
    body: Body,
    bytes_max: usize,
    seat: Option<&RequestPlace>,
) -> Result<Bytes, ServiceError> {
    let mut chunks = body.into_data_stream();
    let unread = match timeout(BODY_TIMEOUT, collect(&mut chunks, bytes_max, seat)).await {
        Ok(Ok(bytes)) => {
            hold_values(&bytes, seat)?;
            return Ok(bytes);
        }
        Ok(Err(unread)) => unread,
        Err(_) => {
            return Err(ServiceError::new(
                ErrorCode::BodyTimeout,
                format!(
                    "the request body did not arrive within {}",
                    humantime::format_duration(BODY_TIMEOUT)
                ),
            ));
        }
    };
    Err(match unread {
        BodyReadError::TooLarge => ServiceError::new(
            ErrorCode::BodyTooLarge,
            format!("the request body is larger than {bytes_max} bytes"),
        ),
        BodyReadError::Broken => {
            ServiceError::new(ErrorCode::BodyIncomplete, "the request body ended early")
        }
        BodyReadError::NoRoom(error) => error.into(),
    })
}

/// Counts the memory that the values of a large body will take. A body with too many values is
/// refused later, before it is parsed.
fn hold_values(body: &[u8], seat: Option<&RequestPlace>) -> Result<(), PlaceError> {
    let Some(seat) = seat.filter(|_| body.len() > UNCOUNTED_BYTES) else {
        return Ok(());
    };
    match in_place(body.len(), || json::values_at_most(body)) {
        values if values <= BODY_VALUES_MAX => seat.hold_body(values * VALUE_BYTES),
        _ => Ok(()),
    }
}

/// Collects the whole body. Most bodies arrive in one piece, which needs no copy.
async fn collect(
    chunks: &mut BodyDataStream,
    bytes_max: usize,
    seat: Option<&RequestPlace>,
) -> Result<Bytes, BodyReadError> {
    let mut whole = Bytes::new();
    let mut more = BytesMut::new();
    let mut counted = UNCOUNTED_BYTES;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyReadError::Broken)?;
        let size = whole.len() + more.len() + chunk.len();
        if size > bytes_max {
            return Err(BodyReadError::TooLarge);
        }
        if size > counted {
            if let Some(seat) = seat {
                seat.hold_body(size - counted)
                    .map_err(BodyReadError::NoRoom)?;
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
