//! Decoding and showing: one pipeline per track on one clock, so that trouble with the sound
//! never stops the picture.

use super::caps::{self, Codec};
use super::timeline::Timeline;
use super::{Counters, SinkOptions};
use crate::device;
use crate::element::{self, End, Fault, aside};
use beacon_sdk::TrackId;
use beacon_sdk::media::{Object, Playout, Track};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as app;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Encoded bytes that wait for a decoder: a second of 50 Mbit/s. A decoder further behind hangs,
/// and its track goes on at the next group.
const QUEUED_BYTES_MAX: u64 = 8 << 20;
/// How long the last pictures may take to be shown, beyond the buffer.
const FINISH_PATIENCE: Duration = Duration::from_secs(3);

/// Shows the first track of each kind.
#[derive(Debug)]
pub(crate) struct Window {
    options: SinkOptions,
    counters: Arc<Counters>,
    clock: Clock,
    timeline: Timeline,
    video: Option<Player>,
    audio: Option<Player>,
}

/// The system clock, and the moment all pipelines count from.
#[derive(Clone, Debug)]
struct Clock {
    clock: gst::Clock,
    base: gst::ClockTime,
}

impl Clock {
    fn new() -> Self {
        let clock = gst::SystemClock::obtain();
        let base = clock.time();
        Self { clock, base }
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.time().saturating_sub(self.base).nseconds())
    }
}

impl Window {
    pub(crate) fn new(options: &SinkOptions, counters: Arc<Counters>) -> Result<Self, Fault> {
        let named = [&options.video_sink, &options.audio_sink];
        for sink in named.into_iter().flatten() {
            let name = sink.split_whitespace().next().unwrap_or_default();
            if !element::exists(name) {
                return Err(element::missing(name));
            }
        }
        if options.video_sink.is_none() {
            device::display()?;
        }
        Ok(Self {
            options: options.clone(),
            counters,
            clock: Clock::new(),
            timeline: Timeline::new(options.buffer),
            video: None,
            audio: None,
        })
    }

    pub(crate) async fn write(&mut self, item: Playout) -> Result<(), Fault> {
        match item {
            Playout::Tracks(tracks) => self.tracks(&tracks).await,
            Playout::Segment { id, group_start, objects } => {
                self.segment(id.track, group_start, &objects).await
            }
            Playout::Gap { id } => {
                if let Some(player) = of_track(&mut self.video, &mut self.audio, id.track) {
                    player.gap();
                }
                Ok(())
            }
            Playout::End => Ok(()),
        }
    }

    /// Takes up the first track of each kind; what plays already and has not changed plays on.
    async fn tracks(&mut self, tracks: &[Track]) -> Result<(), Fault> {
        let video = tracks.iter().find(|track| track.is_video());
        let audio = tracks.iter().find(|track| !track.is_video());
        if !plays(self.video.as_ref(), video) {
            self.video = None;
            if let Some(track) = video {
                let sink = match &self.options.video_sink {
                    Some(sink) => sink.clone(),
                    None => aside(device::window).await??.to_owned(),
                };
                let player = self.open(track, sink).await?;
                self.video = Some(player);
            }
        }
        if !plays(self.audio.as_ref(), audio) {
            self.audio = None;
            if let Some(track) = audio.filter(|_| !self.options.muted) {
                self.audio = self.sound(track, video.is_some()).await?;
            }
        }
        Ok(())
    }

    /// A player of sound; without a device one that is silent, and none at all where the sound
    /// cannot be decoded but the picture can.
    async fn sound(&self, track: &Track, picture: bool) -> Result<Option<Player>, Fault> {
        if let Err(fault) = Codec::of(track).and_then(Codec::decoder) {
            if !picture {
                return Err(fault);
            }
            tracing::warn!("{}: playing without sound", fault.context);
            return Ok(None);
        }
        let found = match &self.options.audio_sink {
            Some(sink) => Some(sink.clone()),
            None => aside(device::speaker).await?.map(str::to_owned),
        };
        let cause = match found {
            None => "no sound device".to_owned(),
            Some(sink) => match self.open(track, sink).await {
                Ok(player) => return Ok(Some(player)),
                Err(fault) => fault.context,
            },
        };
        tracing::warn!("{cause}: playing without sound; {}", device::SOUND_CURE);
        self.open(track, "fakesink sync=true".to_owned()).await.map(Some)
    }

    async fn open(&self, track: &Track, sink: String) -> Result<Player, Fault> {
        let (track, clock, counters) = (track.clone(), self.clock.clone(), self.counters.clone());
        // Loading plugins and opening a window takes up to some hundred milliseconds.
        aside(move || Player::open(track, &sink, &clock, &counters)).await?
    }

    async fn segment(
        &mut self,
        track: TrackId,
        group_start: bool,
        objects: &[Object],
    ) -> Result<(), Fault> {
        self.check_players()?;
        let player = of_track(&mut self.video, &mut self.audio, track);
        let (Some(player), Some(first)) = (player, objects.first()) else { return Ok(()) };
        if !player.takes(group_start) {
            return Ok(());
        }
        let begins = caps::media_time(&player.track, first);
        let place = self.timeline.place(begins, self.clock.now());
        if place.rebased {
            self.counters.rebased.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%track, ?begins, "a segment out of its time: the timeline moves");
        }
        tokio::time::sleep(place.wait).await;
        for object in objects {
            let media = caps::media_time(&player.track, object);
            if let Some(time) = self.timeline.show_at(media) {
                player.push(object, time);
            }
        }
        Ok(())
    }

    /// A picture that fails ends the watch; sound that fails is left out.
    fn check_players(&mut self) -> Result<(), Fault> {
        if let Some(fault) = self.video.as_mut().and_then(Player::failure) {
            return Err(fault);
        }
        if let Some(fault) = self.audio.as_mut().and_then(Player::failure) {
            if self.video.is_none() {
                return Err(fault);
            }
            tracing::warn!("{}: playing without sound", fault.context);
            self.audio = None;
        }
        Ok(())
    }

    /// Shows what was handed over, then closes the window.
    pub(crate) async fn finish(&mut self) -> Result<(), Fault> {
        let patience = self.options.buffer + FINISH_PATIENCE;
        let picture = self.video.is_some();
        for player in [self.video.take(), self.audio.take()].into_iter().flatten() {
            let track = player.track.id;
            let sound = !player.track.is_video();
            match tokio::time::timeout(patience, player.drain()).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) if picture && sound => {
                    tracing::warn!("{}: ended without sound", fault.context);
                }
                Ok(Err(fault)) => return Err(fault),
                Err(_) => tracing::warn!(%track, "closed before everything was shown"),
            }
        }
        Ok(())
    }
}

/// Whether the player is the right one for what is announced.
fn plays(player: Option<&Player>, announced: Option<&Track>) -> bool {
    match (player, announced) {
        (None, None) => true,
        (Some(player), Some(track)) => caps::alike(&player.track, track),
        _ => false,
    }
}

fn of_track<'a>(
    video: &'a mut Option<Player>,
    audio: &'a mut Option<Player>,
    track: TrackId,
) -> Option<&'a mut Player> {
    [video, audio].into_iter().flatten().find(|player| player.track.id == track)
}

/// One track, decoded and rendered.
#[derive(Debug)]
struct Player {
    track: Track,
    pipeline: gst::Pipeline,
    input: app::AppSrc,
    end: oneshot::Receiver<Result<(), Fault>>,
    /// Nothing may be decoded before the next group.
    broken: bool,
    /// The next object does not follow the last one.
    after_gap: bool,
    /// Something has been handed to the decoder.
    begun: bool,
}

impl Player {
    fn open(
        track: Track,
        sink: &str,
        clock: &Clock,
        counters: &Arc<Counters>,
    ) -> Result<Self, Fault> {
        let decoder = Codec::of(&track)?.decoder()?;
        let input = "appsrc name=in format=time max-bytes=0";
        let chain = if track.is_video() {
            format!(
                "{input} ! {decoder} name=decoder ! \
                 queue max-size-buffers=3 max-size-bytes=0 max-size-time=0 ! \
                 videoconvert ! videoscale ! {sink} name=out"
            )
        } else {
            format!(
                "{input} ! {decoder} name=decoder ! audioconvert ! audioresample ! {sink} name=out"
            )
        };
        let chain = element::launch(&chain)?;
        let input: app::AppSrc = element::named(&chain, "in")?;
        input.set_caps(Some(&caps::caps(&track)?));
        let pictures = track.is_video();
        let counters = counters.clone();
        let decoder: gst::Element = element::named(&chain, "decoder")?;
        if let Some(pad) = decoder.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let counter: &AtomicU64 =
                    if pictures { &counters.pictures } else { &counters.sounds };
                counter.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        }
        let pipeline = gst::Pipeline::new();
        pipeline.add(&chain).map_err(|error| Fault::from("GStreamer cannot build", error))?;
        pipeline.use_clock(Some(&clock.clock));
        // One running time for all tracks, chosen by us and never reset.
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(clock.base);
        let (told, mut end) = End::channel();
        let what = if pictures { "the window" } else { "the sound" };
        element::follow(&pipeline, what.to_owned(), Arc::new(told));
        if pipeline.set_state(gst::State::Playing).is_err() {
            let fault = end.try_recv().ok().and_then(Result::err);
            let _ = pipeline.set_state(gst::State::Null);
            return Err(fault.unwrap_or_else(|| Fault::new(format!("{what} cannot be opened"))));
        }
        let broken = track.is_video();
        Ok(Self { track, pipeline, input, end, broken, after_gap: true, begun: false })
    }

    fn failure(&mut self) -> Option<Fault> {
        self.end.try_recv().ok().and_then(Result::err)
    }

    fn gap(&mut self) {
        self.after_gap = true;
        self.broken |= self.track.is_video();
    }

    /// Whether a segment can be decoded.
    fn takes(&mut self, group_start: bool) -> bool {
        self.broken &= !group_start;
        !self.broken
    }

    fn push(&mut self, object: &Object, time: Duration) {
        if self.broken {
            return;
        }
        if self.input.current_level_bytes() > QUEUED_BYTES_MAX {
            tracing::warn!(track = %self.track.id, "the decoder is too slow: media is left out");
            self.gap();
            return;
        }
        let buffer = caps::object(&self.track, object, time, std::mem::take(&mut self.after_gap));
        self.begun = true;
        // A pipeline that has failed refuses; the bus tells why before the next segment.
        let _ = self.input.push_buffer(buffer);
    }

    /// Plays what is left.
    async fn drain(mut self) -> Result<(), Fault> {
        if !self.begun || self.end.is_terminated() || self.input.end_of_stream().is_err() {
            // Nothing has been played, or the pipeline has failed.
            return self.failure().map_or(Ok(()), Err);
        }
        (&mut self.end).await.unwrap_or(Ok(()))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(track = %self.track.id, "a player did not stop");
        }
    }
}
