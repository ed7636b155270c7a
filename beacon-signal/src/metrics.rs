//! Numbers for Prometheus, by the Prometheus project's own client: its registry is a value, so
//! that several servers live in one process (tests, `demo`) without sharing counters. No label
//! has more values than the protocol has words.

use beacon_sdk::signaling::{ClientMessage, ErrorCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// By which a comer is turned away.
const LIMITS: [&str; 6] = ["full", "connections", "rate", "joins", "requests", "draining"];

/// What becomes of a claim.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Claimed {
    /// Paid as far as it was due and the limits allow.
    Settled,
    /// It proves nothing, or comes too late.
    Refused,
    /// The accounts could not take it.
    Lost,
}

impl Claimed {
    const ALL: [Self; 3] = [Self::Settled, Self::Refused, Self::Lost];

    const fn word(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }
}

/// Numbers of the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerMetrics {
    claims: Family<Label, Counter>,
    paid: Counter,
    forfeited: Counter,
    waiting: Gauge,
}

impl LedgerMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("claims", "Claims by outcome", self.claims.clone());
        registry.register("paid_micros", "Micro-credits paid for receipts", self.paid.clone());
        let forfeited = self.forfeited.clone();
        registry.register("forfeited_micros", "Micro-credits lost for forks", forfeited);
        registry.register("claims_waiting", "Claims not settled yet", self.waiting.clone());
    }

    pub(crate) fn claim(&self, outcome: Claimed, paid: u64) {
        self.claims.get_or_create(&[("outcome", outcome.word())]).inc();
        self.paid.inc_by(paid);
    }

    pub(crate) fn forfeited(&self, micros: u64) {
        self.forfeited.inc_by(micros);
    }

    pub(crate) fn waiting(&self, claims: usize) {
        self.waiting.set(i64::try_from(claims).unwrap_or(i64::MAX));
    }
}

/// Numbers of a node among others.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterMetrics {
    /// Nodes that are alive, as this one sees it.
    pub(crate) nodes: Gauge,
    /// 1 while Redis is within reach.
    pub(crate) within_reach: Gauge,
    /// Signals that could not be handed to another node.
    pub(crate) lost: Counter,
}

impl ClusterMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "nodes",
            "Nodes that share the rooms, this one included",
            self.nodes.clone(),
        );
        let reach = self.within_reach.clone();
        registry.register("redis_within_reach", "1 while Redis answers, else 0", reach);
        let lost = self.lost.clone();
        registry.register(
            "signals_lost",
            "Signals for other nodes that Redis was not there to take",
            lost,
        );
    }
}

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) cluster: ClusterMetrics,
    pub(crate) ledger: LedgerMetrics,
    /// Open WebSocket connections.
    pub(crate) connections: Gauge,
    rooms: Gauge,
    peers: Gauge,
    received: Family<Label, Counter>,
    /// Messages written.
    pub(crate) sent: Counter,
    refused: Family<Label, Counter>,
    signals: Family<Label, Counter>,
    /// Times a connection had to wait for its rate.
    pub(crate) throttled: Counter,
    turned_away: Family<Label, Counter>,
    networks: Gauge,
    /// Times a peer was given leave to use the TURN server.
    pub(crate) turn: Counter,
    /// 1 from when the server begins to stop.
    pub(crate) draining: Gauge,
}

impl Metrics {
    /// With the numbers of a `node` among others.
    pub(crate) fn new(node: bool) -> Self {
        let mut this = Self::default();
        let mut registry = Registry::with_prefix("beacon_signal");
        registry.register("connections", "Open WebSocket connections", this.connections.clone());
        registry.register("rooms", "Broadcasts, waiting ones included", this.rooms.clone());
        registry.register("peers", "Peers that joined a broadcast", this.peers.clone());
        registry.register("messages_received", "Messages by type", this.received.clone());
        registry.register("messages_sent", "Messages written", this.sent.clone());
        registry.register("refused", "Errors told, by code", this.refused.clone());
        registry.register("signals", "Set-up signals by outcome", this.signals.clone());
        this.ledger.register(&mut registry);
        if node {
            this.cluster.register(&mut registry);
        }
        registry.register("throttled", "Messages that waited for the rate", this.throttled.clone());
        registry.register("turned_away", "Comers not let in, by limit", this.turned_away.clone());
        registry.register("networks", "Networks counted", this.networks.clone());
        registry.register("turn_grants", "Leaves given to use the TURN server", this.turn.clone());
        registry.register("draining", "1 while the server stops, else 0", this.draining.clone());
        this.begin();
        this.registry = registry;
        this
    }

    /// Has what alerts look at there from the start: of a series that begins with its first event Prometheus sees no
    /// increase.
    fn begin(&self) {
        for limit in LIMITS {
            drop(self.turned_away.get_or_create(&[("limit", limit)]));
        }
        for outcome in Claimed::ALL {
            drop(self.ledger.claims.get_or_create(&[("outcome", outcome.word())]));
        }
    }

    /// The page for Prometheus (OpenMetrics text).
    pub(crate) fn page(&self, (rooms, peers): (usize, usize)) -> String {
        self.rooms.set(i64::try_from(rooms).unwrap_or(i64::MAX));
        self.peers.set(i64::try_from(peers).unwrap_or(i64::MAX));
        let mut page = String::new();
        // Writing to a string fails only when an encoder of ours does; none does.
        let _ = encode(&mut page, &self.registry);
        page
    }

    pub(crate) fn received(&self, message: &ClientMessage) {
        let kind = match message {
            ClientMessage::Join { .. } => "join",
            ClientMessage::Signal { .. } => "signal",
            ClientMessage::Describe(_) => "describe",
            ClientMessage::Thumbnail { .. } => "thumbnail",
            ClientMessage::MetricsReport(_) => "metrics-report",
            ClientMessage::Claims { .. } => "claims",
            ClientMessage::Heartbeat => "heartbeat",
            ClientMessage::Leave => "leave",
        };
        self.received.get_or_create(&[("type", kind)]).inc();
    }

    pub(crate) fn refused(&self, code: ErrorCode) {
        self.refused.get_or_create(&[("code", code.as_str())]).inc();
    }

    /// A connection or a join was refused by a limit.
    pub(crate) fn turned_away(&self, limit: &'static str) {
        self.turned_away.get_or_create(&[("limit", limit)]).inc();
    }

    pub(crate) fn networks(&self, counted: usize) {
        self.networks.set(i64::try_from(counted).unwrap_or(i64::MAX));
    }

    pub(crate) fn signal(&self, relayed: bool) {
        let outcome = if relayed { "relayed" } else { "no-such-peer" };
        self.signals.get_or_create(&[("outcome", outcome)]).inc();
    }
}
