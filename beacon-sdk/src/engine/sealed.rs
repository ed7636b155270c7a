//! What is signed about a segment, and what of it has been found true.
//!
//! Both are the same for everybody. Engines of one process may therefore keep them together: a
//! manifest is then verified and a symbol hashed by the first engine that meets it, and for the
//! others it is enough that theirs is the same to the last byte.

use crate::id::{BroadcastId, PeerId, SegmentId};
use crate::media::{Hash, Manifest, PAGE_LEAVES, SegmentHasher};
use crate::wire::{Hello, SYMBOL_HEADER_LEN};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Bytes of a full page.
pub(super) const PAGE_BYTES: usize = PAGE_LEAVES * 32;

/// A verified manifest, and those of its pages and symbols that somebody has verified.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) manifest: Manifest,
    /// The manifest as a frame, for passing on.
    pub(super) frame: Bytes,
    hasher: SegmentHasher,
    /// Leaf hashes as they came; no pages where the manifest has them.
    pages: Box<[OnceLock<Bytes>]>,
    /// Symbols as frames.
    symbols: Box<[OnceLock<Bytes>]>,
}

fn unknown(count: usize) -> Box<[OnceLock<Bytes>]> {
    (0..count).map(|_| OnceLock::new()).collect()
}

/// The same bytes, and as a rule the same memory.
fn same(known: &Bytes, bytes: &[u8]) -> bool {
    known.len() == bytes.len() && (known.as_ptr() == bytes.as_ptr() || known[..] == *bytes)
}

impl Sealed {
    /// Of a manifest whose signature has been checked.
    pub(super) fn new(broadcast: BroadcastId, manifest: Manifest, frame: Bytes) -> Self {
        Self {
            hasher: SegmentHasher::new(broadcast, manifest.id),
            pages: unknown(Manifest::pages(&manifest.layout)),
            symbols: unknown(manifest.layout.total().into()),
            manifest,
            frame,
        }
    }

    pub(super) fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// A page, if anybody has verified it.
    pub(super) fn page(&self, index: usize) -> Option<&Bytes> {
        self.pages.get(index)?.get()
    }

    /// A symbol's frame, if anybody has verified it.
    pub(super) fn symbol(&self, esi: u16) -> Option<&Bytes> {
        self.symbols.get(usize::from(esi))?.get()
    }

    /// Whether this is the page that the manifest names.
    pub(super) fn page_holds(&self, index: usize, page: &[u8]) -> bool {
        let total = usize::from(self.manifest.layout.total());
        let Some(slot) = self.pages.get(index) else { return false };
        if slot.get().is_some_and(|known| same(known, page)) {
            return true;
        }
        let count = (total - index * PAGE_LEAVES).min(PAGE_LEAVES);
        // Pages are 128 at most: the count is that of a valid layout.
        page.len() == count * 32
            && self.hasher.page(index as u8, page) == self.manifest.digests[index]
    }

    /// Keeps a page that holds, unless it is here.
    pub(super) fn keep_page(&self, index: usize, page: &Bytes) {
        self.pages[index].get_or_init(|| page.clone());
    }

    /// The leaf hash of a symbol, where it is known: in the manifest itself or in a page.
    fn leaf(&self, esi: u16) -> Option<&[u8]> {
        let at = usize::from(esi);
        if self.pages.is_empty() {
            return self.manifest.digests.get(at).map(|leaf| &leaf[..]);
        }
        self.page(at / PAGE_LEAVES)?.chunks_exact(32).nth(at % PAGE_LEAVES)
    }

    /// Whether a frame holds the symbol that the manifest names. Its leaf hash is known.
    pub(super) fn holds(&self, esi: u16, frame: &Bytes) -> bool {
        self.symbol(esi).is_some_and(|known| same(known, frame))
            || self.committed(esi, &frame[SYMBOL_HEADER_LEN..])
    }

    /// Whether a symbol matches its leaf hash, where that is known.
    pub(super) fn committed(&self, esi: u16, symbol: &[u8]) -> bool {
        let hash = || -> Hash { self.hasher.leaf(esi, symbol) };
        self.leaf(esi).is_some_and(|leaf| hash() == leaf)
    }

    /// Keeps a symbol whose authenticity is established, unless it is here.
    pub(super) fn keep(&self, esi: u16, frame: Bytes) {
        self.symbols[usize::from(esi)].get_or_init(|| frame);
    }
}

/// What engines of one process verify together; see
/// [`Engine::share`](super::Engine::share). Clones are the same one.
///
/// It holds what its engines hold and no more: a segment that has left all their windows is gone.
#[derive(Clone, Debug, Default)]
pub struct Commons(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    segments: BTreeMap<(BroadcastId, SegmentId), Weak<Sealed>>,
    /// Greetings that have been signed and not been read, by sender and receiver.
    greetings: BTreeMap<(PeerId, PeerId), ([u8; 32], Hello)>,
}

/// Greetings kept at most: of links that never come up nobody reads them.
const GREETINGS_MAX: usize = 1 << 16;

impl Commons {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment that this frame is the manifest of, if an engine has verified that.
    pub(super) fn find(
        &self,
        broadcast: BroadcastId,
        id: SegmentId,
        frame: &Bytes,
    ) -> Option<Arc<Sealed>> {
        let sealed = self.known().segments.get(&(broadcast, id))?.upgrade()?;
        same(&sealed.frame, frame).then_some(sealed)
    }

    /// Has the others know of a verified segment, unless they know one of that number.
    pub(super) fn add(&self, broadcast: BroadcastId, sealed: &Arc<Sealed>) {
        let segments = &mut self.known().segments;
        segments.retain(|_, segment| segment.strong_count() > 0);
        segments.entry((broadcast, sealed.manifest.id)).or_insert_with(|| Arc::downgrade(sealed));
    }

    /// An engine greets another over the connection `binding`.
    pub(super) fn greets(&self, to: PeerId, binding: [u8; 32], hello: &Hello) {
        let greetings = &mut self.known().greetings;
        if greetings.len() >= GREETINGS_MAX {
            greetings.clear();
        }
        greetings.insert((hello.peer, to), (binding, hello.clone()));
    }

    /// Whether an engine has signed this greeting for this connection. It is read once.
    pub(super) fn greeted(&self, to: PeerId, binding: [u8; 32], hello: &Hello) -> bool {
        let signed = self.known().greetings.remove(&(hello.peer, to));
        signed.is_some_and(|signed| signed.0 == binding && signed.1 == *hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TrackId;
    use crate::identity::Identity;
    use crate::plugin::Layout;
    use crate::time::Instant;
    use crate::wire::SymbolHeader;

    const ID: SegmentId = SegmentId { track: TrackId::new(0).unwrap(), seq: 7 };

    /// A segment of three pages of symbols, and the frames that belong to it.
    fn segment(identity: &Identity) -> (BroadcastId, Sealed, Vec<Bytes>, Bytes) {
        let broadcast = BroadcastId { publisher: identity.public(), epoch: 1 };
        let payload: Vec<u8> = (0..70 * 1088_u32).map(|n| (n % 251) as u8).collect();
        let layout = Layout::plan(payload.len(), 0).expect("a payload like any");
        let hasher = SegmentHasher::new(broadcast, ID);
        let frames: Vec<Bytes> = (0..layout.source())
            .zip(payload.chunks_exact(layout.symbol_size()))
            .map(|(esi, symbol)| SymbolHeader { segment: ID, esi }.frame(symbol))
            .collect();
        let leaf = |(esi, frame): (u16, &Bytes)| hasher.leaf(esi, &frame[SYMBOL_HEADER_LEN..]);
        let leaves: Vec<Hash> = (0..).zip(&frames).map(leaf).collect();
        let leaves = Bytes::from(leaves.concat());
        let pages = (0_u8..).zip(leaves.chunks(PAGE_BYTES));
        let manifest = Manifest {
            id: ID,
            group_start: true,
            thinned: false,
            revision: 0,
            start: 0,
            duration: 1,
            captured: Instant::ZERO,
            published: Instant::ZERO,
            layout,
            code: 0,
            payload_hash: crate::media::payload_hash(&payload),
            digests: pages.map(|(index, page)| hasher.page(index, page)).collect(),
        };
        let record = manifest.seal(broadcast, identity);
        (broadcast, Sealed::new(broadcast, manifest, record), frames, leaves)
    }

    fn changed(bytes: &Bytes) -> Bytes {
        let mut changed = bytes.to_vec();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        changed.into()
    }

    #[test]
    fn what_somebody_has_verified_makes_nothing_false_true() {
        let (_, sealed, frames, leaves) = segment(&Identity::from_secret([1; 32]));
        let page = leaves.slice(..PAGE_BYTES);
        for _ in 0..2 {
            assert!(sealed.page_holds(0, &page) && !sealed.page_holds(0, &changed(&page)));
            assert!(!sealed.page_holds(1, &page) && !sealed.page_holds(3, &page));
            sealed.keep_page(0, &page);
        }
        for _ in 0..2 {
            assert!(sealed.holds(3, &frames[3]));
            assert!(sealed.holds(3, &Bytes::copy_from_slice(&frames[3])));
            assert!(!sealed.holds(3, &changed(&frames[3])) && !sealed.holds(3, &frames[4]));
            // Its page is not known.
            assert!(!sealed.holds(33, &frames[33]));
            sealed.keep(3, frames[3].clone());
        }
        assert_eq!(sealed.symbol(3), Some(&frames[3]));
        assert_eq!(sealed.symbol(4), None);
    }

    #[test]
    fn a_segment_is_found_by_its_very_manifest_while_somebody_has_it() {
        let (broadcast, sealed, ..) = segment(&Identity::from_secret([1; 32]));
        let (commons, sealed) = (Commons::new(), Arc::new(sealed));
        commons.add(broadcast, &sealed);
        let other = BroadcastId { epoch: 2, ..broadcast };
        let find = |broadcast, frame: &Bytes| commons.find(broadcast, ID, frame);
        let same = Bytes::copy_from_slice(&sealed.frame);
        assert!(find(broadcast, &same).is_some_and(|found| Arc::ptr_eq(&found, &sealed)));
        assert!(find(broadcast, &changed(&same)).is_none() && find(other, &same).is_none());
        drop(sealed);
        assert!(find(broadcast, &same).is_none());
    }

    #[test]
    fn a_greeting_is_believed_once_and_as_it_was_said() {
        let identity = Identity::from_secret([2; 32]);
        let (to, binding) = (PeerId::from_bytes([9; 32]), [5; 32]);
        let broadcast = BroadcastId { publisher: to, epoch: 1 };
        let hello = Hello::sign(&identity, broadcast, &binding, &to);
        let commons = Commons::new();
        for (of, said) in [(binding, true), ([6; 32], false)] {
            commons.greets(to, binding, &hello);
            assert_eq!(commons.greeted(to, of, &hello), said);
            assert!(!commons.greeted(to, of, &hello));
        }
        commons.greets(to, binding, &hello);
        let forged = Hello { version_max: 9, ..hello };
        assert!(!commons.greeted(to, binding, &forged));
    }
}
