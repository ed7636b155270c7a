//! What the origin has committed to, learnt from a twin of it.
//!
//! The twin has the origin's identity, seed and settings and is given the same media at the same
//! times, but its only link is a subscriber to everything. Its frames are the truth that all
//! others are held against, and they are held against its signed manifests.

use super::common::parts;
use beacon_sdk::engine::{Input, Output};
use beacon_sdk::media::{
    Description, Manifest, Media, Object, PAGE_LEAVES, Playout, SegmentHasher, Track,
};
use beacon_sdk::plugin::Link;
use beacon_sdk::wire::{Hello, Message, SYMBOL_HEADER_LEN, SymbolHeader};
use beacon_sdk::{BroadcastId, Config, Engine, Identity, Instant, Lane, PeerId, SegmentId};
use bytes::Bytes;
use std::collections::BTreeMap;

pub struct Oracle {
    twin: Engine,
    tap: PeerId,
    /// Every committed symbol, as a frame.
    pub symbols: BTreeMap<SymbolHeader, Bytes>,
    /// Every segment as the origin itself plays it.
    pub segments: BTreeMap<SegmentId, (bool, Vec<Object>)>,
    /// Descriptions, manifests and pages, as frames.
    pub records: Vec<Bytes>,
    /// Every list of tracks that was announced.
    pub tracks: Vec<Vec<Track>>,
    manifests: BTreeMap<SegmentId, Manifest>,
    pages: BTreeMap<(SegmentId, u8), Bytes>,
    unchecked: Vec<SymbolHeader>,
}

impl Oracle {
    pub fn new(
        now: Instant,
        config: &Config,
        seed: [u8; 32],
        origin: Identity,
        epoch: u64,
    ) -> Self {
        let tap = Identity::from_secret([201; 32]);
        let mut config = config.clone();
        config.upload_bps = None;
        let broadcast = BroadcastId { publisher: origin.public(), epoch };
        let parts = parts(&config);
        let twin = Engine::publish(now, config, seed, origin, epoch, parts).unwrap();
        let mut oracle = Self {
            twin,
            tap: tap.public(),
            symbols: BTreeMap::new(),
            segments: BTreeMap::new(),
            records: Vec::new(),
            tracks: Vec::new(),
            manifests: BTreeMap::new(),
            pages: BTreeMap::new(),
            unchecked: Vec::new(),
        };
        let binding = [9; 32];
        let link = Link { peer: oracle.tap, binding, dialled: false };
        oracle.step(now, Input::Connected(link));
        let hello = Hello::sign(&tap, broadcast, &binding, &broadcast.publisher);
        oracle.says(now, Message::Hello(hello).encode());
        oracle
    }

    /// The source of the origin yields an item.
    pub fn media(&mut self, now: Instant, media: Media) {
        // A sign of life first: no time jump may cost the tap its link.
        self.says(now, Message::Ping(0).encode());
        let tracks = matches!(media, Media::Tracks(_));
        self.step(now, Input::Media(media));
        if tracks {
            let stripes = (1 << 17) - 1;
            self.says(
                now,
                Message::Subscribe { stripes, tracks: u64::MAX, from: Instant::ZERO }.encode(),
            );
        }
    }

    pub fn end(&mut self, now: Instant) {
        self.says(now, Message::Ping(0).encode());
        self.step(now, Input::End);
    }

    fn says(&mut self, now: Instant, frame: Bytes) {
        self.step(now, Input::Received { from: self.tap, lane: Lane::Control, frame });
    }

    fn step(&mut self, now: Instant, input: Input) {
        self.twin.handle(now, input);
        let _ = self.twin.take_publish_error();
        while let Some(output) = self.twin.poll_output() {
            match output {
                Output::Send { lane: Lane::Data, frame, .. } => {
                    let header = SymbolHeader::decode(&frame).unwrap();
                    assert!(self.symbols.insert(header, frame).is_none(), "pushed twice");
                    self.unchecked.push(header);
                }
                Output::Send { frame, .. } => self.record(frame),
                Output::Close { reason, .. } => panic!("the tap was cut off: {reason}"),
                _ => {}
            }
        }
        while let Some(item) = self.twin.poll_playout() {
            match item {
                Playout::Segment { id, group_start, objects } => {
                    self.segments.insert(id, (group_start, objects));
                }
                Playout::Gap { id } => panic!("the twin lacks its own {id}"),
                _ => {}
            }
        }
        self.check();
    }

    fn record(&mut self, frame: Bytes) {
        let broadcast = self.twin.broadcast();
        match Message::decode(frame.clone()).unwrap() {
            Message::Description(record) => {
                self.tracks.push(Description::open(broadcast, &record).unwrap().tracks);
            }
            Message::Manifest(record) => {
                let manifest = Manifest::open(broadcast, &record).unwrap();
                self.manifests.insert(manifest.id, manifest);
            }
            Message::Pages { id, first, leaves } => {
                for (index, at) in (first..).zip((0..leaves.len()).step_by(1024)) {
                    let page = leaves.slice(at..leaves.len().min(at + 1024));
                    self.pages.insert((id, index), page);
                }
            }
            _ => return,
        }
        self.records.push(frame);
    }

    /// Every symbol pushed so far is one that a manifest commits to.
    fn check(&mut self) {
        for header in std::mem::take(&mut self.unchecked) {
            let (id, esi) = (header.segment, usize::from(header.esi));
            let manifest = &self.manifests[&id];
            let hasher = SegmentHasher::new(self.twin.broadcast(), id);
            let leaf = hasher.leaf(header.esi, &self.symbols[&header][SYMBOL_HEADER_LEN..]);
            if Manifest::is_flat(&manifest.layout) {
                assert_eq!(manifest.digests[esi], leaf, "{id} {esi}");
            } else {
                let (index, at) = (esi / PAGE_LEAVES, esi % PAGE_LEAVES);
                let page = &self.pages[&(id, index as u8)];
                assert_eq!(page[at * 32..][..32], leaf, "{id} {esi}");
                assert_eq!(manifest.digests[index], hasher.page(index as u8, page), "{id}");
            }
        }
    }
}
