//! Receives the answer of a login: at a local port, through the running bridge, or as a pasted address.

use std::{io::BufRead as _, net::Ipv4Addr, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Query, State},
    response::Html,
    routing::get,
};
use tokio::{net::TcpListener, sync::mpsc};
use url::{Url, form_urlencoded};

use crate::{
    cli::output::complain,
    credential::AuthorizationResponse,
    store::{AccountKey, Store},
};

/// The time between two queries whether the running bridge has received the answer.
const POLL: Duration = Duration::from_millis(500);

/// The local port to which the browser returns (RFC 8252 §7.3).
#[derive(Debug)]
pub struct CallbackListener {
    /// The listening socket.
    listener: TcpListener,
    /// The redirect URL for the authorization server.
    pub redirect_url: Url,
}

impl CallbackListener {
    /// Opens a port.
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener =
            listener.with_context(|| format!("cannot listen on port {port} of this machine"))?;
        let port = listener.local_addr()?.port();
        let redirect_url = format!("http://localhost:{port}/callback").parse()?;
        Ok(Self {
            listener,
            redirect_url,
        })
    }

    /// Forwards every answer until the future is dropped.
    pub async fn answers(self, answers: mpsc::Sender<AuthorizationResponse>) {
        let router = Router::new()
            .route("/callback", get(callback))
            .with_state(answers);
        if let Err(error) = axum::serve(self.listener, router).await {
            complain(&format!(
                "warning: the local port for the login failed: {error}"
            ));
        }
    }
}

/// Receives an answer.
async fn callback(
    State(answers): State<mpsc::Sender<AuthorizationResponse>>,
    Query(answer): Query<AuthorizationResponse>,
) -> Html<&'static str> {
    if answers.send(answer).await.is_err() {
        return Html("<p>This login has already ended. You can close this page.</p>");
    }
    Html("<p>The terminal shows the result of the login. You can close this page.</p>")
}

/// Forwards pasted answers until the input ends.
pub fn pasted(answers: mpsc::Sender<AuthorizationResponse>) {
    // A separate thread, because a read from the terminal cannot be canceled and must not delay the exit.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line.trim().is_empty() {
                continue;
            }
            let Some(answer) = parse(&line) else {
                complain(
                    "this is not the address of the browser after the login; that address contains `code=` and `state=`",
                );
                continue;
            };
            if answers.blocking_send(answer).is_err() {
                return;
            }
        }
    });
}

/// Reads a pasted address, or the part of it after the `?`.
fn parse(line: &str) -> Option<AuthorizationResponse> {
    let line = line.trim();
    let query = match Url::parse(line) {
        Ok(url) => url.query().unwrap_or_default().to_owned(),
        Err(_) => line.trim_start_matches('?').to_owned(),
    };
    let mut answer = AuthorizationResponse::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match &*key {
            "state" => answer.state = value,
            "code" => answer.code = Some(value),
            "iss" => answer.iss = Some(value),
            "error" => answer.error = Some(value),
            "error_description" => answer.error_description = Some(value),
            _ => {}
        }
    }
    let is_whole = !answer.state.is_empty() && (answer.code.is_some() || answer.error.is_some());
    is_whole.then_some(answer)
}

/// Waits until the account in the database changes, because the running bridge has received the answer.
pub async fn connected(store: &Store, account: &AccountKey) -> anyhow::Result<()> {
    let before = store.account(account).await?;
    loop {
        tokio::time::sleep(POLL).await;
        if store.account(account).await? != before {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_read_leniently_and_never_halfway() {
        for (line, state, code) in [
            (
                "http://localhost:1/callback?code=c%2B1&state=s",
                "s",
                Some("c+1"),
            ),
            ("  ?state=s&code=c  ", "s", Some("c")),
            ("state=s&code=c&iss=https://x", "s", Some("c")),
            (
                "https://x/oauth/callback?error=access_denied&state=s",
                "s",
                None,
            ),
        ] {
            let answer = parse(line).unwrap();
            assert_eq!(
                (answer.state.as_str(), answer.code.as_deref()),
                (state, code),
                "{line}"
            );
        }
        for line in ["", "code", "https://x/", "https://x/?code=c", "state=s"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
