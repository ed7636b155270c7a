//! What a browser is sent: JSON as text, media as binary.
//!
//! A binary message is four bytes and a body: what it is ([`INIT`], [`FRAGMENT`], [`GAP`],
//! [`END`]), the track, 1 when decoding can start here, 0. The body is an init segment or a
//! fragment of that track alone.

use super::log::Mark;
pub(super) use axum::extract::ws::Message;
use beacon_mux::{MuxError, fragment, init_segment};
use beacon_sdk::media::{Object, Track};
use beacon_sdk::{SegmentId, Snapshot, TrackId};
use serde::Serialize;

/// First byte of an init segment.
pub const INIT: u8 = 1;
/// First byte of a fragment.
pub const FRAGMENT: u8 = 2;
/// First byte of a gap: the track goes on at a fragment where decoding can start.
pub const GAP: u8 = 3;
/// First byte of the end; nothing follows it in this showing.
pub const END: u8 = 4;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 4;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Notice<'a> {
    Tracks {
        /// A number that no earlier timeline of this or another viewer has had.
        showing: u64,
        list: Vec<Listed<'a>>,
    },
    Stats {
        name: &'a str,
        snapshot: &'a Snapshot,
        /// When, in milliseconds of the viewer's clock.
        at_ms: u64,
        /// Browsers that watch.
        browsers: usize,
    },
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    track: &'a Track,
    /// As `MediaSource.isTypeSupported` takes it.
    mime: String,
    /// Why it is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What [`describe`] gives.
type Described = (Vec<(Mark, Message)>, u64);

/// The descriptions of a broadcast: the list, then the init segments of all tracks that MP4 can
/// hold, with those tracks' numbers as one bit each.
///
/// # Errors
/// The first track's [`MuxError`] when MP4 can hold none.
pub(super) fn describe(showing: u64, tracks: &[Track]) -> Result<Described, MuxError> {
    let (mut inits, mut carried, mut refusal) = (Vec::new(), 0_u64, None);
    let list = tracks.iter().map(|track| {
        let kind = if track.is_video() { "video" } else { "audio" };
        let mime = format!("{kind}/mp4; codecs=\"{}\"", track.codec);
        let refused = match init_segment(core::slice::from_ref(track)) {
            Ok(init) => {
                let message = binary(INIT, track.id, true, &init);
                inits.push((Mark::Init { track: track.id }, message));
                carried |= 1 << track.id.get();
                None
            }
            Err(error) => {
                let reason = error.to_string();
                refusal.get_or_insert(error);
                Some(reason)
            }
        };
        Listed { track, mime, refused }
    });
    let list = Notice::Tracks { showing, list: list.collect() };
    let mut messages = vec![(Mark::Notice, json(&list))];
    match refusal {
        Some(error) if carried == 0 => return Err(error),
        _ => messages.append(&mut inits),
    }
    Ok((messages, carried))
}

/// One segment.
///
/// # Errors
/// [`MuxError`] when its objects do not make up a fragment.
pub(super) fn segment(id: SegmentId, start: bool, objects: &[Object]) -> Result<Message, MuxError> {
    Ok(binary(FRAGMENT, id.track, start, &fragment(id, objects)?))
}

pub(super) fn gap(track: TrackId) -> Message {
    binary(GAP, track, false, &[])
}

pub(super) fn end() -> Message {
    binary(END, TrackId::default(), false, &[])
}

pub(super) fn stats(name: &str, snapshot: &Snapshot, at_ms: u64, browsers: usize) -> Message {
    json(&Notice::Stats { name, snapshot, at_ms, browsers })
}

/// Bytes of a message that a log counts.
pub(super) fn len(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

fn binary(kind: u8, track: TrackId, start: bool, body: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&[kind, track.get(), u8::from(start), 0]);
    bytes.extend_from_slice(body);
    Message::binary(bytes)
}

fn json(notice: &Notice<'_>) -> Message {
    // Numbers, strings and lists always serialise; an empty notice is ignored by the page.
    Message::text(serde_json::to_string(notice).unwrap_or_default())
}
