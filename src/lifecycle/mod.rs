//! [`Lifecycle`]: how the program ends.
//!
//! The first SIGTERM or SIGINT cancels `soft`: listening stops and calls in flight may finish. The
//! drain deadline or a second signal cancels `hard`: everything that still runs is dropped.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The stages of the end, and the tasks it waits for.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// No new work.
    pub soft: CancellationToken,
    /// No work at all.
    pub hard: CancellationToken,
    /// The bridges end: after the last call, between the two.
    pub bridges: CancellationToken,
    /// Every task that the end waits for.
    pub tracker: TaskTracker,
    /// The one that it does not wait for: it listens to signals until the process is gone.
    listener: TaskTracker,
}

impl Lifecycle {
    /// Installs the signal handlers and listens to them in a task; `reload` is woken by SIGHUP.
    pub fn listen_to_signals(
        &self,
        reload: std::sync::Arc<tokio::sync::Notify>,
    ) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (soft, hard) = (self.soft.clone(), self.hard.clone());
        self.listener.spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = terminate.recv() => stop(&soft, &hard, "SIGTERM"),
                    Some(()) = interrupt.recv() => stop(&soft, &hard, "SIGINT"),
                    Some(()) = hangup.recv() => reload.notify_one(),
                    () = hard.cancelled() => return,
                }
            }
        });
        Ok(())
    }
}

/// The next stage.
fn stop(soft: &CancellationToken, hard: &CancellationToken, signal: &str) {
    if soft.is_cancelled() {
        tracing::warn!(signal, "second signal: ending at once");
        hard.cancel();
    } else {
        tracing::info!(signal, "stopping: no new calls, those in flight may finish");
        soft.cancel();
    }
}
