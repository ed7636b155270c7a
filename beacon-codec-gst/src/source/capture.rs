//! Where raw pictures and sound come from, and at which size and rate they are encoded.

use super::options::{FPS_MAX, SourceOptions, native_size};
use crate::codec::{AUDIO_CHANNELS, AUDIO_RATE, AudioCodec, VideoCodec};
use crate::device;
use crate::element::{Fault, exists, missing};
use std::path::{Path, PathBuf};

/// Raw media that a file's decoder may be ahead of the encoder.
const AHEAD_NS: u64 = 300_000_000;

/// A parsed source spec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    Test,
    File(PathBuf),
    /// The device, where one is named.
    Camera(Option<PathBuf>),
}

impl Input {
    pub(crate) fn parse(spec: &str) -> Result<Self, Fault> {
        match spec.split_once(':') {
            None if spec == "test" => Ok(Self::Test),
            None if spec == "camera" => Ok(Self::Camera(None)),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("camera", device)) if !device.is_empty() => Ok(Self::Camera(Some(device.into()))),
            _ => Err(Fault::new(format!(
                "no source {spec:?}: use test, file:PATH, camera or camera:DEVICE"
            ))),
        }
    }
}

/// What a file's first decoded picture tells.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    /// Size in square pixels.
    pub(crate) size: (u32, u32),
    /// Pictures per second, a fraction; `None` when the file does not tell.
    pub(crate) fps: Option<(u32, u32)>,
    /// Whether the file has sound that is wanted.
    pub(crate) audio: bool,
}

/// Raw media: chains up to what the encoders take, and what is known of it beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    /// What it is, for errors.
    pub(crate) what: String,
    /// Ends in I420 at the final size.
    pub(crate) video: String,
    /// Ends in 48 kHz stereo.
    pub(crate) audio: Option<String>,
    pub(crate) video_codec: VideoCodec,
    pub(crate) audio_codec: AudioCodec,
    /// Bits per second of the picture.
    pub(crate) bitrate: u32,
    /// Bits per second of the sound.
    pub(crate) audio_bitrate: u32,
    /// How long one picture is shown.
    pub(crate) frame_ns: u64,
    /// Set on the element `device`.
    pub(crate) device: Option<PathBuf>,
}

impl Capture {
    /// `format` is what is known of the file; given for [`Input::File`] only.
    pub(crate) fn new(
        input: &Input,
        options: &SourceOptions,
        format: Option<Format>,
    ) -> Result<Self, Fault> {
        let fps = match (options.fps, format.and_then(|format| format.fps)) {
            (Some(fps), _) => (fps, 1),
            (None, Some((n, d))) if n > 0 && d > 0 && n / d < FPS_MAX => (n, d),
            (None, Some(_)) => (FPS_MAX, 1),
            (None, None) => (30, 1),
        };
        let (width, height) = options.size.unwrap_or_else(|| match (input, format) {
            (_, Some(format)) => native_size(format.size.0, format.size.1),
            (Input::Camera(_), None) => (1280, 720),
            (Input::Test | Input::File(_), None) => (640, 360),
        });
        let shape = Shape { width, height, fps };
        let Chains { what, video, audio, device } = match input {
            Input::Test => Chains::pattern(&shape),
            Input::File(path) => Chains::file(path, &shape),
            Input::Camera(named) => Chains::camera(named.clone(), &shape)?,
        };
        let wanted = format.map_or(options.audio.is_some(), |format| format.audio);
        Ok(Self {
            what,
            video,
            audio: wanted.then_some(audio),
            video_codec: options.video,
            audio_codec: options.audio.unwrap_or_default(),
            bitrate: options.video_bitrate(width, height),
            audio_bitrate: options.audio_bitrate,
            frame_ns: 1_000_000_000 * u64::from(fps.1) / u64::from(fps.0.max(1)),
            device,
        })
    }
}

/// What the encoders take.
#[derive(Copy, Clone, Debug)]
struct Shape {
    width: u16,
    height: u16,
    /// Pictures per second, a fraction.
    fps: (u32, u32),
}

impl Shape {
    /// Caps of raw pictures in this shape, at whatever rate they come.
    fn picture(&self) -> String {
        let Self { width, height, .. } = self;
        format!("video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1")
    }

    fn rate(&self) -> String {
        format!("framerate={}/{}", self.fps.0, self.fps.1)
    }
}

/// Caps of raw sound.
fn sound() -> String {
    format!("audio/x-raw,rate={AUDIO_RATE},channels={AUDIO_CHANNELS}")
}

/// The raw chains of one input.
struct Chains {
    what: String,
    video: String,
    audio: String,
    device: Option<PathBuf>,
}

impl Chains {
    fn pattern(shape: &Shape) -> Self {
        let font = "font-desc=\"Mono 22\" halignment=left";
        Self {
            what: "test pattern".to_owned(),
            video: format!(
                "videotestsrc is-live=true pattern=smpte ! {},{} ! \
                 clockoverlay {font} valignment=top ! timeoverlay {font} valignment=bottom",
                shape.picture(),
                shape.rate()
            ),
            audio: format!(
                "audiotestsrc is-live=true samplesperbuffer=480 wave=ticks volume=0.3 ! {}",
                sound()
            ),
            device: None,
        }
    }

    fn file(path: &Path, shape: &Shape) -> Self {
        let input = format!("format=time block=true max-bytes=0 max-time={AHEAD_NS}");
        Self {
            what: format!("file {}", path.display()),
            // A hole of up to a second is filled with the picture before it.
            video: format!(
                "appsrc name=video {input} ! videoconvert ! videoscale ! \
                 videorate max-duplication-time=1000000000 ! {},{} ! clocksync",
                shape.picture(),
                shape.rate()
            ),
            audio: format!(
                "appsrc name=audio {input} ! audioconvert ! audioresample ! {} ! audiorate ! \
                 clocksync",
                sound()
            ),
            device: None,
        }
    }

    fn camera(named: Option<PathBuf>, shape: &Shape) -> Result<Self, Fault> {
        let (source, device) = camera(named)?;
        let what = device.as_ref().map(|device| format!("camera {}", device.display()));
        Ok(Self {
            what: what.unwrap_or_else(|| "camera".to_owned()),
            video: camera_chain(source, shape),
            audio: format!("{} ! audioconvert ! audioresample ! {}", microphone(), sound()),
            device,
        })
    }
}

/// From a camera's own format, compressed or raw, to the shape that is wanted. The camera is
/// asked for that shape first, raw or as JPEG, and then for whatever it has. Pictures are left
/// out when there are too many and never repeated, so that none waits for the next one.
fn camera_chain(source: &str, shape: &Shape) -> String {
    let Shape { width, height, fps } = shape;
    let wish = format!("width={width},height={height},framerate={}/{}", fps.0, fps.1);
    format!(
        "{source} ! video/x-raw,{wish};image/jpeg,{wish};video/x-raw;image/jpeg ! decodebin ! \
         videorate drop-only=true max-rate={} ! videoconvert ! videoscale ! {}",
        fps.0.div_ceil(fps.1.max(1)),
        shape.picture()
    )
}

/// The element that opens the camera, and the device to set on it.
fn camera(named: Option<PathBuf>) -> Result<(&'static str, Option<PathBuf>), Fault> {
    if !cfg!(target_os = "linux") {
        return match named {
            None => Ok(("autovideosrc", None)),
            Some(device) => Err(Fault::new(format!(
                "camera {} cannot be chosen on this system: use the source `camera`",
                device.display()
            ))),
        };
    }
    if !exists("v4l2src") {
        return Err(missing("v4l2src"));
    }
    let device = named.unwrap_or_else(|| "/dev/video0".into());
    if !device.exists() {
        return Err(Fault::new(format!(
            "no camera: {} does not exist; connect a camera, name another with \
             camera:/dev/videoN, or use the source `test`",
            device.display()
        )));
    }
    Ok(("v4l2src name=device", Some(device)))
}

/// The element that opens the default microphone, or silence.
fn microphone() -> &'static str {
    device::microphone().unwrap_or_else(|| {
        tracing::warn!("no microphone: the broadcast is silent; {}", device::SOUND_CURE);
        "audiotestsrc is-live=true wave=silence"
    })
}

/// A camera that is not there: pictures of `source` through the camera's chain, and the default
/// microphone.
#[cfg(test)]
pub(crate) fn stand_in(source: &str, options: &SourceOptions) -> Capture {
    let shape = Shape { width: 320, height: 180, fps: (30, 1) };
    let audio = Chains::camera(Some("/dev/null".into()), &shape).expect("v4l2src").audio;
    let test = Capture::new(&Input::Test, options, None).expect("the pattern");
    let video = camera_chain(source, &shape);
    Capture { what: "stand-in".to_owned(), video, audio: Some(audio), ..test }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_sdk::Profile;

    #[test]
    fn specs_are_told_apart() {
        assert_eq!(Input::parse("test").expect("test"), Input::Test);
        assert_eq!(Input::parse("file:a:b.mkv").expect("file"), Input::File("a:b.mkv".into()));
        assert_eq!(Input::parse("camera").expect("camera"), Input::Camera(None));
        for bad in ["", "file", "file:", "screen", "test:1"] {
            let said = Input::parse(bad).expect_err(bad).context;
            assert!(said.contains("use test, file:PATH"), "{said}");
        }
    }

    #[test]
    fn a_file_keeps_its_size_and_rate() {
        let format = Format { size: (1280, 544), fps: Some((24000, 1001)), audio: false };
        let options = SourceOptions::new(Profile::Live);
        let capture =
            Capture::new(&Input::File("x".into()), &options, Some(format)).expect("capture");
        assert!(capture.video.contains("width=1280,height=544"), "{}", capture.video);
        assert!(capture.video.contains("framerate=24000/1001"), "{}", capture.video);
        assert_eq!(capture.frame_ns, 41_708_333);
        assert_eq!(capture.audio, None);
    }
}
