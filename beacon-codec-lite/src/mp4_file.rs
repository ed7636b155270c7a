//! An MP4 file as if it were live.

use crate::feed::{Feed, Outlet, Stop};
use async_trait::async_trait;
use beacon_mux::{ReadError, Reader};
use beacon_sdk::Source;
use beacon_sdk::media::{Media, OBJECT_BYTES_MAX, Object, Track};
use beacon_sdk::plugin::SourceError;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// H.264, VP9 or AV1 with AAC or Opus from an MP4 file, ordinary or fragmented: what the file holds,
/// passed through at the pace it was filmed at, without transcoding.
///
/// Only the index is held in memory (40 bytes per sample); media is read as it becomes due, on a
/// thread that ends when this is dropped. Times start at zero. With `looped`, the file begins
/// again when its longest track has ended: all tracks restart together, a picture stands until then, times go on without a
/// step back, and every round begins with a keyframe. A caller that is too slow makes the file
/// wait; it then catches up.
#[derive(Debug)]
pub struct Mp4File {
    feed: Feed,
    tracks: Vec<Track>,
}

impl Mp4File {
    /// Opens a file and reads its index; blocking, in the order of 10 ms per hour of film.
    ///
    /// # Errors
    /// [`SourceError`] naming the file, what is wrong with it, and what to do.
    pub fn open(path: impl AsRef<Path>, looped: bool) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| SourceError {
            context: format!("cannot open {}: {error}; check the path", path.display()),
            source: Some(Box::new(error)),
        })?;
        let reader = Reader::open(file).map_err(|error| unreadable(path, error))?;
        let round = Round::new(path, &reader)?;
        if reader.torn() {
            tracing::warn!(path = %path.display(), "the file is cut off; its last fragment is left out");
        }
        let tracks = reader.tracks().to_vec();
        let name = path.display().to_string();
        let feed =
            Feed::spawn("beacon-mp4", move |outlet| play(reader, &round, looped, &name, outlet))?;
        Ok(Self { feed, tracks })
    }

    /// The tracks of the file, as the first item of `next` gives them.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }
}

#[async_trait]
impl Source for Mp4File {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        self.feed.next().await
    }
}

fn unreadable(path: &Path, error: ReadError) -> SourceError {
    let cure = match &error {
        ReadError::Empty => "; check that it was copied completely",
        ReadError::NotMp4 | ReadError::NoTrack { .. } | ReadError::Video { .. } => {
            "; or use a build with the `gst` feature, which plays any format"
        }
        ReadError::Truncated(_) | ReadError::Malformed(_) => {
            "; copy it again, or repair it with `ffmpeg -i IN -c copy OUT.mp4`"
        }
        _ => "",
    };
    SourceError {
        context: format!("cannot play {}: {error}{cure}", path.display()),
        source: Some(Box::new(error)),
    }
}

/// One round of the file: where it starts, and how long it is.
struct Round {
    /// Per track, the ticks of its timescale that are time zero.
    starts: Vec<u64>,
    timescales: Vec<u32>,
    /// Per track, when its last sample begins, in ticks of the file; only of video.
    lasts: Vec<Option<u64>>,
    /// Length in seconds, as a fraction: ticks and timescale of the track that ends last.
    length: (u64, u32),
}

impl Round {
    fn new(path: &Path, reader: &Reader<File>) -> Result<Self, SourceError> {
        let (mut first, mut length) = (None, (0_u64, 1_u32));
        let later = |a: (u64, u32), b: (u64, u32)| {
            u128::from(a.0) * u128::from(b.1) > u128::from(b.0) * u128::from(a.1)
        };
        for track in reader.tracks() {
            let samples = reader.samples(track.id);
            if samples.iter().any(|sample| sample.size as usize > OBJECT_BYTES_MAX) {
                return Err(SourceError::new(format!(
                    "cannot play {}: a frame of track {} exceeds {OBJECT_BYTES_MAX} bytes; encode it at a lower bit rate",
                    path.display(),
                    track.id
                )));
            }
            if let Some(sample) = samples.first() {
                let start = (sample.dts, track.timescale);
                if first.is_none_or(|first| later(first, start)) {
                    first = Some(start);
                }
            }
        }
        let (zero, scale) = first.unwrap_or((0, 1));
        let start = |track: &Track| ticks(u128::from(zero) * u128::from(track.timescale), scale);
        let starts: Vec<_> = reader.tracks().iter().map(start).collect();
        for (track, start) in reader.tracks().iter().zip(&starts) {
            if let Some(last) = reader.samples(track.id).last() {
                let end = (last.dts - start).saturating_add(last.duration.into());
                if later((end, track.timescale), length) {
                    length = (end, track.timescale);
                }
            }
        }
        let timescales = reader.tracks().iter().map(|track| track.timescale).collect();
        let last = |track: &Track| {
            let last = reader.samples(track.id).last().filter(|_| track.is_video())?;
            Some(last.dts)
        };
        let lasts = reader.tracks().iter().map(last).collect();
        Ok(Self { starts, timescales, lasts, length })
    }

    /// Puts an object of round `count` in its place on the endless timeline. The last picture
    /// stands until the next round begins, as players take a hole for a fault.
    fn place(&self, track: usize, count: u64, object: &mut Object) {
        let last = self.lasts[track] == Some(object.dts);
        let dts = (object.dts - self.starts[track]).saturating_add(self.offset(track, count));
        if last {
            let stands = self.offset(track, count.saturating_add(1)).saturating_sub(dts);
            object.duration = u32::try_from(stands).unwrap_or(object.duration);
        }
        object.dts = dts;
    }

    /// Ticks of a track by which round `count` is later than the first; counted from the first, so
    /// that rounding never adds up.
    fn offset(&self, track: usize, count: u64) -> u64 {
        let whole = u128::from(self.length.0) * u128::from(self.timescales[track]);
        // A film of a week, looped for a million years, is still in range.
        ticks(whole.saturating_mul(u128::from(count)), self.length.1)
    }
}

fn ticks(scaled: u128, by: u32) -> u64 {
    u64::try_from(scaled / u128::from(by.max(1))).unwrap_or(u64::MAX)
}

fn play(
    mut reader: Reader<File>,
    round: &Round,
    looped: bool,
    name: &str,
    outlet: &mut Outlet,
) -> Result<(), Stop> {
    let tracks = reader.tracks().to_vec();
    outlet.send(Media::Tracks(tracks.clone()))?;
    for count in 0.. {
        loop {
            let next = reader.next_object().map_err(|error| SourceError {
                context: format!("cannot read on in {name}: {error}; was it changed meanwhile?"),
                source: Some(Box::new(error)),
            })?;
            let Some(mut object) = next else { break };
            let Some(at) = tracks.iter().position(|track| track.id == object.track) else {
                continue;
            };
            round.place(at, count, &mut object);
            let due = Duration::from_micros(tracks[at].micros(object.dts));
            outlet.wait_until(due)?;
            object.captured = outlet.unix(due);
            outlet.send(Media::Object(object))?;
        }
        if !looped {
            break;
        }
        if round.length.0 == 0 {
            return Err(SourceError::new(format!("cannot loop {name}: it has no duration")).into());
        }
        reader.rewind();
    }
    Ok(())
}
