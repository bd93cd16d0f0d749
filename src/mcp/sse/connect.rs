//! Opens an event stream and waits for its `endpoint` event.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use http::header::ACCEPT;
use reqwest::Response;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::transport::{SseEndpoint, SseTransport};
use crate::config::RemoteSettings;
use crate::mcp::credential::AuthorizedClient;
use crate::mcp::error::ConnectError;
use crate::mcp::http::{
    BodyKind, StreamItem, TransportError, content_type, frames, header_map, join_same_origin,
    preview, read_refusal, refused_by_body, refused_by_status,
};
use crate::mcp::unasked::UnsolicitedMessages;
use crate::secret::Redactor;

/// Opens the stream and waits for the `endpoint` event, within `limit`. The reader runs on `tracker` until
/// the transport is closed or dropped. What the server sends unasked goes to `unasked`, which also limits the
/// size of an answer.
pub async fn connect(
    courier: &AuthorizedClient,
    remote: &RemoteSettings,
    unasked: &UnsolicitedMessages,
    limit: Duration,
    redactor: &Redactor,
    tracker: &TaskTracker,
) -> Result<SseTransport, ConnectError> {
    let opening = open(courier, remote, unasked, redactor);
    let Ok(opened) = timeout(limit, opening).await else {
        return Err(ConnectError::Timeout {
            step: "endpoint event",
            after: limit,
        });
    };
    let (address, stream) = opened?;
    Ok(SseTransport::start(
        address,
        stream,
        unasked.clone(),
        tracker,
    ))
}

/// Opens the stream.
async fn open(
    courier: &AuthorizedClient,
    remote: &RemoteSettings,
    unasked: &UnsolicitedMessages,
    redactor: &Redactor,
) -> Result<
    (
        SseEndpoint,
        impl Stream<Item = Result<StreamItem, reqwest::Error>> + Send + use<>,
    ),
    ConnectError,
> {
    let headers = header_map(&remote.headers)?;
    let request = courier
        .client
        .get(remote.url.clone())
        .headers(headers.clone())
        .header(ACCEPT, "text/event-stream");
    let response = courier
        .send(request)
        .await
        .map_err(TransportError::into_connect_error)?;
    let response = check_opened(response, redactor)
        .await
        .map_err(TransportError::into_connect_error)?;
    let base = response.url().clone();
    let body = Box::pin(response.bytes_stream());
    let mut stream = Box::pin(frames(body, unasked.clone()));
    loop {
        match stream.next().await {
            Some(Ok(StreamItem::Event(event))) if event.event == "endpoint" => {
                let url = join_same_origin(&base, event.data.trim()).map_err(|reason| {
                    ConnectError::Protocol(format!("its `endpoint` event {reason}"))
                })?;
                let address = SseEndpoint {
                    courier: courier.clone(),
                    url,
                    headers,
                    redactor: redactor.clone(),
                };
                return Ok((address, stream));
            }
            Some(Ok(StreamItem::Event(event))) => unasked.note(event.data.len()),
            Some(Ok(StreamItem::TooLarge(_))) => unasked.note(0),
            Some(Err(error)) => return Err(TransportError::from(error).into_connect_error()),
            None => {
                let reason = "its event stream ended before the `endpoint` event";
                return Err(ConnectError::Protocol(reason.to_owned()));
            }
        }
    }
}

/// Rejects a response that is not an event stream.
async fn check_opened(response: Response, redactor: &Redactor) -> Result<Response, TransportError> {
    let status = response.status();
    if let Some(failure) = refused_by_status(status, response.headers()) {
        return Err(failure);
    }
    if !status.is_success() {
        let body = read_refusal(response).await;
        return Err(refused_by_body(status, &body, redactor));
    }
    let content_type = content_type(&response);
    if BodyKind::of(&content_type) == BodyKind::Events {
        return Ok(response);
    }
    let preview = preview(&read_refusal(response).await, redactor);
    Err(TransportError::Protocol(format!(
        "`{content_type}` instead of an event stream: {preview}"
    )))
}
