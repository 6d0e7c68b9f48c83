//! An orderly stop, the signals that ask for it, and what else may be asked of a running server.

use super::limits::Registry;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// Part of the time of an orderly stop that is left for ending what did not end by itself.
const FORCE: Duration = Duration::from_secs(1);

/// What may be asked of a running server, from any thread.
#[derive(Debug, Clone)]
pub struct Control {
    registry: Arc<Registry>,
    reload: Arc<Notify>,
}

impl Control {
    pub(super) const fn new(registry: Arc<Registry>, reload: Arc<Notify>) -> Self {
        Self { registry, reload }
    }

    /// Ends the sessions of an account whose record was changed or removed.
    pub fn revoke(&self, account: &str) {
        self.registry.revoke(account);
    }

    /// Reads the certificates again, now.
    pub fn reload_certificates(&self) {
        self.reload.notify_one();
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.registry.len()
    }

    /// Ends all connections: those at rest now, those with a command in progress after it, and the rest when the time is over.
    pub(super) async fn stop(&self, timeout: Duration) {
        let begun = super::now();
        tracing::info!(connections = self.registry.len(), "stopping");
        self.registry.stop(false);
        let orderly = tokio::time::timeout(timeout.saturating_sub(FORCE), self.registry.emptied());
        if orderly.await.is_err() {
            let busy = self.registry.len();
            tracing::warn!(connections = busy, "shutdown_deadline");
            self.registry.stop(true);
            let left = FORCE.min(timeout);
            if tokio::time::timeout(left, self.registry.emptied())
                .await
                .is_err()
            {
                tracing::warn!(connections = self.registry.len(), "shutdown_incomplete");
            }
        }
        tracing::info!(
            elapsed_ms = super::millis(super::now().saturating_duration_since(begun)),
            "stopped"
        );
    }
}

/// The signals that a server heeds. From the moment when this is made they no longer kill the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes them; to be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system does not let us have them.
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; meanwhile SIGHUP reads the certificates again.
    pub async fn until_stop(&mut self, control: &Control) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hang_up.recv() => {
                    tracing::info!(signal = "SIGHUP", "signal_received");
                    control.reload_certificates();
                    continue;
                }
            };
            tracing::info!(signal = name, "signal_received");
            return;
        }
    }
}
