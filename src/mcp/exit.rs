//! [`ExitWatch`]: notices that a server's process has exited although another process keeps its stdout
//! open.

use std::{future::pending, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::process::ServerProcess;

/// How long the rest of a server's output may take to arrive after the server has exited.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Watches one process. It looks at the process at first and after each SIGCHLD, not for each message.
#[derive(Debug)]
pub struct ExitWatch {
    /// SIGCHLD of all children; `None` if the system does not tell.
    signals: Option<Signal>,
    /// Whether the process was looked at since the last signal.
    is_checked: bool,
    /// When the session ends, once the process has exited.
    deadline: Option<Instant>,
}

impl ExitWatch {
    /// Begins to listen.
    pub fn new() -> Self {
        Self {
            signals: signal(SignalKind::child()).ok(),
            is_checked: false,
            deadline: None,
        }
    }

    /// Waits until the process has exited and its output has had time to arrive. Cancel-safe.
    pub async fn over(&mut self, process: &Mutex<ServerProcess>) {
        loop {
            if let Some(deadline) = self.deadline {
                return sleep_until(deadline).await;
            }
            if !self.is_checked {
                if process.lock().await.has_exited() {
                    self.deadline = Some(Instant::now() + OUTPUT_GRACE);
                    continue;
                }
                self.is_checked = true;
            }
            match &mut self.signals {
                Some(signals) => {
                    signals.recv().await;
                }
                None => pending().await,
            }
            self.is_checked = false;
        }
    }
}
