//! The task of one link, from its set-up to its end.

use super::connection::Connection;
use super::inbox::{Report, Reporter};
use super::pump;
use super::setup::{self, Role};
use crate::config::WebRtcConfig;
use crate::signal::Signal;
use beacon_sdk::plugin::CloseReason;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Reports the end, however the task ends.
struct End<'a> {
    reporter: &'a Reporter,
    reason: CloseReason,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.reporter.report(Report::Down(self.reason));
    }
}

/// `stop` resolves when the transport has let go of the link.
pub(super) async fn run(
    config: Arc<WebRtcConfig>,
    reporter: Reporter,
    role: Role,
    mut signals: mpsc::Receiver<Signal>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut end = End { reporter: &reporter, reason: CloseReason::Failed };
    let peer = reporter.link.peer;
    let mut connection = match Connection::open(&config).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::warn!(%error, "no peer connection; check that the addresses to bind exist");
            return;
        }
    };
    let setup = setup::connect(&mut connection, &reporter, role, &mut signals);
    let up = tokio::select! {
        _ = &mut stop => return connection.close().await,
        up = timeout(config.dial_timeout, setup) => up,
    };
    match up {
        Ok(Ok(binding)) => {
            reporter.report(Report::Up { binding });
            end.reason = pump::run(&connection, &reporter, stop).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(?peer, %error, "set-up failed");
            end.reason = error.reason();
        }
        Err(_) => end.reason = CloseReason::Timeout,
    }
    // Told before the close, which can take its time.
    drop(end);
    connection.close().await;
}
