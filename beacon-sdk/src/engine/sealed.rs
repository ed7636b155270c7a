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
