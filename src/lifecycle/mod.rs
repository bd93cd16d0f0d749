//! [`ProcessLifecycle`]: how the program shuts down.
//!
//! The first SIGTERM or SIGINT cancels `soft`: the server stops listening, and calls in flight may
//! finish. The drain deadline or a second signal cancels `hard`: everything that still runs is
//! dropped.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The stages of the shutdown, and the tasks it waits for.
#[derive(Debug, Clone, Default)]
pub struct ProcessLifecycle {
    /// Canceled to stop accepting new work.
    pub soft: CancellationToken,
    /// Canceled to drop all work.
    pub hard: CancellationToken,
    /// Canceled to end the bridges, after the last call and before `hard`.
    pub bridges: CancellationToken,
    /// The tasks that the shutdown waits for.
    pub tracker: TaskTracker,
    /// The task that listens to signals until the process ends. The shutdown does not wait for it.
    listener: TaskTracker,
}

impl ProcessLifecycle {
    /// Installs the signal handlers and listens to signals in a task. SIGHUP notifies `reload`.
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

/// Enters the next stage.
fn stop(soft: &CancellationToken, hard: &CancellationToken, signal: &str) {
    if soft.is_cancelled() {
        tracing::warn!(signal, "second signal: stopping immediately");
        hard.cancel();
    } else {
        tracing::info!(
            signal,
            "stopping: no new calls are accepted; calls in flight may finish"
        );
        soft.cancel();
    }
}
