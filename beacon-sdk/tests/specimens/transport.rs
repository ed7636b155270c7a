//! Transports that break one clause each.

use super::caught;
use async_trait::async_trait;
use beacon_sdk::conformance::{TransportFixture, run, transport as suite};
use beacon_sdk::memory::{MemoryNetwork, MemoryTransport};
use beacon_sdk::plugin::{
    CloseReason, Lane, TransportCaps, TransportError, TransportEvent, TrySendError,
};
use beacon_sdk::{PeerId, Transport};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// What a [`Liar`] does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    None,
    SwallowsConnectFailed,
    RepeatsConnected,
    OwnBinding,
    OneBinding,
    GivesBackAnotherFrame,
    SwallowsWritable,
    SwapsControl,
    DropsControl,
    MergesData,
    FlipsABit,
    RepeatsData,
    ClosesOnTooLarge,
    CutsTooLarge,
    LosesOnCancel,
    TalksAfterDisconnected,
    TellsOfOwnClose,
    BothDialsConnect,
    FailsCrossedDial,
    TakesForStrangers,
    QueuesForever,
    NeverShutsDown,
    LeavesSilently,
    PanickyOnGarbage,
    BelievesStrangers,
    KeepsClosedLinks,
}

struct Liar {
    inner: MemoryTransport,
    lie: Lie,
    pending: VecDeque<TransportEvent>,
    held: Option<TransportEvent>,
    backlog: VecDeque<(PeerId, Lane, Bytes)>,
    linked: BTreeSet<PeerId>,
    dialled: BTreeSet<PeerId>,
    count: u32,
}

fn flip(frame: &Bytes) -> Bytes {
    let mut bytes = frame.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    Bytes::from(bytes)
}

impl Liar {
    fn received(&mut self, from: PeerId, lane: Lane, frame: Bytes) -> Option<TransportEvent> {
        self.count += 1;
        let odd = self.count.is_multiple_of(7);
        let event = TransportEvent::Received { from, lane, frame: frame.clone() };
        match (self.lie, lane) {
            (Lie::SwapsControl, Lane::Control) if odd => self.held = Some(event),
            (Lie::SwapsControl, Lane::Control) => {
                self.pending.extend(self.held.take());
                return Some(event);
            }
            (Lie::DropsControl, Lane::Control) if odd => {}
            (Lie::FlipsABit, _) if odd => {
                return Some(TransportEvent::Received { from, lane, frame: flip(&frame) });
            }
            (Lie::RepeatsData, Lane::Data) => {
                self.pending.push_back(event.clone());
                return Some(event);
            }
            (Lie::MergesData, Lane::Data) => match self.held.take() {
                Some(TransportEvent::Received { frame: first, .. }) => {
                    let frame = Bytes::from([first, frame].concat());
                    return Some(TransportEvent::Received { from, lane, frame });
                }
                _ => self.held = Some(event),
            },
            _ => return Some(event),
        }
        None
    }

    fn tell(&mut self, event: TransportEvent) -> Option<TransportEvent> {
        match event {
            TransportEvent::ConnectFailed { .. } if self.lie == Lie::SwallowsConnectFailed => None,
            TransportEvent::Writable { .. } if self.lie == Lie::SwallowsWritable => None,
            TransportEvent::Connected(mut link) => {
                self.linked.insert(link.peer);
                match self.lie {
                    Lie::OwnBinding => link.binding[31] ^= u8::from(link.dialled),
                    Lie::OneBinding => link.binding = [1; 32],
                    Lie::RepeatsConnected => {
                        self.pending.push_back(TransportEvent::Connected(link));
                    }
                    Lie::BothDialsConnect if self.dialled.remove(&link.peer) && !link.dialled => {
                        self.pending.push_back(TransportEvent::Connected(link));
                    }
                    Lie::FailsCrossedDial if self.dialled.remove(&link.peer) && !link.dialled => {
                        let (peer, reason) = (link.peer, CloseReason::Failed);
                        self.pending.push_back(TransportEvent::ConnectFailed { peer, reason });
                    }
                    _ => {}
                }
                Some(TransportEvent::Connected(link))
            }
            TransportEvent::Disconnected { peer, .. } => {
                if self.lie == Lie::TalksAfterDisconnected {
                    let writable = TransportEvent::Writable { to: peer, lane: Lane::Data };
                    self.pending.push_back(writable);
                }
                Some(event)
            }
            TransportEvent::Received { from, lane, frame } => self.received(from, lane, frame),
            other => Some(other),
        }
    }

    fn flush(&mut self) {
        while let Some((to, lane, frame)) = self.backlog.pop_front() {
            if let Err(TrySendError::Full(frame)) = self.inner.try_send(to, lane, frame) {
                return self.backlog.push_front((to, lane, frame));
            }
        }
    }
}

#[async_trait]
impl Transport for Liar {
    fn caps(&self) -> TransportCaps {
        self.inner.caps()
    }

    fn dial(&mut self, peer: PeerId) {
        self.dialled.insert(peer);
        self.inner.dial(peer);
    }

    fn signal(&mut self, from: PeerId, signal: Bytes) {
        let garbage = !signal.starts_with(b"mem") || signal.len() != 12;
        match self.lie {
            Lie::PanickyOnGarbage if garbage => {
                for peer in std::mem::take(&mut self.linked) {
                    self.inner.close(peer, CloseReason::Protocol);
                }
            }
            Lie::BelievesStrangers if garbage => {
                let (binding, dialled) = ([9; 32], false);
                let link = beacon_sdk::plugin::Link { peer: from, binding, dialled };
                self.pending.push_back(TransportEvent::Connected(link));
            }
            _ => self.inner.signal(from, signal),
        }
    }

    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        match self.lie {
            Lie::KeepsClosedLinks => return,
            Lie::TellsOfOwnClose => {
                self.pending.push_back(TransportEvent::Disconnected { peer, reason });
            }
            _ => {}
        }
        self.inner.close(peer, reason);
    }

    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        match (self.inner.try_send(to, lane, frame), self.lie) {
            (Err(TrySendError::Full(frame)), Lie::GivesBackAnotherFrame) => {
                Err(TrySendError::Full(flip(&frame)))
            }
            (Err(TrySendError::Full(frame)), Lie::QueuesForever) => {
                self.backlog.push_back((to, lane, frame));
                Ok(())
            }
            (Err(TrySendError::TooLarge(frame)), Lie::ClosesOnTooLarge) => {
                self.inner.close(to, CloseReason::Failed);
                Err(TrySendError::TooLarge(frame))
            }
            (Err(TrySendError::TooLarge(frame)), Lie::CutsTooLarge) => {
                let most = if lane == Lane::Data { 1152 } else { 16 * 1024 };
                self.inner.try_send(to, lane, frame.slice(..most))
            }
            (Err(TrySendError::NotConnected(_)), Lie::TakesForStrangers) => Ok(()),
            (result, _) => result,
        }
    }

    async fn next_event(&mut self) -> Result<TransportEvent, TransportError> {
        loop {
            self.flush();
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            let event = self.inner.next_event().await?;
            if self.lie == Lie::LosesOnCancel {
                tokio::task::yield_now().await;
            }
            if let Some(event) = self.tell(event) {
                return Ok(event);
            }
        }
    }

    async fn shutdown(&mut self) {
        match self.lie {
            Lie::NeverShutsDown => std::future::pending().await,
            Lie::LeavesSilently => {}
            _ => self.inner.shutdown().await,
        }
    }
}

struct Fixture(MemoryNetwork, Lie);

impl TransportFixture for Fixture {
    async fn transport(&mut self, me: PeerId) -> Box<dyn Transport> {
        Box::new(Liar {
            inner: self.0.transport(me),
            lie: self.1,
            pending: VecDeque::new(),
            held: None,
            backlog: VecDeque::new(),
            linked: BTreeSet::new(),
            dialled: BTreeSet::new(),
            count: 0,
        })
    }

    fn patience(&self) -> Duration {
        // Above the memory network's dial timeout.
        Duration::from_secs(8)
    }
}

fn fixture(lie: Lie) -> Fixture {
    Fixture(MemoryNetwork::new(), lie)
}

fn honest() -> Fixture {
    fixture(Lie::None)
}

mod honest {
    beacon_sdk::transport_conformance!(super::honest);
}

macro_rules! lies {
    ($($test:ident: $body:ident catches $($lie:ident),+;)*) => {$(
        #[test]
        fn $test() {
            let clause = stringify!($test).to_uppercase();
            $(caught(&clause, || run(async {
                suite::$body(&mut fixture(Lie::$lie)).await;
            }));)+
        }
    )*};
}

lies! {
    t01: t01_one_outcome_per_dial catches SwallowsConnectFailed, RepeatsConnected;
    t02: t02_bindings_agree_and_differ catches OwnBinding, OneBinding;
    t03: t03_full_gives_the_frame_back catches GivesBackAnotherFrame, SwallowsWritable;
    t04: t04_control_is_reliable_and_ordered catches SwapsControl, DropsControl;
    t05: t05_frames_stay_whole catches MergesData, FlipsABit, RepeatsData;
    t06: t06_too_large_is_refused_and_survived catches ClosesOnTooLarge, CutsTooLarge;
    t07: t07_next_event_is_cancel_safe catches LosesOnCancel;
    t08: t08_nothing_after_disconnected catches TalksAfterDisconnected, TellsOfOwnClose;
    t09: t09_crossing_dials_make_one_link catches BothDialsConnect, FailsCrossedDial;
    t10: t10_unknown_peers_are_harmless catches TakesForStrangers;
    t11: t11_a_stalled_reader_is_felt catches QueuesForever;
    t12: t12_shutdown_ends_and_is_learned catches NeverShutsDown, LeavesSilently;
    t13: t13_garbage_signals_disturb_nothing catches PanickyOnGarbage, BelievesStrangers;
    t14: t14_close_is_prompt catches KeepsClosedLinks;
}
