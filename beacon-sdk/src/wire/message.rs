//! Messages of the control lane.

use super::codec::{DecodeError, Reader};
use super::hello::{FarewellReason, Hello};
use super::span::Span;
use crate::config::{DEPTH_MAX, STRIPES_MAX};
use crate::id::{PeerId, SegmentId, TrackId};
use crate::identity::PublicKey;
use crate::plugin::RECEIPT_BYTES_MAX;
use crate::time::Instant;
use bytes::{BufMut, Bytes, BytesMut};

/// Peers named in one message at most.
pub const PEERS_MAX: usize = 16;
/// Pages in one [`Message::Pages`] at most: what fits a control frame of 16 KiB.
pub const PAGES_MAX: usize = 15;
/// Entries of one [`Message::Have`] at most.
pub const HAVES_MAX: usize = 64;
/// Bit of [`Have::mask`]: the peer can supply every committed symbol.
pub const HAVE_COMPLETE: u32 = 1 << 30;
/// Bit of [`Have::mask`]: the segment starts a group.
pub const HAVE_GROUP_START: u32 = 1 << 31;

/// What a neighbour offers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// Tracks it carries: bit i is track i.
    pub tracks: u64,
    /// Stripe subscriptions it serves in all.
    pub slots: u16,
    /// Hops from the origin per stripe, 255 where it has no feed; the last is the repair stripe.
    pub depth: Vec<u8>,
    /// Per stripe, what a subscriber must weigh to be taken (SPEC.md, "Slots"): 0 is anybody,
    /// 255 nobody. As long as `depth`.
    pub bar: Vec<u8>,
}

/// What a neighbour holds of a segment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Have {
    /// The segment.
    pub id: SegmentId,
    /// Bit i: all symbols of stripe i; and [`HAVE_COMPLETE`], [`HAVE_GROUP_START`].
    pub mask: u32,
}

/// What hangs on a peer in one stripe, itself included.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// The stripe.
    pub stripe: u8,
    /// Viewers.
    pub viewers: u32,
    /// Stripe subscriptions they serve together.
    pub slots: u32,
}

/// Why a subscription is refused or ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RefuseReason {
    /// No free slot.
    Full = 0,
    /// The subscriber would be more than [`DEPTH_MAX`] hops from the origin.
    Depth = 1,
    /// The subscriber is on the path already.
    Loop = 2,
    /// This peer has no feed of that stripe, or not those tracks.
    Unavailable = 3,
    /// It ends soon, for a child that serves more: find another parent meanwhile.
    Notice = 4,
}

/// A control-lane message.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Message {
    /// Opens the link.
    Hello(Hello),
    /// Ends the link; names peers to try instead.
    Farewell {
        /// Why.
        reason: FarewellReason,
        /// Others to ask.
        peers: Vec<PeerId>,
    },
    /// Answer with `Pong`.
    Ping(u64),
    /// The token of a `Ping`.
    Pong(u64),
    /// Peers the sender knows.
    Peers(Vec<PeerId>),
    /// The signed description of the broadcast, or a newer revision.
    Description(Bytes),
    /// What the sender offers.
    Status(Status),
    /// Push me these stripes of these tracks.
    Subscribe {
        /// Bit i is stripe i.
        stripes: u32,
        /// Bit i is track i.
        tracks: u64,
        /// Segments captured then or later, those held already too; zero is what comes from now on.
        from: Instant,
    },
    /// Push me these stripes no more.
    Unsubscribe {
        /// Bit i is stripe i.
        stripes: u32,
        /// Segments captured before are still wanted.
        from: Instant,
    },
    /// The subscription holds; this is the way the stripe takes. Sent again when it changes.
    Feed {
        /// The stripe.
        stripe: u8,
        /// Short ids from the origin to the sender, both included; 1 to [`DEPTH_MAX`].
        path: Vec<u32>,
    },
    /// No subscription to this stripe, or none any more.
    Refuse {
        /// The stripe.
        stripe: u8,
        /// Why.
        reason: RefuseReason,
    },
    /// A signed manifest.
    Manifest(Bytes),
    /// Leaf hashes of a segment: one to [`PAGES_MAX`] consecutive pages of 32, fewer on the last.
    Pages {
        /// The segment.
        id: SegmentId,
        /// The first page.
        first: u8,
        /// The hashes, 32 bytes each.
        leaves: Bytes,
    },
    /// What the sender holds.
    Have(Vec<Have>),
    /// Send me these symbols.
    Request {
        /// Of which segment.
        id: SegmentId,
        /// Which.
        spans: Vec<Span>,
    },
    /// I will not send these symbols now.
    Busy {
        /// Of which segment.
        id: SegmentId,
        /// Which.
        spans: Vec<Span>,
    },
    /// I need no more requested symbols of this segment.
    Cancel(SegmentId),
    /// Send me manifest and pages of this segment.
    Fetch(SegmentId),
    /// Send me manifests and pages of these tracks, from the newest group start on.
    FetchTail {
        /// Bit i is track i.
        tracks: u64,
    },
    /// A receipt of the ledger, opaque here.
    Receipt(Bytes),
    /// Two manifests that the publisher signed for one segment.
    Equivocation {
        /// The record of one.
        first: Bytes,
        /// The record of the other.
        second: Bytes,
    },
    /// To a parent: what hangs on the sender in the stripes that it takes from it.
    Census(Vec<Census>),
}

pub(super) mod kind {
    pub(in crate::wire) const HELLO: u8 = 0x01;
    pub(super) const FAREWELL: u8 = 0x02;
    pub(super) const PING: u8 = 0x03;
    pub(super) const PONG: u8 = 0x04;
    pub(super) const PEERS: u8 = 0x05;
    pub(super) const DESCRIPTION: u8 = 0x06;
    pub(super) const STATUS: u8 = 0x07;
    pub(super) const SUBSCRIBE: u8 = 0x08;
    pub(super) const UNSUBSCRIBE: u8 = 0x09;
    pub(super) const FEED: u8 = 0x0a;
    pub(super) const REFUSE: u8 = 0x0b;
    pub(super) const MANIFEST: u8 = 0x0c;
    pub(super) const PAGES: u8 = 0x0d;
    pub(super) const HAVE: u8 = 0x0e;
    pub(super) const REQUEST: u8 = 0x0f;
    pub(super) const BUSY: u8 = 0x10;
    pub(super) const CANCEL: u8 = 0x11;
    pub(super) const FETCH: u8 = 0x12;
    pub(super) const FETCH_TAIL: u8 = 0x13;
    pub(super) const RECEIPT: u8 = 0x14;
    pub(super) const EQUIVOCATION: u8 = 0x15;
    pub(super) const CENSUS: u8 = 0x16;
}

impl Message {
    /// The frame of this message. Lists longer than their limits are cut.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        match self {
            Self::Hello(hello) => {
                out.put_u8(kind::HELLO);
                hello.put(&mut out);
            }
            Self::Farewell { reason, peers } => {
                out.put_u8(kind::FAREWELL);
                out.put_u8(*reason as u8);
                put_peers(&mut out, peers);
            }
            Self::Ping(token) => put_u64(&mut out, kind::PING, *token),
            Self::Pong(token) => put_u64(&mut out, kind::PONG, *token),
            Self::Peers(peers) => {
                out.put_u8(kind::PEERS);
                put_peers(&mut out, peers);
            }
            Self::Description(record) => put_bytes(&mut out, kind::DESCRIPTION, record),
            Self::Status(status) => encode_status(&mut out, status),
            Self::Subscribe { stripes, tracks, from } => {
                out.put_u8(kind::SUBSCRIBE);
                out.put_u32(*stripes);
                out.put_u64(*tracks);
                out.put_u64(from.as_micros());
            }
            Self::Unsubscribe { stripes, from } => {
                out.put_u8(kind::UNSUBSCRIBE);
                out.put_u32(*stripes);
                out.put_u64(from.as_micros());
            }
            Self::Feed { stripe, path } => encode_feed(&mut out, *stripe, path),
            Self::Refuse { stripe, reason } => {
                out.put_slice(&[kind::REFUSE, *stripe, *reason as u8]);
            }
            Self::Manifest(record) => put_bytes(&mut out, kind::MANIFEST, record),
            Self::Pages { id, first, leaves } => {
                put_segment(&mut out, kind::PAGES, *id);
                out.put_u8(*first);
                out.put_slice(leaves);
            }
            Self::Have(entries) => encode_have(&mut out, entries),
            Self::Request { id, spans } => {
                put_segment(&mut out, kind::REQUEST, *id);
                Span::put(spans, &mut out);
            }
            Self::Busy { id, spans } => {
                put_segment(&mut out, kind::BUSY, *id);
                Span::put(spans, &mut out);
            }
            Self::Cancel(id) => put_segment(&mut out, kind::CANCEL, *id),
            Self::Fetch(id) => put_segment(&mut out, kind::FETCH, *id),
            Self::FetchTail { tracks } => put_u64(&mut out, kind::FETCH_TAIL, *tracks),
            Self::Receipt(receipt) => put_bytes(&mut out, kind::RECEIPT, receipt),
            Self::Equivocation { first, second } => {
                out.put_u8(kind::EQUIVOCATION);
                // A manifest is a few kilobytes.
                out.put_u16(first.len().min(usize::from(u16::MAX)) as u16);
                out.put_slice(first);
                out.put_slice(second);
            }
            Self::Census(entries) => encode_census(&mut out, entries),
        }
        out.freeze()
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`DecodeError`] when the frame is not exactly one message within all ranges.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame);
        let r = &mut reader;
        let message = match r.u8()? {
            kind::HELLO => Self::Hello(Hello::take(r)?),
            kind::FAREWELL => {
                let reason = FarewellReason::of(r.u8()?)?;
                Self::Farewell { reason, peers: peers(r)? }
            }
            kind::PING => Self::Ping(r.u64()?),
            kind::PONG => Self::Pong(r.u64()?),
            kind::PEERS => Self::Peers(peers(r)?),
            kind::DESCRIPTION => Self::Description(r.rest()),
            kind::STATUS => Self::Status(decode_status(r)?),
            kind::SUBSCRIBE => {
                Self::Subscribe { stripes: stripes(r)?, tracks: r.u64()?, from: time(r)? }
            }
            kind::UNSUBSCRIBE => Self::Unsubscribe { stripes: stripes(r)?, from: time(r)? },
            kind::FEED => decode_feed(r)?,
            kind::REFUSE => Self::Refuse { stripe: stripe(r)?, reason: refusal(r.u8()?)? },
            kind::MANIFEST => Self::Manifest(r.rest()),
            kind::PAGES => Self::Pages { id: segment(r)?, first: r.u8()?, leaves: leaves(r)? },
            kind::HAVE => Self::Have(decode_have(r)?),
            kind::REQUEST => Self::Request { id: segment(r)?, spans: Span::take(r)? },
            kind::BUSY => Self::Busy { id: segment(r)?, spans: Span::take(r)? },
            kind::CANCEL => Self::Cancel(segment(r)?),
            kind::FETCH => Self::Fetch(segment(r)?),
            kind::FETCH_TAIL => Self::FetchTail { tracks: r.u64()? },
            kind::RECEIPT => Self::Receipt(receipt(r)?),
            kind::EQUIVOCATION => {
                let length = usize::from(r.u16()?);
                Self::Equivocation { first: r.bytes(length)?, second: r.rest() }
            }
            kind::CENSUS => Self::Census(decode_census(r)?),
            other => return Err(DecodeError::Type(other)),
        };
        reader.end()?;
        Ok(message)
    }
}

fn time(r: &mut Reader) -> Result<Instant, DecodeError> {
    r.u64().map(Instant::from_micros)
}

fn encode_status(out: &mut BytesMut, status: &Status) {
    out.put_u8(kind::STATUS);
    out.put_u64(status.tracks);
    out.put_u16(status.slots);
    let count = status.depth.len().min(status.bar.len()).min(usize::from(STRIPES_MAX) + 1);
    out.put_u8(count as u8);
    out.put_slice(&status.depth[..count]);
    out.put_slice(&status.bar[..count]);
}

fn decode_status(r: &mut Reader) -> Result<Status, DecodeError> {
    let (tracks, slots) = (r.u64()?, r.u16()?);
    let count = r.count(usize::from(STRIPES_MAX) + 1, 2, "stripes")?;
    let (depth, bar) = (r.bytes(count)?.to_vec(), r.bytes(count)?.to_vec());
    Ok(Status { tracks, slots, depth, bar })
}

fn encode_feed(out: &mut BytesMut, stripe: u8, path: &[u32]) {
    out.put_u8(kind::FEED);
    out.put_u8(stripe);
    let path = &path[..path.len().min(usize::from(DEPTH_MAX))];
    out.put_u8(path.len() as u8);
    path.iter().for_each(|hop| out.put_u32(*hop));
}

fn decode_feed(r: &mut Reader) -> Result<Message, DecodeError> {
    let stripe = stripe(r)?;
    let count = r.count(usize::from(DEPTH_MAX), 4, "path")?;
    if count == 0 {
        return Err(DecodeError::Range("path"));
    }
    let path = (0..count).map(|_| r.u32()).collect::<Result<_, _>>()?;
    Ok(Message::Feed { stripe, path })
}

fn encode_have(out: &mut BytesMut, entries: &[Have]) {
    out.put_u8(kind::HAVE);
    let entries = &entries[..entries.len().min(HAVES_MAX)];
    out.put_u8(entries.len() as u8);
    for have in entries {
        out.put_u8(have.id.track.get());
        out.put_u32(have.id.seq);
        out.put_u32(have.mask);
    }
}

fn decode_have(r: &mut Reader) -> Result<Vec<Have>, DecodeError> {
    let count = r.count(HAVES_MAX, 9, "haves")?;
    (0..count).map(|_| Ok(Have { id: segment(r)?, mask: r.u32()? })).collect()
}

fn encode_census(out: &mut BytesMut, entries: &[Census]) {
    out.put_u8(kind::CENSUS);
    let entries = &entries[..entries.len().min(usize::from(STRIPES_MAX) + 1)];
    out.put_u8(entries.len() as u8);
    for census in entries {
        out.put_u8(census.stripe);
        out.put_u32(census.viewers);
        out.put_u32(census.slots);
    }
}

fn decode_census(r: &mut Reader) -> Result<Vec<Census>, DecodeError> {
    let count = r.count(usize::from(STRIPES_MAX) + 1, 9, "stripes")?;
    let census =
        |r: &mut Reader| Ok(Census { stripe: stripe(r)?, viewers: r.u32()?, slots: r.u32()? });
    (0..count).map(|_| census(r)).collect()
}

fn put_u64(out: &mut BytesMut, kind: u8, value: u64) {
    out.put_u8(kind);
    out.put_u64(value);
}

fn put_bytes(out: &mut BytesMut, kind: u8, bytes: &[u8]) {
    out.put_u8(kind);
    out.put_slice(bytes);
}

fn put_segment(out: &mut BytesMut, kind: u8, id: SegmentId) {
    out.put_u8(kind);
    out.put_u8(id.track.get());
    out.put_u32(id.seq);
}

fn put_peers(out: &mut BytesMut, peers: &[PeerId]) {
    let peers = &peers[..peers.len().min(PEERS_MAX)];
    out.put_u8(peers.len() as u8);
    peers.iter().for_each(|peer| out.put_slice(peer.as_bytes()));
}

fn segment(r: &mut Reader) -> Result<SegmentId, DecodeError> {
    let track = TrackId::new(r.u8()?).ok_or(DecodeError::Range("track"))?;
    Ok(SegmentId { track, seq: r.u32()? })
}

fn stripe(r: &mut Reader) -> Result<u8, DecodeError> {
    let stripe = r.u8()?;
    if stripe > STRIPES_MAX { Err(DecodeError::Range("stripe")) } else { Ok(stripe) }
}

fn stripes(r: &mut Reader) -> Result<u32, DecodeError> {
    let mask = r.u32()?;
    if mask >> (STRIPES_MAX + 1) == 0 { Ok(mask) } else { Err(DecodeError::Range("stripes")) }
}

fn peers(r: &mut Reader) -> Result<Vec<PeerId>, DecodeError> {
    let count = r.count(PEERS_MAX, 32, "peers")?;
    (0..count).map(|_| Ok(PublicKey::from_bytes(r.array()?))).collect()
}

fn leaves(r: &mut Reader) -> Result<Bytes, DecodeError> {
    let leaves = r.rest();
    let whole = leaves.len().is_multiple_of(32) && (32..=PAGES_MAX * 1024).contains(&leaves.len());
    if whole { Ok(leaves) } else { Err(DecodeError::Range("leaves")) }
}

fn receipt(r: &mut Reader) -> Result<Bytes, DecodeError> {
    let receipt = r.rest();
    if receipt.len() <= RECEIPT_BYTES_MAX {
        Ok(receipt)
    } else {
        Err(DecodeError::Range("receipt"))
    }
}

fn refusal(code: u8) -> Result<RefuseReason, DecodeError> {
    Ok(match code {
        0 => RefuseReason::Full,
        1 => RefuseReason::Depth,
        2 => RefuseReason::Loop,
        3 => RefuseReason::Unavailable,
        4 => RefuseReason::Notice,
        _ => return Err(DecodeError::Range("refuse reason")),
    })
}
