//! Stripes: subscriptions in both directions, and passing on what was verified.

use super::Engine;
use super::feeds::Switch;
use crate::config::DEPTH_MAX;
use crate::event::Event;
use crate::id::{PeerId, SegmentId};
use crate::plugin::{PeerKey, Transfer};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, Message, RefuseReason, SYMBOL_HEADER_LEN, Status};
use bytes::Bytes;
use core::time::Duration;

/// A pushed symbol is worth sending at least this long after it came.
const WORTH_MIN: Duration = Duration::from_millis(500);

impl Engine {
    pub(super) fn on_subscribe(&mut self, from: PeerKey, stripes: u32, tracks: u64) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let short = peer.id.short();
        let known = self.description.as_ref().map_or(0, |(description, _)| {
            description.tracks.iter().fold(0, |mask, track| mask | 1_u64 << track.id.get())
        });
        let carried = tracks & known & !self.tracks == 0 && known != 0;
        peer.takes_tracks = tracks;
        for stripe in (0..self.feeds.count()).filter(|stripe| stripes >> stripe & 1 == 1) {
            let adopted = if carried {
                self.feeds.adopt(stripe, from, short)
            } else {
                Err(RefuseReason::Unavailable)
            };
            let answer = match adopted {
                Ok(()) => Message::Feed { stripe, path: self.feeds.path_to_children(stripe) },
                Err(reason) => Message::Refuse { stripe, reason },
            };
            if adopted.is_ok()
                && let Some(peer) = self.peers.get_mut(from)
            {
                peer.takes |= 1 << stripe;
            }
            self.send(from, &answer);
        }
        self.tell_soon();
    }

    pub(super) fn on_unsubscribe(&mut self, from: PeerKey, stripes: u32) {
        for stripe in (0..self.feeds.count()).filter(|stripe| stripes >> stripe & 1 == 1) {
            self.feeds.abandon(stripe, from);
        }
        if let Some(peer) = self.peers.get_mut(from) {
            peer.takes &= !stripes;
        }
        self.tell_soon();
    }

    pub(super) fn on_feed(&mut self, from: PeerKey, stripe: u8, path: Vec<u32>) {
        let Some(feed) = self.feeds.stripes.get(usize::from(stripe)) else {
            return self.odd(from);
        };
        let (fed, before) = (feed.fed, feed.path.clone());
        let ours =
            feed.parent == Some(from) || feed.pending.is_some_and(|(pending, _)| pending == from);
        if !ours {
            // An answer that came too late: the stripe has another parent by now.
            return self.send(from, &Message::Unsubscribe { stripes: 1 << stripe });
        }
        match self.feeds.fed(stripe, from, path, self.now) {
            Switch::Loop => {
                self.feeds.refuse(stripe, from, self.now);
                self.send(from, &Message::Unsubscribe { stripes: 1 << stripe });
                self.timers.plan = self.now;
            }
            Switch::Taken { old } => {
                if let Some(old) = old {
                    self.send(old, &Message::Unsubscribe { stripes: 1 << stripe });
                    if let Some(peer) = self.peers.get_mut(old) {
                        peer.pushes &= !(1 << stripe);
                    }
                }
                if let Some(peer) = self.peers.get_mut(from) {
                    peer.pushes |= 1 << stripe;
                    let parent = peer.id;
                    if fed {
                        self.stats.reparents += 1;
                        self.event(Event::Reparented { stripe, parent });
                    }
                }
            }
            Switch::None => {}
        }
        if self.feeds.stripes[usize::from(stripe)].path != before {
            let depth = self.feeds.depth(stripe).unwrap_or(0);
            self.stats.hops_max = self.stats.hops_max.max(depth);
            self.tell_children(stripe);
            self.tell_soon();
        }
    }

    /// Children learn the new way of a stripe, or that it has become too long for them.
    fn tell_children(&mut self, stripe: u8) {
        let path = self.feeds.path_to_children(stripe);
        let children = self.feeds.children(stripe).to_vec();
        let too_long = path.len() > usize::from(DEPTH_MAX);
        for child in children {
            if too_long {
                self.feeds.abandon(stripe, child);
                if let Some(peer) = self.peers.get_mut(child) {
                    peer.takes &= !(1 << stripe);
                }
                self.send(child, &Message::Refuse { stripe, reason: RefuseReason::Depth });
            } else {
                self.send(child, &Message::Feed { stripe, path: path.clone() });
            }
        }
    }

    pub(super) fn on_refuse(&mut self, from: PeerKey, stripe: u8) {
        if stripe >= self.feeds.count() {
            return self.odd(from);
        }
        self.feeds.refuse(stripe, from, self.now);
        if let Some(peer) = self.peers.get_mut(from) {
            peer.pushes &= !(1 << stripe);
            // Whatever it offered, it does not now; its next status says otherwise.
            peer.status.open &= !(1 << stripe);
        }
        self.timers.plan = self.now;
    }

    pub(super) fn on_status(&mut self, from: PeerKey, status: Status) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.status = status;
        }
        self.plan_by(self.now + self.config.plan_interval / 4);
    }

    /// Manifests and pages of a segment travel with the stripe of its first symbol, so that they
    /// come once and the load of carrying them goes round.
    pub(super) fn pass_on_record(&mut self, id: SegmentId, frame: &Bytes, except: Option<PeerKey>) {
        let Some(content) = self.store.content(id) else { return };
        let stripe = content.stripe(0);
        let children = self.feeds.children(stripe).to_vec();
        for child in children {
            if Some(child) != except && self.takes(child, id) {
                self.send_frame(child, frame.clone());
            }
        }
    }

    /// Hands a verified symbol to the children of its stripe: the very frame that came.
    pub(super) fn pass_on_symbol(
        &mut self,
        id: SegmentId,
        esi: u16,
        frame: &Bytes,
        except: Option<PeerKey>,
    ) {
        if self.parts.scheduler.wants_spare() {
            return self.push_soon();
        }
        let Some(segment) = self.store.get(id) else { return };
        let Some(content) = &segment.content else { return };
        let stripe = content.stripe(esi);
        let expires = self.worthless_at(content.manifest.captured);
        let done = HAVE_COMPLETE | 1 << stripe;
        for &child in self.feeds.children(stripe) {
            let held = segment.holders.iter().any(|h| h.peer == child && h.mask & done != 0);
            let Some(peer) = self.peers.get_mut(child) else { continue };
            let takes = peer.takes_tracks >> id.track.get() & 1 == 1;
            if Some(child) != except && takes && !held {
                peer.out.symbol(frame.clone(), expires);
            }
        }
    }

    fn takes(&self, child: PeerKey, id: SegmentId) -> bool {
        self.peers.get(child).is_some_and(|peer| peer.takes_tracks >> id.track.get() & 1 == 1)
    }

    /// When a symbol of a segment is worth nothing to anybody.
    pub(super) fn expiry(&self, id: SegmentId) -> Instant {
        match self.store.content(id) {
            Some(content) => self.worthless_at(content.manifest.captured),
            None => self.now + WORTH_MIN,
        }
    }

    fn worthless_at(&self, captured: Instant) -> Instant {
        self.player.deadline(captured).max(self.now + WORTH_MIN)
    }

    /// A symbol frame was handed to the transport.
    pub(super) fn sent_symbol(&mut self, to: PeerKey, frame_len: usize) {
        let bytes = frame_len.saturating_sub(SYMBOL_HEADER_LEN) as u32;
        self.stats.bytes_uploaded += u64::from(bytes);
        let Some(peer) = self.peers.get_mut(to) else { return };
        peer.sent += u64::from(bytes);
        let transfer = Transfer { peer: peer.id, sent: bytes, received: 0 };
        self.parts.ledger.record(self.now, transfer);
    }

    /// The transport gave it back.
    pub(super) fn unsent_symbol(&mut self, to: PeerId, frame_len: usize) {
        let bytes = frame_len.saturating_sub(SYMBOL_HEADER_LEN) as u64;
        if let Some(peer) = self.peer_by_id(&to) {
            peer.sent = peer.sent.saturating_sub(bytes);
        }
        self.stats.bytes_uploaded = self.stats.bytes_uploaded.saturating_sub(bytes);
    }
}
