//! Rooms that several nodes share through Redis. The state is there, changed by functions that run
//! one at a time (`rooms.lua`); what they decide comes back to the nodes concerned, each on its own
//! channel and in the order of the decisions. A node holds its sockets and what it last said for
//! them, so that Redis may go away and return.
//!
//! No socket ever waits for Redis but one that joins, and that for [`ANSWER`] at most.

mod here;
mod link;
mod part;
mod view;
mod word;

use crate::books::now_ms;
use crate::config::{ClusterConfig, Config};
use crate::metrics::ClusterMetrics;
use crate::order::{Action, SignedOrder};
use crate::outbox::{Closing, Outbox};
use crate::rooms::{Away, DETAIL_INTERVAL, Disobeyed, Greeting, Refused, Seat, Told};
use crate::rooms::{not_origin, steps, too_soon};
use beacon_ledger::Edge;
use beacon_sdk::plugin::{Join, Report};
use beacon_sdk::signaling::{ErrorCode, SignalData, THUMBNAIL_INTERVAL, hints};
use beacon_sdk::{About, BroadcastId, Identity, PeerId, PublicKey, Rng, Thumbnail};
use core::fmt;
use core::time::Duration;
use here::{Here, Pending};
use part::Member;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use word::Word;

/// For Redis to answer; one that takes longer is out of reach.
const ANSWER: Duration = Duration::from_secs(2);
/// Characters of a node's name at most.
const NODE_CHARS_MAX: usize = 32;

/// The rooms cannot be shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Not an address of Redis.
    #[error("--redis: {0}; use redis://HOST:PORT, redis://:PASSWORD@HOST/DATABASE or unix:///PATH")]
    Address(String),
    /// Not a name for a node.
    #[error("--node: a name has 1 to 32 letters, digits and - _ .")]
    Node,
    /// Redis does not answer, or not as needed.
    #[error("--redis {at}: {cause}; is Redis 7 or later running there?")]
    Unreachable {
        /// Where.
        at: String,
        /// The cause.
        cause: String,
    },
    /// Other nodes sign edges by another key.
    #[error(
        "--ledger: the other nodes {}, this one {}: give all nodes the same --ledger and --ledger-key",
        signs(.theirs), signs(.ours)
    )]
    Issuer {
        /// The key of this node; empty without a ledger.
        ours: String,
        /// The key of the others.
        theirs: String,
    },
}

fn signs(key: &str) -> String {
    match key.get(..8) {
        Some(start) => format!("sign edges by the key {start}…"),
        None => "keep no ledger".into(),
    }
}

/// This node's part of the rooms.
pub(crate) struct Cluster {
    /// Its name, with a part that is new with every start: what an earlier run left is not its own.
    node: String,
    client: Client,
    rooms_max: usize,
    peers_max: usize,
    refresh: Duration,
    greeting: Greeting,
    issuer: Option<Identity>,
    keeps_details: bool,
    metrics: ClusterMetrics,
    here: Mutex<Here>,
    /// There are calls to be made.
    wake: Notify,
    /// To ask Redis, while it is within reach.
    link: Mutex<Option<MultiplexedConnection>>,
    /// Opened at the start, and not in use yet.
    opened: Mutex<Option<link::Link>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.node)
    }
}

/// A function of `rooms.lua`.
fn call(function: &str) -> Cmd {
    let mut call = redis::cmd("FCALL");
    call.arg(format!("beacon1_{function}")).arg(0);
    call
}

/// The refusal in a function's answer.
fn refused(answer: &str) -> Option<Refused> {
    serde_json::from_value(answer.into()).ok()
}

fn away() -> Closing {
    (ErrorCode::Unavailable, Away.to_string())
}

impl Cluster {
    /// Reaches Redis, and sees that the other nodes sign edges by the same key.
    pub(crate) async fn open(
        at: &ClusterConfig,
        config: &Config,
        issuer: Option<Identity>,
        rng: Rng,
        metrics: ClusterMetrics,
    ) -> Result<Self, ClusterError> {
        let client = Client::open(at.redis.as_str())
            .map_err(|error| ClusterError::Address(error.to_string()))?;
        let cluster = Self {
            node: node_id(at.node.as_deref())?,
            client,
            rooms_max: config.rooms_max,
            peers_max: config.peers_max,
            refresh: config.refresh,
            greeting: Greeting::of(config, issuer.as_ref()),
            issuer,
            keeps_details: config.mesh,
            metrics,
            here: Mutex::new(Here::new(rng)),
            wake: Notify::new(),
            link: Mutex::new(None),
            opened: Mutex::new(None),
        };
        let mut link = cluster.connect().await?;
        cluster.hello(&mut link).await?;
        *cluster.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        Ok(cluster)
    }

    /// Never held across an await.
    fn here(&self) -> MutexGuard<'_, Here> {
        // Consistent between any two statements that can panic: none can.
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks Redis.
    async fn ask<T: FromRedisValue>(&self, call: &Cmd) -> Result<T, Away> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut link = link.ok_or(Away)?;
        match timeout(ANSWER, call.query_async(&mut link)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "Redis refuses");
                Err(Away)
            }
            Err(_) => Err(Away),
        }
    }

    /// The call that brings in a peer; `again` one that is in.
    fn bring(
        &self,
        join: &Join,
        connection: u64,
        hint: &beacon_sdk::plugin::PeerHint,
        again: bool,
    ) -> Cmd {
        let mut bring = call("join");
        bring.arg(&join.name).arg(join.peer.to_string()).arg(&self.node).arg(connection);
        match join.broadcast.filter(|_| join.publish) {
            Some(run) => bring.arg(json(&run)).arg(run.publisher.to_string()).arg(run.epoch),
            None => bring.arg("").arg("").arg(""),
        };
        bring.arg(json(hint)).arg(hints::rank(hint)).arg(self.rooms_max).arg(self.peers_max);
        bring.arg(if again { "again" } else { "" });
        bring
    }

    pub(crate) async fn join(
        &self,
        join: Join,
        (connection, session): (u64, u64),
        outbox: Outbox,
    ) -> Result<Seat, Closing> {
        let seat = Seat { name: join.name.clone(), peer: join.peer, connection };
        let hint = hints::newcomer(join.peer, join.publish);
        let bring = self.bring(&join, connection, &hint, false);
        let (done, let_in) = oneshot::channel();
        let pending = Pending { join, session, hint, outbox, done };
        self.here().pending.insert(connection, pending);
        let asked = async {
            let answer: String = self.ask(&bring).await.map_err(|Away| away())?;
            if let Some(refused) = refused(&answer) {
                return Err(refused.closing(&seat.name));
            }
            // By now it is in, but what others do to it comes by the channel, and so does this.
            let heard = timeout(ANSWER, let_in).await;
            heard.ok().and_then(Result::ok).ok_or_else(away)
        };
        let asked = asked.await;
        if let Err((code, _)) = &asked {
            let mut here = self.here();
            here.pending.remove(&connection);
            if *code == ErrorCode::Unavailable {
                // Redis may have let it in without our hearing of it.
                here.take_out(&seat, &self.node);
                self.wake.notify_one();
            }
        }
        asked.map(|()| seat)
    }

    pub(crate) fn leave(&self, seat: &Seat) {
        let mut here = self.here();
        if here.member(seat).is_some() {
            here.take_out(seat, &self.node);
            self.wake.notify_one();
        }
    }

    pub(crate) fn signal(&self, seat: &Seat, to: PeerId, data: SignalData) -> bool {
        let mut here = self.here();
        let Some(member) = here.member(seat) else { return false };
        let knows = member.edges.knows(to);
        let Some(part) = here.parts.get_mut(&seat.name) else { return false };
        let knows = match part.members.get(&to) {
            Some(target) => knows || target.edges.knows(seat.peer),
            None => knows,
        };
        if let (Some(issuer), true) = (&self.issuer, knows) {
            part.issue(issuer, now_ms(), seat.peer, to);
        }
        if part.members.contains_key(&to) {
            part.deliver(self.issuer.as_ref(), seat.peer, to, data, knows);
            return true;
        }
        let (name, from) = (seat.name.clone(), seat.peer);
        let word = Word::Signal { name, to, from, knows, data };
        let taken = here.carry(&seat.name, to, &word);
        self.wake.notify_one();
        if !taken {
            self.metrics.lost.inc();
        }
        taken
    }

    pub(crate) fn renew(&self, seat: &Seat, edge: &Edge) {
        let mut here = self.here();
        let Some(issuer) = self.issuer.as_ref().filter(|_| here.member(seat).is_some()) else {
            return;
        };
        let Some(part) = here.parts.get_mut(&seat.name) else { return };
        if part.broadcast != Some(edge.broadcast) {
            return;
        }
        let (downloader, uploader) = (edge.downloader, edge.uploader);
        if part.members.contains_key(&downloader) {
            part.issue(issuer, now_ms(), downloader, uploader);
        } else {
            let word = Word::Renew { name: seat.name.clone(), downloader, uploader };
            here.carry(&seat.name, downloader, &word);
            self.wake.notify_one();
        }
    }

    pub(crate) fn report(&self, now: Instant, seat: &Seat, report: Report) {
        let mut here = self.here();
        let Some(member) = here.member(seat).filter(|member| !member.muted) else { return };
        let hint = hints::reported(seat.peer, member.publish.is_some(), &report);
        if member.hint != hint {
            (member.hint, member.unsaid.hint) = (hint, true);
        }
        let early = |told: &Told| now.saturating_duration_since(told.at) < DETAIL_INTERVAL;
        let detail = report.detail.filter(|_| self.keeps_details);
        let Some(detail) = detail.filter(|_| !member.told.as_ref().is_some_and(early)) else {
            return;
        };
        let before = member.told.replace(Told { at: now, detail: detail.clone() });
        member.unsaid.told = true;
        if let Some(before) = before {
            here.note(seat, steps(&before.detail, &detail));
        }
    }

    pub(crate) fn describe(&self, seat: &Seat, about: About) -> Result<(), Closing> {
        let mut here = self.here();
        let member = of_origin(&mut here, seat)?;
        member.listing.get_or_insert_default().about = about;
        member.unsaid.listing = true;
        Ok(())
    }

    pub(crate) fn picture(
        &self,
        now: Instant,
        seat: &Seat,
        picture: Option<Thumbnail>,
    ) -> Result<(), Closing> {
        let mut here = self.here();
        let member = of_origin(&mut here, seat)?;
        let new = |at: Instant| now.saturating_duration_since(at) < THUMBNAIL_INTERVAL;
        if member.thumbnail_at.is_some_and(new) {
            return Err(too_soon());
        }
        member.thumbnail_at = Some(now);
        member.listing.get_or_insert_default().thumbnail = picture;
        member.unsaid.listing = true;
        Ok(())
    }

    pub(crate) async fn order(&self, name: &str, signed: &SignedOrder) -> Result<(), Disobeyed> {
        let room = redis::cmd("HGET").arg(format!("beacon:room:{name}")).arg("broadcast").take();
        let run: Option<String> = self.ask(&room).await?;
        let run: Option<BroadcastId> = run.and_then(|run| serde_json::from_str(&run).ok());
        if !signed.verify(&run.ok_or(Disobeyed::Nowhere)?, name) {
            return Err(Disobeyed::NotOwner);
        }
        let order = &signed.order;
        let (action, peer) = match order.action {
            Action::Ban { peer } => ("ban", peer.to_string()),
            Action::Pardon { peer } => ("pardon", peer.to_string()),
            Action::End => ("end", String::new()),
            Action::Mute { peer } => ("mute", peer.to_string()),
            Action::Unmute { peer } => ("unmute", peer.to_string()),
        };
        let mut obey = call("obey");
        obey.arg(name).arg(order.publisher.to_string()).arg(order.epoch).arg(order.at_ms);
        let answer: String = self.ask(obey.arg(action).arg(peer)).await?;
        match answer.as_str() {
            "done" => Ok(()),
            "nowhere" => Err(Disobeyed::Nowhere),
            "stale" => Err(Disobeyed::Stale),
            "full" => Err(Disobeyed::Full),
            _ => Err(Disobeyed::NotOwner),
        }
    }

    pub(crate) fn tick(&self, now: Instant) {
        let mut here = self.here();
        here.tick(now, &self.node, self.keeps_details);
        if !here.calls.is_empty() {
            self.wake.notify_one();
        }
    }

    pub(crate) fn census(&self) -> (usize, usize) {
        let here = self.here();
        (here.parts.len(), here.parts.values().map(|part| part.members.len()).sum())
    }

    /// The key that edges are signed by; empty without a ledger.
    fn issuer(&self) -> String {
        self.greeting.issuer.as_ref().map(PublicKey::to_string).unwrap_or_default()
    }
}

fn of_origin<'a>(here: &'a mut Here, seat: &Seat) -> Result<&'a mut Member, Closing> {
    here.member(seat).filter(|member| member.publish.is_some()).ok_or_else(not_origin)
}

fn json(value: &impl serde::Serialize) -> String {
    // Fails for maps whose keys are no text alone; none of ours has such.
    serde_json::to_string(value).unwrap_or_default()
}

/// What a node is known by: its name, if it has one, and 32 random bits.
fn node_id(name: Option<&str>) -> Result<String, ClusterError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = name.unwrap_or("node");
    if name.is_empty() || name.len() > NODE_CHARS_MAX || !name.bytes().all(plain) {
        return Err(ClusterError::Node);
    }
    use std::hash::{BuildHasher as _, RandomState};
    let run = RandomState::new().hash_one(std::process::id());
    Ok(format!("{name}-{:08x}", run >> 32))
}
