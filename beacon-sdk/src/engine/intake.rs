//! What comes in is verified here, before it is kept, counted or passed on.

use super::Engine;
use super::content::{Content, PageFate, SymbolFate};
use super::sealed::Sealed;
use crate::event::Offence;
use crate::id::SegmentId;
use crate::media::{Description, Manifest, RecordError, payload_hash};
use crate::plugin::{Feedback, Observation, PeerKey, Transfer};
use crate::time::Instant;
use crate::wire::{HAVE_COMPLETE, Message, SYMBOL_HEADER_LEN, SymbolHeader};
use bytes::Bytes;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

/// Symbols of one neighbour, and of all, that wait for a manifest or page at most. A stripe of a
/// large segment is 64 symbols (fec_auth.md §2.3).
const QUARANTINE_PEER_MAX: u16 = 64;
const QUARANTINE_MAX: usize = 1024;
/// A manifest that many segments old is not news to anybody. (Guess.)
const STALE: u32 = 16;
/// Attempts at recovering one segment beyond the first.
const RECOVER_MAX: u16 = 3;

/// A symbol that cannot be checked yet.
#[derive(Debug)]
struct Suspect {
    from: PeerKey,
    header: SymbolHeader,
    frame: Bytes,
    since: Instant,
}

/// Symbols that wait for their manifest or page. Never passed on from here.
#[derive(Debug, Default)]
pub(super) struct Quarantine(VecDeque<Suspect>);

impl Quarantine {
    pub(super) fn forget(&mut self, peer: PeerKey) {
        self.0.retain(|suspect| suspect.from != peer);
    }

    /// Segments that symbols have been waiting for since before `since`: since when, and who sent
    /// the first.
    pub(super) fn waiting(&self, since: Instant) -> Vec<(SegmentId, Instant, PeerKey)> {
        let mut waiting: Vec<(SegmentId, Instant, PeerKey)> = self
            .0
            .iter()
            .filter(|suspect| suspect.since <= since)
            .map(|suspect| (suspect.header.segment, suspect.since, suspect.from))
            .collect();
        waiting.sort_unstable();
        waiting.dedup_by_key(|(id, ..)| *id);
        waiting
    }
}

impl Engine {
    pub(super) fn on_description(&mut self, from: PeerKey, record: Bytes) {
        if self.publisher.is_some() {
            return;
        }
        // Every neighbour passes it on: most that come are the one that is here.
        if self.description.as_ref().is_some_and(|(_, frame)| frame[1..] == record[..]) {
            return;
        }
        let known = self.description.as_ref().map(|(d, _)| (d.revision, d.stripes));
        let description = match Description::open(self.broadcast, &record) {
            Ok(description) => description,
            Err(RecordError::Signature) => return self.ban(from, Offence::ForgedRecord),
            Err(_) => return self.ban(from, Offence::BrokenFrame),
        };
        // Feeds and segments are laid out by the first description's stripes: a revision that
        // changes them cannot be followed.
        if known.is_some_and(|(revision, stripes)| {
            description.revision <= revision || description.stripes != stripes
        }) {
            return self.odd(from);
        }
        let choice = &self.config.choice;
        let chosen = match known {
            None => self.first_tracks(&description),
            Some(_) => choice.choose_again(&description.tracks, self.tracks),
        };
        let tracks = match chosen {
            Ok(tracks) => tracks,
            Err(unplayable) => return self.unplayable = Some(unplayable),
        };
        if known.is_none() {
            let config = &self.config;
            self.feeds = super::Feeds::new(
                self.me.short(),
                false,
                description.stripes,
                config.fanout,
                self.uplink.slots(),
            );
            self.timers.tail = self.now;
        } else if tracks != self.tracks {
            self.peers.iter_mut().for_each(|(_, peer)| peer.outdated = true);
        }
        self.tracks = tracks;
        self.player.describe(&description, self.tracks | self.kept);
        self.playable = Instant::ZERO;
        self.described = self.now;
        self.tell_tracks(&description);
        let frame = Message::Description(record).encode();
        self.description = Some((description, frame.clone()));
        let others: Vec<PeerKey> =
            self.peers.ready().map(|(key, _)| key).filter(|key| *key != from).collect();
        for key in others {
            self.send_frame(key, frame.clone());
        }
        self.timers.plan = self.now;
        self.tell_soon();
    }

    /// A manifest came as `record` in `frame`.
    pub(super) fn on_manifest(&mut self, from: PeerKey, record: &Bytes, frame: Bytes) {
        let Ok(id) = Manifest::peek(record) else {
            return self.ban(from, Offence::BrokenFrame);
        };
        let Some((description, _)) = &self.description else { return };
        if self.publisher.is_some() || !self.carries(id) {
            return;
        }
        let stripes = description.stripes;
        if !self.store.open(id) {
            return self.odd(from);
        }
        let known = self.store.content(id).map(|content| *content.frame() == frame);
        if known == Some(true) {
            // It comes twice at the edge of the stream, and no later.
            let newest = self.store.newest(id.track).unwrap_or(id.seq);
            if id.seq + STALE < newest {
                self.odd(from);
            }
            return self.confess(from, id);
        }
        let sealed = match self.open_manifest(id, record, &frame) {
            Ok(sealed) => sealed,
            Err(RecordError::Signature) => return self.ban(from, Offence::ForgedRecord),
            Err(_) => return self.ban(from, Offence::BrokenFrame),
        };
        if let Some(content) = self.store.content(id) {
            if *content.manifest() != sealed.manifest {
                let first = content.frame().slice(1..);
                self.disclose(id, first, record.clone());
            }
            return;
        }
        self.player.clock(&sealed.manifest, self.now);
        self.playable = Instant::ZERO;
        let content = Content::new(sealed, stripes, self.now);
        self.store.insert(id, content);
        self.pass_on_record(id, &frame, Some(from));
        self.release(id);
        if self.store.content(id).is_some_and(|content| !content.paged()) {
            self.plan_by(self.now + self.fetch_guard(id));
        }
        self.plan_by(self.now + self.config.overdue);
    }

    /// Checks a manifest, unless an engine that shares its findings has.
    fn open_manifest(
        &self,
        id: SegmentId,
        record: &Bytes,
        frame: &Bytes,
    ) -> Result<Arc<Sealed>, RecordError> {
        if let Some(sealed) = self.commons.as_ref().and_then(|c| c.find(self.broadcast, id, frame))
        {
            return Ok(sealed);
        }
        let manifest = Manifest::open(self.broadcast, record)?;
        Ok(self.sealed(manifest, frame.clone()))
    }

    /// A verified manifest, for this engine and those that it shares with.
    pub(super) fn sealed(&self, manifest: Manifest, frame: Bytes) -> Arc<Sealed> {
        let sealed = Arc::new(Sealed::new(self.broadcast, manifest, frame));
        if let Some(commons) = &self.commons {
            commons.add(self.broadcast, &sealed);
        }
        sealed
    }

    /// Pages came as `leaves` in `frame`, which is passed on as it is.
    pub(super) fn on_pages(
        &mut self,
        from: PeerKey,
        id: SegmentId,
        first: u8,
        leaves: &Bytes,
        frame: &Bytes,
    ) {
        let Some(content) = self.store.content_mut(id) else { return };
        match content.accept_pages(first, leaves) {
            PageFate::Known => {}
            PageFate::False => self.accuse(from, id, Offence::FalsePage),
            PageFate::New => {
                self.pass_on_record(id, frame, Some(from));
                self.release(id);
            }
        }
    }

    pub(super) fn on_symbol(&mut self, from: PeerKey, header: SymbolHeader, frame: Bytes) {
        let id = header.segment;
        if !self.carries(id) || !self.store.open(id) {
            return;
        }
        let Some(content) = self.store.content_mut(id) else {
            return self.suspect(from, header, frame);
        };
        match content.accept(header.esi, &frame) {
            SymbolFate::New => {
                let enough = content.held() >= content.manifest().layout.source();
                let news = enough || content.mask() != content.told;
                let stripe = content.stripe(header.esi);
                if content.mask() >> stripe & 1 == 1 {
                    let took = self.now.since(content.since);
                    self.feeds.completed(stripe, took);
                }
                self.on_new_symbol(from, header, frame);
                // Most symbols complete nothing: they are spared the looks below.
                if enough {
                    self.recover(id);
                }
                if news {
                    self.note_progress(id);
                }
            }
            SymbolFate::Known => self.on_duplicate(from, header, frame.len()),
            SymbolFate::NoPage => self.suspect(from, header, frame),
            SymbolFate::False => {
                self.stats.symbols_invalid += 1;
                self.accuse(from, id, Offence::FalseSymbol);
            }
        }
    }

    fn on_new_symbol(&mut self, from: PeerKey, header: SymbolHeader, frame: Bytes) {
        let id = header.segment;
        let bytes = (frame.len() - SYMBOL_HEADER_LEN) as u32;
        let asked = self.settle(from, header);
        self.account(from, header, asked);
        if let Some(peer) = self.peers.get_mut(from) {
            peer.received += u64::from(bytes);
            let peer_id = peer.id;
            if peer_id == self.broadcast.publisher {
                self.stats.bytes_from_origin += u64::from(bytes);
            } else {
                self.stats.bytes_from_peers += u64::from(bytes);
            }
            self.observe(peer_id, Observation::Useful { bytes });
            let transfer = Transfer { peer: peer_id, sent: 0, received: bytes };
            self.parts.ledger.record(self.now, transfer);
        }
        if let Some(content) = self.store.content_mut(id)
            && (asked || content.skipped(header.esi))
        {
            content.came_late(header.esi, self.now);
        }
        self.pass_on_symbol(id, header.esi, &frame, Some(from));
    }

    fn on_duplicate(&mut self, from: PeerKey, header: SymbolHeader, len: usize) {
        let bytes = (len - SYMBOL_HEADER_LEN) as u32;
        self.stats.bytes_duplicate += u64::from(bytes);
        self.settle(from, header);
        self.straggled(from, header);
        if let Some(peer) = self.peers.get(from) {
            let id = peer.id;
            self.observe(id, Observation::Duplicate { bytes });
        }
    }

    /// A symbol came: nobody is asked for it any more, and a parent that pushes is on time. Whether it was
    /// asked of who sent it.
    fn settle(&mut self, from: PeerKey, header: SymbolHeader) -> bool {
        let (now, mut by) = (self.now, Vec::new());
        let (mut straggled, mut gap) = (false, false);
        let Some(content) = self.store.content_mut(header.segment) else { return false };
        if !content.asked.is_empty() {
            content.asked.retain(|asked| {
                if asked.esi == header.esi {
                    by.push(asked.peer);
                }
                asked.esi != header.esi
            });
        }
        content.pulled |= !by.is_empty();
        let stripe = content.stripe(header.esi);
        let feed = &mut self.feeds.stripes[usize::from(stripe)];
        if let Some((last, at)) = feed.flow_of(from, content.manifest().captured) {
            *last = now;
            if !by.contains(&from) {
                straggled = true;
                *at = header.segment;
                gap = content.pushed(header.esi, now);
            }
        }
        if straggled {
            self.straggled(from, header);
        }
        if gap {
            self.plan_by(now + self.gap_guard());
        }
        let asked = by.contains(&from);
        for key in by {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if key == from {
                peer.served();
                self.parts.scheduler.feedback(now, Feedback::Served { peer: key, symbols: 1 });
            } else {
                peer.asked = peer.asked.saturating_sub(1);
            }
        }
        asked
    }

    /// A pushed symbol came: learns how far behind the parent's word its symbols are.
    fn straggled(&mut self, from: PeerKey, header: SymbolHeader) {
        let Some(segment) = self.store.get(header.segment) else { return };
        let Some(content) = &segment.content else { return };
        let done = HAVE_COMPLETE | 1 << content.stripe(header.esi);
        let told = segment.holders.iter().find(|h| h.peer == from && h.mask & done != 0);
        let late = told.map_or(Duration::ZERO, |holder| self.now.since(holder.since));
        if let Some(peer) = self.peers.get_mut(from) {
            peer.straggled(late);
        }
    }

    /// Puts a symbol aside until it can be checked.
    fn suspect(&mut self, from: PeerKey, header: SymbolHeader, frame: Bytes) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        if peer.quarantined >= QUARANTINE_PEER_MAX || self.quarantine.0.len() >= QUARANTINE_MAX {
            return;
        }
        peer.quarantined += 1;
        let since = self.now;
        self.quarantine.0.push_back(Suspect { from, header, frame, since });
        self.plan_by(self.now + self.fetch_guard(header.segment));
    }

    /// Manifest or page came: what waited for it is checked now.
    fn release(&mut self, id: SegmentId) {
        let (ready, rest) =
            self.quarantine.0.drain(..).partition(|suspect| suspect.header.segment == id);
        self.quarantine.0 = rest;
        let ready: VecDeque<Suspect> = ready;
        for suspect in ready {
            let Some(peer) = self.peers.get_mut(suspect.from) else { continue };
            peer.quarantined -= 1;
            self.on_symbol(suspect.from, suspect.header, suspect.frame);
        }
    }

    /// Lets go of suspects whose segment has left the window.
    pub(super) fn sweep_quarantine(&mut self) {
        let (store, peers) = (&self.store, &mut self.peers);
        let limit = self.now - self.config.playout;
        self.quarantine.0.retain(|suspect| {
            let keep = store.open(suspect.header.segment) && suspect.since > limit;
            if !keep && let Some(peer) = peers.get_mut(suspect.from) {
                peer.quarantined -= 1;
            }
            keep
        });
    }

    /// Recovers missing source symbols once enough symbols of any kind are here.
    fn recover(&mut self, id: SegmentId) {
        let code = self.parts.code.id();
        let Some(content) = self.store.content_mut(id) else { return };
        let source = content.manifest().layout.source();
        let ready = !content.complete()
            && content.manifest().code == code
            && content.held() >= source.max(content.tried + 1)
            && content.held() <= source + RECOVER_MAX;
        if !ready {
            return;
        }
        content.tried = content.held();
        let layout = content.manifest().layout;
        let symbols = content.symbols();
        let recovered = match self.parts.code.recover(&layout, &symbols) {
            Ok(Some(payload)) => payload,
            Ok(None) => return,
            Err(error) => return tracing::warn!(segment = %id, %error, "recovery failed"),
        };
        let Some(content) = self.store.content_mut(id) else { return };
        let authentic = recovered.len() == layout.padded_len()
            && payload_hash(&recovered[..layout.payload_len()]) == content.manifest().payload_hash;
        if !authentic {
            return tracing::warn!(segment = %id, "recovered payload does not match its manifest");
        }
        content.pulled = true;
        self.stats.segments_recovered += 1;
        let size = layout.symbol_size();
        let absent: Vec<u16> = content.absent().filter(|esi| *esi < source).collect();
        for esi in absent {
            let Some(content) = self.store.content_mut(id) else { return };
            let at = usize::from(esi) * size;
            let frame = content.frame_of(esi, &recovered[at..at + size]);
            content.keep(esi, frame.clone());
            content.came_late(esi, self.now);
            self.pass_on_symbol(id, esi, &frame, None);
        }
    }

    /// Tells neighbours when a stripe or the segment has become whole, and calls off requests
    /// that are of no more use.
    fn note_progress(&mut self, id: SegmentId) {
        let Some(content) = self.store.content_mut(id) else { return };
        let mask = content.mask();
        if content.complete() {
            self.playable = Instant::ZERO;
        }
        if content.complete() && !content.asked.is_empty() {
            let mut asked: Vec<PeerKey> = content.asked.drain(..).map(|a| a.peer).collect();
            asked.sort_unstable();
            for &key in &asked {
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.asked = peer.asked.saturating_sub(1);
                }
            }
            asked.dedup();
            for key in asked {
                self.send(key, &Message::Cancel(id));
            }
        }
        self.tell_holding(id, mask);
    }

    /// Whether this peer carries the track of a segment.
    pub(super) fn carries(&self, id: SegmentId) -> bool {
        (self.tracks | self.kept) >> id.track.get() & 1 == 1
    }
}
