//! Which element reaches a device of this session.
//!
//! GStreamer's own `auto…` elements are not asked on Linux. Without a display `autovideosink` goes
//! on to the bare console and to DirectFB, whose sink crashes the process; without a microphone
//! `autoaudiosrc` settles for OpenAL, which fails as soon as it plays (both 1.22, seen).

use crate::element::{self, Fault};
use gstreamer::{self as gst, prelude::*};

/// One way to reach a window system.
struct Way {
    /// Set in sessions of this kind.
    variable: &'static str,
    /// Elements that draw there, best first.
    elements: &'static [&'static str],
}

/// Best first.
const DISPLAYS: [Way; 2] = [
    Way { variable: "WAYLAND_DISPLAY", elements: &["waylandsink"] },
    Way { variable: "DISPLAY", elements: &["xvimagesink", "ximagesink"] },
];
/// PulseAudio, which PipeWire answers as well, then ALSA.
const SPEAKERS: [&str; 2] = ["pulsesink", "alsasink"];
/// Likewise.
const MICROPHONES: [&str; 2] = ["pulsesrc", "alsasrc"];

/// What would help where there is no sound device.
pub(crate) const SOUND_CURE: &str =
    "start PulseAudio or PipeWire, or install gstreamer1.0-alsa and connect a device";

/// Whether there is any display, without opening it.
pub(crate) fn display() -> Result<(), Fault> {
    if !cfg!(target_os = "linux") || displays().next().is_some() {
        return Ok(());
    }
    Err(Fault::new(
        "there is no display for a window: set DISPLAY or WAYLAND_DISPLAY, or watch in a browser \
         with --sink http:ADDR",
    ))
}

fn displays() -> impl Iterator<Item = &'static Way> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    DISPLAYS.iter().filter(move |way| set(way.variable))
}

/// The first element that can open the display. Blocks up to some hundred milliseconds.
pub(crate) fn window() -> Result<&'static str, Fault> {
    if !cfg!(target_os = "linux") {
        return element::first_of(&["autovideosink"]);
    }
    display()?;
    let candidates: Vec<&str> = displays().flat_map(|way| way.elements).copied().collect();
    if !candidates.iter().any(|name| element::exists(name)) {
        return Err(element::missing(candidates.last().copied().unwrap_or_default()));
    }
    candidates.into_iter().find(|name| opens(name)).ok_or_else(|| {
        Fault::new(
            "no window can be opened on this display: check DISPLAY or WAYLAND_DISPLAY and its \
             permissions (xhost), or watch in a browser with --sink http:ADDR",
        )
    })
}

/// The first element that can open a sound device. Blocks up to some hundred milliseconds.
pub(crate) fn speaker() -> Option<&'static str> {
    if cfg!(target_os = "linux") {
        SPEAKERS.into_iter().find(|name| opens(name))
    } else {
        Some("autoaudiosink")
    }
}

/// The first element that can open a microphone. Blocks up to some hundred milliseconds.
pub(crate) fn microphone() -> Option<&'static str> {
    if cfg!(target_os = "linux") {
        MICROPHONES.into_iter().find(|name| opens(name))
    } else {
        Some("autoaudiosrc")
    }
}

/// Whether the element is there and reaches its device.
fn opens(name: &str) -> bool {
    let Ok(element) = gst::ElementFactory::make(name).build() else { return false };
    let ready = element.set_state(gst::State::Ready).is_ok();
    // Back to rest whether it worked or not.
    let _ = element.set_state(gst::State::Null);
    ready
}
