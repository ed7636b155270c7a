//! The limits of a server.

use crate::admission::Effort;
use crate::operator::Operator;
use crate::token::TokenKey;
use crate::turn::TurnConfig;
use beacon_ledger::Micro;
use core::time::Duration;
use ipnet::IpNet;
use std::path::PathBuf;

/// Every limit of a server. Together they bound its memory: an idle connection takes less than
/// 26 KiB (measured for both ends in one process, `examples/load.rs`), one that reads slowly
/// `queue_bytes_max` and 128 KiB of unsent bytes more.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Config {
    /// WebSocket connections at most, 1–1,000,000; each needs a file descriptor.
    pub connections_max: usize,
    /// Broadcasts at most, waiting ones included.
    pub rooms_max: usize,
    /// Peers of one broadcast at most.
    pub peers_max: usize,
    /// A connection that says nothing for this long is closed; heartbeats are asked for at a
    /// third of it. A connection that does not join is given a third as well. 300 ms–1 h.
    pub idle_timeout: Duration,
    /// Messages per second read from one connection in the long run. (Guess: an honest peer sends
    /// about ten per dial, and one heartbeat in ten seconds.)
    pub rate: u32,
    /// Messages read from one connection at once: twenty dials with ten candidates each, twice.
    pub burst: u32,
    /// Messages that wait for one connection at most.
    pub queue_max: usize,
    /// Bytes that wait for one connection at most; at least one message.
    pub queue_bytes_max: usize,
    /// How often each peer is told of others anew. Large rooms take longer, so that a room is
    /// sent at most 200 such messages per second.
    pub refresh: Duration,
    /// At shutdown peers are told to go within this time, each at a moment of its own, so that they do not come to
    /// another server all at once; nobody is let in meanwhile. Zero, the default, tells all at once. At most 10 minutes.
    pub drain: Duration,
    /// How long peers get to take their goodbye at shutdown.
    pub grace: Duration,
    /// A web build, as `cargo xtask web` leaves it in `beacon-web/dist`: pages to find and watch
    /// broadcasts on. They are read once, at the start.
    pub pages: Option<PathBuf>,
    /// Whether it is kept and served how the mesh of a broadcast does, by what peers tell of
    /// themselves: `GET /api/streams/NAME/mesh`.
    pub mesh: bool,
    /// Accounts that relays are paid from; none by default.
    pub ledger: Option<LedgerConfig>,
    /// Other servers that have the same rooms; none by default, and the rooms are in memory.
    pub cluster: Option<ClusterConfig>,
    /// A TURN server that peers get leave to use; none by default.
    pub turn: Option<TurnConfig>,
    /// What one network may do.
    pub network: NetworkLimits,
    /// Proxies that are believed when they say where a request comes from, by `X-Forwarded-For`; none by
    /// default. At most 64.
    pub trusted_proxies: Vec<IpNet>,
    /// Keys whose [tokens](crate::token) let peers in; none by default, and then everybody is let in. At
    /// most 8, of which a token needs one: keys are changed by adding the new one first.
    pub tokens: Vec<TokenKey>,
    /// Lets in who brings no token as well, as without any keys: a token then spares the work.
    pub tokens_optional: bool,
    /// What strangers, who bring no token, are to do before they are let in.
    pub work: Effort,
    /// The secret by which whoever runs the server reads every account over HTTP; none by default, and then nobody does.
    pub operator: Option<Operator>,
    /// So many strangers a second from all networks together are few in the long run, and a hundred times as many at
    /// once: [`Effort::Auto`] asks for nothing while half of that is left. (Guess: 10,000 viewers who stay for ten minutes
    /// each are 17 a second.)
    pub strangers_rate: u32,
}

/// One of several servers, its nodes, that share their rooms through Redis. Limits on broadcasts and peers count over
/// all nodes, by each one's own configuration: give them the same.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// Where Redis is, 7 or later: `redis://HOST:PORT`, `redis://:PASSWORD@HOST/DATABASE` or `unix:///PATH`. Without TLS: over a private network.
    pub redis: String,
    /// What this node is called in Redis and in logs, 1 to 32 letters, digits and `- _ .`; at random by default.
    pub node: Option<String>,
}

impl ClusterConfig {
    /// A node without a name, with the rooms in the Redis at this address.
    #[must_use]
    pub fn new(redis: impl Into<String>) -> Self {
        Self { redis: redis.into(), node: None }
    }
}

/// What may come from one network, which is an IPv4 address or a /56 of IPv6: what a home or a company has.
/// This machine is none: peers of a proxy here are not counted unless it is one of [`Config::trusted_proxies`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NetworkLimits {
    /// Connections that are open at once. (Guess: a tenth of the places, for all who share an address of
    /// their provider.)
    pub connections: u32,
    /// Joins per second in the long run. (Guess.)
    pub rate: u32,
    /// Joins at once: a company where everybody opens the page at nine o'clock. Connections may be opened
    /// twice as often as joins.
    pub burst: u32,
    /// Requests for pages and `/api` per second in the long run, and 50 times as many at once. (Guess: a page loads 45
    /// files, and a dashboard asks once a second.)
    pub requests: u32,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self { connections: 1_000, rate: 10, burst: 200, requests: 200 }
    }
}

/// The ledger of a server: it issues edges with the set-up of links, and settles the receipts that come
/// of them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LedgerConfig {
    /// Where accounts are kept: `sqlite:FILE`, `postgres://USER@HOST/DATABASE`, or `memory`, which is gone
    /// with the process.
    pub store: String,
    /// The file of the key that edges are signed by, made if it is not there. By default `FILE.key` beside
    /// SQLite's file and a new key every time in memory; servers that share a database need the same one.
    pub key: Option<PathBuf>,
    /// Credits made for the pool of every publisher that comes, once. Default: none, and a pool has what
    /// sponsors give.
    pub grant: Micro,
    /// How what a receipt is worth is shared between relay and broadcaster. Default: 1 to 0, all to the relay.
    pub relay_weight: u32,
    /// See [`LedgerConfig::relay_weight`].
    pub broadcaster_weight: u32,
    /// A viewer pays for what it receives as far as it can, and the pool the rest. Default: the pool pays all.
    pub viewers_pay: bool,
    /// What an account earns in its first time cannot be spent before this is over. Default: a day.
    pub vest: Duration,
}

impl LedgerConfig {
    /// The defaults, over the accounts at `store`.
    #[must_use]
    pub fn new(store: impl Into<String>) -> Self {
        let vest = Duration::from_secs(86_400);
        Self {
            store: store.into(),
            key: None,
            grant: Micro::ZERO,
            relay_weight: 1,
            broadcaster_weight: 0,
            viewers_pay: false,
            vest,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            rooms_max: 1_000,
            peers_max: 10_000,
            idle_timeout: Duration::from_secs(30),
            rate: 50,
            burst: 400,
            queue_max: 128,
            queue_bytes_max: 256 * 1024,
            refresh: Duration::from_secs(5),
            drain: Duration::ZERO,
            grace: Duration::from_secs(2),
            pages: None,
            mesh: true,
            ledger: None,
            cluster: None,
            turn: None,
            network: NetworkLimits::default(),
            trusted_proxies: Vec::new(),
            tokens: Vec::new(),
            tokens_optional: false,
            work: Effort::Auto,
            operator: None,
            strangers_rate: 20,
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {range}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What it may be.
    pub range: &'static str,
}

impl Config {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field and what it may be.
    pub fn check(&self) -> Result<(), ConfigError> {
        const COUNT: &str = "1 to 1000000";
        let count = 1..=1_000_000;
        let rules = [
            (count.contains(&self.connections_max), "connections_max", COUNT),
            (count.contains(&self.rooms_max), "rooms_max", COUNT),
            (count.contains(&self.peers_max), "peers_max", COUNT),
            (
                (Duration::from_millis(300)..=Duration::from_secs(3600))
                    .contains(&self.idle_timeout),
                "idle_timeout",
                "300 ms to 1 hour",
            ),
            ((1..=1_000_000).contains(&self.rate), "rate", COUNT),
            ((1..=1_000_000).contains(&self.burst), "burst", COUNT),
            ((8..=10_000).contains(&self.queue_max), "queue_max", "8 to 10000"),
            (
                (32 * 1024..=16 << 20).contains(&self.queue_bytes_max),
                "queue_bytes_max",
                "32 KiB to 16 MiB",
            ),
            (
                (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&self.refresh),
                "refresh",
                "100 ms to 1 hour",
            ),
            (self.drain <= Duration::from_secs(600), "drain", "at most 10 minutes"),
            (self.grace <= Duration::from_secs(60), "grace", "at most 60 s"),
            ((1..=1_000_000).contains(&self.network.connections), "network.connections", COUNT),
            ((1..=1_000_000).contains(&self.network.rate), "network.rate", COUNT),
            ((1..=1_000_000).contains(&self.network.burst), "network.burst", COUNT),
            ((1..=1_000_000).contains(&self.network.requests), "network.requests", COUNT),
            (self.trusted_proxies.len() <= 64, "trusted_proxies", "at most 64 networks"),
            (self.tokens.len() <= 8, "tokens", "at most 8 keys"),
            (self.work.is_fair(), "work", "auto, off, or 1 to 1024 tries"),
            ((1..=1_000_000).contains(&self.strangers_rate), "strangers_rate", COUNT),
        ];
        let weighs =
            |ledger: &LedgerConfig| ledger.relay_weight > 0 || ledger.broadcaster_weight > 0;
        if !self.ledger.as_ref().is_none_or(weighs) {
            let (field, range) = ("ledger.relay_weight", "above 0 where broadcaster_weight is 0");
            return Err(ConfigError { field, range });
        }
        match rules.iter().find(|(ok, ..)| !ok) {
            Some(&(_, field, range)) => Err(ConfigError { field, range }),
            None => self.turn.as_ref().map_or(Ok(()), |turn| turn.check(self.idle_timeout)),
        }
    }

    /// How often a peer is asked for a heartbeat.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.idle_timeout / 3
    }
}
