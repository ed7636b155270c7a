//! Hostile viewers: how many, what they do, and from when on.

use super::PlanError;
use serde::{Deserialize, Serialize};

/// A part of the viewers that does not play by the rules. Each runs the real engine; what it sends and
/// tells is altered, held back or added to on the way out. Which viewers they are is the same whatever
/// they do, so that a run can be compared with one in which they do nothing.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Adversary {
    /// What they do.
    pub kind: Kind,
    /// Their part of all viewers, 0 to 1; of the origin's neighbours for [`Kind::Equivocator`].
    pub share: f64,
    /// Seconds from the start until they begin; before that they are as good as any.
    #[serde(default)]
    pub from_s: f64,
    /// They stop and begin again, for so many seconds each; absent is without a pause.
    pub period_s: Option<f64>,
    /// Part of symbols that a polluter falsifies, or of what a stingy or selective one does not pass
    /// on; 1 (stingy: one half) if absent.
    pub part: Option<f64>,
    /// How much later than it could a delayer sends symbols, ms; 400 if absent.
    pub delay_ms: Option<u32>,
    /// Frames a second to each neighbour of those that flood; 100 if absent.
    pub per_s: Option<u32>,
    /// Their uplink, Mbit/s, in place of their access class's.
    pub up: Option<f64>,
    /// One that has lost half of the neighbours it had comes back under a new identity.
    #[serde(default)]
    pub returns: bool,
}

/// What an adversary does.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing: what the others are compared with.
    Honest,
    /// Passes on symbols that are false.
    Polluter,
    /// Takes and gives nothing, and says so: it has no slots.
    FreeRider,
    /// Takes children and sends them nothing.
    Shirker,
    /// Passes on a part of the symbols.
    Stingy,
    /// Passes symbols on late, and does not say when it has.
    Delayer,
    /// Keeps one stripe from half of its children.
    Selective,
    /// Says that it holds what it does not, and does not answer who asks for it.
    FalseHave,
    /// Asks every neighbour for everything, over and over.
    Flooder,
    /// Takes links and reads nothing from them.
    Loris,
    /// Says that it has thousands of slots right beside the origin.
    SlotLiar,
    /// Tells the tracker and everybody that it is the best of parents, names only its like, and sends
    /// nothing.
    Sybil,
    /// Sends old manifests over and over.
    Replayer,
    /// The origin signs two manifests for each segment and shows a part of its neighbours the other
    /// one.
    Equivocator,
}

impl Adversary {
    /// Symbols that are falsified or held back, of all.
    pub(crate) fn part(&self) -> f64 {
        self.part.unwrap_or(if self.kind == Kind::Stingy { 0.5 } else { 1.0 })
    }

    pub(crate) fn delay_ns(&self) -> u64 {
        u64::from(self.delay_ms.unwrap_or(400)) * 1_000_000
    }

    pub(crate) fn per_s(&self) -> u32 {
        self.per_s.unwrap_or(100)
    }

    /// Whether it is up to something at this time, ns.
    pub(crate) fn active(&self, now: u64) -> bool {
        let Some(past) = now.checked_sub((self.from_s * 1e9) as u64) else { return false };
        let period = self.period_s.map(|seconds| ((seconds * 1e9) as u64).max(1));
        self.kind != Kind::Honest && period.is_none_or(|period| past / period % 2 == 0)
    }

    pub(super) fn check(&self) -> Result<(), PlanError> {
        let only = |set: bool, kinds: &[Kind]| !set || kinds.contains(&self.kind);
        let rules = [
            ((0.0..=1.0).contains(&self.share), "adversary.share", "0 to 1"),
            ((0.0..=1e6).contains(&self.from_s), "adversary.from_s", "0 to 1000000"),
            (
                self.period_s.is_none_or(|s| (0.1..=3600.0).contains(&s)),
                "adversary.period_s",
                "0.1 to 3600",
            ),
            (self.part.is_none_or(|part| (0.0..=1.0).contains(&part)), "adversary.part", "0 to 1"),
            (
                only(self.part.is_some(), &[Kind::Polluter, Kind::Stingy, Kind::Selective]),
                "adversary.part",
                "absent but for polluter, stingy and selective",
            ),
            (
                only(self.delay_ms.is_some(), &[Kind::Delayer]),
                "adversary.delay_ms",
                "absent but for delayer",
            ),
            (self.delay_ms.is_none_or(|ms| ms <= 60_000), "adversary.delay_ms", "at most 60000"),
            (
                only(self.per_s.is_some(), &[Kind::Flooder, Kind::Replayer, Kind::FalseHave]),
                "adversary.per_s",
                "absent but for flooder, replayer and false-have",
            ),
            (self.per_s.is_none_or(|n| (1..=10_000).contains(&n)), "adversary.per_s", "1 to 10000"),
            (
                self.up.is_none_or(|up| (0.01..=10_000.0).contains(&up)),
                "adversary.up",
                "0.01 to 10000",
            ),
        ];
        match rules.iter().find(|(ok, ..)| !ok) {
            Some(&(_, field, range)) => Err(PlanError::Range { field, range }),
            None => Ok(()),
        }
    }
}
