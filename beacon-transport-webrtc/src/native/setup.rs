//! From a dial, or an offer, to two open channels.

use super::connection::{Connection, Found};
use super::inbox::{Report, Reporter};
use crate::binding::binding;
use crate::sdp::{Fingerprint, SdpError};
use crate::signal::{Body, CANDIDATES_MAX, DialId, Signal, is_useful};
use beacon_sdk::plugin::CloseReason;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use webrtc::peer_connection::{RTCPeerConnectionState, RTCSessionDescription};

/// How long candidates are collected before the description, or a batch of later ones, leaves:
/// local addresses are known within it, so most set-ups need one signal each way (guess).
const GATHER: Duration = Duration::from_millis(20);
/// Interval of [`Connection::kick`]; measured to bring a local set-up from 600 to under 100 ms.
const KICK: Duration = Duration::from_millis(5);

/// Which end of a set-up this is.
#[derive(Debug)]
pub(super) enum Role {
    Dial,
    Answer { dial: DialId, sdp: String, candidates: Vec<String> },
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("the peer's description is not usable: {0}")]
    Description(#[from] SdpError),
    #[error("the peer has no room")]
    Full,
    #[error("the connection was lost before it was up")]
    Lost,
    #[error("own description is too large to signal; bind fewer addresses")]
    TooLarge,
    #[error("the stack failed; check that the addresses to bind exist: {0}")]
    Stack(#[from] webrtc::error::Error),
}

impl SetupError {
    pub(super) const fn reason(&self) -> CloseReason {
        match self {
            Self::Description(_) => CloseReason::Protocol,
            Self::Full => CloseReason::Full,
            Self::Lost | Self::TooLarge | Self::Stack(_) => CloseReason::Failed,
        }
    }
}

struct Setup<'a> {
    connection: &'a mut Connection,
    reporter: &'a Reporter,
    dial: DialId,
    local: Fingerprint,
    remote: Option<Fingerprint>,
    /// Description not yet sent, waiting for candidates.
    unsent: Option<Unsent>,
    /// Own candidates not yet sent, and how many were sent.
    found: Vec<String>,
    found_total: usize,
    /// The peer's candidates that came before its description.
    early: Vec<String>,
    candidates_taken: usize,
}

enum Unsent {
    Offer(String),
    Answer(String),
}

/// Sets a connection up. Cancelled by dropping; the connection is then to be closed.
pub(super) async fn connect(
    connection: &mut Connection,
    reporter: &Reporter,
    role: Role,
    signals: &mut mpsc::Receiver<Signal>,
) -> Result<[u8; 32], SetupError> {
    let opened = Connection::opened(connection.control.clone(), connection.data.clone());
    let mut setup = Setup::begin(connection, reporter, role).await?;
    tokio::pin!(opened);
    let mut kick = interval(KICK);
    kick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flush_at = Instant::now() + GATHER;
    loop {
        let pending = setup.unsent.is_some() || !setup.found.is_empty();
        tokio::select! {
            up = &mut opened => return match setup.remote {
                Some(remote) if up => Ok(binding(setup.local, remote)),
                _ => Err(SetupError::Lost),
            },
            // `None` only when the transport has let go of this set-up, which also cancels it.
            Some(signal) = signals.recv() => setup.take(signal).await?,
            Some(found) = setup.connection.found.recv() => {
                if !pending {
                    flush_at = Instant::now() + GATHER;
                }
                match found {
                    Found::Candidate(candidate) => setup.found(candidate),
                    Found::Complete => setup.flush()?,
                }
            }
            () = sleep_until(flush_at), if pending => setup.flush()?,
            _ = kick.tick() => setup.connection.kick().await,
            Ok(()) = setup.connection.state.changed() => {
                let state = *setup.connection.state.borrow_and_update();
                if matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed) {
                    return Err(SetupError::Lost);
                }
            }
        }
    }
}

impl<'a> Setup<'a> {
    async fn begin(
        connection: &'a mut Connection,
        reporter: &'a Reporter,
        role: Role,
    ) -> Result<Self, SetupError> {
        let peer = connection.peer();
        let (local, dial, remote, unsent, candidates) = match role {
            Role::Dial => {
                let offer = peer.create_offer(None).await?;
                let (sdp, local) = (offer.sdp.clone(), Fingerprint::of(&offer.sdp)?);
                peer.set_local_description(offer).await?;
                // The key pair is new for every connection, so its hash names this dial.
                let [a, b, c, d, e, f, g, h, ..] = local.0;
                let dial = DialId([a, b, c, d, e, f, g, h]);
                (local, dial, None, Unsent::Offer(sdp), Vec::new())
            }
            Role::Answer { dial, sdp, candidates } => {
                let remote = Fingerprint::of(&sdp)?;
                peer.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
                let answer = peer.create_answer(None).await?;
                let (sdp, local) = (answer.sdp.clone(), Fingerprint::of(&answer.sdp)?);
                peer.set_local_description(answer).await?;
                (local, dial, Some(remote), Unsent::Answer(sdp), candidates)
            }
        };
        let mut setup = Self {
            connection,
            reporter,
            dial,
            local,
            remote,
            unsent: Some(unsent),
            found: Vec::new(),
            found_total: 0,
            early: Vec::new(),
            candidates_taken: 0,
        };
        setup.add(candidates).await;
        Ok(setup)
    }

    /// Takes a signal of the peer; one that does not belong here is ignored.
    async fn take(&mut self, signal: Signal) -> Result<(), SetupError> {
        if signal.dial != self.dial {
            return Ok(());
        }
        match signal.body {
            Body::Answer { sdp, mut candidates } if self.remote.is_none() => {
                let remote = Fingerprint::of(&sdp)?;
                let answer = RTCSessionDescription::answer(sdp)?;
                self.connection.peer().set_remote_description(answer).await?;
                self.remote = Some(remote);
                candidates.append(&mut self.early);
                self.add(candidates).await;
            }
            Body::Candidates { candidates } => self.add(candidates).await,
            Body::Full if self.remote.is_none() => return Err(SetupError::Full),
            Body::Full | Body::Offer { .. } | Body::Answer { .. } => {}
        }
        Ok(())
    }

    /// Tries candidates of the peer, or keeps them until its description is there. At most
    /// [`CANDIDATES_MAX`] in all; one that the stack cannot read is skipped.
    async fn add(&mut self, candidates: Vec<String>) {
        for candidate in candidates.into_iter().filter(|candidate| is_useful(candidate)) {
            if self.candidates_taken == CANDIDATES_MAX || self.early.len() == CANDIDATES_MAX {
                return;
            }
            if self.remote.is_none() {
                self.early.push(candidate);
                continue;
            }
            self.candidates_taken += 1;
            if let Err(error) = self.connection.add_candidate(candidate).await {
                tracing::debug!(%error, "a candidate of the peer is skipped");
            }
        }
    }

    fn found(&mut self, candidate: String) {
        if self.found_total < CANDIDATES_MAX {
            self.found_total += 1;
            self.found.push(candidate);
        }
    }

    /// Sends what has been collected.
    fn flush(&mut self) -> Result<(), SetupError> {
        let candidates = std::mem::take(&mut self.found);
        let body = match self.unsent.take() {
            Some(Unsent::Offer(sdp)) => Body::Offer { sdp, candidates },
            Some(Unsent::Answer(sdp)) => Body::Answer { sdp, candidates },
            None if candidates.is_empty() => return Ok(()),
            None => Body::Candidates { candidates },
        };
        let signal = Signal::new(self.dial, body).encode().ok_or(SetupError::TooLarge)?;
        self.reporter.report(Report::Signal(signal));
        Ok(())
    }
}
