//! Somebody wants the trial to end: what it has started must end with it.

use std::fmt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Knows of SIGINT and SIGTERM.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// There was a signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped;

impl Stop {
    /// From now on such a signal no longer ends the process by itself.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tell.send_replace(true);
            // Whoever asks later is told too.
            tell.closed().await;
        });
        Ok(Self(told))
    }

    /// The work, unless it is stopped; then it is dropped where it stands.
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut told = self.0.clone();
        tokio::select! {
            _ = told.wait_for(|is_stopped| *is_stopped) => Err(Stopped.into()),
            result = work => result,
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stopped before the end")
    }
}

impl std::error::Error for Stopped {}
