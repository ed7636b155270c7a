//! [`Feed`]: what JavaScript captures and encodes, as a source.

use crate::options::TIMESCALE;
use async_trait::async_trait;
use beacon_sdk::media::{Media, OBJECT_BYTES_MAX, Object, Track};
use beacon_sdk::plugin::SourceError;
use beacon_sdk::{Instant, Source, TrackId};
use bytes::Bytes;
use js_sys::{Reflect, Uint8Array};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use wasm_bindgen::prelude::JsError;
use wasm_bindgen::{JsCast as _, JsValue};

/// Objects that wait for the engine at most: four seconds of picture and sound. It takes them
/// within milliseconds.
const WAITING_MAX: usize = 512;
/// The duration of a track's first object when the encoder does not say, in microseconds.
const FRAME_US: u64 = 33_333;

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Feed(mpsc::Receiver<Media>);

/// The end that JavaScript writes to. Dropping it ends the broadcast.
#[derive(Debug)]
pub(crate) struct Writer {
    to: mpsc::Sender<Media>,
    tracks: BTreeMap<TrackId, Written>,
}

#[derive(Debug, Default)]
struct Written {
    video: bool,
    /// Decode time and duration of the last object, in microseconds.
    last: Option<(u64, u64)>,
    /// An object was lost: nothing can be decoded before the next keyframe.
    broken: bool,
}

/// A feed of these tracks, with its writer.
pub(crate) fn feed(tracks: Vec<Track>) -> (Writer, Feed) {
    let (to, from) = mpsc::channel(WAITING_MAX);
    let mut writer = Writer { to, tracks: BTreeMap::new() };
    // The first item of an empty queue.
    let _ = writer.announce(tracks);
    (writer, Feed(from))
}

impl Writer {
    /// The tracks that follow; what they have in common with those before goes on.
    pub(crate) fn announce(&mut self, tracks: Vec<Track>) -> Result<(), JsError> {
        let written = tracks.iter().map(|track| {
            let before = self.tracks.get(&track.id).and_then(|written| written.last);
            // A new configuration begins with a keyframe.
            let written =
                Written { video: track.is_video(), last: before, broken: track.is_video() };
            (track.id, written)
        });
        self.tracks = written.collect();
        let sent = self.to.try_send(Media::Tracks(tracks));
        sent.map_err(|_| JsError::new("the broadcast has ended, or is not being carried"))
    }

    /// Takes an encoded frame or packet. False when it had to be left out, because the engine is
    /// behind or a keyframe is wanted first.
    pub(crate) fn write(&mut self, object: &JsValue) -> Result<bool, JsError> {
        let number = |name: &str| Reflect::get(object, &name.into()).ok().and_then(|v| v.as_f64());
        let track = number("track").and_then(|id| TrackId::new(id as u8));
        let track = track.ok_or_else(|| JsError::new("track: expected a number of 0 to 63"))?;
        let data = Reflect::get(object, &"data".into()).ok();
        let data = data.and_then(|data| data.dyn_into::<Uint8Array>().ok());
        let data = data.ok_or_else(|| JsError::new("data: expected a Uint8Array"))?;
        let len = data.length() as usize;
        if len == 0 || len > OBJECT_BYTES_MAX {
            return Err(JsError::new("data: a frame has 1 byte to 1 MiB"));
        }
        let written = self.tracks.get_mut(&track);
        let written = written.ok_or_else(|| JsError::new("track: not one that was announced"))?;
        let keyframe = Reflect::get(object, &"keyframe".into()).is_ok_and(|key| key.is_truthy());
        if written.broken && !keyframe {
            return Ok(false);
        }
        let micros = |value: Option<f64>| value.map(|value| value.max(0.0) as u64);
        let pts =
            micros(number("pts")).ok_or_else(|| JsError::new("pts: expected microseconds"))?;
        let (before, step) = written.last.unwrap_or((0, FRAME_US));
        let dts = micros(number("dts")).unwrap_or(pts).max(before);
        let spaced = if written.last.is_some() { dts - before } else { step };
        let duration = micros(number("duration")).filter(|us| *us > 0).unwrap_or(spaced);
        let captured = micros(number("captured")).unwrap_or(js_sys::Date::now() as u64 * 1000);
        written.last = Some((dts, duration));
        let cts = i64::try_from(pts).unwrap_or(i64::MAX) - i64::try_from(dts).unwrap_or(0);
        let object = Object {
            track,
            dts,
            cts: i32::try_from(cts).unwrap_or(0),
            duration: u32::try_from(duration).unwrap_or(TIMESCALE),
            keyframe: keyframe || !written.video,
            layer: 0,
            captured: Instant::from_micros(captured),
            data: Bytes::from(data.to_vec()),
        };
        let sent = self.to.try_send(Media::Object(object)).is_ok();
        written.broken = !sent && written.video;
        Ok(sent)
    }
}

#[async_trait(?Send)]
impl Source for Feed {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        Ok(self.0.recv().await)
    }
}
