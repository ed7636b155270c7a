//! Sending: whose turn it is, and what counts as sent.

use super::{Engine, Output};
use crate::id::PeerId;
use crate::plugin::{CloseReason, Lane, PeerKey, Transfer};
use crate::time::Instant;
use crate::wire::{Message, SYMBOL_HEADER_LEN, SymbolHeader};
use bytes::Bytes;

/// A symbol frame that was handed out. It counts once the transport has kept it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Handed {
    to: PeerKey,
    len: usize,
}

impl Engine {
    pub(super) fn send(&mut self, to: PeerKey, message: &Message) {
        self.send_frame(to, message.encode());
    }

    pub(super) fn send_frame(&mut self, to: PeerKey, frame: Bytes) {
        let Some(peer) = self.peers.get_mut(to) else { return };
        self.stats.bytes_control += frame.len() as u64;
        self.control_waits.add(to);
        if !peer.out.control(frame) {
            // It has not read a megabyte of control frames: it is as good as gone.
            self.drop_link(to, CloseReason::Timeout);
        }
    }

    /// The frame whose turn it is: control before data, neighbours in turn.
    pub(super) fn next_frame(&mut self) -> Option<Output> {
        while let Some(key) = self.control_waits.next(self.turn) {
            if let Some(peer) = self.peers.get_mut(key)
                && let Some(frame) = peer.out.next_control()
            {
                return Some(Output::Send { to: peer.id, lane: Lane::Control, frame });
            }
            self.control_waits.remove(key);
        }
        if self.data_waits.is_empty() || !self.pacer.open(self.now) {
            return None;
        }
        while let Some(key) = self.data_waits.next(self.turn) {
            if let Some(peer) = self.peers.get_mut(key)
                && let Some(frame) = peer.out.next_symbol(self.now)
            {
                self.turn = usize::from(key.0) + 1;
                self.handed = Some(Handed { to: key, len: frame.len() });
                return Some(Output::Send { to: peer.id, lane: Lane::Data, frame });
            }
            self.data_waits.remove(key);
        }
        None
    }

    /// The transport has room again.
    pub(super) fn writable(&mut self, key: PeerKey, lane: Lane) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.out.writable(lane);
        match lane {
            Lane::Control => self.control_waits.add(key),
            Lane::Data => self.data_waits.add(key),
        }
    }

    /// The transport has kept the symbol that was handed out last, for it did not give it back:
    /// now it counts, once, however often it was offered before.
    pub(super) fn count_sent(&mut self) {
        let Some(Handed { to, len }) = self.handed.take() else { return };
        self.pacer.spend(len);
        let bytes = len.saturating_sub(SYMBOL_HEADER_LEN) as u32;
        self.stats.bytes_uploaded += u64::from(bytes);
        let Some(peer) = self.peers.get_mut(to) else { return };
        peer.sent += u64::from(bytes);
        if peer.out.symbols() == 0 {
            self.timers.have = self.timers.have.min(peer.tell_at);
        }
        let transfer = Transfer { peer: peer.id, sent: bytes, received: 0 };
        self.parts.ledger.record(self.now, transfer);
    }

    /// The transport had no room: the frame waits at the front of its queue, uncounted.
    pub(super) fn on_refused(&mut self, to: PeerId, lane: Lane, frame: Bytes) {
        let expires = match SymbolHeader::decode(&frame) {
            Ok(header) if lane == Lane::Data => self.expiry(header.segment),
            _ => Instant::NEVER,
        };
        if lane == Lane::Data {
            self.handed = None;
        }
        let now = self.now;
        if let Some(key) = self.peers.key(&to)
            && let Some(peer) = self.peers.get_mut(key)
        {
            peer.out.refused(lane, frame, expires, now);
        }
    }
}
