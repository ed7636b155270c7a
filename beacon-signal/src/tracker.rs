//! The rooms of a server, wherever they are: in its memory, or in Redis and shared with other nodes.

use crate::cluster::Cluster;
use crate::order::SignedOrder;
use crate::outbox::{Closing, Outbox};
use crate::rooms::{Away, Disobeyed, Mesh, Rooms, Seat, Stream};
use beacon_ledger::Edge;
use beacon_sdk::plugin::{Join, Report};
use beacon_sdk::signaling::SignalData;
use beacon_sdk::{About, PeerId, Thumbnail};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug)]
// There is one to a server, and rooms in memory are a step nearer so.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Tracker {
    Alone(Mutex<Rooms>),
    Cluster(Arc<Cluster>),
}

/// Never held across an await.
fn lock(rooms: &Mutex<Rooms>) -> MutexGuard<'_, Rooms> {
    // Rooms are consistent between any two statements that can panic: none can.
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tracker {
    /// Lets a peer in and tells it so, or says why not.
    pub(crate) async fn join(
        &self,
        now: Instant,
        join: Join,
        at: (u64, u64),
        outbox: Outbox,
    ) -> Result<Seat, Closing> {
        match self {
            Self::Alone(rooms) => lock(rooms).join(now, join, at, outbox),
            Self::Cluster(cluster) => cluster.join(join, at, outbox).await,
        }
    }

    /// Takes a peer out, unless a newer connection has its place.
    pub(crate) fn leave(&self, seat: &Seat) {
        match self {
            Self::Alone(rooms) => lock(rooms).leave(seat),
            Self::Cluster(cluster) => cluster.leave(seat),
        }
    }

    /// Carries a signal; whether there was someone to carry it to, as far as this node knows.
    pub(crate) fn signal(&self, seat: &Seat, to: PeerId, data: SignalData) -> bool {
        match self {
            Self::Alone(rooms) => lock(rooms).signal(seat, to, data),
            Self::Cluster(cluster) => cluster.signal(seat, to, data),
        }
    }

    /// Follows an edge of this server that ends soon by another; whoever holds `seat` carried over it.
    pub(crate) fn renew(&self, seat: &Seat, edge: &Edge) {
        match self {
            Self::Alone(rooms) => lock(rooms).renew(seat, edge),
            Self::Cluster(cluster) => cluster.renew(seat, edge),
        }
    }

    /// Takes note of what a peer says of itself.
    pub(crate) fn report(&self, now: Instant, seat: &Seat, report: Report) {
        match self {
            Self::Alone(rooms) => lock(rooms).report(now, seat, report),
            Self::Cluster(cluster) => cluster.report(now, seat, report),
        }
    }

    /// Takes note of what the origin says of the broadcast.
    pub(crate) fn describe(&self, seat: &Seat, about: About) -> Result<(), Closing> {
        match self {
            Self::Alone(rooms) => lock(rooms).describe(seat, about),
            Self::Cluster(cluster) => cluster.describe(seat, about),
        }
    }

    /// Takes the origin's picture in place of the last, unless that is too new.
    pub(crate) fn picture(
        &self,
        now: Instant,
        seat: &Seat,
        picture: Option<Thumbnail>,
    ) -> Result<(), Closing> {
        match self {
            Self::Alone(rooms) => lock(rooms).picture(now, seat, picture),
            Self::Cluster(cluster) => cluster.picture(now, seat, picture),
        }
    }

    /// Does what the owner of the broadcast `name` orders.
    pub(crate) async fn order(&self, name: &str, signed: &SignedOrder) -> Result<(), Disobeyed> {
        match self {
            Self::Alone(rooms) => lock(rooms).order(name, signed),
            Self::Cluster(cluster) => cluster.order(name, signed).await,
        }
    }

    /// The picture of a broadcast whose origin is here.
    pub(crate) async fn thumbnail(&self, name: &str) -> Result<Option<Thumbnail>, Away> {
        match self {
            Self::Alone(rooms) => Ok(lock(rooms).thumbnail(name)),
            Self::Cluster(cluster) => cluster.thumbnail(name).await,
        }
    }

    /// The broadcasts whose origin is here, by name.
    pub(crate) async fn streams(&self) -> Result<Vec<Stream>, Away> {
        match self {
            Self::Alone(rooms) => Ok(lock(rooms).streams()),
            Self::Cluster(cluster) => cluster.streams().await,
        }
    }

    /// The mesh of a broadcast, if one of that name is or was here.
    pub(crate) async fn mesh(&self, now: Instant, name: &str) -> Result<Option<Mesh>, Away> {
        match self {
            Self::Alone(rooms) => Ok(lock(rooms).mesh(now, name)),
            Self::Cluster(cluster) => cluster.mesh(name).await,
        }
    }

    /// What is due: order, news of comers, and fresh hints. To be called a few times a second.
    pub(crate) fn tick(&self, now: Instant) {
        match self {
            Self::Alone(rooms) => lock(rooms).tick(now),
            Self::Cluster(cluster) => cluster.tick(now),
        }
    }

    /// Rooms, and peers in them, of this node.
    pub(crate) fn census(&self) -> (usize, usize) {
        match self {
            Self::Alone(rooms) => lock(rooms).census(),
            Self::Cluster(cluster) => cluster.census(),
        }
    }
}
