//! GStreamer's elements: which Debian package ships one, and what to say when something is wrong.

use beacon_sdk::plugin::{SinkError, SourceError};
use gstreamer::{self as gst, prelude::*};
use std::sync::Mutex;
use tokio::sync::oneshot;

/// What went wrong and what can be done about it, before it becomes the error of one trait.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) context: String,
    pub(crate) source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl Fault {
    pub(crate) fn new(context: impl Into<String>) -> Self {
        Self { context: context.into(), source: None }
    }

    pub(crate) fn from(
        context: impl Into<String>,
        source: impl core::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { context: context.into(), source: Some(Box::new(source)) }
    }
}

impl From<Fault> for SourceError {
    fn from(fault: Fault) -> Self {
        Self { context: fault.context, source: fault.source }
    }
}

impl From<Fault> for SinkError {
    fn from(fault: Fault) -> Self {
        Self { context: fault.context, source: fault.source }
    }
}

/// The Debian 12 package that ships `element`, if it is one this crate asks for.
///
/// Taken from the package contents of bookworm; [`launch`] names it when the element is missing.
fn package(element: &str) -> Option<&'static str> {
    Some(match element {
        "appsrc" | "appsink" | "videotestsrc" | "audiotestsrc" | "videoconvert" | "videoscale"
        | "videorate" | "audioconvert" | "audioresample" | "audiorate" | "opusenc" | "opusdec"
        | "decodebin" => "gstreamer1.0-plugins-base",
        "vp8enc" | "vp9enc" | "vp8dec" | "vp9dec" | "videoflip" | "v4l2src" | "autovideosrc"
        | "autoaudiosrc" | "autovideosink" | "autoaudiosink" | "pulsesrc" | "pulsesink"
        | "webmmux" | "matroskamux" | "aacparse" | "jpegdec" => "gstreamer1.0-plugins-good",
        "openh264enc" | "openh264dec" | "h264parse" | "vp9parse" | "voaacenc" | "faad"
        | "waylandsink" => "gstreamer1.0-plugins-bad",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "clockoverlay" | "timeoverlay" | "ximagesink" | "xvimagesink" => "gstreamer1.0-x",
        "glimagesink" => "gstreamer1.0-gl",
        "alsasrc" | "alsasink" => "gstreamer1.0-alsa",
        "queue" | "capsfilter" | "clocksync" | "identity" | "fakesink" | "filesrc" | "filesink" => {
            "libgstreamer1.0-0"
        }
        _ if element.starts_with("avdec_") || element.starts_with("avenc_") => "gstreamer1.0-libav",
        _ => return None,
    })
}

/// Makes GStreamer ready; cheap when it is already.
pub(crate) fn init() -> Result<(), Fault> {
    gst::init().map_err(|error| {
        Fault::from("GStreamer does not start: check GST_PLUGIN_PATH and GST_REGISTRY", error)
    })
}

/// Whether an element of this name can be made.
pub(crate) fn exists(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

/// The first element of `names` that exists; a fault about the first one when none does.
pub(crate) fn first_of(names: &[&'static str]) -> Result<&'static str, Fault> {
    match names.iter().find(|name| exists(name)) {
        Some(name) => Ok(name),
        None => Err(missing(names.first().copied().unwrap_or_default())),
    }
}

pub(crate) fn missing(element: &str) -> Fault {
    Fault::new(match package(element) {
        Some(package) => format!(
            "the GStreamer element {element} is missing: install the Debian package {package} \
             (apt-get install {package})"
        ),
        None => format!(
            "there is no GStreamer element {element}: check the name with gst-inspect-1.0, \
             or install the plugin that ships it"
        ),
    })
}

/// Builds one chain of elements from a description in the syntax of `gst-launch`, elements
/// separated by ` ! `. Nothing that comes from a user goes into a description: paths and devices
/// are set as properties afterwards.
pub(crate) fn launch(description: &str) -> Result<gst::Bin, Fault> {
    let elements = description.split(" ! ").filter_map(|link| link.split_whitespace().next());
    // The other links are caps (`video/x-raw`) and references (`mux.video_0`).
    let mut named = elements.filter(|name| !name.contains(['/', '.']));
    if let Some(absent) = named.find(|name| !exists(name)) {
        return Err(missing(absent));
    }
    gst::parse::bin_from_description(description, false).map_err(|error| {
        Fault::from(format!("GStreamer does not accept the chain `{description}`"), error)
    })
}

/// The element `name` of a chain that [`launch`] built.
pub(crate) fn named<T: IsA<gst::Element>>(bin: &gst::Bin, name: &str) -> Result<T, Fault> {
    bin.by_name(name)
        .and_then(|element| element.downcast().ok())
        .ok_or_else(|| Fault::new(format!("the chain has no element {name} of its kind")))
}

/// What an error message on a bus says, with the package that would help where it is about a
/// missing plugin.
pub(crate) fn explain(what: &str, message: &gst::message::Error) -> Fault {
    let element = message.src().map(|src| src.name().to_string()).unwrap_or_default();
    let error = message.error();
    let detail = message.debug().map(|debug| debug.to_string()).unwrap_or_default();
    tracing::debug!(%element, %error, %detail, "GStreamer error");
    let missing = error.matches(gst::CoreError::MissingPlugin)
        || error.matches(gst::StreamError::CodecNotFound);
    let cure = if missing {
        "; a plugin is missing: install gstreamer1.0-libav, gstreamer1.0-plugins-good, \
         gstreamer1.0-plugins-bad and gstreamer1.0-plugins-ugly"
    } else {
        ""
    };
    Fault::from(format!("{what}: {error} ({element}){cure}"), error)
}

/// How a pipeline ended, told once: its first error, or the end of the stream.
#[derive(Debug)]
pub(crate) struct End(Mutex<Option<oneshot::Sender<Result<(), Fault>>>>);

impl End {
    pub(crate) fn channel() -> (Self, oneshot::Receiver<Result<(), Fault>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Mutex::new(Some(sender))), receiver)
    }

    /// Tells the end; only the first call counts.
    pub(crate) fn tell(&self, end: Result<(), Fault>) {
        let sender = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody listens any more: the owner is being dropped.
            let _ = sender.send(end);
        }
    }
}

/// Follows the bus of `pipeline` until it is dropped. Every message is consumed, so the bus
/// never holds a queue.
pub(crate) fn follow(pipeline: &gst::Pipeline, what: String, end: std::sync::Arc<End>) {
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Eos(_) => end.tell(Ok(())),
            gst::MessageView::Error(error) => end.tell(Err(explain(&what, error))),
            gst::MessageView::Warning(warning) => {
                tracing::warn!(warning = %warning.error(), "{what}");
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
}

/// Runs blocking GStreamer work on a thread of its own, so that the executor goes on.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("beacon-gst".into()).spawn(move || {
        // The receiver is gone when the caller gave up; the result is dropped here.
        let _ = sender.send(work());
    });
    spawned.map_err(|error| Fault::from("no thread for GStreamer: too many threads run", error))?;
    receiver.await.map_err(|error| Fault::from("GStreamer's set-up thread panicked", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_is_named_with_its_package() {
        init().expect("GStreamer");
        let fault = launch("videotestsrc ! nosuchenc ! appsink").expect_err("no such element");
        assert!(fault.context.contains("no GStreamer element nosuchenc"), "{}", fault.context);
        for (element, package) in [
            ("x264enc", "gstreamer1.0-plugins-ugly"),
            ("vp9enc", "gstreamer1.0-plugins-good"),
            ("opusenc", "gstreamer1.0-plugins-base"),
            ("timeoverlay", "gstreamer1.0-x"),
            ("openh264enc", "gstreamer1.0-plugins-bad"),
            ("avenc_aac", "gstreamer1.0-libav"),
        ] {
            let said = missing(element).context;
            assert!(said.contains(element) && said.contains(&format!("apt-get install {package}")));
        }
    }

    #[test]
    fn a_chain_that_cannot_link_is_a_fault() {
        init().expect("GStreamer");
        let fault = launch("audiotestsrc ! videoscale ! appsink").expect_err("audio into video");
        assert!(fault.context.contains("does not accept"), "{}", fault.context);
    }

    #[test]
    fn the_end_is_told_once() {
        let (end, mut told) = End::channel();
        end.tell(Err(Fault::new("first")));
        end.tell(Ok(()));
        let first = told.try_recv().expect("told");
        assert_eq!(first.expect_err("a fault").context, "first");
    }
}
