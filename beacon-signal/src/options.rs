//! The command line of the server.

use crate::commands::Command;
use beacon_ledger::Micro;
use beacon_signal::token::TokenKey;
use beacon_signal::{
    ClusterConfig, Config, Effort, IpNet, LedgerConfig, NetworkLimits, Operator, OperatorError,
    TurnConfig,
};
use clap::{Parser, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The signaling server of Beacon: peers of a broadcast find each other here.
///
/// Broadcasters and viewers are started with `--signal ws://HOST:PORT`. Media never passes
/// through this server; what it knows is in memory and gone when it stops, or with --redis shared with
/// other nodes.
#[derive(Parser, Debug)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Address and port to listen on. Use 0.0.0.0:3001 or [::]:3001 to be reached by others, and
    /// port 0 for a free one. TLS (wss://) is the business of a proxy before it.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3001")]
    pub(crate) listen: SocketAddr,
    /// Serves pages to find and watch broadcasts on from this folder: beacon-web/dist, which
    /// `cargo xtask web` builds.
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
    /// Keeps and serves nothing of what peers tell of their links and counters: no dashboard.
    #[arg(long)]
    no_mesh: bool,
    /// Reads settings from this TOML file, which has the names of these flags: rate = 100. A flag counts
    /// before the environment, that before the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints what counts and where it comes from, as such a file, and ends.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// What the log on standard error looks like: lines for people, or one JSON object to a line.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// When it is stopped, nobody is let in and peers are told to go, spread over so many seconds; a
    /// second signal ends it at once. 0 tells all at once.
    #[arg(long, value_name = "SECS", default_value_t = 5)]
    drain_seconds: u64,
    // Each with a heading, which would hold for those after it.
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    admission: Admission,
    #[command(flatten)]
    nodes: Nodes,
    #[command(flatten)]
    turn: Turn,
    #[command(flatten)]
    ledger: Ledger,
}

/// What the log looks like.
#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How much there may be.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "How much there may be")]
struct Limits {
    /// Connections at most; each needs an open file (see `ulimit -n`).
    #[arg(long, value_name = "N", default_value_t = Config::default().connections_max)]
    connections_max: usize,
    /// Broadcasts at most.
    #[arg(long, value_name = "N", default_value_t = Config::default().rooms_max)]
    rooms_max: usize,
    /// Peers of one broadcast at most.
    #[arg(long, value_name = "N", default_value_t = Config::default().peers_max)]
    peers_max: usize,
    /// Seconds of silence after which a peer is gone; heartbeats come three times as often.
    #[arg(long, value_name = "SECS", default_value_t = Config::default().idle_timeout.as_secs())]
    idle_timeout: u64,
    /// Messages per second read from one connection; what is more waits.
    #[arg(long, value_name = "N", default_value_t = Config::default().rate)]
    rate: u32,
    /// Messages read from one connection at once before the rate applies.
    #[arg(long, value_name = "N", default_value_t = Config::default().burst)]
    burst: u32,
    /// Messages that wait for one connection; a reader that is further behind is dropped.
    #[arg(long, value_name = "N", default_value_t = Config::default().queue_max)]
    queue_max: usize,
}

/// Several servers with the same rooms.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Several nodes")]
struct Nodes {
    /// Shares the rooms with other servers, its nodes, through Redis 7 or later: redis://HOST:PORT,
    /// redis://:PASSWORD@HOST/DATABASE or unix:///PATH. Give all nodes the same limits and the same ledger. Without it
    /// the rooms are in memory.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// What this node is called in Redis and in logs; at random by default.
    #[arg(long, value_name = "NAME", requires = "redis")]
    node: Option<String>,
}

/// A relay for peers that cannot reach each other.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "TURN, for peers that cannot reach each other")]
struct Turn {
    /// Gives every peer leave to use the TURN server at this address, for some time: turn:HOST:3478?transport=udp, or
    /// for browsers alone turns:HOST:5349?transport=tcp. It must know the same secret (coturn: use-auth-secret).
    /// May be repeated for up to 4 addresses of one server.
    #[arg(long = "turn", value_name = "URL", value_delimiter = ',')]
    turn: Vec<String>,
    /// File with the secret, which may also be in the environment variable BEACON_TURN_SECRET. No flag takes it: command
    /// lines are for all to see.
    #[arg(long, value_name = "FILE", requires = "turn")]
    turn_secret_file: Option<PathBuf>,
    /// Seconds that leave lasts; peers that stay get another when half of it is over.
    #[arg(long, value_name = "SECS", default_value_t = 3600, requires = "turn")]
    turn_ttl: u64,
}

/// Who carries the stream earns by it.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "The ledger")]
struct Ledger {
    /// Pays relays from these accounts: sqlite:FILE, postgres://USER@HOST/DATABASE, or memory, which
    /// is gone with the process. Peers sign for what they receive, and claim what they carried.
    #[arg(long, value_name = "ADDRESS")]
    ledger: Option<String>,
    /// File of the key that edges are signed by, made if it is not there: FILE.key beside SQLite's
    /// file by default. Servers with the same accounts need the same key.
    #[arg(long, value_name = "FILE", requires = "ledger")]
    ledger_key: Option<PathBuf>,
    /// Credits made for the pool of every publisher that comes, once; its relays are paid from it.
    #[arg(long, value_name = "CREDITS", default_value = "0", requires = "ledger")]
    grant: Micro,
    /// What a receipt is worth goes to the relay and the broadcaster by these weights.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "ledger")]
    relay_weight: u32,
    /// The broadcaster's weight beside that; with 0 the relay gets all. A broadcaster may divide its share: see
    /// `beacon-signal split`.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "ledger")]
    broadcaster_weight: u32,
    /// Viewers pay for what they receive as far as they can, and the pool the rest.
    #[arg(long, requires = "ledger")]
    viewers_pay: bool,
    /// File with the secret of whoever runs the server, who may read every account over HTTP (`Authorization: Bearer
    /// SECRET`); it may also be in the environment variable BEACON_OPERATOR_SECRET.
    #[arg(long, value_name = "FILE", requires = "ledger")]
    operator_secret_file: Option<PathBuf>,
    /// What a peer earns in its first so many seconds can be spent when they are over.
    #[arg(long, value_name = "SECS", default_value_t = 86_400, requires = "ledger")]
    vest: u64,
}

/// Who is let in.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Who is let in")]
struct Admission {
    /// Connections from one network that are open at once: an IPv4 address, or a /56 of IPv6. This
    /// machine is no network.
    #[arg(long, value_name = "N", default_value_t = NetworkLimits::default().connections)]
    network_connections: u32,
    /// Joins per second from one network in the long run.
    #[arg(long, value_name = "N", default_value_t = NetworkLimits::default().rate)]
    network_rate: u32,
    /// Joins from one network at once before the rate applies.
    #[arg(long, value_name = "N", default_value_t = NetworkLimits::default().burst)]
    network_burst: u32,
    /// Requests for pages and /api per second from one network in the long run, and 50 times as many at once.
    #[arg(long, value_name = "N", default_value_t = NetworkLimits::default().requests)]
    network_requests: u32,
    /// A proxy that is believed when it says in X-Forwarded-For where a request comes from: an
    /// address, or a network as in 10.0.0.0/8. May be repeated.
    #[arg(long = "trusted-proxy", value_name = "NET", value_parser = network, value_delimiter = ',')]
    trusted_proxies: Vec<IpNet>,
    /// Lets in only who brings a token that this key has signed: k4.public.…, as
    /// `beacon-signal token --key FILE` prints it. May be repeated, to change keys.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    tokens: Vec<TokenKey>,
    /// Lets in who brings no token as well: a token then spares its bearer the --work.
    #[arg(long, requires = "tokens")]
    tokens_optional: bool,
    /// Work that strangers, who bring no token, do before they are let in: some tries on average of
    /// 2 MiB and 2 ms each, 1 to 1024; or off. With auto nothing while few come, and up to 128 the more come: of all,
    /// or from the same network. Our programs and pages do it by themselves.
    #[arg(long, value_name = "auto|off|N", default_value_t = Config::default().work)]
    work: Effort,
    /// So many strangers a second are few, from all networks together in the long run, and 100 times as many
    /// at once: --work auto asks for nothing while half of that is left.
    #[arg(long, value_name = "N", default_value_t = Config::default().strangers_rate)]
    strangers_rate: u32,
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse().ok().map(|address: IpAddr| IpNet::from(address));
    let cure = "use an address, or a network as in 10.0.0.0/8";
    text.parse().ok().or_else(one).ok_or_else(|| format!("{text:?} is no network: {cure}"))
}

const AFTER_HELP: &str = "\
Pages:
  /healthz      200 while it runs
  /readyz       200 while it lets peers in, 503 while it stops
  /metrics      numbers for Prometheus
  /api/streams  the broadcasts whose origin is here, as JSON, with title, category, tags, viewers and age;
                /api/streams/NAME/thumbnail is the picture of one, /api/streams/NAME/mesh how its mesh does
  /api/ledger   with --ledger: the issuer's key, and the rate
  /api/accounts/ID and /api/accounts/ID/statement
                with --ledger: what a peer has, and why, for its owner and the operator
  /api/tip      with --ledger, by POST: gives credits to others, signed by the giver; /api/deposit fills a
                pool, /api/split divides a broadcaster's share, /api/fork shows a proof of fraud
  /api/openapi.json
                all of /api, for programs
  /             with --pages: what is live; /watch?name=NAME plays it

Environment:
  BEACON_…      each flag: BEACON_LISTEN, BEACON_TRUSTED_PROXY with commas between several, BEACON_NO_MESH=true
  BEACON_TURN_SECRET
                the secret of --turn, if there is no --turn-secret-file
  BEACON_OPERATOR_SECRET
                the operator's, if there is no --operator-secret-file
  RUST_LOG      what is logged to standard error: error, warn, info (default), debug;
                or per module, as in beacon_signal=debug

Exit codes: 0 stopped by SIGINT or SIGTERM, 1 failed or stopped by a second signal, 2 bad usage

Example:
  beacon-signal --listen 127.0.0.1:3001
  beacon-signal --ledger sqlite:credits.db --grant 1000
  beacon-signal --redis redis://127.0.0.1:6379 --node a
  beacon-signal --config /etc/beacon/signal.toml --log-format json
  beacon-signal --turn turn:turn.example.org:3478?transport=udp --turn-secret-file turn.secret
  beacon-signal statement --ledger sqlite:credits.db ID
  beacon-signal statement --server ws://127.0.0.1:3001 --identity viewer.key
  beacon-signal order ws://127.0.0.1:3001 launch ban 0a1b2c3d --identity broadcaster.key
  beacon-signal --tokens \"$(beacon-signal token --key gate.key)\"
  beacon-signal token --key gate.key launch --identity viewer.key
  beacon-signal tip ws://127.0.0.1:3001 0.5 ID --identity viewer.key
  beacon-signal deposit ws://127.0.0.1:3001 100 PUBLISHER --identity sponsor.key
  beacon-signal split ws://127.0.0.1:3001 ID=60 ID=40 --identity broadcaster.key
  broadcaster --signal ws://127.0.0.1:3001 --name launch --source test
  viewer --signal ws://127.0.0.1:3001 --name launch --sink http:127.0.0.1:8080";

/// A secret that the settings name cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("{flag} {}: {source}; name a file that this user may read", .file.display())]
    Read { flag: &'static str, file: PathBuf, source: std::io::Error },
    #[error("--operator-secret-file: {0}")]
    Operator(#[from] OperatorError),
    #[error(
        "--turn needs the secret of the TURN server: name its file by --turn-secret-file, or set BEACON_TURN_SECRET"
    )]
    Missing,
}

fn read_secret(flag: &'static str, file: &Path) -> Result<String, SecretError> {
    std::fs::read_to_string(file).map_err(|source| SecretError::Read {
        flag,
        file: file.to_owned(),
        source,
    })
}

impl Ledger {
    fn config(&self) -> Option<LedgerConfig> {
        let mut ledger = LedgerConfig::new(self.ledger.clone()?);
        ledger.key.clone_from(&self.ledger_key);
        (ledger.grant, ledger.vest) = (self.grant, Duration::from_secs(self.vest));
        ledger.relay_weight = self.relay_weight;
        ledger.broadcaster_weight = self.broadcaster_weight;
        ledger.viewers_pay = self.viewers_pay;
        Some(ledger)
    }

    fn operator(&self) -> Result<Option<Operator>, SecretError> {
        let secret = match &self.operator_secret_file {
            Some(file) => Some(read_secret("--operator-secret-file", file)?),
            None => std::env::var("BEACON_OPERATOR_SECRET").ok(),
        };
        Ok(secret.map(|secret| Operator::new(&secret)).transpose()?)
    }
}

impl Turn {
    fn config(&self) -> Result<Option<TurnConfig>, SecretError> {
        if self.turn.is_empty() {
            return Ok(None);
        }
        let secret = match &self.turn_secret_file {
            Some(file) => read_secret("--turn-secret-file", file)?,
            None => std::env::var("BEACON_TURN_SECRET").map_err(|_| SecretError::Missing)?,
        };
        let mut turn = TurnConfig::new(self.turn.clone(), secret.trim());
        turn.ttl = Duration::from_secs(self.turn_ttl);
        Ok(Some(turn))
    }
}

impl Args {
    pub(crate) fn config(&self) -> Result<Config, SecretError> {
        let mut config = Config::default();
        let Limits { connections_max, rooms_max, peers_max, idle_timeout, rate, burst, queue_max } =
            self.limits;
        (config.connections_max, config.rooms_max) = (connections_max, rooms_max);
        (config.peers_max, config.queue_max) = (peers_max, queue_max);
        config.idle_timeout = Duration::from_secs(idle_timeout);
        (config.rate, config.burst) = (rate, burst);
        config.drain = Duration::from_secs(self.drain_seconds);
        let Admission {
            network_connections, network_rate, network_burst, network_requests, ..
        } = self.admission;
        config.network = NetworkLimits {
            connections: network_connections,
            rate: network_rate,
            burst: network_burst,
            requests: network_requests,
        };
        config.trusted_proxies.clone_from(&self.admission.trusted_proxies);
        config.tokens.clone_from(&self.admission.tokens);
        config.tokens_optional = self.admission.tokens_optional;
        config.work = self.admission.work;
        config.strangers_rate = self.admission.strangers_rate;
        config.pages.clone_from(&self.pages);
        config.mesh = !self.no_mesh;
        config.turn = self.turn.config()?;
        config.cluster = self.nodes.redis.as_ref().map(|redis| {
            let mut cluster = ClusterConfig::new(redis.clone());
            cluster.node.clone_from(&self.nodes.node);
            cluster
        });
        config.ledger = self.ledger.config();
        config.operator = self.ledger.operator()?;
        Ok(config)
    }
}
