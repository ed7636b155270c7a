//! Plans: an experiment as a TOML file. A plan and a seed decide a run down to the last bit.

mod adversary;
mod churn;
mod network;

pub use adversary::{Adversary, Kind};
pub use churn::{Churn, Stay};
pub use network::{Access, CONTROL_MBIT, Latency, Nat, Network, Origin};

use crate::bound::{Class, Mix};
use beacon_sdk::{Config, ConfigError, Profile};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Peers of one plan at most: their keys alone take half a minute to make.
pub const PEERS_MAX: u32 = 1_000_000;

/// One experiment.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Short name, used in tables and file names.
    pub name: String,
    /// What the experiment is to show.
    #[serde(default)]
    pub about: String,
    /// Decides every random choice.
    #[serde(default)]
    pub seed: u64,
    /// Viewers at the start; churn and crowds bring more.
    pub peers: u32,
    /// Seconds before anything is measured.
    #[serde(default = "default_warmup")]
    pub warmup_s: u32,
    /// Seconds that are measured.
    pub measure_s: u32,
    /// The scheduler of every viewer, by name.
    #[serde(default = "default_scheduler")]
    pub scheduler: String,
    /// What every peer thinks of its neighbours by, by name.
    #[serde(default = "default_scorer")]
    pub scorer: String,
    /// What is broadcast.
    #[serde(default)]
    pub stream: Stream,
    /// What differs from the profile's configuration.
    #[serde(default)]
    pub engine: Overrides,
    /// Classes of access links; viewers are spread over them by share.
    #[serde(default = "default_access")]
    pub access: Vec<Access>,
    /// The origin's access link.
    #[serde(default)]
    pub origin: Origin,
    /// The network between them.
    #[serde(default)]
    pub network: Network,
    /// How viewers come and go.
    #[serde(default)]
    pub churn: Churn,
    /// What happens once.
    #[serde(default)]
    pub event: Vec<Event>,
    /// Who does not play by the rules. Where there are any, a report is of the other viewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adversary: Vec<Adversary>,
    /// How finely time is cut: coarser is faster.
    #[serde(default)]
    pub grain: Grain,
}

fn default_warmup() -> u32 {
    20
}
fn default_scheduler() -> String {
    "push-pull".to_owned()
}
fn default_scorer() -> String {
    "mesh".to_owned()
}
fn default_access() -> Vec<Access> {
    vec![Access { share: 1, up: 5.0, down: 100.0, nat: Nat::Open }]
}

/// What is broadcast.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stream {
    /// The profile of DESIGN §7.
    pub profile: Profile,
    /// Video, Mbit/s.
    pub mbit: f64,
    /// Pictures per second.
    pub fps: u32,
    /// Pictures from keyframe to keyframe.
    pub group: u32,
    /// How much larger a keyframe is than the other pictures.
    pub keyframe: f64,
    /// Sound, kbit/s; 0 is none.
    pub audio_kbit: u32,
}

impl Default for Stream {
    fn default() -> Self {
        let profile = Profile::Live;
        Self { profile, mbit: 2.5, fps: 25, group: 50, keyframe: 4.0, audio_kbit: 0 }
    }
}

/// What differs from the profile's [`Config`]; everything not named stays.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// [`Config::segment`] in ms.
    pub segment_ms: Option<u64>,
    /// [`Config::stripes`].
    pub stripes: Option<u8>,
    /// [`Config::repair_percent`].
    pub repair_percent: Option<u8>,
    /// [`Config::push_repair`].
    pub push_repair: Option<bool>,
    /// [`Config::playout`] in ms.
    pub playout_ms: Option<u64>,
    /// [`Config::window`] in ms.
    pub window_ms: Option<u64>,
    /// [`Config::links_target`].
    pub links_target: Option<u16>,
    /// [`Config::links_max`].
    pub links_max: Option<u16>,
    /// [`Config::fanout`].
    pub fanout: Option<u16>,
    /// Whether peers are told what their uplink carries ([`Config::upload_bps`]); true if absent.
    /// Otherwise they find out.
    pub upload_told: Option<bool>,
    /// [`Config::thin`].
    pub thin: Option<bool>,
    /// [`Config::plan_interval`] in ms.
    pub plan_ms: Option<u64>,
    /// [`Config::overdue`] in ms.
    pub overdue_ms: Option<u64>,
    /// [`Config::urgent_percent`].
    pub urgent_percent: Option<u8>,
    /// [`Config::move_pause`] in ms.
    pub move_pause_ms: Option<u64>,
    /// [`Config::settle`] in ms.
    pub settle_ms: Option<u64>,
    /// [`Config::slow`] in ms.
    pub slow_ms: Option<u64>,
    /// [`Config::silence`] in ms.
    pub silence_ms: Option<u64>,
}

/// Something that happens once.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds from the start.
    pub at_s: f64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What may happen.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Percent of the viewers vanish at once.
    Kill(u32),
    /// All viewers whose nearest city is this one vanish at once, and the tracker hears nothing of
    /// it (PlanetLab latency only).
    KillRegion(u32),
    /// Percent of the viewers that the origin is linked with vanish at once.
    KillNext(u32),
    /// So many more viewers come, with exponentially falling rate.
    Crowd {
        /// How many.
        peers: u32,
        /// Time constant, seconds.
        tau_s: f64,
    },
    /// Percent of the viewers leave, spread over the given time.
    Leave {
        /// Percent.
        percent: u32,
        /// Seconds.
        over_s: f64,
    },
    /// From here on the network loses this percentage of frames, as [`Network::loss`].
    Loss(f64),
    /// The network falls apart: percent of the peers, the origin not among them, reach each other
    /// and nobody else for so long.
    Partition {
        /// Percent.
        percent: u32,
        /// Seconds.
        for_s: f64,
    },
}

/// How finely time is cut.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grain {
    /// Symbols that travel as one event between two peers at most; they arrive with the last.
    pub burst: u16,
    /// Timers of one peer are at least this far apart, ms.
    pub timer_ms: u32,
}

impl Default for Grain {
    fn default() -> Self {
        Self { burst: 16, timer_ms: 8 }
    }
}

/// A plan that cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file could not be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// Not a plan.
    #[error("not a plan: {0}: {1}")]
    Parse(PathBuf, Box<toml::de::Error>),
    /// A value outside its range.
    #[error("{field} must be {range}")]
    Range {
        /// The field.
        field: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The engine refuses its configuration.
    #[error("[engine]: {0}")]
    Config(#[from] ConfigError),
    /// No scheduler of that name.
    #[error("no scheduler {0:?}: use one of {1}")]
    Scheduler(String, String),
    /// No scorer of that name.
    #[error("no scorer {0:?}: use one of {1}")]
    Scorer(String, String),
    /// A matrix of delays that is not one.
    #[error("latency matrix {0}: {1}")]
    Matrix(PathBuf, String),
}

impl Event {
    /// Nanoseconds from the start.
    pub(crate) fn at_ns(&self) -> u64 {
        (self.at_s * 1e9) as u64
    }
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// [`PlanError`] with the cause.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path).map_err(|e| PlanError::Read(path.into(), e))?;
        let table =
            toml::from_str(&text).map_err(|e| PlanError::Parse(path.into(), Box::new(e)))?;
        Self::from_table(table, path)
    }

    /// Takes a plan out of what a file holds, and checks it. Files that it names are looked for
    /// beside `path`.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn from_table(table: toml::Table, path: &Path) -> Result<Self, PlanError> {
        let parse = |e| PlanError::Parse(path.into(), Box::new(e));
        let mut plan = Self::deserialize(table).map_err(parse)?;
        if let Latency::Matrix { file } = &mut plan.network.latency
            && file.is_relative()
        {
            *file = path.parent().unwrap_or(Path::new(".")).join(&*file);
        }
        plan.check()?;
        Ok(plan)
    }

    /// A plan from its text; files that it names are looked for in the working folder.
    ///
    /// # Errors
    /// [`PlanError`] with the cause.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let path = Path::new("plan");
        let table = toml::from_str(text).map_err(|e| PlanError::Parse(path.into(), Box::new(e)))?;
        Self::from_table(table, path)
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`PlanError`] naming the field.
    pub fn check(&self) -> Result<(), PlanError> {
        let (stream, network) = (&self.stream, &self.network);
        let rules = [
            ((1..=PEERS_MAX).contains(&self.peers), "peers", "1 to 1000000"),
            (self.warmup_s <= 3600, "warmup_s", "at most 3600"),
            ((1..=86_400).contains(&self.measure_s), "measure_s", "1 to 86400"),
            ((0.01..=100.0).contains(&stream.mbit), "stream.mbit", "0.01 to 100"),
            ((1..=120).contains(&stream.fps), "stream.fps", "1 to 120"),
            ((1..=1200).contains(&stream.group), "stream.group", "1 to 1200"),
            ((1.0..=20.0).contains(&stream.keyframe), "stream.keyframe", "1 to 20"),
            (stream.audio_kbit <= 512, "stream.audio_kbit", "at most 512"),
            (self.access.iter().any(|a| a.share > 0), "access", "at least one class with a share"),
            (
                self.access.iter().all(|a| (0.0..=10_000.0).contains(&a.up)),
                "access.up",
                "0 to 10000",
            ),
            (
                self.access.iter().all(|a| (0.1..=10_000.0).contains(&a.down)),
                "access.down",
                "0.1 to 10000",
            ),
            ((0.1..=100_000.0).contains(&self.origin.up), "origin.up", "0.1 to 100000"),
            ((0.0..=50.0).contains(&network.loss), "network.loss", "0 to 50 percent"),
            ((1.0..=100.0).contains(&network.loss_burst), "network.loss_burst", "1 to 100"),
            ((0.0..=1000.0).contains(&network.jitter_ms), "network.jitter_ms", "0 to 1000"),
            ((1..=10_000).contains(&network.queue_ms), "network.queue_ms", "1 to 10000"),
            (
                self.event.iter().all(|event| match event.what {
                    What::Loss(percent) => (0.0..=50.0).contains(&percent),
                    _ => true,
                }),
                "event.loss",
                "0 to 50 percent",
            ),
            (self.churn.goodbye <= 100, "churn.goodbye", "0 to 100 percent"),
            ((0.0..=3600.0).contains(&self.churn.arrive_s), "churn.arrive_s", "0 to 3600"),
            ((1..=256).contains(&self.grain.burst), "grain.burst", "1 to 256"),
            ((1..=100).contains(&self.grain.timer_ms), "grain.timer_ms", "1 to 100"),
        ];
        if let Some(&(_, field, range)) = rules.iter().find(|(ok, ..)| !ok) {
            return Err(PlanError::Range { field, range });
        }
        if beacon_sdk::policy::scheduler(&self.scheduler, &self.config()).is_none() {
            let known = beacon_sdk::policy::NAMES.join(", ");
            return Err(PlanError::Scheduler(self.scheduler.clone(), known));
        }
        if beacon_sdk::policy::scorer(&self.scorer).is_none() {
            let known = beacon_sdk::policy::SCORERS.join(", ");
            return Err(PlanError::Scorer(self.scorer.clone(), known));
        }
        if self.hostile() > 1.0 {
            return Err(PlanError::Range { field: "adversary.share", range: "at most 1 in all" });
        }
        self.adversary.iter().try_for_each(Adversary::check)?;
        Ok(self.config().check()?)
    }

    /// The part of the viewers that is hostile.
    #[must_use]
    pub fn hostile(&self) -> f64 {
        let viewers = self.adversary.iter().filter(|a| a.kind != Kind::Equivocator);
        viewers.map(|adversary| adversary.share).sum()
    }

    /// The uplinks that viewers give, as a mix.
    #[must_use]
    pub fn mix(&self) -> Mix {
        let class = |a: &Access| Class { share: f64::from(a.share), upload: a.up * 1e6 };
        Mix::new(&self.access.iter().map(class).collect::<Vec<_>>())
    }

    /// Bits per second of picture and sound.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.stream.mbit * 1e6 + f64::from(self.stream.audio_kbit) * 1e3
    }

    /// Mean uplink of viewers over the stream's rate.
    #[must_use]
    pub fn supply(&self) -> f64 {
        self.mix().mean() / self.rate()
    }

    /// Scales the uplinks of all viewers, so that [`Plan::supply`] is `ratio`; nothing happens
    /// when nobody gives anything.
    pub fn scale_supply(&mut self, ratio: f64) {
        let now = self.supply();
        if now > 0.0 {
            self.access.iter_mut().for_each(|class| class.up *= ratio / now);
        }
    }

    /// The configuration that all peers start from.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = self.stream.profile.config();
        let engine = &self.engine;
        let ms = |value: Option<u64>, field: &mut Duration| {
            if let Some(value) = value {
                *field = Duration::from_millis(value);
            }
        };
        ms(engine.segment_ms, &mut config.segment);
        ms(engine.playout_ms, &mut config.playout);
        ms(engine.window_ms, &mut config.window);
        ms(engine.plan_ms, &mut config.plan_interval);
        ms(engine.overdue_ms, &mut config.overdue);
        ms(engine.move_pause_ms, &mut config.move_pause);
        ms(engine.settle_ms, &mut config.settle);
        ms(engine.slow_ms, &mut config.slow);
        ms(engine.silence_ms, &mut config.silence);
        config.urgent_percent = engine.urgent_percent.unwrap_or(config.urgent_percent);
        config.stripes = engine.stripes.unwrap_or(config.stripes);
        config.repair_percent = engine.repair_percent.unwrap_or(config.repair_percent);
        config.push_repair = engine.push_repair.unwrap_or(config.push_repair);
        config.thin = engine.thin.unwrap_or(config.thin);
        config.links_target = engine.links_target.unwrap_or(config.links_target);
        config.links_max = engine.links_max.unwrap_or(config.links_max);
        config.fanout = engine.fanout.unwrap_or(config.fanout);
        config
    }

    /// The origin's configuration.
    #[must_use]
    pub fn origin_config(&self) -> Config {
        let mut config = self.config();
        config.links_max = self.origin.links.unwrap_or(config.links_max);
        config.links_target = config.links_target.min(config.links_max);
        config.upload_bps = self.told(self.origin.up);
        config
    }

    /// The configuration of a viewer with this access link.
    #[must_use]
    pub fn viewer_config(&self, access: &Access) -> Config {
        let mut config = self.config();
        config.upload_bps = self.told(access.up);
        config
    }

    /// What of an uplink is left for symbols, bit/s: the rest is packet overhead and control. Who
    /// gives nothing knows that, told or not.
    fn told(&self, mbit: f64) -> Option<u64> {
        let tell = self.engine.upload_told.unwrap_or(true) || mbit == 0.0;
        tell.then_some((mbit * 1e6 * 0.9) as u64)
    }
}
