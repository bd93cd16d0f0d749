//! Listens, serves and drains.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle, Server as HttpServer,
    accept::DefaultAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    accept::DeadlineAcceptor,
    connections::{ClientPeer, ListenerConnections},
    listener::LimitedListener,
};
use crate::{
    config::{ServerSettings, TlsSettings},
    http::layers::strip_root_path,
    settings::{DESCRIPTORS_MAX, connections_max},
};

/// The time in which a client must send a request head, on plain and TLS connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest request head, in bytes. It fits a token of 16 KiB and the names of thousands of
/// groups. hyper checks the size after each read, so a head that is one read larger may still pass;
/// a larger one gets a 431. The client is not identified yet, so every client can make the bridge
/// hold this much.
const HEAD_BYTES_MAX: u32 = 96 << 10;

/// The concurrent requests of one HTTP/2 connection. RFC 9113 §6.5.2 advises against fewer than
/// 100.
const STREAMS_MAX: u32 = 100;

/// The reset streams of a connection that are not yet released. With more of them the connection is
/// closed.
const RESETS_MAX: usize = 20;

/// How much of a body a client may send on one stream before the bridge reads it, in bytes.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// The same for all streams of a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// How much of a response is buffered for a client that does not read it, for each stream, in
/// bytes.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Why the bridge cannot listen or serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is taken, the address does not belong to this machine, or the port needs
    /// privileges.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error and what to do.
        reason: String,
    },
    /// The certificate or the key cannot be used.
    #[error("cannot use the TLS files `{cert}` and `{key}`: {reason}")]
    Tls {
        /// Certificate file.
        cert: String,
        /// Key file.
        key: String,
        /// The error.
        reason: io::Error,
    },
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Io(#[from] io::Error),
}

/// The length of the queue for connections that are not yet accepted. The system may use a lower
/// limit (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// A bound socket.
#[derive(Debug)]
pub struct BoundListener {
    /// The socket.
    listener: TcpListener,
    /// The certificate and the key, if TLS is on.
    tls: Option<RustlsConfig>,
    /// The time in which a client must send a request head.
    head_timeout: Duration,
    /// Trusted proxies. Many clients share the address of a proxy.
    trusted: Vec<IpNet>,
    /// The bound address. For port 0 it has the port that the system chose.
    pub address: SocketAddr,
}

/// Reads the certificate and binds the socket before anything else starts, so that a taken port or
/// a broken file is reported at once.
pub async fn bind(server: &ServerSettings) -> Result<BoundListener, ServeError> {
    raise_descriptors();
    let tls = match &server.tls {
        None => None,
        Some(tls) => Some(read_tls(tls).await?),
    };
    let address = server.listen;
    let failed = |error: io::Error| ServeError::Bind {
        address,
        reason: match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there; stop it or choose another port with `--listen`"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need privileges; choose another with `--listen`".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            _ => error.to_string(),
        },
    };
    let listener = listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(BoundListener {
        listener,
        tls,
        head_timeout: HEAD_TIMEOUT,
        trusted: Vec::new(),
        address,
    })
}

/// Listens with a long queue. A client that finds the queue full would retry only after a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // The standard library does the same. A restart then does not wait for connections in
    // TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl BoundListener {
    /// Lifts the limit for connections from one address for these proxies.
    pub fn trust(&mut self, proxies: &[IpNet]) {
        self.trusted = proxies.to_vec();
    }

    /// Serves until `soft` is cancelled and `drain_delay` has passed. Then it waits until the calls
    /// in flight end, `drain_timeout` has passed, or `hard` is cancelled.
    pub async fn serve(
        self,
        router: Router,
        server: &ServerSettings,
        soft: CancellationToken,
        hard: CancellationToken,
    ) -> Result<(), ServeError> {
        let service = under_root_path(router, &server.root_path)
            .into_make_service_with_connect_info::<ClientPeer>();
        let handle = Handle::new();
        let drain = drain(handle.clone(), server.clone(), soft, hard);
        let connections = ListenerConnections::new(connections_max(server), self.trusted);
        let sweeping = Arc::clone(&connections).sweep();
        let serving = async move {
            let (plain, limit) = (DefaultAcceptor::new(), self.head_timeout);
            let listener = LimitedListener {
                socket: self.listener,
                connections: Arc::clone(&connections),
            };
            let mut server = HttpServer::from_listener(listener).handle(handle);
            bound_idle(server.http_builder(), limit);
            match self.tls {
                None => {
                    let server = server.acceptor(DeadlineAcceptor::new(plain, limit));
                    server.serve(service).await
                }
                Some(tls) => {
                    let tls = RustlsAcceptor::new(tls).acceptor(plain);
                    let server = server.acceptor(DeadlineAcceptor::new(tls, limit));
                    server.serve(service).await
                }
            }
        };
        tokio::select! {
            result = serving => Ok(result?),
            () = drain => Ok(()),
            () = sweeping => Ok(()),
        }
    }
}

/// Raises the limit on open files to the allowed maximum. Many systems start with 1,024 and allow
/// more.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .unwrap_or(DESCRIPTORS_MAX)
        .min(DESCRIPTORS_MAX);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files could not be raised");
    }
}

/// Reads the certificate and its key.
async fn read_tls(tls: &TlsSettings) -> Result<RustlsConfig, ServeError> {
    let read = RustlsConfig::from_pem_file(&tls.cert_file, &tls.key_file).await;
    read.map_err(|reason| ServeError::Tls {
        cert: tls.cert_file.display().to_string(),
        key: tls.key_file.display().to_string(),
        reason,
    })
}

/// Removes the path prefix of a reverse proxy before the routes are matched.
fn under_root_path(router: Router, root_path: &str) -> Router {
    if root_path.is_empty() {
        return router;
    }
    let root_path = root_path.to_owned();
    let stripped = router.map_request(move |request| strip_root_path(&root_path, request));
    Router::new().fallback_service(stripped)
}

/// Bounds what an idle client can hold, with a deadline for the head of HTTP/1 and pings in HTTP/2.
/// Also bounds the size of a head.
fn bound_idle(
    builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>,
    head_timeout: Duration,
) {
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .max_header_list_size(HEAD_BYTES_MAX)
        .timer(hyper_util::rt::TokioTimer::new())
        .keep_alive_interval(Some(head_timeout))
        .keep_alive_timeout(head_timeout)
        .max_concurrent_streams(STREAMS_MAX)
        // Protects against a client that opens streams and resets them at once to cause work
        // (HTTP/2 Rapid Reset, CVE-2023-44487).
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
}

/// Waits for the stages of the shutdown. Returns when serving must be stopped.
async fn drain(
    handle: Handle<ClientPeer>,
    server: ServerSettings,
    soft: CancellationToken,
    hard: CancellationToken,
) {
    let told = async {
        soft.cancelled().await;
        // When listening ends, the kernel resets connections that were not yet accepted, and their
        // calls are lost. The delay gives a load balancer time to notice that the bridge is not
        // ready.
        tokio::time::sleep(server.drain_delay).await;
    };
    tokio::select! {
        () = told => handle.graceful_shutdown(Some(server.drain_timeout)),
        () = hard.cancelled() => {}
    }
    hard.cancelled().await;
    handle.shutdown();
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        time::timeout,
    };
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_head_is_cut() {
        let server = ServerSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            ..ServerSettings::default()
        };
        let mut listening = bind(&server).await.unwrap();
        listening.head_timeout = Duration::from_millis(200);
        let address = listening.address;
        let stop = CancellationToken::new();
        let hard = stop.clone();
        let serving = TaskTracker::new().spawn(async move {
            let serving = listening.serve(Router::new(), &server, stop.clone(), stop);
            serving.await.unwrap();
        });
        let http_2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for head in [
            "",
            "P",
            "PRI * HTTP/2.0\r\n",
            http_2,
            "GET / HTTP/1.1\r\nhost: a\r\n",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let ended = timeout(Duration::from_secs(3), stream.read_to_end(&mut answer));
            assert!(ended.await.is_ok(), "{head:?} holds its connection");
        }
        hard.cancel();
        serving.await.unwrap();
    }
}
