//! Open WebUI's route for events in a chat, where it has faults; the real one is in `tests/open_webui`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, LOCATION},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

/// A line that was sent to a chat.
#[derive(Debug, Clone)]
pub struct Line {
    /// The chat and the message.
    pub place: (String, String),
    /// Who wrote it.
    pub authorization: String,
    /// Its text.
    pub text: String,
    /// Whether it is the last.
    pub is_last: bool,
}

/// A running stand-in; it ends with this. What it does with a line is the first word of the chat's id:
/// `hang`, `slow`, `s500` (any status), `endless`, `redirect`; all else is taken.
pub struct ChatApi {
    /// Where it serves.
    pub url: String,
    lines: Lines,
    serving: JoinHandle<()>,
}

type Lines = Arc<Mutex<Vec<Line>>>;

impl ChatApi {
    /// Starts one. `elsewhere` is where it redirects to.
    pub async fn start(elsewhere: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lines = Lines::default();
        let router = Router::new()
            .route(
                "/webui/api/v1/chats/{chat}/messages/{message}/event",
                post(take),
            )
            .fallback(async || StatusCode::IM_A_TEAPOT)
            .with_state((Arc::clone(&lines), elsewhere.to_owned()));
        Self {
            url: format!("{url}/webui"),
            lines,
            serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        }
    }

    /// What was sent to a chat.
    pub fn lines(&self, chat: &str) -> Vec<Line> {
        let lines = self.lines.lock().unwrap();
        let of_chat = lines.iter().filter(|line| line.place.0 == chat);
        of_chat.cloned().collect()
    }

    /// What was sent to any.
    pub fn all(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    /// The texts of a chat, once the last line is there.
    pub async fn whole(&self, chat: &str) -> Vec<String> {
        super::until(async || self.lines(chat).last().is_some_and(|line| line.is_last)).await;
        let lines = self.lines(chat);
        lines.into_iter().map(|line| line.text).collect()
    }
}

impl Drop for ChatApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    State((lines, elsewhere)): State<(Lines, String)>,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
    Json(event): Json<Value>,
) -> Response {
    assert_eq!(event["type"], "status", "{event}");
    let what = place.0.split('-').next().unwrap_or_default().to_owned();
    lines.lock().unwrap().push(Line {
        place,
        authorization: headers[AUTHORIZATION].to_str().unwrap().to_owned(),
        text: event["data"]["description"].as_str().unwrap().to_owned(),
        is_last: event["data"]["done"].as_bool().unwrap(),
    });
    match what.as_str() {
        "hang" => std::future::pending().await,
        "slow" => {
            sleep(Duration::from_secs(5)).await;
            Json(json!(true)).into_response()
        }
        "endless" => {
            let chunk = Bytes::from(vec![b'x'; 1 << 16]);
            let endless = futures::stream::repeat_with(move || std::io::Result::Ok(chunk.clone()));
            Body::from_stream(endless).into_response()
        }
        "redirect" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, elsewhere)]).into_response(),
        status if status.starts_with('s') => {
            let status = status[1..].parse().unwrap();
            (StatusCode::from_u16(status).unwrap(), "no").into_response()
        }
        _ => Json(json!(true)).into_response(),
    }
}
