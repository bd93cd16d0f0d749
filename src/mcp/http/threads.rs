//! [`send`]: sends requests over connections that run on their own threads.
//!
//! hyper reads from a connection for as long as there is something to read. A server that floods its
//! connection, for example with informational answers (RFC 9110 §15.2), would block all other tasks of the
//! thread. Connections therefore run on a separate runtime, and the operating system shares the processor
//! between its threads and those that serve callers.

use std::{future::poll_fn, pin::pin, sync::OnceLock, thread::available_parallelism};

use reqwest::{RequestBuilder, Response};
use tokio::runtime::{Builder, Runtime};

/// The minimum number of these threads. A server that floods occupies one of them.
const THREADS_MIN: usize = 2;

/// Sends a request. A connection that is opened for it runs on the connection threads.
pub async fn send(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    let mut sending = pin!(request.send());
    poll_fn(|context| {
        // Tasks that are spawned while this guard is alive run there.
        let _entered = threads().map(Runtime::enter);
        sending.as_mut().poll(context)
    })
    .await
}

/// The runtime, which lives as long as the process. `None` if the operating system provides no more threads;
/// connections then run on the threads of the caller.
fn threads() -> Option<&'static Runtime> {
    static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();
    let built = THREADS.get_or_init(|| {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        let built = Builder::new_multi_thread()
            .worker_threads(cores.max(THREADS_MIN))
            .thread_name("connections")
            .enable_all()
            .build();
        built
            .inspect_err(
                |error| tracing::warn!(%error, "cannot start threads for connections to servers"),
            )
            .ok()
    });
    built.as_ref()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tokio_util::task::TaskTracker;

    use super::*;

    /// Sends informational answers to the first client from a separate thread.
    fn flood(listener: std::net::TcpListener) {
        use std::io::Write as _;

        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2_000);
            while stream.write_all(&flood).is_ok() {}
        });
    }

    #[tokio::test]
    async fn a_flood_of_informational_answers_does_not_hold_up_the_thread() {
        super::super::client::install_tls();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        flood(listener);
        let client = super::super::http_client().unwrap();
        let request = client.get(format!("http://{address}/"));
        let flooded = TaskTracker::new().spawn(send(request));
        for _ in 0..50 {
            let began = std::time::Instant::now();
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(began.elapsed() < Duration::from_millis(500));
        }
        flooded.abort();
        let ended = timeout(Duration::from_secs(5), flooded).await;
        assert!(ended.is_ok(), "the request can be canceled");
    }
}
