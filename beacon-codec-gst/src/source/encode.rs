//! The encoding pipeline: raw chains in, [`Unit`]s out through a bounded channel.

use super::capture::Capture;
use super::options::SourceOptions;
use crate::element::{self, End, Fault};
use beacon_sdk::Instant;
use bytes::Bytes;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as app;
use gstreamer_video as video;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Encoded units between GStreamer's threads and the consumer, about 0.8 s of both tracks. When
/// they are taken, the encoders wait and the queues before them drop.
const UNITS_MAX: usize = 64;

/// The two tracks of a source.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Medium {
    Video,
    Audio,
}

/// One access unit as the encoder gave it.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) medium: Medium,
    /// The encoder's caps, when they are new.
    pub(crate) caps: Option<gst::Caps>,
    /// Running time in nanoseconds.
    pub(crate) time: u64,
    /// Nanoseconds, where the encoder tells.
    pub(crate) duration: Option<u64>,
    pub(crate) key: bool,
    pub(crate) captured: Instant,
    pub(crate) data: Bytes,
}

/// Where groups start: one function of running time, so that renditions and restarts agree.
#[derive(Copy, Clone, Debug)]
struct Cadence {
    group_ns: u64,
    frame_ns: u64,
}

impl Cadence {
    /// The group of a picture at `time`; half a frame early still counts as on time, because
    /// frame times are rounded.
    const fn group(self, time: u64) -> u64 {
        (time + self.frame_ns / 2) / self.group_ns
    }
}

/// Builds the pipeline, at rest. How it ends is told to `end`.
pub(crate) fn pipeline(
    capture: &Capture,
    options: &SourceOptions,
    end: &Arc<End>,
) -> Result<(gst::Pipeline, mpsc::Receiver<Unit>), Fault> {
    let pipeline = gst::Pipeline::new();
    // The system clock is monotonic and never a sound card's, so it keeps step with the
    // wall clock that `captured` is told in.
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    element::follow(&pipeline, capture.what.clone(), end.clone());
    let (sender, units) = mpsc::channel(UNITS_MAX);
    let epoch = Arc::new(OnceLock::new());
    let out = "appsink name=out sync=false async=false max-buffers=1 enable-last-sample=false";

    let encoder = capture.video_codec.encoder(capture.bitrate)?;
    let chain = element::launch(&format!(
        "{} ! queue leaky=downstream max-size-buffers=3 max-size-bytes=0 max-size-time=0 ! \
             {encoder} ! {out}",
        capture.video
    ))?;
    let group_ns = u64::try_from(options.group.as_nanos()).unwrap_or(u64::MAX);
    let cadence = Cadence { group_ns, frame_ns: capture.frame_ns };
    ask_for_keyframes(&element::named(&chain, "encoder")?, cadence)?;
    if let (Some(device), Some(element)) = (&capture.device, chain.by_name("device")) {
        element.set_property("device", device.to_string_lossy().as_ref());
    }
    let codec = capture.video_codec;
    collect(&chain, Medium::Video, move |data| codec.object(data), &sender, &epoch)?;
    add(&pipeline, &chain)?;

    if let Some(audio) = &capture.audio {
        let encoder = capture.audio_codec.encoder(capture.audio_bitrate)?;
        let chain = element::launch(&format!(
            "{audio} ! queue leaky=downstream max-size-time=200000000 max-size-bytes=0 \
                 max-size-buffers=0 ! audioconvert ! {encoder} ! {out}"
        ))?;
        collect(&chain, Medium::Audio, Bytes::copy_from_slice, &sender, &epoch)?;
        add(&pipeline, &chain)?;
    }
    Ok((pipeline, units))
}

fn add(pipeline: &gst::Pipeline, chain: &gst::Bin) -> Result<(), Fault> {
    pipeline.add(chain).map_err(|error| Fault::from("GStreamer cannot build the pipeline", error))
}

/// Asks the encoder for a keyframe in front of the first picture of every group.
fn ask_for_keyframes(encoder: &gst::Element, cadence: Cadence) -> Result<(), Fault> {
    let pads = (encoder.static_pad("sink"), encoder.static_pad("src"));
    let (Some(sink), Some(src)) = pads else {
        return Err(Fault::new("the encoder has no pads"));
    };
    let last = AtomicU64::new(u64::MAX);
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let segment = segment.as_ref().and_then(|event| event.segment().downcast_ref());
        if let Some(time) = running_time(segment, pts) {
            let group = cadence.group(time);
            if last.swap(group, Ordering::Relaxed) != group {
                src.send_event(video::UpstreamForceKeyUnitEvent::builder().build());
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Never a raw PTS: x264enc counts its own from 1000 hours.
fn running_time(
    segment: Option<&gst::FormattedSegment<gst::ClockTime>>,
    pts: Option<gst::ClockTime>,
) -> Option<u64> {
    segment?.to_running_time(pts?).map(gst::ClockTime::nseconds)
}

/// Sends what arrives at the chain's `out` into the channel.
fn collect(
    chain: &gst::Bin,
    medium: Medium,
    object: impl Fn(&[u8]) -> Bytes + Send + 'static,
    sender: &mpsc::Sender<Unit>,
    epoch: &Arc<OnceLock<Instant>>,
) -> Result<(), Fault> {
    let out: app::AppSink = element::named(chain, "out")?;
    let (sender, epoch) = (sender.clone(), epoch.clone());
    let mut known: Option<gst::Caps> = None;
    let callbacks = app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let segment = sample.segment().and_then(|segment| segment.downcast_ref());
        // What lies before the segment is an encoder's run-in; it counts as the start.
        let time = running_time(segment, buffer.pts()).unwrap_or(0);
        let epoch = *epoch.get_or_init(|| epoch_of(sink));
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let unit = Unit {
            medium,
            caps: (known.as_ref() != Some(&caps)).then(|| caps.clone()),
            time,
            duration: buffer.duration().map(gst::ClockTime::nseconds),
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            captured: epoch + Duration::from_nanos(time),
            data: object(&map),
        };
        known = Some(caps);
        // Waits when the consumer is behind; fails when it has gone.
        sender.blocking_send(unit).map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    });
    out.set_callbacks(callbacks.build());
    Ok(())
}

/// The wall clock at running time zero.
fn epoch_of(sink: &app::AppSink) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    let running = sink.current_running_time().unwrap_or_default();
    Instant::from_micros(micros.saturating_sub(running.useconds()))
}

#[cfg(test)]
mod tests {
    use super::Cadence;

    #[test]
    fn groups_start_at_multiples_of_their_length() {
        let cadence = Cadence { group_ns: 200_000_000, frame_ns: 33_333_333 };
        let starts: Vec<u64> = (0..30_u64)
            .filter(|frame| {
                let time = |n: u64| n * 1_000_000_000 / 30;
                *frame == 0 || cadence.group(time(*frame)) != cadence.group(time(frame - 1))
            })
            .collect();
        assert_eq!(starts, [0, 6, 12, 18, 24]);
    }
}
