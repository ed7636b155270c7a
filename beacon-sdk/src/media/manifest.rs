//! Signed manifests: what a segment is, symbol by symbol, before the first symbol comes.

use super::description::{RecordError, open, seal};
use crate::id::{BroadcastId, SegmentId, TrackId};
use crate::identity::Identity;
use crate::plugin::Layout;
use crate::time::Instant;
use crate::wire::DecodeError;
use crate::wire::codec::Reader;
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Leaf hashes per page: a page of 1 KiB fits one packet (fec_auth.md §2.2).
pub const PAGE_LEAVES: usize = 32;

const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"beacon/manifest/1";
const GROUP_START: u8 = 1;
const THINNED: u8 = 2;
/// The largest decode time: times stay far from overflow however they are added up.
pub(crate) const START_MAX: u64 = u64::MAX >> 16;
/// The largest time on the publisher's clock, in microseconds.
pub(crate) const CLOCK_MAX: u64 = u64::MAX >> 8;

/// The signed record of one segment.
///
/// It commits to every one of the K + R symbols: directly when they are at most [`PAGE_LEAVES`],
/// otherwise through the hashes of pages of [`PAGE_LEAVES`] leaf hashes each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Which segment.
    pub id: SegmentId,
    /// The first object is independently decodable.
    pub group_start: bool,
    /// The origin has left out pictures of this segment, or before it, because the audience's
    /// uplinks do not carry all.
    pub thinned: bool,
    /// Revision of the description that its track configuration is in.
    pub revision: u32,
    /// Decode time of the first object in ticks of the track.
    pub start: u64,
    /// From the first object's decode time to the end of the last, in ticks.
    pub duration: u32,
    /// Capture time of the first object, on the publisher's clock.
    pub captured: Instant,
    /// When the segment was sealed, on the publisher's clock.
    pub published: Instant,
    /// How the payload is cut into symbols.
    pub layout: Layout,
    /// Which erasure code made the repair symbols; see
    /// [`ErasureCode::id`](crate::ErasureCode::id).
    pub code: u8,
    /// Hash of the payload, checked after a recovery.
    pub payload_hash: Hash,
    /// Leaf hashes, or page hashes when the symbols are more than [`PAGE_LEAVES`].
    pub digests: Vec<Hash>,
}

impl Manifest {
    /// Whether `digests` are the leaf hashes themselves.
    #[must_use]
    pub fn is_flat(layout: &Layout) -> bool {
        usize::from(layout.total()) <= PAGE_LEAVES
    }

    /// Pages of leaf hashes that must be had besides the manifest; 0 when it is flat.
    #[must_use]
    pub fn pages(layout: &Layout) -> usize {
        if Self::is_flat(layout) { 0 } else { usize::from(layout.total()).div_ceil(PAGE_LEAVES) }
    }

    /// How many `digests` a manifest of this layout has.
    fn digest_count(layout: &Layout) -> usize {
        if Self::is_flat(layout) { usize::from(layout.total()) } else { Self::pages(layout) }
    }

    /// Signs the manifest for `broadcast`.
    #[must_use]
    pub fn seal(&self, broadcast: BroadcastId, identity: &Identity) -> Bytes {
        let mut out = BytesMut::with_capacity(160 + 32 * self.digests.len());
        out.put_u8(VERSION);
        out.put_u8(self.id.track.get());
        out.put_u32(self.id.seq);
        let flag = |set, bit| if set { bit } else { 0 };
        out.put_u8(flag(self.group_start, GROUP_START) | flag(self.thinned, THINNED));
        out.put_u32(self.revision);
        out.put_u64(self.start);
        out.put_u32(self.duration);
        out.put_u64(self.captured.as_micros());
        out.put_u64(self.published.as_micros());
        // Layouts keep payloads below 2.3 MB and symbol sizes and counts below 2^16.
        out.put_u32(self.layout.payload_len() as u32);
        out.put_u16(self.layout.symbol_size() as u16);
        out.put_u16(self.layout.repair());
        out.put_u8(self.code);
        out.put_slice(&self.payload_hash);
        self.digests.iter().for_each(|digest| out.put_slice(digest));
        seal(broadcast, identity, CONTEXT, out)
    }

    /// Reads which segment a record claims to be about, before its signature is checked: the
    /// cheap test that decides whether it is worth checking.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not a manifest of this version.
    pub fn peek(record: &Bytes) -> Result<SegmentId, DecodeError> {
        let mut r = Reader::new(record.clone());
        if r.u8()? != VERSION {
            return Err(DecodeError::Range("manifest version"));
        }
        let track = TrackId::new(r.u8()?).ok_or(DecodeError::Range("track"))?;
        Ok(SegmentId { track, seq: r.u32()? })
    }

    /// Checks the signature, then every range; nothing of it is believed before.
    ///
    /// # Errors
    /// [`RecordError`] when it is not a manifest that the publisher signed for `broadcast`.
    pub fn open(broadcast: BroadcastId, record: &Bytes) -> Result<Self, RecordError> {
        Self::peek(record)?;
        let body = open(broadcast, CONTEXT, record)?;
        Ok(Self::decode(body)?)
    }

    fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let id = Self::peek(&body)?;
        let mut r = Reader::new(body);
        r.bytes(6)?;
        let flags = r.u8()?;
        if flags & !(GROUP_START | THINNED) != 0 {
            return Err(DecodeError::Range("manifest flags"));
        }
        let (revision, start, duration) = (r.u32()?, r.u64()?, r.u32()?);
        if start > START_MAX {
            return Err(DecodeError::Range("start"));
        }
        let captured = Instant::from_micros(r.u64()?);
        let published = Instant::from_micros(r.u64()?);
        if captured.as_micros().max(published.as_micros()) > CLOCK_MAX {
            return Err(DecodeError::Range("time"));
        }
        let layout =
            Layout::new(r.u32()?, r.u16()?, r.u16()?).map_err(|_| DecodeError::Range("layout"))?;
        let code = r.u8()?;
        let payload_hash = r.array()?;
        let digests = (0..Self::digest_count(&layout))
            .map(|_| r.array())
            .collect::<Result<Vec<Hash>, _>>()?;
        r.end()?;
        Ok(Self {
            id,
            group_start: flags & GROUP_START != 0,
            thinned: flags & THINNED != 0,
            revision,
            start,
            duration,
            captured,
            published,
            layout,
            code,
            payload_hash,
            digests,
        })
    }
}

/// Hashes symbols and pages of one segment. The 64-byte prefix that binds them to the segment
/// is compressed once and its state cloned for every symbol.
#[derive(Clone, Debug)]
pub struct SegmentHasher {
    leaf: Sha256,
    page: Sha256,
}

impl SegmentHasher {
    /// The hasher of one segment of one broadcast.
    #[must_use]
    pub fn new(broadcast: BroadcastId, id: SegmentId) -> Self {
        let prefix = |tag: &[u8; 12]| {
            let mut block = [0; 64];
            block[..12].copy_from_slice(tag);
            block[12..44].copy_from_slice(broadcast.publisher.as_bytes());
            block[44..52].copy_from_slice(&broadcast.epoch.to_be_bytes());
            block[52] = id.track.get();
            block[53..57].copy_from_slice(&id.seq.to_be_bytes());
            Sha256::new_with_prefix(block)
        };
        Self { leaf: prefix(b"beacon/leaf1"), page: prefix(b"beacon/page1") }
    }

    /// The leaf hash of a symbol.
    #[must_use]
    pub fn leaf(&self, esi: u16, symbol: &[u8]) -> Hash {
        // `chain_update` would copy the state twice more.
        let mut hasher = self.leaf.clone();
        hasher.update(esi.to_be_bytes());
        hasher.update(symbol);
        hasher.finalize().into()
    }

    /// The hash of a page of leaf hashes.
    #[must_use]
    pub fn page(&self, index: u8, leaves: &[u8]) -> Hash {
        self.page.clone().chain_update([index]).chain_update(leaves).finalize().into()
    }
}

/// The hash of a payload as [`Manifest::payload_hash`] has it.
#[must_use]
pub fn payload_hash(payload: &[u8]) -> Hash {
    Sha256::digest(payload).into()
}
