//! R5: rich and poor viewers that come and go, and whether all can be served (Kumar, Liu, Ross).

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use beacon_sdk::Rng;

use super::check::{Band, Check};
use super::sampling::unit;
use crate::bound::TwoClasses;

/// Ticks of the integer clock in a mean lifetime.
const LIFETIME: u64 = 1 << 32;

/// How the time a viewer stays is distributed, with a mean of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetimes {
    /// Exponential.
    Exponential,
    /// Weibull with a shape of one half: many leave at once, few stay very long.
    Weibull,
}

impl Lifetimes {
    fn draw(self, rng: &mut Rng) -> u64 {
        let exponential = -unit(rng).ln();
        let lifetime = match self {
            Self::Exponential => exponential,
            // Scale × (−ln u)^(1/shape), and the mean is scale × Γ(1 + 1/shape) = 2 × scale.
            Self::Weibull => 0.5 * exponential * exponential,
        };
        (lifetime * LIFETIME as f64) as u64
    }
}

/// A swarm of two classes whose viewers arrive at random. Build it with a literal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Population {
    /// The uplinks, in units of the stream's rate.
    pub classes: TwoClasses,
    /// Mean number of rich viewers.
    pub rich: f64,
    /// Mean number of poor viewers.
    pub poor: f64,
    /// How long they stay.
    pub lifetimes: Lifetimes,
    /// What a viewer can play from its buffer, in mean lifetimes.
    pub buffer: f64,
    /// How long the swarm is observed, in mean lifetimes; a tenth as long runs before.
    pub observed: f64,
}

/// How well a [`Population`] was served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    /// The share of time in which the supply covers the demand of all.
    pub universal: f64,
    /// The share of time in which all play, from the supply or from their buffers, when the
    /// buffers fill and drain alike.
    pub smooth: f64,
}

impl Population {
    /// Runs the swarm from empty.
    #[must_use]
    pub fn run(&self, seed: [u8; 32]) -> Service {
        let mut rng = Rng::new(seed, 0);
        let ticks = |lifetimes: f64| (lifetimes * LIFETIME as f64) as u64;
        let start = ticks(self.observed / 10.0);
        let end = start + ticks(self.observed);
        let total = self.rich + self.poor;
        let mut state = State::default();
        let mut leaving: BinaryHeap<Reverse<(u64, bool)>> = BinaryHeap::new();
        let mut arrival = 0;
        let mut now = 0;
        while now < end {
            let departure = leaving.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let next = arrival.min(departure).min(end);
            state.pass(self, now.max(start), next.max(start));
            now = next;
            if now == departure {
                if let Some(Reverse((_, rich))) = leaving.pop() {
                    *state.count(rich) -= 1;
                }
            } else if now == arrival {
                let rich = unit(&mut rng) * total < self.rich;
                *state.count(rich) += 1;
                leaving.push(Reverse((now + self.lifetimes.draw(&mut rng), rich)));
                arrival = now + (-unit(&mut rng).ln() / total * LIFETIME as f64) as u64;
            }
        }
        let share = |part: f64| part / (end - start) as f64;
        Service { universal: share(state.universal), smooth: share(state.smooth) }
    }
}

/// Who is there, and what was seen so far.
#[derive(Default)]
struct State {
    rich: u32,
    poor: u32,
    /// What the buffers hold, in ticks.
    buffered: f64,
    universal: f64,
    smooth: f64,
}

impl State {
    fn count(&mut self, rich: bool) -> &mut u32 {
        if rich { &mut self.rich } else { &mut self.poor }
    }

    /// Time passes, in ticks, with the viewers there are.
    fn pass(&mut self, swarm: &Population, from: u64, to: u64) {
        let passed = (to - from) as f64;
        if self.rich + self.poor == 0 || swarm.classes.serves(self.rich, self.poor) {
            self.universal += passed;
        }
        let change = self.rate(swarm.classes) - 1.0;
        if change >= 0.0 {
            self.smooth += passed;
        } else {
            self.smooth += passed.min(self.buffered / -change);
        }
        let full = swarm.buffer * LIFETIME as f64;
        self.buffered = (self.buffered + change * passed).clamp(0.0, full);
    }

    /// The fluid bound on what each viewer can receive, in units of the stream's rate.
    fn rate(&self, classes: TwoClasses) -> f64 {
        let viewers = f64::from(self.rich + self.poor);
        let uploads = f64::from(self.rich) * classes.rich + f64::from(self.poor) * classes.poor;
        if viewers == 0.0 {
            classes.source
        } else {
            classes.source.min((classes.source + uploads) / viewers)
        }
    }
}

/// R5: the S-curve of the theory notes §1.1 from arrivals and departures, for two distributions of
/// lifetimes, and what a buffer adds.
pub(super) fn experiment(seed: [u8; 32]) -> Vec<Check> {
    let classes = TwoClasses { source: 10.0, rich: 7.0, poor: 0.1 };
    let mut checks = Vec::new();
    for (poor, lifetimes, observed) in [
        (100.0, Lifetimes::Exponential, 6000.0),
        (100.0, Lifetimes::Weibull, 12_000.0),
        (1000.0, Lifetimes::Exponential, 3000.0),
    ] {
        for ratio in [0.8, 1.0, 1.2] {
            let rich = ratio * classes.critical_ratio() * poor;
            let swarm = Population { classes, rich, poor, lifetimes, buffer: 0.1, observed };
            let service = swarm.run(seed);
            let name =
                format!("universal streaming, {poor} poor, {ratio} × critical, {lifetimes:?}");
            let target = classes.universal(rich, poor);
            checks.push(Check::new(name, target, service.universal, Band::Within(0.02)));
            if ratio == 1.0 && lifetimes == Lifetimes::Exponential {
                // Buffers of a tenth of a mean stay: 60 s of 10 min.
                let name = format!("share of time a buffer adds, {poor} poor, critical");
                let added = service.smooth - service.universal;
                checks.push(Check::new(name, 0.1, added, Band::AtLeast));
            }
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SEED;

    const SWARM: Population = Population {
        classes: TwoClasses { source: 10.0, rich: 7.0, poor: 0.1 },
        rich: 3.0,
        poor: 20.0,
        lifetimes: Lifetimes::Exponential,
        buffer: 0.0,
        observed: 200.0,
    };

    #[test]
    fn without_a_buffer_smooth_means_universal() {
        let service = SWARM.run(SEED);
        assert!((service.smooth - service.universal).abs() < 1e-9, "{service:?}");
        let buffered = Population { buffer: 0.1, ..SWARM }.run(SEED);
        assert_eq!(buffered.universal, service.universal, "the same viewers");
        assert!(buffered.smooth > service.smooth);
    }

    #[test]
    fn lifetimes_have_a_mean_of_one() {
        for (lifetimes, band) in [(Lifetimes::Exponential, 0.02), (Lifetimes::Weibull, 0.05)] {
            let mut rng = Rng::new(SEED, 0);
            let sum: u64 = (0..20_000).map(|_| lifetimes.draw(&mut rng) >> 8).sum();
            let mean = sum as f64 / 20_000.0 / (LIFETIME >> 8) as f64;
            assert!((mean - 1.0).abs() < band, "{lifetimes:?}: {mean}");
        }
    }
}
