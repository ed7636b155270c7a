//! Turning an order of needs into requests: shared by every scheduler that pulls.

use crate::plugin::{MeshView, MissingState, Need, PeerKey, PeerView, Plan};

/// What one symbol already in flight costs, beside the round trip: about the time a 4 Mbit/s
/// uplink takes to send one.
const LOAD_COST_US: u64 = 2_000;

/// Hands out the neighbours' windows during one plan.
#[derive(Debug)]
pub(super) struct Puller<'a> {
    view: &'a MeshView,
    /// Room and load per neighbour, in the order of the view.
    room: Vec<(u16, u64)>,
}

impl<'a> Puller<'a> {
    pub(super) fn new(view: &'a MeshView) -> Self {
        let room = view.peers.iter().map(|p| (p.window, u64::from(p.outstanding))).collect();
        Self { view, room }
    }

    /// Symbols that may still be requested, of all neighbours together.
    pub(super) fn room(&self) -> u32 {
        self.room.iter().map(|(room, _)| u32::from(*room)).sum()
    }

    /// Asks parents again for what they say they have sent; gives back for how much.
    pub(super) fn nak(&mut self, need: &Need, plan: &mut Plan) -> u32 {
        let limit = u32::from(need.wanted);
        self.pull(need, limit, |state| matches!(state, MissingState::Lost(_)), plan)
    }

    /// Asks anyone for up to `limit` symbols that nobody is expected to push; gives back for how
    /// many.
    pub(super) fn open(&mut self, need: &Need, limit: u32, plan: &mut Plan) -> u32 {
        self.pull(need, limit, |state| *state == MissingState::Open, plan)
    }

    fn pull(
        &mut self,
        need: &Need,
        mut left: u32,
        wanted: impl Fn(&MissingState) -> bool,
        plan: &mut Plan,
    ) -> u32 {
        let holders: Vec<(usize, u32)> = need
            .holders
            .iter()
            .filter_map(|(key, mask)| Some((self.index(*key)?, *mask)))
            .collect();
        let mut batches: Vec<(usize, Vec<u16>)> = Vec::new();
        let limit = left;
        for (esi, state) in need.missing.iter().filter(|(_, state)| wanted(state)) {
            if left == 0 {
                break;
            }
            let stripe = self.view.stripe(need, *esi);
            let parent = match state {
                MissingState::Lost(parent) => self.index(*parent).filter(|at| self.room[*at].0 > 0),
                _ => None,
            };
            let Some(at) = parent.or_else(|| self.cheapest(&holders, stripe)) else { continue };
            self.room[at].0 -= 1;
            self.room[at].1 += 1;
            left -= 1;
            match batches.iter_mut().find(|(peer, _)| *peer == at) {
                Some((_, esis)) => esis.push(*esi),
                None => batches.push((at, vec![*esi])),
            }
        }
        for (at, esis) in batches {
            plan.request(self.view.peers[at].key, need.id, esis);
        }
        limit - left
    }

    fn index(&self, key: PeerKey) -> Option<usize> {
        self.view.peers.binary_search_by_key(&key, |peer| peer.key).ok()
    }

    /// The holder of a stripe that would answer first.
    fn cheapest(&self, holders: &[(usize, u32)], stripe: u8) -> Option<usize> {
        let bit = 1_u32.checked_shl(stripe.into()).unwrap_or_default();
        let able = |at: usize, mask: u32| mask & bit != 0 && self.room[at].0 > 0;
        holders
            .iter()
            .filter(|(at, mask)| able(*at, *mask))
            .min_by_key(|(at, _)| self.cost(&self.view.peers[*at], self.room[*at].1))
            .map(|(at, _)| *at)
    }

    fn cost(&self, peer: &PeerView, load: u64) -> u64 {
        let rtt = u64::try_from(peer.rtt.as_micros()).unwrap_or(u64::MAX / 4);
        rtt + load * LOAD_COST_US
    }
}
