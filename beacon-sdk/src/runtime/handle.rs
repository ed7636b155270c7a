//! What an application holds while a driver runs.

use crate::config::Config;
use crate::event::Event;
use crate::listing::Listing;
use crate::media::Choice;
use crate::stats::{LinkStats, Stats};
use crate::ticket::Ticket;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

/// Events that wait for the application at most; later ones are dropped while it does not read.
const EVENTS_MAX: usize = 256;

/// How a peer does, as of a moment ago.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Counters.
    pub stats: Stats,
    /// What goes over each link.
    pub links: Vec<LinkStats>,
}

/// Ends a broadcast or a watch in order; cheap to clone and to send to another task.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// See [`Broadcast::stop`] and [`Watch::stop`].
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Says what lists show of a broadcast; cheap to clone and to send to another task.
#[derive(Debug, Clone)]
pub struct Lister(watch::Sender<Listing>);

impl Lister {
    /// See [`Broadcast::list`].
    pub fn list(&self, listing: Listing) {
        self.0.send_replace(listing);
    }

    /// What was said last.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.0.borrow().clone()
    }
}

/// What a viewer may change while it watches.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Wishes {
    pub(super) upload_bps: Option<u64>,
    pub(super) choice: Choice,
}

/// Changes how a broadcast is watched; cheap to clone and to send to another task.
#[derive(Debug, Clone)]
pub struct Tuner(watch::Sender<Wishes>);

impl Tuner {
    /// See [`Watch::set_upload`].
    pub fn set_upload(&self, bits_per_second: Option<u64>) {
        self.0.send_modify(|wishes| wishes.upload_bps = bits_per_second);
    }

    /// See [`Watch::choose`].
    pub fn choose(&self, choice: Choice) {
        self.0.send_modify(|wishes| wishes.choice = choice);
    }
}

/// The application's side.
#[derive(Debug)]
pub(super) struct Handle {
    lister: Lister,
    tuner: Tuner,
    events: mpsc::Receiver<Event>,
    snapshot: watch::Receiver<Snapshot>,
    stop: Stopper,
}

/// The driver's side.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) snapshot: watch::Sender<Snapshot>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) listing: watch::Receiver<Listing>,
    pub(super) wishes: watch::Receiver<Wishes>,
}

pub(super) fn handle(config: &Config) -> (Handle, Ends) {
    let (events_tx, events) = mpsc::channel(EVENTS_MAX);
    let (snapshot_tx, snapshot) = watch::channel(Snapshot::default());
    let (stop, stop_rx) = watch::channel(false);
    let (lister, listing) = watch::channel(Listing::default());
    let wishes = Wishes { upload_bps: config.upload_bps, choice: config.choice.clone() };
    let (wishes, wishes_rx) = watch::channel(wishes);
    let ends = Ends {
        events: events_tx,
        snapshot: snapshot_tx,
        stop: stop_rx,
        listing,
        wishes: wishes_rx,
    };
    let (lister, tuner, stop) = (Lister(lister), Tuner(wishes), Stopper(stop));
    (Handle { lister, tuner, events, snapshot, stop }, ends)
}

/// What an application can do with either kind of handle but for ending it, which means different
/// things.
macro_rules! follow {
    ($kind:ty) => {
        impl $kind {
            /// The next event; `None` when the driver has ended.
            ///
            /// # Cancel safety
            /// Cancel-safe.
            pub async fn next_event(&mut self) -> Option<Event> {
                self.handle.events.recv().await
            }

            /// Counters and links as of at most a quarter of a second ago; after the end, the
            /// last ones.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                self.handle.snapshot.borrow().clone()
            }

            /// A way to the same snapshots for another task.
            #[must_use]
            pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
                self.handle.snapshot.clone()
            }

            /// A way to stop from another task.
            #[must_use]
            pub fn stopper(&self) -> Stopper {
                self.handle.stop.clone()
            }
        }
    };
}

follow!(Broadcast);
follow!(Watch);

/// A broadcast being published. Dropping it changes nothing; [`stop`](Broadcast::stop) ends it.
#[derive(Debug)]
pub struct Broadcast {
    handle: Handle,
    ticket: Ticket,
}

impl Broadcast {
    pub(super) fn new(handle: Handle, ticket: Ticket) -> Self {
        Self { handle, ticket }
    }

    /// The ticket that leads viewers here, without addresses: add those of your rendezvous.
    #[must_use]
    pub const fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Says what lists show of it from now on, in place of what was said before: title, category,
    /// tags and a picture, at once or while it goes on. A rendezvous without a list ignores it; a
    /// signaling server takes a new picture every
    /// [`THUMBNAIL_INTERVAL`](crate::signaling::THUMBNAIL_INTERVAL) at most, so a faster one waits.
    pub fn list(&self, listing: Listing) {
        self.handle.lister.list(listing);
    }

    /// A way to list it from another task.
    #[must_use]
    pub fn lister(&self) -> Lister {
        self.handle.lister.clone()
    }

    /// Ends the broadcast in order: what was captured is published, viewers are told, and the
    /// driver lingers for moments so that they get the rest.
    pub fn stop(&self) {
        self.handle.stop.stop();
    }
}

/// A broadcast being watched. Dropping it changes nothing; [`stop`](Watch::stop) leaves.
#[derive(Debug)]
pub struct Watch {
    handle: Handle,
}

impl Watch {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Passes on at most so many bits per second from now on; `None` is what the links carry, and
    /// with 0 nothing is passed on. The picture goes on. What takes the stream from here and goes
    /// beyond that is served until it has found another parent, for 2.5 s at most.
    pub fn set_upload(&self, bits_per_second: Option<u64>) {
        self.handle.tuner.set_upload(bits_per_second);
    }

    /// Takes, plays and passes on other tracks from now on. The picture that is shown goes on until
    /// the other has a group that is whole; then the sink is told of its tracks anew. Without a
    /// track that it accepts, nothing changes.
    pub fn choose(&self, choice: Choice) {
        self.handle.tuner.choose(choice);
    }

    /// A way to change the same from another task.
    #[must_use]
    pub fn tuner(&self) -> Tuner {
        self.handle.tuner.clone()
    }

    /// Leaves: neighbours are told, the sink is finished.
    pub fn stop(&self) {
        self.handle.stop.stop();
    }
}
