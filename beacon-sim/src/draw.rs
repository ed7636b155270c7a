//! Seeded draws: one stream per peer and purpose, and the distributions of theory.md §6.
//!
//! Everything beyond `+ - * /` comes from `libm`, so that a draw is the same on every platform.

use beacon_sdk::Rng;

/// What a stream of random numbers is for. The number is part of a run's identity.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// The engine's own choices.
    Engine = 1,
    /// Access class, place on the map, clock.
    Nature = 2,
    /// Coming and going.
    Churn = 3,
    /// Loss and jitter of what it sends.
    Network = 4,
    /// The tracker's choices.
    Tracker = 5,
    /// What a hostile peer does to which frame.
    Adversary = 6,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Draw(Rng);

/// The secret from which a peer's stream for one purpose is made.
#[must_use]
pub(crate) fn secret(seed: u64, peer: u32, purpose: Purpose) -> [u8; 32] {
    let mut secret = [0; 32];
    secret[..8].copy_from_slice(&seed.to_le_bytes());
    secret[8..12].copy_from_slice(&peer.to_le_bytes());
    secret[12] = purpose as u8;
    secret
}

impl Draw {
    /// The stream of one peer for one purpose.
    #[must_use]
    pub(crate) fn new(seed: u64, peer: u32, purpose: Purpose) -> Self {
        Self(Rng::new(secret(seed, peer, purpose), u64::from(purpose as u8)))
    }

    /// The generator itself.
    pub(crate) fn rng(&mut self) -> &mut Rng {
        &mut self.0
    }

    /// Uniform below `limit`; 0 when `limit` is 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0.below(limit)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.unit() < p
    }

    /// Normal with mean 0 and deviation 1 (Box–Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * core::f64::consts::PI * self.unit())
    }

    /// Exponential.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Lognormal: `exp(mu + sigma · normal)`.
    pub(crate) fn lognormal(&mut self, mu: f64, sigma: f64) -> f64 {
        libm::exp(mu + sigma * self.normal())
    }

    /// Weibull.
    pub(crate) fn weibull(&mut self, shape: f64, scale: f64) -> f64 {
        scale * libm::pow(-libm::log(1.0 - self.unit()), 1.0 / shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(draws: u32, mut of: impl FnMut() -> f64) -> f64 {
        (0..draws).map(|_| of()).sum::<f64>() / f64::from(draws)
    }

    #[test]
    fn distributions_have_their_means() {
        let mut draw = Draw::new(1, 2, Purpose::Churn);
        let near = |got: f64, want: f64| (got / want - 1.0).abs() < 0.03;
        assert!(near(mean(40_000, || draw.unit()), 0.5));
        assert!(near(mean(40_000, || draw.exponential(600.0)), 600.0));
        // exp(mu + sigma² / 2): median 40 s, sigma 1.
        assert!(near(mean(80_000, || draw.lognormal(libm::log(40.0), 1.0)), 65.9));
        // scale · Γ(1 + 1/.6): 1500 s gives 2257 s (theory.md §6.4).
        assert!(near(mean(80_000, || draw.weibull(0.6, 1500.0)), 2257.0));
    }

    #[test]
    fn streams_differ_by_peer_and_purpose_and_repeat() {
        let first = |peer, purpose| Draw::new(7, peer, purpose).rng().bits();
        assert_eq!(first(1, Purpose::Nature), first(1, Purpose::Nature));
        assert_ne!(first(1, Purpose::Nature), first(2, Purpose::Nature));
        assert_ne!(first(1, Purpose::Nature), first(1, Purpose::Churn));
    }
}
