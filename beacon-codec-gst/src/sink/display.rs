//! Which element opens a window in this session.

use crate::element::{self, Fault};
use gstreamer::{self as gst, prelude::*};

/// One way to reach a window system.
struct Way {
    /// Set in sessions of this kind.
    variable: &'static str,
    /// Elements that draw there, best first.
    elements: &'static [&'static str],
}

/// Best first. GStreamer's own `autovideosink` is not asked on Linux: without a display it goes
/// on to the bare console and to DirectFB, whose sink crashes the process (1.22, seen).
const WAYS: [Way; 2] = [
    Way { variable: "WAYLAND_DISPLAY", elements: &["waylandsink"] },
    Way { variable: "DISPLAY", elements: &["xvimagesink", "ximagesink"] },
];

/// Whether there is any display, without opening it.
pub(crate) fn present() -> Result<(), Fault> {
    if !cfg!(target_os = "linux") || ways().next().is_some() {
        return Ok(());
    }
    Err(Fault::new(
        "there is no display for a window: set DISPLAY or WAYLAND_DISPLAY, or watch in a browser \
         with --sink http:ADDR",
    ))
}

fn ways() -> impl Iterator<Item = &'static Way> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    WAYS.iter().filter(move |way| set(way.variable))
}

/// The first element that can open the display. Blocks up to some hundred milliseconds.
pub(crate) fn sink() -> Result<&'static str, Fault> {
    if !cfg!(target_os = "linux") {
        return element::first_of(&["autovideosink"]);
    }
    present()?;
    let candidates = || ways().flat_map(|way| way.elements);
    if !candidates().any(|name| element::exists(name)) {
        return Err(element::missing(candidates().last().copied().unwrap_or_default()));
    }
    candidates().find(|name| opens(name)).copied().ok_or_else(|| {
        Fault::new(
            "no window can be opened on this display: check DISPLAY or WAYLAND_DISPLAY and its \
             permissions (xhost), or watch in a browser with --sink http:ADDR",
        )
    })
}

/// Whether the element reaches its device.
fn opens(name: &str) -> bool {
    let Ok(element) = gst::ElementFactory::make(name).build() else { return false };
    let ready = element.set_state(gst::State::Ready).is_ok();
    // Back to rest whether it worked or not.
    let _ = element.set_state(gst::State::Null);
    ready
}
