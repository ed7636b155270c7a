//! Every number the engine goes by, with its range, its cost and where it comes from.

use crate::media::Choice;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Stripes at most, not counting the repair stripe.
pub const STRIPES_MAX: u8 = 16;
/// Hops a stripe may take from the origin (DESIGN §6).
pub const DEPTH_MAX: u8 = 7;
/// Stripe subscriptions that a peer serves at most, whatever its uplink: beyond that no weight
/// (SPEC.md, "Slots") tells peers apart.
pub const SLOTS_MAX: u16 = 240;

/// How a peer behaves. Start from a [`Profile`], change what must differ, let [`Config::check`]
/// tell what does not fit together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// Length of a segment at the origin. Shorter: less delay at the source, more manifests
    /// (about 300 bytes each). 20 ms–4 s. 250 ms live: p95 1.0 s; 500 ms has 1.5 s, 125 ms .7 s and
    /// .8 % more control (`plans/tuning/live-segment.toml`, seeds 1 and 2). 100 ms low latency
    /// (`plans/tuning/low-latency-segment.toml`, seeds 1 to 3: p95 372 ms; 50 ms has 304, 200 ms
    /// 502).
    pub segment: Duration,
    /// Stripes a broadcast is pushed in, 1–[`STRIPES_MAX`]; chosen by the origin, told in the
    /// description. 8: with 4 or 12 the p95 is a quarter to a third longer
    /// (`plans/tuning/live-stripes.toml`, seeds 1 and 2), and at 10 % loss a far link does not
    /// carry a fourth of a stream (`plans/low-latency-500-loss.toml`).
    pub stripes: u8,
    /// Repair symbols the origin commits to, in percent of the source symbols, 0–100.
    /// 10 live, 25 low latency (theory.md §2.4; fec_auth.md §0); live, 0 to 20 make no difference
    /// beyond chance (`plans/tuning/live-repair.toml`, seeds 1 and 2).
    pub repair_percent: u8,
    /// Subscribe to the repair stripe as well. Low latency does: p95 372 instead of 461 ms, twice
    /// the duplicates (`plans/tuning/low-latency-push-repair.toml`, seeds 1 to 3).
    pub push_repair: bool,
    /// From capture to the moment a missing segment is given up and told as a gap.
    pub playout: Duration,
    /// How much of the past is kept for others. Memory: this times the bit rate.
    pub window: Duration,
    /// Links this peer keeps open of its own accord. 8: 6 to 12 make no difference beyond chance
    /// (`plans/tuning/live-links.toml`, seeds 1 and 2; `low-latency-links.toml`, 1 to 3).
    pub links_target: u16,
    /// Links this peer has at most; a further comer is told [`CloseReason::Full`].
    ///
    /// [`CloseReason::Full`]: crate::CloseReason::Full
    pub links_max: u16,
    /// Children per stripe at the origin: 3–4 is within one slot of optimal (theory.md §1.2); 6 has
    /// a third more p95, for weak peers stay near it (`plans/tuning/live-fanout.toml`, seeds 1
    /// and 2).
    pub fanout: u16,
    /// Stripe subscriptions that a viewer without an upload limit believes it can serve before it
    /// knows, 0 to [`SLOTS_MAX`]; then as many as its uplink is found to carry; with 0 it never takes
    /// children. Half of them go to its home stripe, in which it is interior; the rest is spread over the other stripes. (Guess:
    /// twice the stream.)
    pub push_slots: u16,
    /// Upload limit in bits per second over all links, symbols only; `None` is what the links carry.
    /// With a limit, as many subscriptions are served as fit into it.
    pub upload_bps: Option<u64>,
    /// At the origin: leave out part of the pictures while the uplinks of all peers together do not
    /// carry the stream (SPEC.md, "Census"). Without it nobody gets anything then
    /// (`plans/scarce.toml`, seeds 1 to 3).
    pub thin: bool,
    /// How often the scheduler is asked while something is missing. 50 ms live: 25 to 100 make no
    /// difference beyond chance (`plans/tuning/live-plan.toml`, seeds 1 and 2).
    pub plan_interval: Duration,
    /// How long a parent may be late with a symbol before others are asked for it. 400 ms live: 200
    /// to 800 make no difference beyond chance, but in control: 5.1 to 4.3 %
    /// (`plans/tuning/live-overdue.toml`, seeds 1 and 2). 60 ms low latency: 120 ms loses .3 % more
    /// (`plans/tuning/low-latency-overdue.toml`, seeds 1 to 3).
    pub overdue: Duration,
    /// Share of requests that may go to what is due within three eighths of `playout`, in percent,
    /// 0–100; one symbol always may. Urgency must stay a bounded lane: when it dominates, everything
    /// becomes late (theory.md §2.2 E). 10: 0 to 100 make no difference beyond chance
    /// (`plans/tuning/live-urgent.toml`, seeds 1 and 2; `scarce-urgent.toml`, 1 to 5).
    pub urgent_percent: u8,
    /// Mean time between moves to other parents that nothing but a shorter or faster way calls for.
    /// 300 ms (`plans/tuning/live-move-pause.toml`, seeds 1 and 2); in `plans/live-1000.toml` with 250
    /// peers 150 or 800 ms have a p95 of 1.50 or 1.74 s instead of 1.53.
    pub move_pause: Duration,
    /// A parent is not left for being slow before it has been seen for so long: the first segments
    /// after a change always come late. 800 ms (`plans/tuning/live-settle.toml`, seeds 1 and 2); in
    /// `plans/live-1000.toml` with 250 peers 400 or 2000 ms have a p95 of 1.57 s instead of 1.53.
    pub settle: Duration,
    /// A stripe this much slower than half as long again as the others usually take has a bad parent.
    /// 100 ms: with 50 or 250 ms 48 or 35 new parents per minute instead of 40, and no difference
    /// beyond chance in delay (`plans/tuning/live-slow.toml`, seeds 1 and 2).
    pub slow: Duration,
    /// A link that is silent for this long is lost. One that is quiet is pinged at a quarter of
    /// it, another one as often as this, for its round trip.
    pub silence: Duration,
    /// Which tracks a viewer takes, plays and passes on.
    pub choice: Choice,
}

/// The ready-made settings of DESIGN §7.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Large audiences: 250 ms segments, 4 s to playout.
    #[default]
    Live,
    /// Interactive: 100 ms segments, 0.8 s to playout, a repair stripe.
    LowLatency,
    /// As low latency with a shorter memory, for sessions that leave nothing behind.
    Ephemeral,
}

impl core::str::FromStr for Profile {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "live" => Ok(Self::Live),
            "low-latency" => Ok(Self::LowLatency),
            "ephemeral" => Ok(Self::Ephemeral),
            _ => Err(ConfigError::Profile(text.to_owned())),
        }
    }
}

/// Settings that contradict each other or are out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value outside its documented range.
    #[error("{field} must be {range}")]
    Range {
        /// The field.
        field: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// No profile of that name.
    #[error("no profile {0:?}: use live, low-latency or ephemeral")]
    Profile(String),
}

impl Default for Config {
    fn default() -> Self {
        Profile::Live.config()
    }
}

impl Profile {
    /// The settings of this profile.
    #[must_use]
    pub fn config(self) -> Config {
        let ms = Duration::from_millis;
        let live = Config {
            segment: ms(250),
            stripes: 8,
            repair_percent: 10,
            push_repair: false,
            playout: ms(4000),
            window: ms(12_000),
            links_target: 8,
            links_max: 24,
            fanout: 4,
            push_slots: 16,
            upload_bps: None,
            thin: true,
            plan_interval: ms(50),
            overdue: ms(400),
            urgent_percent: 10,
            move_pause: ms(300),
            settle: ms(800),
            slow: ms(100),
            silence: ms(3000),
            choice: Choice::default(),
        };
        let low = Config {
            segment: ms(100),
            stripes: 8,
            repair_percent: 25,
            push_repair: true,
            playout: ms(800),
            window: ms(4000),
            plan_interval: ms(20),
            overdue: ms(60),
            silence: ms(1500),
            push_slots: 20,
            ..live.clone()
        };
        match self {
            Self::Live => live,
            Self::LowLatency => low,
            Self::Ephemeral => Config { playout: ms(2000), ..low },
        }
    }
}

impl Config {
    /// Checks ranges and relations.
    ///
    /// # Errors
    /// [`ConfigError::Range`] naming the field and what it may be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis;
        let rules = [
            ((ms(20)..=ms(4000)).contains(&self.segment), "segment", "20 ms to 4 s"),
            ((1..=STRIPES_MAX).contains(&self.stripes), "stripes", "1 to 16"),
            (self.repair_percent <= 100, "repair_percent", "0 to 100"),
            (
                self.playout >= self.segment && self.playout <= ms(60_000),
                "playout",
                "at least one segment, at most 60 s",
            ),
            (
                self.window >= self.playout && self.window <= ms(120_000),
                "window",
                "at least the playout time, at most 120 s",
            ),
            (
                (1..=256).contains(&self.links_max) && self.links_target <= self.links_max,
                "links_max",
                "1 to 256 and at least links_target",
            ),
            ((ms(5)..=ms(1000)).contains(&self.plan_interval), "plan_interval", "5 ms to 1 s"),
            (self.urgent_percent <= 100, "urgent_percent", "0 to 100"),
            (self.move_pause <= ms(60_000), "move_pause", "at most 60 s"),
            (self.settle <= ms(60_000), "settle", "at most 60 s"),
            (self.slow <= ms(60_000), "slow", "at most 60 s"),
            (self.silence >= ms(500), "silence", "at least 500 ms"),
        ];
        match rules.iter().find(|(ok, ..)| !ok) {
            Some(&(_, field, range)) => Err(ConfigError::Range { field, range }),
            None => Ok(()),
        }
    }
}
