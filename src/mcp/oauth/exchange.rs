//! Sends rmcp's requests to token endpoints with the contents of [`TokenForm`], and normalizes the answers for
//! rmcp.

use std::sync::atomic::Ordering;

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use reqwest::RequestBuilder;
use rmcp::transport::auth::{
    OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRequest,
};
use url::Url;

use super::{
    super::http::{TransportError, read, send},
    answer,
    error::{OAuthRefusal, WireFailure, short},
    form::TokenForm,
    traffic::{BODY_BYTES_MAX, OAuthFlowClient, place, refusal},
};

impl OAuthFlowClient {
    /// Sends one request of rmcp to a token endpoint. If the server refuses a part of it, sends it once more
    /// without that part.
    async fn exchange(
        &self,
        asked: OAuthHttpRequest,
    ) -> Result<http::Response<Vec<u8>>, OAuthHttpClientError> {
        let (parts, body) = asked.request.into_parts();
        let url: Url = parts.uri.to_string().parse()?;
        self.check(&url)?;
        let mut headers = parts.headers;
        headers.remove(CONTENT_LENGTH);
        let mut form = TokenForm::of(&body, &self.indicator);
        let had_resource = form.has("resource");
        let mut before = None;
        loop {
            let request = self
                .client
                .request(parts.method.clone(), url.clone())
                .headers(headers.clone())
                .body(form.body());
            let (status, body) = answered(request)
                .await
                .map_err(|failure| format!("{}: {failure}", place(&url)))?;
            let Some(refused) = refusal(&url, status, &body, Some(&form)) else {
                let is_unsaid = had_resource && !form.has("resource");
                self.is_unsaid.store(is_unsaid, Ordering::Relaxed);
                self.note(None);
                return Ok(given(&body));
            };
            if let Some(lighter) = form.lighter(&self.indicator, &refused) {
                form = lighter;
                before = Some(refused.text);
                continue;
            }
            let answer = refused_as_rmcp_reads_it(status, &body);
            self.note(Some(WireFailure::Refusal(after(before, refused))));
            return Ok(answer);
        }
    }
}

impl OAuthHttpClient for OAuthFlowClient {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let result = self.exchange(request).await;
            if let Err(error) = &result {
                self.note(Some(WireFailure::Broken(short(&error.to_string()))));
            }
            result
        })
    }
}

/// Sends a request and reads its answer.
async fn answered(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), TransportError> {
    let response = send(request).await?;
    let status = response.status();
    let body = read(response, BODY_BYTES_MAX).await?;
    Ok((status, body.to_vec()))
}

/// Converts a success of a token endpoint to what rmcp reads, whatever its status and content type.
fn given(body: &[u8]) -> http::Response<Vec<u8>> {
    // A body that is not an object contains no token, and an error message about it would repeat it.
    let object = answer::object(body).unwrap_or_default();
    as_json(StatusCode::OK, answer::tokens(object))
}

/// Converts an error to what rmcp reads.
fn refused_as_rmcp_reads_it(status: StatusCode, body: &[u8]) -> http::Response<Vec<u8>> {
    let refused = answer::object(body).and_then(|object| answer::refused(&object));
    let body = refused.map_or_else(Vec::new, |refused| answer::refusal(&refused));
    let status = if status.is_success() {
        StatusCode::BAD_REQUEST
    } else {
        status
    };
    as_json(status, body)
}

/// Builds a JSON answer.
fn as_json(status: StatusCode, body: Vec<u8>) -> http::Response<Vec<u8>> {
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Adds what was refused before a part of the request was removed.
fn after(before: Option<String>, mut refused: OAuthRefusal) -> OAuthRefusal {
    if let Some(before) = before {
        refused.text = short(&format!("{}; before that: {before}", refused.text));
    }
    refused
}
