//! R9: gossip over random links reaches everyone or not (Erdős and Rényi; HEAP).

use beacon_sdk::Rng;

use super::check::{Band, Check};
use super::sampling::{index, unit};
use crate::bound::connected;

/// A random directed graph in which each of the ordered pairs is linked with the same probability.
#[derive(Debug, Clone)]
pub struct Graph {
    viewers: u32,
    /// P(out-degree ≤ d) for d = 0, 1, …
    degrees: Vec<f64>,
}

impl Graph {
    /// `viewers` viewers with `mean` links to others each, on the mean.
    #[must_use]
    pub fn new(viewers: u32, mean: f64) -> Self {
        let others = f64::from(viewers.saturating_sub(1));
        if mean >= others {
            // Everyone is linked to all, and below the last degree there is nothing.
            return Self { viewers, degrees: vec![0.0; others as usize] };
        }
        let link = (mean / others).max(0.0);
        let mut exactly = (1.0 - link).powf(others);
        let mut sum = 0.0;
        let mut degrees = Vec::new();
        for degree in 0..viewers {
            sum += exactly;
            degrees.push(sum);
            let degree = f64::from(degree);
            exactly *= (others - degree) / (degree + 1.0) * link / (1.0 - link);
        }
        Self { viewers, degrees }
    }

    /// Whether viewer 0 reaches everyone, in a graph drawn anew.
    pub fn reaches_all(&self, rng: &mut Rng) -> bool {
        let viewers = self.viewers as usize;
        let mut reached = vec![false; viewers];
        reached[0] = true;
        let mut fresh = vec![0];
        let mut count = 1;
        let mut targets: Vec<usize> = Vec::new();
        // The links of a viewer are drawn when it is reached: nobody looks at them before.
        while let Some(viewer) = fresh.pop() {
            let draw = unit(rng);
            let degree = self.degrees.partition_point(|&below| below < draw);
            targets.clear();
            while targets.len() < degree.min(viewers - 1) {
                let target = index(rng, viewers);
                if target != viewer && !targets.contains(&target) {
                    targets.push(target);
                }
            }
            for &target in &targets {
                if !core::mem::replace(&mut reached[target], true) {
                    count += 1;
                    fresh.push(target);
                }
            }
        }
        count == viewers
    }
}

/// The share of `trials` random graphs of `viewers` viewers with `ln N + surplus` links each on the
/// mean in which gossip reaches everyone.
#[must_use]
pub fn atomic(viewers: u32, surplus: f64, trials: u32, seed: [u8; 32]) -> f64 {
    let mut rng = Rng::new(seed, 0);
    let graph = Graph::new(viewers, f64::from(viewers).ln() + surplus);
    let all = (0..trials).filter(|_| graph.reaches_all(&mut rng)).count();
    all as f64 / f64::from(trials)
}

/// Graphs per point of R9: at a probability of one half, the standard error is 1.1 %.
const TRIALS: u32 = 2000;

/// R9: 1,000 viewers.
pub(super) fn experiment(seed: [u8; 32]) -> Vec<Check> {
    [-1.0, 0.0, 1.0, 2.0, 3.0]
        .into_iter()
        .map(|surplus| {
            let measured = atomic(1000, surplus, TRIALS, seed);
            let name = format!("atomic coverage, 1000 viewers, fan-out ln N + {surplus}");
            Check::new(name, connected(surplus), measured, Band::Within(0.03))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_links_reach_all_and_none_reach_nobody() {
        let mut rng = Rng::new([0; 32], 0);
        assert!(Graph::new(20, 19.0).reaches_all(&mut rng));
        assert!(!Graph::new(20, 0.0).reaches_all(&mut rng));
        assert!(Graph::new(1, 0.0).reaches_all(&mut rng));
    }
}
