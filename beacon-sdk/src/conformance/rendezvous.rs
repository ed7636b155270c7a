//! The suite of [`Rendezvous`]: clauses V01–V08.

use super::{PROMPT, Pending, first};
use crate::id::{BroadcastId, PeerId};
use crate::identity::Identity;
use crate::plugin::{
    Join, PeerHint, Rendezvous, RendezvousError, RendezvousEvent, SIGNAL_BYTES_MAX,
};
use crate::rng::Rng;
use crate::timer::{self, Instant};
use bytes::Bytes;
use core::time::Duration;

/// How long clients must be told nothing before the suite takes it that nothing comes.
const QUIET: Duration = Duration::from_millis(500);
/// Events of one client over an interruption; more of them is a busy loop.
const EVENTS_MAX: usize = 200;

/// Makes clients of one rendezvous.
#[allow(async_fn_in_trait)] // The suite runs on one thread and needs no `Send`.
pub trait RendezvousFixture {
    /// A client for `me` that has not joined yet.
    async fn client(&mut self, me: &Identity) -> Box<dyn Rendezvous>;

    /// Ends the server under its clients and starts another one in its place; false when the
    /// fixture cannot, and then V07 is not tested.
    async fn interrupt(&mut self) -> bool {
        false
    }

    /// Hang guard: how long the suite waits for anything before it fails. Above the longest time
    /// the adapter waits before it tries a lost server again.
    fn patience(&self) -> Duration {
        Duration::from_secs(40)
    }
}

/// One `#[test]` per clause V01–V08 for the clients of the fixture that the function `$make`
/// returns: `rendezvous_conformance!(path::to::make)`.
#[macro_export]
macro_rules! rendezvous_conformance {
    ($make:path) => {
        $crate::__conformance_tests!($make, rendezvous,
            v01_joined_comes_first v02_signals_arrive_whole_and_in_order
            v03_undeliverable_signals_vanish v04_peers_are_told_of_each_other
            v05_next_event_is_cancel_safe v06_broadcasts_are_apart
            v07_a_lost_server_is_survived v08_shutdown_is_learned);
    };
}

struct Guest {
    me: PeerId,
    client: Box<dyn Rendezvous>,
    log: Vec<RendezvousEvent>,
    away: bool,
}

impl Guest {
    fn joins(&self) -> usize {
        self.log.iter().filter(|e| matches!(e, RendezvousEvent::Joined { .. })).count()
    }

    fn signals(&self) -> Vec<(PeerId, Bytes)> {
        let signals = self.log.iter().filter_map(|event| match event {
            RendezvousEvent::Signal { from, signal } => Some((*from, signal.clone())),
            _ => None,
        });
        signals.collect()
    }

    fn hints(&self) -> Vec<&PeerHint> {
        let lists = self.log.iter().filter_map(|event| match event {
            RendezvousEvent::Peers(hints) => Some(hints),
            _ => None,
        });
        lists.flatten().collect()
    }

    fn knows(&self, peer: PeerId) -> bool {
        self.hints().iter().any(|hint| hint.peer == peer)
    }
}

struct Party<'f, F> {
    clause: &'static str,
    fixture: &'f mut F,
    guests: Vec<Guest>,
    fickle: bool,
}

fn identity(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

/// The broadcast that guest 0 publishes.
fn broadcast() -> BroadcastId {
    BroadcastId { publisher: identity(1).public(), epoch: 1 }
}

impl<'f, F: RendezvousFixture> Party<'f, F> {
    /// A party of nobody yet.
    fn new(clause: &'static str, fixture: &'f mut F) -> Self {
        Self { clause, fixture, guests: Vec::new(), fickle: false }
    }

    #[track_caller]
    fn check(&self, kept: bool, what: &str) {
        let logs: Vec<String> = self
            .guests
            .iter()
            .map(|guest| format!("{:?}: {:.1000}", guest.me, format!("{:?}", guest.log)))
            .collect();
        assert!(kept, "{}: {what}; seen: {logs:#?}", self.clause);
    }

    /// A guest joins the broadcast `name`; its number.
    async fn join(&mut self, name: &str, publish: bool) -> usize {
        let number = self.guests.len();
        // A party has a handful of guests.
        let identity = identity(u8::try_from(number + 1).unwrap_or(u8::MAX));
        let mut client = self.fixture.client(&identity).await;
        let me = identity.public();
        let name = format!("{}-{name}", self.clause);
        client.join(Join { name, peer: me, broadcast: publish.then(broadcast), publish });
        self.guests.push(Guest { me, client, log: Vec::new(), away: false });
        self.until("Joined follows join", |guests| guests[number].joins() > 0).await;
        number
    }

    async fn step(&mut self, until: Instant) -> bool {
        let fickle = self.fickle;
        let (numbers, told) = {
            let present = self.guests.iter_mut().enumerate().filter(|(_, guest)| !guest.away);
            let (numbers, mut waits): (Vec<usize>, Vec<_>) = present.map(wait).unzip();
            (numbers, timer::timeout_at(until, first(&mut waits, fickle)).await)
        };
        match told {
            Err(_) => false,
            Ok(None) => {
                timer::sleep(Duration::from_millis(1)).await;
                Instant::now() < until
            }
            Ok(Some((at, Ok(event)))) => {
                self.guests[numbers[at]].log.push(event);
                true
            }
            Ok(Some((_, Err(error)))) => panic!("{}: next_event failed: {error}", self.clause),
        }
    }

    async fn wait(&mut self, limit: Duration, done: impl Fn(&[Guest]) -> bool) -> bool {
        let until = Instant::now() + limit;
        while !done(&self.guests) {
            if !self.step(until).await {
                return done(&self.guests);
            }
        }
        true
    }

    async fn until(&mut self, what: &str, done: impl Fn(&[Guest]) -> bool) {
        let patience = self.fixture.patience();
        let came = self.wait(patience, done).await;
        self.check(came, &format!("{what}: not within {patience:?}"));
    }

    async fn settle(&mut self) {
        self.wait(QUIET, |_| false).await;
    }

    fn signal(&mut self, from: usize, to: usize, signal: &Bytes) {
        let peer = self.guests[to].me;
        self.guests[from].client.signal(peer, signal.clone());
    }
}

fn wait(
    (number, guest): (usize, &mut Guest),
) -> (usize, Pending<'_, Result<RendezvousEvent, RendezvousError>>) {
    (number, Box::pin(guest.client.next_event()))
}

fn blob(number: u64, len: usize) -> Bytes {
    let mut rng = Rng::new([11; 32], number);
    let bytes: Vec<u8> = (0..len).map(|_| rng.bits().to_le_bytes()[0]).collect();
    Bytes::from(bytes)
}

/// `Joined` comes before anything but `Suspended`, and names the broadcast once its origin is in.
pub async fn v01_joined_comes_first(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V01", fixture);
    // Guest 0's key is the publisher's: the broadcast is not known before it has come.
    party.join("event", true).await;
    party.join("event", false).await;
    party.settle().await;
    for guest in &party.guests {
        let mut log = guest.log.iter();
        let first = log.find(|event| {
            !matches!(event, RendezvousEvent::Suspended { .. } | RendezvousEvent::Turn(_))
        });
        let expected = RendezvousEvent::Joined { broadcast: Some(broadcast()) };
        party.check(first == Some(&expected), "Joined comes first and names the broadcast");
    }
    party.join("empty", false).await;
    let alone = RendezvousEvent::Joined { broadcast: None };
    party.check(party.guests[2].log.contains(&alone), "no origin, no broadcast");
}

/// Signals arrive whole, in order and under their sender's id, both ways.
pub async fn v02_signals_arrive_whole_and_in_order(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V02", fixture);
    let (a, b) = (party.join("event", true).await, party.join("event", false).await);
    let sizes = [1, 100, 1000, 4000, SIGNAL_BYTES_MAX];
    let sent: Vec<Bytes> =
        (0..20).map(|number| blob(number, sizes[number as usize % sizes.len()])).collect();
    for signal in &sent {
        party.signal(a, b, signal);
        party.signal(b, a, signal);
        // A signaling server may limit how fast its clients talk; dials are no burst.
        party.wait(Duration::from_millis(20), |_| false).await;
    }
    for (from, to) in [(a, b), (b, a)] {
        let expected: Vec<(PeerId, Bytes)> =
            sent.iter().map(|signal| (party.guests[from].me, signal.clone())).collect();
        party.until("every signal arrives", |g| g[to].signals().len() >= expected.len()).await;
        let same = party.guests[to].signals() == expected;
        party.check(same, "signals arrive unaltered, in order, from their sender");
    }
}

/// Signals to nobody, and too large ones, are dropped without a word.
pub async fn v03_undeliverable_signals_vanish(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V03", fixture);
    let (a, b) = (party.join("event", true).await, party.join("event", false).await);
    let unknown = identity(99).public();
    party.guests[a].client.signal(unknown, blob(1, 100));
    party.signal(a, b, &blob(2, SIGNAL_BYTES_MAX + 1));
    party.signal(a, b, &blob(3, 100));
    party.until("a good signal arrives after bad ones", |g| !g[b].signals().is_empty()).await;
    party.settle().await;
    let expected = vec![(party.guests[a].me, blob(3, 100))];
    party.check(party.guests[b].signals() == expected, "nothing of a dropped signal arrives");
    party.check(party.guests[a].joins() == 1, "the sender stays in");
}

/// Who comes later is told of those there, and they of it.
pub async fn v04_peers_are_told_of_each_other(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V04", fixture);
    for publish in [true, false, false] {
        party.join("event", publish).await;
    }
    let ids: Vec<PeerId> = party.guests.iter().map(|guest| guest.me).collect();
    party
        .until("everybody is told of everybody", |guests| {
            guests.iter().all(|guest| ids.iter().all(|id| *id == guest.me || guest.knows(*id)))
        })
        .await;
    party.settle().await;
    for guest in &party.guests {
        party.check(!guest.knows(guest.me), "nobody is told of itself");
        let sane = guest.hints().iter().all(|hint| hint.score <= 100);
        party.check(sane, "scores are within 0 to 100");
    }
}

/// Every call of `next_event` is dropped unless ready at once, and nothing is lost.
pub async fn v05_next_event_is_cancel_safe(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V05", fixture);
    party.fickle = true;
    let (a, b) = (party.join("event", true).await, party.join("event", false).await);
    for number in 0..20 {
        party.signal(a, b, &blob(number, 500));
        party.wait(Duration::from_millis(20), |_| false).await;
    }
    party.until("signals arrive though calls were dropped", |g| g[b].signals().len() >= 20).await;
    let from = party.guests[a].me;
    let expected: Vec<(PeerId, Bytes)> = (0..20).map(|n| (from, blob(n, 500))).collect();
    let whole = party.guests[b].signals() == expected;
    party.check(whole, "dropped calls lose, repeat or reorder nothing");
}

/// Peers of another broadcast are neither told of nor reached.
pub async fn v06_broadcasts_are_apart(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V06", fixture);
    let (a, b) = (party.join("one", true).await, party.join("other", false).await);
    let c = party.join("one", false).await;
    party.signal(a, b, &blob(1, 100));
    party.signal(b, a, &blob(2, 100));
    party.signal(a, c, &blob(3, 100));
    party.until("a signal within the broadcast arrives", |g| !g[c].signals().is_empty()).await;
    party.settle().await;
    let (first, second) = (&party.guests[a], &party.guests[b]);
    party.check(!first.knows(second.me) && !second.knows(first.me), "told of a peer elsewhere");
    let unheard = first.signals().is_empty() && second.signals().is_empty();
    party.check(unheard, "a signal crosses broadcasts");
}

/// A lost server is `Suspended`, then `Joined` again; then signals go through.
pub async fn v07_a_lost_server_is_survived(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V07", fixture);
    let (a, b) = (party.join("event", true).await, party.join("event", false).await);
    party.settle().await;
    let before: Vec<usize> = party.guests.iter().map(|guest| guest.log.len()).collect();
    if !party.fixture.interrupt().await {
        return;
    }
    let back = |guest: &Guest, from: usize| {
        let later = &guest.log[from..];
        let lost = later.iter().position(|e| matches!(e, RendezvousEvent::Suspended { .. }));
        let again = later.iter().rposition(|e| matches!(e, RendezvousEvent::Joined { .. }));
        lost.is_some() && again > lost
    };
    party
        .until("Suspended and then Joined", |guests| {
            guests.iter().zip(&before).all(|(guest, from)| back(guest, *from))
        })
        .await;
    party.settle().await;
    let calm = party.guests.iter().all(|guest| guest.log.len() < EVENTS_MAX);
    party.check(calm, "a lost server makes no flood of events");
    let heard = party.guests[b].signals().len();
    party.signal(a, b, &blob(1, 100));
    party.until("signals go through again", |g| g[b].signals().len() > heard).await;
}

/// After `shutdown`, others are told `Gone` or at least not told of the peer any more.
pub async fn v08_shutdown_is_learned(fixture: &mut impl RendezvousFixture) {
    let mut party = Party::new("V08", fixture);
    let (a, b) = (party.join("event", true).await, party.join("event", false).await);
    let left = party.guests[b].me;
    party.until("the other is told of", |g| g[a].knows(left)).await;
    for _ in 0..2 {
        let ended = timer::timeout(PROMPT, party.guests[b].client.shutdown()).await;
        party.check(ended.is_ok(), "shutdown ends within a second");
    }
    party.guests[b].away = true;
    party.wait(PROMPT, |g| g[a].log.contains(&RendezvousEvent::Gone(left))).await;
    let c = party.join("event", false).await;
    party.settle().await;
    let gone = !party.guests[c].knows(left);
    party.check(gone, "a newcomer is told of a peer that has left");
}
