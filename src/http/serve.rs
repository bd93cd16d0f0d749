//! Listens, serves, drains.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsConfig};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::layers::strip_root_path;
use crate::config::Server;

/// How long a client may take to send its request head, in plain and TLS connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is taken, the address is not ours, the port needs privileges.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said, and what to do.
        reason: String,
    },
    /// The certificate or the key.
    #[error("cannot use the TLS files `{cert}` and `{key}`: {reason}")]
    Tls {
        /// Certificate file.
        cert: String,
        /// Key file.
        key: String,
        /// What is wrong with them.
        reason: io::Error,
    },
    /// The listener broke.
    #[error("the listener failed: {0}")]
    Io(#[from] io::Error),
}

/// A bound socket.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    listener: TcpListener,
    /// Where it is: the port that the system chose, for port 0.
    pub address: SocketAddr,
}

/// Binds before anything else is started, so that a taken port costs nothing.
pub fn bind(address: SocketAddr) -> Result<Listening, ServeError> {
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
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// Serves until `soft` is cancelled and the calls in flight are done, or `drain_timeout` has
    /// passed, or `hard` is cancelled.
    pub async fn serve(
        self,
        router: Router,
        server: &Server,
        soft: CancellationToken,
        hard: CancellationToken,
    ) -> Result<(), ServeError> {
        let service = under_root_path(router, &server.root_path).into_make_service();
        let handle = Handle::new();
        let tls = match &server.tls {
            None => None,
            Some(tls) => Some(
                RustlsConfig::from_pem_file(&tls.cert_file, &tls.key_file)
                    .await
                    .map_err(|reason| ServeError::Tls {
                        cert: tls.cert_file.display().to_string(),
                        key: tls.key_file.display().to_string(),
                        reason,
                    })?,
            ),
        };
        let drain = drain(handle.clone(), server.drain_timeout, soft, hard);
        let serving = async move {
            match tls {
                None => {
                    let mut server = axum_server::from_tcp(self.listener)?
                        .acceptor(NoDelayAcceptor::new())
                        .handle(handle);
                    bound_head(server.http_builder());
                    server.serve(service).await
                }
                Some(tls) => {
                    let mut server =
                        axum_server::from_tcp_rustls(self.listener, tls)?.handle(handle);
                    bound_head(server.http_builder());
                    server.serve(service).await
                }
            }
        };
        tokio::select! {
            result = serving => Ok(result?),
            () = drain => Ok(()),
        }
    }
}

/// Takes the prefix of a reverse proxy off before routes are looked at.
fn under_root_path(router: Router, root_path: &str) -> Router {
    if root_path.is_empty() {
        return router;
    }
    let root_path = root_path.to_owned();
    let stripped = router.map_request(move |request| strip_root_path(&root_path, request));
    Router::new().fallback_service(stripped)
}

/// Bounds what a client that sends nothing can hold.
fn bound_head(
    builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>,
) {
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
}

/// Waits for the stages of the end; returns when serving must be dropped.
async fn drain(
    handle: Handle<SocketAddr>,
    limit: Duration,
    soft: CancellationToken,
    hard: CancellationToken,
) {
    tokio::select! {
        () = soft.cancelled() => handle.graceful_shutdown(Some(limit)),
        () = hard.cancelled() => {}
    }
    hard.cancelled().await;
    handle.shutdown();
}
