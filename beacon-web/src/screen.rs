//! [`Screen`]: playout into JavaScript.

use crate::options::Mode;
use crate::out::{Message, Out};
use async_trait::async_trait;
use beacon_mux::{fragment, init_segment};
use beacon_sdk::media::{Kind, Object, Playout, Track};
use beacon_sdk::plugin::SinkError;
use beacon_sdk::{SegmentId, Sink, TrackId};
use js_sys::Array;
use std::collections::BTreeMap;
use wasm_bindgen::JsValue;

/// A sink that hands everything to a function, in playout order and never waiting.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Out,
    mode: Mode,
    tracks: BTreeMap<TrackId, Shown>,
}

/// A track on its way to the player.
#[derive(Debug)]
struct Shown {
    track: Track,
    /// The init segment, until it has been given out; `None` too where MP4 cannot hold the track.
    init: Option<Vec<u8>>,
    fits_mp4: bool,
    /// The last segment and where it ended, in ticks.
    end: Option<(u32, u64)>,
    /// Something was lost before what comes next.
    gap: bool,
}

impl Screen {
    pub(crate) fn new(out: Out, mode: Mode) -> Self {
        Self { out, mode, tracks: BTreeMap::new() }
    }

    fn announce(&mut self, tracks: Vec<Track>) {
        let list = Array::new();
        let mut shown = BTreeMap::new();
        for track in tracks {
            let init = init_segment(core::slice::from_ref(&track));
            let refused = init.as_ref().err().map(ToString::to_string);
            list.push(&describe(&track, refused.as_deref()).into());
            let before = self.tracks.remove(&track.id);
            let (end, gap) = before.map_or((None, false), |before| (before.end, before.gap));
            let fits_mp4 = refused.is_none();
            let init = init.ok().map(|init| init.to_vec());
            shown.insert(track.id, Shown { track, init, fits_mp4, end, gap });
        }
        self.tracks = shown;
        self.out.send(&Message::new("tracks").with("tracks", list));
    }

    fn segment(&mut self, id: SegmentId, objects: Vec<Object>) {
        let Some(shown) = self.tracks.get_mut(&id.track) else { return };
        match self.mode {
            Mode::None => {}
            Mode::Mse => {
                if let Some(message) = shown.fragment(id, objects) {
                    self.out.send(&message);
                }
            }
            Mode::Objects => {
                for object in &objects {
                    self.out.send(&shown.object(object));
                }
            }
        }
    }

    fn gap(&mut self, id: SegmentId) {
        if let Some(shown) = self.tracks.get_mut(&id.track) {
            shown.gap = true;
            let message = Message::new("gap").with("track", id.track.get());
            self.out.send(&message.with("segment", id.seq));
        }
    }
}

impl Shown {
    /// The segment as a fragment of MP4; `None` when it is none that a player could take.
    fn fragment(&mut self, id: SegmentId, mut objects: Vec<Object>) -> Option<Message> {
        let (first, last) = (objects.first()?, objects.last()?);
        let track = &self.track;
        let end = last.dts.saturating_add(u64::from(last.duration));
        let start = (first.dts, first.cts);
        let keyframe = first.keyframe;
        let captured = first.captured.as_micros();
        let before = self.end.replace((id.seq, end));
        if let Some((seq, end)) = before
            && seq.checked_add(1) == Some(id.seq)
            && track.is_video()
        {
            join(&mut objects, end);
        }
        if !self.fits_mp4 {
            return None;
        }
        let Ok(data) = fragment(id, &objects) else {
            // Objects that make up no fragment, which their publisher signed: as good as lost.
            self.gap = true;
            return None;
        };
        let mut message = Message::new("fragment")
            .with("track", id.track.get())
            .bytes("data", &data)
            .number("pts", presented(track, start.0, start.1))
            .number("duration", track.micros(end).saturating_sub(track.micros(start.0)))
            .number("captured", captured)
            .with("keyframe", keyframe)
            .with("gapBefore", core::mem::take(&mut self.gap));
        if let Some(init) = self.init.take() {
            message = message.bytes("init", &init);
        }
        Some(message)
    }

    fn object(&mut self, object: &Object) -> Message {
        Message::new("object")
            .with("track", object.track.get())
            .number("pts", presented(&self.track, object.dts, object.cts))
            .number("dts", self.track.micros(object.dts))
            .number("duration", self.track.micros(u64::from(object.duration)))
            .number("captured", object.captured.as_micros())
            .with("keyframe", object.keyframe)
            .with("gapBefore", core::mem::take(&mut self.gap))
            .bytes("data", &object.data)
    }
}

/// Presentation time in microseconds; one before the start counts as the start.
fn presented(track: &Track, dts: u64, cts: i32) -> u64 {
    track.micros(dts.saturating_add_signed(i64::from(cts)))
}

/// Lets decode time go on from `end`, where frames were left out before the first object (a busy
/// encoder, a still screen); it is shown when it was. Browsers take a step in decode time of more
/// than two frames for a discontinuity and drop what follows up to the next keyframe (Media Source
/// Extensions, coded frame processing).
fn join(objects: &mut [Object], end: u64) {
    let Some(first) = objects.first_mut() else { return };
    let skipped = first.dts.checked_sub(end).and_then(|skipped| i32::try_from(skipped).ok());
    if let Some(cts) = skipped.and_then(|skipped| first.cts.checked_add(skipped)) {
        (first.dts, first.cts) = (end, cts);
    }
}

/// All tracks of a broadcast, for a menu.
pub(crate) fn list(tracks: &[Track]) -> Array {
    tracks.iter().map(|track| JsValue::from(describe(track, None))).collect()
}

fn describe(track: &Track, refused: Option<&str>) -> Message {
    let message = Message::plain()
        .with("id", track.id.get())
        .with("codec", track.codec.as_str())
        .with("name", track.label.as_str())
        .with("bitrate", track.bitrate)
        .bytes("config", &track.config);
    let (message, kind) = match track.kind {
        Kind::Video { width, height } => {
            (message.with("width", width).with("height", height), "video")
        }
        Kind::Audio { rate, channels } => {
            (message.with("rate", rate).with("channels", channels), "audio")
        }
    };
    let mime = format!("{kind}/mp4; codecs=\"{}\"", track.codec);
    let message = message.with("kind", kind).with("mime", mime);
    match refused {
        Some(reason) => message.with("refused", reason),
        None => message,
    }
}

#[async_trait(?Send)]
impl Sink for Screen {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        match item {
            Playout::Tracks(tracks) => self.announce(tracks),
            Playout::Segment { id, objects, .. } => self.segment(id, objects),
            Playout::Gap { id } => self.gap(id),
            Playout::End => {}
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
