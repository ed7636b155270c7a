//! Signals of set-ups that begin, cross and fail: who answers whom.

use super::peer::Stage;
use super::setup::{Setup, SetupError};
use super::transport::WebRtc;
use crate::signal::{Body, DialId, Signal};
use beacon_sdk::PeerId;
use beacon_sdk::plugin::TransportEvent;
use beacon_sdk::timer::Instant;
use bytes::Bytes;

/// Candidates that came before the offer they belong to, of all peers together.
const EARLY_MAX: usize = 64;
/// Refusals that wait to be signalled; beyond it an offer is ignored, and its sender times out.
const REFUSALS_MAX: usize = 64;

impl WebRtc {
    fn refuse(&mut self, from: PeerId, dial: DialId) {
        self.counters.offers_refused += 1;
        let Some(signal) = Signal::new(dial, Body::Full).encode() else { return };
        let waiting = |event: &&TransportEvent| matches!(event, TransportEvent::Signal { .. });
        if self.ready.iter().filter(waiting).count() < REFUSALS_MAX {
            self.ready.push_back(TransportEvent::Signal { to: from, signal });
        }
    }

    pub(super) fn ignore(&mut self, from: PeerId) {
        tracing::debug!(?from, "a signal is ignored");
        self.counters.signals_ignored += 1;
    }

    pub(super) fn on_offer(&mut self, from: PeerId, signal: Signal) {
        let dial = signal.dial;
        let room = self.has_room();
        let answer = match self.peers.get_mut(&from).map(|peer| (&peer.stage, &mut peer.next_offer))
        {
            None if room => true,
            None => return self.refuse(from, dial),
            // Both dialled at once: the smaller id's offer counts.
            Some((Stage::Dialling(_), _)) => from < self.me,
            // The peer has given its last dial up and started anew.
            Some((Stage::Answering(current, _), _)) => *current != dial,
            Some((Stage::Up { dial: current }, next_offer)) => {
                if *current != Some(dial) {
                    *next_offer = Some((Instant::now(), signal));
                }
                return;
            }
        };
        match signal.body {
            Body::Offer { sdp, candidates } if answer => self.answer(from, dial, sdp, candidates),
            _ => self.ignore(from),
        }
    }

    fn answer(&mut self, from: PeerId, dial: DialId, sdp: String, mut candidates: Vec<String>) {
        self.early.retain(|(peer, signal)| {
            let mine = *peer == from && signal.dial == dial;
            if let (true, Body::Candidates { candidates: early }) = (mine, &signal.body) {
                candidates.extend_from_slice(early);
            }
            !mine
        });
        let deadline = Instant::now() + self.config.dial_timeout;
        match Setup::answer(dial, sdp, candidates, deadline) {
            Ok((setup, orders)) => {
                self.start(from, Stage::Answering(dial, Box::new(setup)), orders);
            }
            Err(error) => {
                tracing::debug!(?from, %error, "an offer is not usable");
                self.drop_peer(from);
                let reason = error.reason();
                self.ready.push_back(TransportEvent::ConnectFailed { peer: from, reason });
            }
        }
    }

    /// Gives a signal to its set-up.
    pub(super) fn forward(&mut self, from: PeerId, signal: Signal) {
        let Some(peer) = self.peers.get_mut(&from) else { return self.ignore(from) };
        let link = peer.link;
        let Some(setup) = peer.stage.setup() else { return self.ignore(from) };
        match setup.take(signal) {
            Ok(orders) => self.order(link, orders),
            Err(error) => self.failed(from, &error),
        }
    }

    pub(super) fn failed(&mut self, peer: PeerId, error: &SetupError) {
        tracing::debug!(?peer, %error, "set-up failed");
        self.lost(peer, error.reason());
    }

    pub(super) fn on_candidates(&mut self, from: PeerId, signal: Signal) {
        match self.peers.get(&from).map(|peer| &peer.stage) {
            Some(Stage::Dialling(_)) => self.forward(from, signal),
            Some(Stage::Answering(dial, _)) if *dial == signal.dial => self.forward(from, signal),
            _ => {
                if self.early.len() == EARLY_MAX {
                    self.early.pop_front();
                }
                self.early.push_back((from, signal));
            }
        }
    }

    pub(super) fn flushed(&mut self, to: PeerId, flushed: Result<Option<Bytes>, SetupError>) {
        match flushed {
            Ok(Some(signal)) => self.ready.push_back(TransportEvent::Signal { to, signal }),
            Ok(None) => {}
            Err(error) => self.failed(to, &error),
        }
    }
}
