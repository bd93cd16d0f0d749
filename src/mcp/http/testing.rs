//! Shared parts of the tests of the remote transports: servers on loopback ports, and a client.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use http::HeaderName;
use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest,
        Implementation, ProtocolVersion,
    },
};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_util::task::TaskTracker;
use url::Url;

use super::{call_error, http_client, install_tls};
use crate::{
    config::{RemoteKind, RemoteSettings},
    mcp::{
        AnswerLimits, credential::AuthorizedClient, decode::raw_result, error::CallError,
        unasked::UnsolicitedMessages,
    },
    secret::{Redactor, Secret},
};

/// The size limit in the tests, in bytes.
pub const LIMIT: usize = 64 << 10;

/// The credential the tests send.
pub const TOKEN: &str = "Bearer sesame-sesame";

/// A server that stops when it is dropped.
pub struct Server {
    /// The listen address.
    pub address: SocketAddr,
    /// Stops it.
    task: AbortHandle,
}

impl Server {
    /// Serves `router` on a free port.
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = TaskTracker::new().spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            task: task.abort_handle(),
        }
    }

    /// Returns its configuration.
    pub fn remote(&self, path: &str, kind: RemoteKind) -> RemoteSettings {
        remote(&format!("http://{}{path}", self.address), kind)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the configuration of a server at `url`, with a credential.
pub fn remote(url: &str, kind: RemoteKind) -> RemoteSettings {
    RemoteSettings {
        headers: vec![(HeaderName::from_static("authorization"), Secret::new(TOKEN))],
        ..RemoteSettings::new(Url::parse(url).unwrap(), kind)
    }
}

/// Returns a redactor that knows the credential.
pub fn redactor() -> Redactor {
    let redactor = Redactor::default();
    redactor.set_configured([Secret::new(TOKEN)]);
    redactor
}

/// Returns the handler for a session with the size limit of the tests.
pub fn unasked() -> UnsolicitedMessages {
    UnsolicitedMessages::new(AnswerLimits {
        result_bytes_max: LIMIT,
        tools_bytes_max: LIMIT,
    })
}

/// The client of the process.
pub fn courier() -> AuthorizedClient {
    install_tls();
    AuthorizedClient {
        client: http_client().unwrap(),
        credential: None,
    }
}

/// The smallest possible client handler.
#[derive(Debug, Clone)]
pub struct Quiet;

impl ClientHandler for Quiet {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("mcp-bridge", "0"),
        )
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}

/// Calls a tool and returns its result as sent.
pub async fn call(peer: &Peer<RoleClient>, tool: &str) -> Result<String, CallError> {
    call_with(peer, tool, serde_json::Map::new()).await
}

/// Calls a tool with arguments.
pub async fn call_with(
    peer: &Peer<RoleClient>,
    tool: &str,
    arguments: serde_json::Map<String, serde_json::Value>,
) -> Result<String, CallError> {
    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let answer = tokio::time::timeout(Duration::from_secs(20), peer.send_request(request)).await;
    match answer.expect("the call hangs") {
        Ok(result) => Ok(raw_result(result).unwrap()),
        Err(error) => Err(call_error(error, LIMIT)),
    }
}

/// Returns unusual answers of hand-written servers, with `ID` in place of the id, and the expected outcome of
/// each: the same on every transport.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn odd_answers() -> Vec<(&'static str, Result<&'static str, CallError>)> {
    let rpc = |code, message: &str| {
        let (message, data) = (message.to_owned(), None);
        Err(CallError::Rpc {
            code,
            message,
            data,
        })
    };
    let odd = |reason: &str| Err(CallError::Protocol(reason.to_owned()));
    let fine = Ok(r#"{"content":[]}"#);
    vec![
        (
            r#"{"id":ID,"error":{"code":"E_FAIL","message":"boom"}}"#,
            rpc(-32_603, "boom (E_FAIL)"),
        ),
        (
            r#"{"id":ID,"error":{"code":-32603,"message":null}}"#,
            rpc(-32_603, "the server gave no reason"),
        ),
        (
            r#"{"id":ID,"error":{"code":-5}}"#,
            rpc(-5, "the server gave no reason"),
        ),
        (r#"{"id":ID,"error":"boom"}"#, rpc(-32_603, "boom")),
        (
            r#"{"id":ID,"error":true,"result":null}"#,
            rpc(-32_603, "true"),
        ),
        (
            r#"{"id":null,"error":{"code":-1,"message":"boom"}}"#,
            rpc(-1, "boom"),
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"boom"}}"#,
            rpc(-1, "boom"),
        ),
        (r#"{"id":ID,"result":null}"#, Ok("null")),
        (r#"{"id":ID,"result":"text","error":null}"#, Ok("\"text\"")),
        (
            r#"{"id":ID}"#,
            odd(r#"it has neither `result` nor `error`: {"id":ID}"#),
        ),
        (
            r#"{"id":ID,"error":null}"#,
            odd(r#"it has neither `result` nor `error`: {"id":ID,"error":null}"#),
        ),
        (
            r#"{"id":ID,"result":{"x":[NaN,-Infinity]}}"#,
            Ok(r#"{"x":[null,null]}"#),
        ),
        (
            "{\"id\":ID,\"result\":{\"x\":\"a\tb\u{1}\"}}",
            Ok(r#"{"x":"a\u0009b\u0001"}"#),
        ),
        (
            "\u{feff} {\"id\":ID,\"result\":{\"content\":[]}}",
            fine.clone(),
        ),
        (
            r#"{"id":ID,"method":"tools/call","result":{"content":[]}}"#,
            fine.clone(),
        ),
        (
            r#"{"id":ID,"method":null,"params":7,"result":{"content":[]}}"#,
            fine.clone(),
        ),
        (r#"{"id":ID.0,"result":{"content":[]}}"#, fine.clone()),
        (r#"{"id":"ID","result":{"content":[]}}"#, fine.clone()),
        (r#"[{"id":ID,"result":{"content":[]}}]"#, fine.clone()),
        (
            r#"[{"method":"m"},{"id":ID,"result":{"content":[]}}]"#,
            fine.clone(),
        ),
        (
            r#"{"id":ID,"result":{"content":[]}} and more"#,
            fine.clone(),
        ),
        (r#"{"method":"m"}{"id":ID,"result":{"content":[]}}"#, fine),
        (
            r#"{"id":ID,"result":{"x":"half \ud83d","n":1e400}}"#,
            Ok(r#"{"x":"half \ud83d","n":1e400}"#),
        ),
        (
            r#"{"id":ID,"result":{"content":["#,
            odd(r#"it is not valid JSON: {"id":ID,"result":{"content":["#),
        ),
        (
            r#"{"id":ID,"result":{'content':[]}}"#,
            odd(r#"it is not valid JSON: {"id":ID,"result":{'content':[]}}"#),
        ),
    ]
}

/// Returns the unusual answer of the tool `odd N` to the request with this id.
pub fn odd_answer(tool: &str, id: impl std::fmt::Display) -> Option<String> {
    let number: usize = tool.rsplit(' ').next()?.parse().ok()?;
    let (text, _) = odd_answers().into_iter().nth(number)?;
    Some(text.replace("ID", &id.to_string()))
}

/// Checks the outcome of a call. The id in the text may have any value.
pub fn assert_answer(
    got: &Result<String, CallError>,
    expected: &Result<&str, CallError>,
    text: &str,
) {
    let expected = match expected {
        Ok(result) => format!("Ok({result:?})"),
        Err(error) => format!("Err({error:?})"),
    };
    let got = format!("{got:?}");
    let without_digits = |text: &str| text.replace(|digit: char| digit.is_ascii_digit(), "");
    let (got, expected) = (
        without_digits(&got),
        without_digits(&expected.replace("ID", "")),
    );
    assert_eq!(got, expected, "{text}");
}
