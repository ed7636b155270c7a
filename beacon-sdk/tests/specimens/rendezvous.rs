//! Rendezvous clients that break one clause each.

use super::caught;
use async_trait::async_trait;
use beacon_sdk::Listing;
use beacon_sdk::conformance::{RendezvousFixture, rendezvous as suite, run};
use beacon_sdk::memory::{MemoryClient, MemoryRendezvous};
use beacon_sdk::plugin::{Join, RendezvousError, RendezvousEvent, Report, SIGNAL_BYTES_MAX};
use beacon_sdk::{Identity, PeerId, Rendezvous};
use bytes::Bytes;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    PeersFirst,
    LosesSignals,
    AltersSignals,
    WrongSender,
    CutsLargeSignals,
    HidesPeers,
    LosesOnCancel,
    OneBroadcast,
    FailsWhenLost,
    NeverSuspended,
    StaysAfterShutdown,
}

struct Liar {
    inner: MemoryClient,
    lie: Lie,
    me: PeerId,
    count: u32,
}

impl Liar {
    fn tell(&mut self, event: RendezvousEvent) -> Option<RendezvousEvent> {
        match (self.lie, event) {
            (Lie::HidesPeers, RendezvousEvent::Peers(_))
            | (Lie::NeverSuspended, RendezvousEvent::Suspended { .. }) => None,
            (Lie::LosesSignals, RendezvousEvent::Signal { .. }) if self.count.is_multiple_of(5) => {
                None
            }
            (Lie::AltersSignals, RendezvousEvent::Signal { from, signal }) => {
                Some(RendezvousEvent::Signal { from, signal: signal.slice(1..) })
            }
            (Lie::WrongSender, RendezvousEvent::Signal { signal, .. }) => {
                Some(RendezvousEvent::Signal { from: self.me, signal })
            }
            (_, event) => Some(event),
        }
    }
}

#[async_trait]
impl Rendezvous for Liar {
    fn join(&mut self, mut join: Join) {
        if self.lie == Lie::OneBroadcast {
            join.name = "everybody".to_owned();
        }
        self.inner.join(join);
    }

    fn signal(&mut self, to: PeerId, signal: Bytes) {
        let large = signal.len() > SIGNAL_BYTES_MAX && self.lie == Lie::CutsLargeSignals;
        self.inner.signal(to, if large { signal.slice(..SIGNAL_BYTES_MAX) } else { signal });
    }

    fn report(&mut self, report: Report) {
        self.inner.report(report);
    }

    fn list(&mut self, listing: Listing) {
        self.inner.list(listing);
    }

    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError> {
        loop {
            self.count += 1;
            if self.count == 1 && self.lie == Lie::PeersFirst {
                return Ok(RendezvousEvent::Peers(Vec::new()));
            }
            let event = self.inner.next_event().await?;
            if self.lie == Lie::LosesOnCancel {
                tokio::task::yield_now().await;
            }
            if self.lie == Lie::FailsWhenLost && matches!(event, RendezvousEvent::Suspended { .. })
            {
                return Err(RendezvousError::Closed);
            }
            if let Some(event) = self.tell(event) {
                return Ok(event);
            }
        }
    }

    async fn shutdown(&mut self) {
        if self.lie != Lie::StaysAfterShutdown {
            self.inner.shutdown().await;
        }
    }
}

struct Fixture(MemoryRendezvous, Lie);

impl RendezvousFixture for Fixture {
    async fn client(&mut self, me: &Identity) -> Box<dyn Rendezvous> {
        let (inner, me) = (self.0.client(), me.public());
        Box::new(Liar { inner, lie: self.1, me, count: 0 })
    }

    async fn interrupt(&mut self) -> bool {
        self.0.stop();
        self.0.start();
        true
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(3)
    }
}

macro_rules! lies {
    ($($test:ident: $body:ident catches $($lie:ident),+;)*) => {$(
        #[test]
        fn $test() {
            let clause = stringify!($test).to_uppercase();
            $(caught(&clause, || run(async {
                let mut fixture = Fixture(MemoryRendezvous::new(), Lie::$lie);
                suite::$body(&mut fixture).await;
            }));)+
        }
    )*};
}

lies! {
    v01: v01_joined_comes_first catches PeersFirst;
    v02: v02_signals_arrive_whole_and_in_order catches LosesSignals, AltersSignals, WrongSender;
    v03: v03_undeliverable_signals_vanish catches CutsLargeSignals;
    v04: v04_peers_are_told_of_each_other catches HidesPeers;
    v05: v05_next_event_is_cancel_safe catches LosesOnCancel;
    v06: v06_broadcasts_are_apart catches OneBroadcast;
    v07: v07_a_lost_server_is_survived catches FailsWhenLost, NeverSuspended;
    v08: v08_shutdown_is_learned catches StaysAfterShutdown;
}
