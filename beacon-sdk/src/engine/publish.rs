//! The origin: objects in, sealed segments out.

use super::Engine;
use super::content::Content;
use super::thin::Thinner;
use crate::config::Config;
use crate::id::{SegmentId, TrackId};
use crate::media::{
    CLOCK_MAX, Cut, Description, Hash, Manifest, Media, Object, PAGE_LEAVES, START_MAX,
    SegmentHasher, Segmenter, TRACKS_MAX, Track, TrackError, payload, payload_hash,
};
use crate::plugin::{Layout, PeerKey};
use crate::time::micros;
use crate::wire::{Message, SYMBOL_HEADER_LEN, SymbolHeader};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;

/// Bytes of a description's frame without its tracks, and of a track without its texts, at most.
const RECORD_FIXED: usize = 1 + 12 + 1 + 64;
const TRACK_FIXED: usize = 19 + 4;

/// Why something a source yields cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Tracks that no viewer would accept.
    #[error(transparent)]
    Tracks(#[from] TrackError),
    /// An object of a track that was not announced.
    #[error("object of track {0}, which the source did not announce")]
    UnknownTrack(TrackId),
    /// An empty or oversized object.
    #[error("object of {0} bytes: 1 to 1048576 are possible; lower the bit rate")]
    Size(usize),
    /// Tracks whose description would not fit a control frame.
    #[error(
        "the description of these tracks takes {0} bytes, above 16 KiB: shorten configurations"
    )]
    Description(usize),
    /// A decode or capture time that no manifest can hold.
    #[error("a time of track {0} is out of range: count decode times from the start (below 2^48)")]
    Time(TrackId),
    /// Decode time went backwards.
    #[error("decode time of track {0} went backwards")]
    Order(TrackId),
}

/// The origin's own state.
#[derive(Debug)]
pub(super) struct Publisher {
    segment_us: u64,
    stripes: u8,
    repair_percent: u8,
    revision: u32,
    tracks: BTreeMap<TrackId, Outgoing>,
    ended: bool,
    pub(super) thinner: Thinner,
    failure: Option<PublishError>,
}

#[derive(Debug)]
struct Outgoing {
    track: Track,
    segmenter: Segmenter,
    next: u32,
    dts: u64,
    /// Something of the open segment was left out, or of those before it that held nothing else.
    thinned: bool,
}

impl Publisher {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            segment_us: micros(config.segment),
            stripes: config.stripes,
            repair_percent: config.repair_percent,
            revision: 0,
            tracks: BTreeMap::new(),
            ended: false,
            thinner: Thinner::default(),
            failure: None,
        }
    }

    fn announce(&mut self, tracks: Vec<Track>) -> Result<(), PublishError> {
        Track::check_all(&tracks)?;
        let new = |id| tracks.iter().all(|track| track.id != id);
        let kept = self.tracks.values().map(|outgoing| &outgoing.track);
        let all: Vec<&Track> = kept.filter(|track| new(track.id)).chain(&tracks).collect();
        if all.len() > TRACKS_MAX {
            return Err(TrackError::Count(all.len()).into());
        }
        let texts = |track: &&Track| track.codec.len() + track.label.len() + track.config.len();
        let bytes =
            RECORD_FIXED + all.iter().map(|track| TRACK_FIXED + texts(track)).sum::<usize>();
        if bytes > Engine::caps_needed().control_frame_max {
            return Err(PublishError::Description(bytes));
        }
        for track in tracks {
            let segmenter = Segmenter::new(track.clone(), self.segment_us);
            match self.tracks.get_mut(&track.id) {
                Some(outgoing) => {
                    outgoing.segmenter = segmenter;
                    outgoing.track = track;
                }
                None => {
                    let id = track.id;
                    let new = Outgoing { track, segmenter, next: 0, dts: 0, thinned: false };
                    self.tracks.insert(id, new);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, object: Object) -> Result<Vec<Cut>, PublishError> {
        let id = object.track;
        let outgoing = self.tracks.get_mut(&id).ok_or(PublishError::UnknownTrack(id))?;
        if object.data.is_empty() || object.data.len() > crate::media::OBJECT_BYTES_MAX {
            return Err(PublishError::Size(object.data.len()));
        }
        if object.dts > START_MAX || object.captured.as_micros() > CLOCK_MAX {
            return Err(PublishError::Time(id));
        }
        if object.dts < outgoing.dts {
            return Err(PublishError::Order(id));
        }
        outgoing.dts = object.dts;
        let duration = object.duration;
        let kept = self.thinner.take(object, outgoing.track.is_video());
        outgoing.thinned |= kept.as_ref().is_none_or(|kept| kept.duration != duration);
        Ok(kept.map_or(Vec::new(), |object| outgoing.segmenter.push(object)))
    }

    fn flush(&mut self) -> Vec<(TrackId, Cut)> {
        self.tracks
            .iter_mut()
            .filter_map(|(id, outgoing)| Some((*id, outgoing.segmenter.flush()?)))
            .collect()
    }

    fn description(&self) -> Description {
        let outgoing = || self.tracks.values();
        Description {
            revision: self.revision,
            stripes: self.stripes,
            segment_us: u32::try_from(self.segment_us).unwrap_or(u32::MAX),
            tracks: outgoing().map(|outgoing| outgoing.track.clone()).collect(),
            ended: self.ended.then(|| outgoing().map(|outgoing| outgoing.next).collect()),
        }
    }
}

impl Engine {
    /// Why the last item of the source could not be published, if it could not: the driver ends
    /// the broadcast with it.
    #[must_use]
    pub fn take_publish_error(&mut self) -> Option<PublishError> {
        self.publisher.as_mut()?.failure.take()
    }

    pub(super) fn on_media(&mut self, media: Media) {
        let Some(publisher) = &mut self.publisher else { return };
        if publisher.ended {
            return;
        }
        let result = match media {
            Media::Tracks(tracks) => {
                // What was cut under the old configuration goes out under it.
                let cuts = publisher.flush();
                let announced = publisher.announce(tracks);
                for (id, cut) in cuts {
                    self.seal(id, cut);
                }
                announced.map(|()| self.describe())
            }
            Media::Object(object) => {
                let id = object.track;
                publisher.take(object).map(|cuts| cuts.into_iter().for_each(|c| self.seal(id, c)))
            }
        };
        if let (Err(error), Some(publisher)) = (result, &mut self.publisher) {
            publisher.failure = Some(error);
        }
    }

    pub(super) fn on_end(&mut self) {
        let Some(publisher) = &mut self.publisher else { return };
        if publisher.ended {
            return;
        }
        for (id, cut) in publisher.flush() {
            self.seal(id, cut);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.ended = true;
        }
        self.describe();
    }

    /// Signs the present description and tells everyone.
    fn describe(&mut self) {
        let Some(publisher) = &mut self.publisher else { return };
        if publisher.tracks.is_empty() {
            return;
        }
        let first = self.description.is_none();
        publisher.revision += u32::from(!first);
        let description = publisher.description();
        let record = description.seal(self.broadcast, &self.identity);
        self.tracks =
            description.tracks.iter().fold(0, |mask, track| mask | 1_u64 << track.id.get());
        self.player.describe(&description, self.tracks);
        let frame = Message::Description(record).encode();
        self.description = Some((description, frame.clone()));
        let all: Vec<PeerKey> = self.peers.ready().map(|(key, _)| key).collect();
        for key in all {
            self.send_frame(key, frame.clone());
        }
        self.tell_soon();
    }

    /// Seals one segment and sends it on its way.
    fn seal(&mut self, track: TrackId, cut: Cut) {
        let Some(publisher) = &mut self.publisher else { return };
        let Some(outgoing) = publisher.tracks.get_mut(&track) else { return };
        let (Some(first), Some(last)) = (cut.objects.first(), cut.objects.last()) else { return };
        let id = SegmentId { track, seq: outgoing.next };
        let (start, captured) = (first.dts, first.captured);
        let end = last.dts.saturating_add(u64::from(last.duration));
        let bytes = payload::encode(&cut.objects, start, captured);
        let layout = match Layout::plan(bytes.len(), publisher.repair_percent) {
            Ok(layout) => layout,
            // The segmenter cuts before a payload gets too large, so this is a single object at
            // the very limit; it is dropped as a camera drops a frame.
            Err(error) => return tracing::warn!(segment = %id, %error, "segment dropped"),
        };
        outgoing.next += 1;
        let thinned = core::mem::take(&mut outgoing.thinned);
        let frames = self.symbols(id, &layout, &bytes);
        let Some(publisher) = &self.publisher else { return };
        let layout = match Layout::plan(bytes.len(), publisher.repair_percent) {
            Ok(planned) if usize::from(planned.total()) == frames.len() => planned,
            // The code made no repair symbols.
            _ => match Layout::plan(bytes.len(), 0) {
                Ok(plain) => plain,
                Err(_) => return,
            },
        };
        let hasher = SegmentHasher::new(self.broadcast, id);
        let leaves: Vec<Hash> = (0_u16..)
            .zip(&frames)
            .map(|(esi, frame)| hasher.leaf(esi, &frame[SYMBOL_HEADER_LEN..]))
            .collect();
        let all = Bytes::from(leaves.concat());
        let digests = if Manifest::is_flat(&layout) {
            leaves
        } else {
            let pages = (0_u8..).zip(all.chunks(PAGE_LEAVES * 32));
            pages.map(|(index, page)| hasher.page(index, page)).collect()
        };
        let manifest = Manifest {
            id,
            group_start: cut.group_start,
            thinned,
            revision: publisher.revision,
            start,
            duration: u32::try_from(end - start).unwrap_or(u32::MAX),
            captured,
            published: self.now,
            layout,
            code: self.parts.code.id(),
            payload_hash: payload_hash(&bytes),
            digests,
        };
        self.stats.segments_published += 1;
        self.stats.bytes_published += bytes.len() as u64;
        let stripes = publisher.stripes;
        self.player.clock(&manifest, self.now);
        let frame = Message::Manifest(manifest.seal(self.broadcast, &self.identity)).encode();
        let mut content = Content::new(self.sealed(manifest, frame), stripes, self.now);
        // Where the manifest has all leaf hashes there are no pages.
        if !content.paged() {
            content.accept_pages(0, &all);
        }
        let records = content.records();
        for (esi, frame) in (0_u16..).zip(&frames) {
            content.keep(esi, frame.clone());
        }
        let mask = content.mask();
        self.store.insert(id, content);
        for record in &records {
            self.pass_on_record(id, record, None);
        }
        for (esi, frame) in (0_u16..).zip(&frames) {
            self.pass_on_symbol(id, esi, frame, None);
        }
        self.tell_holding(id, mask);
    }

    /// The frames of all K + R symbols of a payload.
    fn symbols(&mut self, id: SegmentId, layout: &Layout, payload: &Bytes) -> Vec<Bytes> {
        let size = layout.symbol_size();
        let mut padded = BytesMut::with_capacity(layout.padded_len());
        padded.put_slice(payload);
        padded.resize(layout.padded_len(), 0);
        let mut all =
            BytesMut::with_capacity(usize::from(layout.total()) * (SYMBOL_HEADER_LEN + size));
        let mut esi = 0_u16;
        let mut put = |symbol: &[u8]| {
            SymbolHeader { segment: id, esi }.encode(&mut all);
            all.put_slice(symbol);
            esi += 1;
        };
        padded.chunks_exact(size).for_each(&mut put);
        let repair: Vec<u16> = (layout.source()..layout.total()).collect();
        if !repair.is_empty() {
            match self.parts.code.repair(layout, &padded, &repair) {
                Ok(symbols) => symbols.iter().for_each(|symbol| put(symbol)),
                Err(error) => tracing::warn!(segment = %id, %error, "no repair symbols"),
            }
        }
        let all = all.freeze();
        let step = SYMBOL_HEADER_LEN + size;
        (0..all.len() / step).map(|at| all.slice(at * step..(at + 1) * step)).collect()
    }
}
