//! How many connections and joins one network may have.

use super::network::Network;
use crate::bucket::Bucket;
use crate::config::NetworkLimits;
use core::time::Duration;
use std::collections::HashMap;
use std::time::Instant;

/// Networks without a connection that are remembered at most (16 MB).
const ABSENT_MAX: usize = 65_536;
/// So many connections may come for every join: who is told why it may not join has come for nothing, and
/// only who comes on and on is not answered at all.
const CONNECTIONS_PER_JOIN: u32 = 2;
/// Strangers of a network that come on and on are counted as many when they come a tenth as fast as joins are taken:
/// what a school does in a minute is no crowd, what goes on for an hour is. (Guess.)
const STRANGERS_PER_JOIN: u32 = 10;

/// Requests of a network at once, in seconds of their rate: a class that opens a page together.
const REQUESTS_AT_ONCE: u32 = 50;

/// A limit that a network exceeds.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Surplus {
    /// So many connections are open at most.
    Open(u32),
    /// A connection may be opened when so much time has passed.
    Rate(Duration),
}

/// What is counted of each network, keyed by a hash that nobody outside can foretell.
#[derive(Debug)]
pub(super) struct Quotas {
    limits: NetworkLimits,
    networks: HashMap<Network, Quota>,
    absent_max: usize,
    open: usize,
}

#[derive(Debug)]
struct Quota {
    open: u32,
    arrivals: Bucket,
    joins: Bucket,
    /// Joins of those who brought no token.
    strangers: Bucket,
    /// Requests for pages and `/api`.
    requests: Bucket,
}

impl Quota {
    /// It says no more than that nobody was here lately.
    fn is_blank(&self, now: Instant) -> bool {
        self.open == 0
            && self.arrivals.is_full(now)
            && self.joins.is_full(now)
            && self.strangers.is_full(now)
            && self.requests.is_full(now)
    }
}

impl Quotas {
    pub(super) fn new(limits: NetworkLimits) -> Self {
        Self { limits, networks: HashMap::new(), absent_max: ABSENT_MAX, open: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.networks.len()
    }

    /// What is counted of a network, from now on if nothing was.
    fn of(&mut self, now: Instant, network: Network) -> &mut Quota {
        // Every open connection keeps one network at most.
        let is_full = self.networks.len() >= self.open + self.absent_max;
        if is_full && !self.networks.contains_key(&network) {
            self.forget(now);
        }
        let NetworkLimits { rate, burst, requests, .. } = self.limits;
        self.networks.entry(network).or_insert_with(|| Quota {
            open: 0,
            arrivals: Bucket::new(now, rate * CONNECTIONS_PER_JOIN, burst * CONNECTIONS_PER_JOIN),
            joins: Bucket::new(now, rate, burst),
            strangers: Bucket::every(
                now,
                Duration::from_secs(1) * STRANGERS_PER_JOIN / rate,
                burst,
            ),
            requests: Bucket::new(now, requests, requests.saturating_mul(REQUESTS_AT_ONCE)),
        })
    }

    /// A connection comes.
    pub(super) fn arrive(&mut self, now: Instant, network: Network) -> Result<(), Surplus> {
        let most = self.limits.connections;
        let quota = self.of(now, network);
        if quota.open >= most {
            return Err(Surplus::Open(most));
        }
        quota.arrivals.take(now).map_err(Surplus::Rate)?;
        quota.open += 1;
        self.open += 1;
        Ok(())
    }

    /// A page or something of `/api` is asked for; or how long that is to wait.
    pub(super) fn request(&mut self, now: Instant, network: Network) -> Result<(), Duration> {
        self.of(now, network).requests.take(now)
    }

    /// One that has come joins; or how long it is to wait.
    pub(super) fn join(&mut self, now: Instant, network: Network) -> Result<(), Duration> {
        // It has not departed, so it is there.
        self.networks.get_mut(&network).map_or(Ok(()), |quota| quota.joins.take(now))
    }

    /// How many strangers have come from it lately, of those that it may send: 1000 is all.
    pub(super) fn strangers(&self, now: Instant, network: Network) -> u32 {
        self.networks.get(&network).map_or(0, |quota| quota.strangers.taken(now))
    }

    /// One that has come joins as a stranger. Who comes when all have come counts no more.
    pub(super) fn stranger(&mut self, now: Instant, network: Network) {
        if let Some(quota) = self.networks.get_mut(&network) {
            let _ = quota.strangers.take(now);
        }
    }

    /// One that has come goes.
    pub(super) fn depart(&mut self, network: Network) {
        if let Some(quota) = self.networks.get_mut(&network) {
            quota.open -= 1;
            self.open -= 1;
        }
    }

    /// Makes room: by those that say nothing, and if that is little, by all that are not here. The latter
    /// takes tens of thousands of networks within seconds, and whoever has those does not need one of them
    /// to be forgotten.
    fn forget(&mut self, now: Instant) {
        self.networks.retain(|_, quota| !quota.is_blank(now));
        if self.networks.len() >= self.open + self.absent_max / 2 {
            self.networks.retain(|_, quota| quota.open > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const LIMITS: NetworkLimits = NetworkLimits { connections: 4, rate: 1, burst: 3, requests: 1 };

    fn network(number: u32) -> Network {
        Network::of(IpAddr::V4(number.into()))
    }

    #[test]
    fn a_network_has_so_many_connections_and_others_have_theirs() {
        let now = Instant::now();
        let mut quotas = Quotas::new(LIMITS);
        assert!((0..4).all(|_| quotas.arrive(now, network(1)).is_ok()));
        assert_eq!(quotas.arrive(now, network(1)), Err(Surplus::Open(4)));
        assert_eq!(quotas.arrive(now, network(2)), Ok(()));
        quotas.depart(network(1));
        assert_eq!(quotas.arrive(now, network(1)), Ok(()));
    }

    #[test]
    fn joins_are_told_to_wait_before_connections_are() {
        let now = Instant::now();
        let mut quotas = Quotas::new(LIMITS);
        let visit = |now, quotas: &mut Quotas| {
            quotas.arrive(now, network(1))?;
            let joined = quotas.join(now, network(1));
            quotas.depart(network(1));
            Ok::<_, Surplus>(joined)
        };
        assert!((0..3).all(|_| visit(now, &mut quotas) == Ok(Ok(()))));
        let second = Duration::from_secs(1);
        assert!((0..3).all(|_| visit(now, &mut quotas) == Ok(Err(second))));
        assert_eq!(visit(now, &mut quotas), Err(Surplus::Rate(second / 2)));
        let later = now + second;
        assert_eq!(visit(later, &mut quotas), Ok(Ok(())));
        assert_eq!(visit(later, &mut quotas), Ok(Err(second)));
        assert_eq!(visit(later, &mut quotas), Err(Surplus::Rate(second / 2)));
    }

    #[test]
    fn memory_is_bounded_and_who_is_here_is_not_forgotten() {
        let now = Instant::now();
        let mut quotas = Quotas { absent_max: 8, ..Quotas::new(LIMITS) };
        assert!((0..4).all(|_| quotas.arrive(now, network(0)).is_ok()));
        for number in 1..1000 {
            assert_eq!(quotas.arrive(now, network(number)), Ok(()));
            quotas.depart(network(number));
            assert!(quotas.len() <= 4 + 8, "{}", quotas.len());
        }
        assert_eq!(quotas.arrive(now, network(0)), Err(Surplus::Open(4)));
        // Those that have been away for long go first; one that has used up what it had stays.
        let later = now + Duration::from_secs(60);
        let mut quotas = Quotas { absent_max: 8, ..Quotas::new(LIMITS) };
        for number in 1..8 {
            assert_eq!(quotas.arrive(now, network(number)), Ok(()));
            quotas.depart(network(number));
        }
        let drain = |quotas: &mut Quotas| {
            quotas.arrive(later, network(0)).map(|()| quotas.depart(network(0)))
        };
        while drain(&mut quotas).is_ok() {}
        assert_eq!(quotas.len(), 8);
        assert_eq!(quotas.arrive(later, network(9)), Ok(()));
        assert_eq!(quotas.len(), 2);
        assert!(drain(&mut quotas).is_err());
    }
}
