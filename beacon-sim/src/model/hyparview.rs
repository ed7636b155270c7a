//! R8: a membership that survives the loss of most of its members (HyParView).

use std::collections::VecDeque;

use beacon_sdk::Rng;

use super::check::{Band, Check};
use super::sampling::{index, pick};

/// The parameters of the protocol, under the names of its paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Links that are used, at most.
    pub active: usize,
    /// Addresses in reserve, at most.
    pub passive: usize,
    /// Hops that the news of a newcomer walks.
    pub active_walk: u32,
    /// Hops before the end of that walk at which the newcomer goes into reserve.
    pub passive_walk: u32,
    /// Active neighbours that a shuffle offers.
    pub shuffle_active: usize,
    /// Reserves that a shuffle offers.
    pub shuffle_passive: usize,
}

/// Leitão, Pereira, Rodrigues, DSN 2007: for 10,000 nodes.
impl Default for Settings {
    fn default() -> Self {
        Self {
            active: 5,
            passive: 30,
            active_walk: 6,
            passive_walk: 3,
            shuffle_active: 3,
            shuffle_passive: 4,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Node {
    active: Vec<u32>,
    passive: Vec<u32>,
}

/// Nodes with active and passive views; messages arrive at once.
#[derive(Debug, Clone)]
pub struct Overlay {
    settings: Settings,
    nodes: Vec<Node>,
    dead: Vec<bool>,
    /// Nodes that lost a link to make room for another, and have not looked for one since.
    dropped: Vec<u32>,
    rng: Rng,
}

impl Overlay {
    /// `nodes` nodes that joined one after the other, each through a random earlier one.
    #[must_use]
    pub fn new(settings: Settings, nodes: u32, seed: [u8; 32]) -> Self {
        let mut overlay = Self {
            settings,
            nodes: vec![Node::default(); nodes as usize],
            dead: vec![false; nodes as usize],
            dropped: Vec::new(),
            rng: Rng::new(seed, 0),
        };
        for node in 1..nodes {
            let contact = overlay.rng.below(node);
            overlay.join(node, contact);
            // Those it displaced look for others at once; whom they displace waits for the next.
            for dropped in core::mem::take(&mut overlay.dropped) {
                overlay.repair(dropped);
            }
        }
        overlay
    }

    fn node(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    fn join(&mut self, newcomer: u32, contact: u32) {
        self.connect(contact, newcomer);
        for neighbour in self.nodes[contact as usize].active.clone() {
            if neighbour != newcomer {
                self.forward_join(newcomer, neighbour, contact);
            }
        }
    }

    /// The news of `newcomer` walks from `node`, which has it from `sender`.
    fn forward_join(&mut self, newcomer: u32, mut node: u32, mut sender: u32) {
        for left in (0..=self.settings.active_walk).rev() {
            if left == self.settings.passive_walk {
                self.reserve(node, newcomer, &[]);
            }
            let onward: Vec<u32> = self.nodes[node as usize]
                .active
                .iter()
                .copied()
                .filter(|&next| next != sender && next != newcomer)
                .collect();
            match pick(&mut self.rng, &onward) {
                Some(next) if left > 0 => (sender, node) = (node, next),
                _ => break,
            }
        }
        self.connect(node, newcomer);
    }

    /// Links two nodes; either drops another link when it has too many.
    fn connect(&mut self, one: u32, other: u32) {
        if one == other || self.nodes[one as usize].active.contains(&other) {
            return;
        }
        for (node, neighbour) in [(one, other), (other, one)] {
            if self.nodes[node as usize].active.len() >= self.settings.active {
                let active = &self.nodes[node as usize].active;
                let dropped = active[index(&mut self.rng, active.len())];
                self.disconnect(node, dropped);
                self.dropped.push(dropped);
            }
            let node = self.node(node);
            node.active.push(neighbour);
            node.passive.retain(|&reserve| reserve != neighbour);
        }
    }

    /// Ends a link; each keeps the other in reserve.
    fn disconnect(&mut self, one: u32, other: u32) {
        for (node, gone) in [(one, other), (other, one)] {
            self.node(node).active.retain(|&neighbour| neighbour != gone);
            self.reserve(node, gone, &[]);
        }
    }

    /// Puts `reserve` into the passive view of `node`; one of `sent` makes room, or any.
    fn reserve(&mut self, node: u32, reserve: u32, sent: &[u32]) {
        let limit = self.settings.passive;
        let rng = &mut self.rng;
        let Node { active, passive, .. } = &mut self.nodes[node as usize];
        if node == reserve || active.contains(&reserve) || passive.contains(&reserve) {
            return;
        }
        if passive.len() >= limit {
            let sent = passive.iter().position(|other| sent.contains(other));
            let at = sent.unwrap_or_else(|| index(rng, passive.len()));
            passive.swap_remove(at);
        }
        passive.push(reserve);
    }

    /// One cycle: every node alive replaces dead neighbours and shuffles its reserves once.
    pub fn cycle(&mut self) {
        self.dropped.clear();
        for node in 0..self.nodes.len() as u32 {
            if !self.dead[node as usize] {
                self.repair(node);
                self.shuffle(node);
            }
        }
    }

    /// `node` lets go of dead neighbours and asks its reserves, in random order, until its active
    /// view is full. A reserve that is full itself agrees only when `node` has nobody left.
    fn repair(&mut self, node: u32) {
        self.forget_dead(node);
        let mut reserves = self.nodes[node as usize].passive.clone();
        self.rng.shuffle(&mut reserves);
        for reserve in reserves {
            let neighbours = self.nodes[node as usize].active.len();
            if neighbours >= self.settings.active {
                break;
            }
            if self.dead[reserve as usize] {
                self.node(node).passive.retain(|&other| other != reserve);
                continue;
            }
            self.forget_dead(reserve);
            if neighbours == 0 || self.nodes[reserve as usize].active.len() < self.settings.active {
                self.connect(node, reserve);
            }
        }
    }

    fn forget_dead(&mut self, node: u32) {
        let dead = &self.dead;
        self.nodes[node as usize].active.retain(|&neighbour| !dead[neighbour as usize]);
    }

    /// `node` offers itself, some neighbours and some reserves at the end of a random walk, and
    /// gets as many reserves back.
    fn shuffle(&mut self, node: u32) {
        let Node { active, passive, .. } = self.nodes[node as usize].clone();
        let (mut active, mut passive) = (active, passive);
        self.rng.shuffle(&mut active);
        self.rng.shuffle(&mut passive);
        let Some(mut end) = active.first().copied() else { return };
        for _ in 1..self.settings.active_walk {
            let onward: Vec<u32> = self.nodes[end as usize]
                .active
                .iter()
                .copied()
                .filter(|&next| next != node && !self.dead[next as usize])
                .collect();
            end = pick(&mut self.rng, &onward).unwrap_or(end);
        }
        active.truncate(self.settings.shuffle_active);
        passive.truncate(self.settings.shuffle_passive);
        let mut offered = vec![node];
        offered.extend(active.into_iter().chain(passive));
        let mut answer = self.nodes[end as usize].passive.clone();
        self.rng.shuffle(&mut answer);
        answer.truncate(offered.len());
        for &reserve in &offered {
            self.reserve(end, reserve, &answer);
        }
        for &reserve in &answer {
            self.reserve(node, reserve, &offered);
        }
    }

    /// Kills each node with this probability in per cent, all at once.
    pub fn kill(&mut self, per_cent: u32) {
        for dead in &mut self.dead {
            *dead |= self.rng.below(100) < per_cent;
        }
    }

    /// The share of the nodes alive that a flood over active views reaches, from a random one.
    pub fn flood(&mut self) -> f64 {
        let alive: Vec<u32> =
            (0..self.nodes.len() as u32).filter(|&node| !self.dead[node as usize]).collect();
        let Some(origin) = pick(&mut self.rng, &alive) else { return 0.0 };
        let mut reached = vec![false; self.nodes.len()];
        reached[origin as usize] = true;
        let mut queue = VecDeque::from([origin]);
        let mut count = 1;
        while let Some(node) = queue.pop_front() {
            for &next in &self.nodes[node as usize].active {
                let fresh = !self.dead[next as usize] && !reached[next as usize];
                if fresh {
                    reached[next as usize] = true;
                    count += 1;
                    queue.push_back(next);
                }
            }
        }
        f64::from(count) / alive.len() as f64
    }

    /// The mean over `floods` floods.
    pub fn reach(&mut self, floods: u32) -> f64 {
        (0..floods).map(|_| self.flood()).sum::<f64>() / f64::from(floods)
    }
}

/// R8: 10,000 nodes, 50 cycles, then a mass failure.
pub(super) fn experiment(seed: [u8; 32]) -> Vec<Check> {
    let mut grown = Overlay::new(Settings::default(), 10_000, seed);
    for _ in 0..50 {
        grown.cycle();
    }
    let mut checks =
        vec![Check::new("reach of a flood, all alive", 0.999, grown.reach(20), Band::AtLeast)];
    for (per_cent, target) in [(50, 0.99), (80, 0.95)] {
        let mut overlay = grown.clone();
        overlay.kill(per_cent);
        for (cycles, after) in [(1, 1), (4, 5)] {
            for _ in 0..cycles {
                overlay.cycle();
            }
            let name = format!("reach, {per_cent} % killed, after {after} of repair");
            checks.push(Check::new(name, target, overlay.reach(20), Band::AtLeast));
        }
    }
    let mut overlay = grown;
    overlay.kill(80);
    let name = "reach, 80 % killed, before any repair";
    checks.push(Check::new(name, 0.5, overlay.reach(20), Band::AtMost));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SEED;

    #[test]
    fn views_keep_their_limits_and_links_have_two_ends() {
        let mut overlay = Overlay::new(Settings::default(), 300, SEED);
        overlay.cycle();
        overlay.kill(30);
        overlay.cycle();
        for (id, node) in (0..).zip(&overlay.nodes) {
            let Node { active, passive } = node;
            assert!(active.len() <= 5 && passive.len() <= 30);
            assert!(!active.contains(&id) && !passive.contains(&id));
            assert!(!active.iter().any(|neighbour| passive.contains(neighbour)));
            for &neighbour in active.iter().filter(|_| !overlay.dead[id as usize]) {
                assert!(!overlay.dead[neighbour as usize], "{id} keeps the dead {neighbour}");
                assert!(overlay.nodes[neighbour as usize].active.contains(&id));
            }
        }
    }

    #[test]
    fn a_flood_reaches_only_what_is_linked() {
        let mut overlay = Overlay::new(Settings::default(), 50, SEED);
        assert_eq!(overlay.flood(), 1.0);
        for node in &mut overlay.nodes {
            node.active.clear();
        }
        assert_eq!(overlay.flood(), 1.0 / 50.0);
        overlay.kill(100);
        assert_eq!(overlay.flood(), 0.0);
    }
}
