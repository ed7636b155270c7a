//! A real window on a virtual display (needs Xvfb, Debian package `xvfb`).
//!
//! The display is found through the environment, so each test runs its body in a process of its
//! own: it starts this binary again for itself alone.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use beacon_codec_gst::{GstSink, GstSource, SinkOptions, SourceOptions};
use beacon_sdk::{Profile, Sink, Source};
use common::{playout, run_pipeline, scratch};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Display {
    server: Child,
    name: String,
}

impl Display {
    fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb does not start: apt-get install xvfb");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { server, name: format!(":{}", number.trim()) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// Set in the process that runs the body of a test.
const INNER: &str = "BEACON_WINDOW_TEST_BODY";

/// Runs `body` of the test `name` in a session with this display, or none.
fn in_session(
    name: &str,
    display: impl FnOnce() -> Option<Display>,
    body: impl Future<Output = ()>,
) {
    if std::env::var_os(INNER).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let guarded = async { tokio::time::timeout(common::PATIENCE, body).await };
        return runtime.block_on(guarded).expect("hangs");
    }
    let display = display();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", name]).env(INNER, "1");
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    if let Some(display) = &display {
        command.env("DISPLAY", &display.name);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}\n{output:?}");
}

#[test]
fn without_a_display_it_is_said() {
    in_session("without_a_display_it_is_said", || None, async {
        let said = GstSink::open("window", &SinkOptions::default()).expect_err("no display");
        assert!(said.to_string().contains("set DISPLAY or WAYLAND_DISPLAY"), "{said}");
    });
}

#[test]
fn a_display_that_is_gone_is_said() {
    let gone = || {
        let mut display = Display::start();
        display.server.kill().unwrap();
        display.server.wait().unwrap();
        Some(display)
    };
    in_session("a_display_that_is_gone_is_said", gone, async {
        let mut source = GstSource::open("test", &SourceOptions::new(Profile::Live)).unwrap();
        let tracks = source.next().await.unwrap().unwrap();
        let mut sink = GstSink::open("window", &SinkOptions::default()).unwrap();
        let said = sink.write(playout(&tracks, &mut 0)).await.expect_err("no display");
        assert!(said.to_string().contains("check DISPLAY"), "{said}");
    });
}

#[test]
fn a_window_shows_the_pattern() {
    let display = || Some(Display::start());
    in_session("a_window_shows_the_pattern", display, async {
        let mut source = GstSource::open("test", &SourceOptions::new(Profile::LowLatency)).unwrap();
        let mut sink = GstSink::open("window", &SinkOptions::default()).unwrap();
        let counters = sink.counters();
        let (mut seq, mut shot) = (0, None);
        while counters.pictures() < 90 {
            let item = source.next().await.unwrap().unwrap();
            sink.write(playout(&item, &mut seq)).await.unwrap();
            if counters.pictures() >= 60 && shot.is_none() {
                shot = Some(std::thread::spawn(screenshot));
            }
        }
        sink.finish().await.unwrap();
        let colours = shot.unwrap().join().unwrap();
        // Seven bars of 91 × 240 pixels and more; the clock, the ramp and the snow beside them.
        let large = colours.values().filter(|count| **count > 8_000).count();
        assert!(large >= 6, "{large} large areas of one colour: no colour bars on the screen");
    });
}

/// Pixels of the screen by colour, in steps of 32; the picture is kept beside the test binary.
fn screenshot() -> HashMap<[u8; 3], usize> {
    let display = std::env::var("DISPLAY").unwrap();
    let (raw, png) = (scratch("screen.rgb"), scratch("screen.png"));
    run_pipeline(&format!(
        "ximagesrc display-name={display} num-buffers=1 use-damage=false ! videoconvert ! tee name=t \
         t. ! queue ! video/x-raw,format=RGB ! filesink location={} \
         t. ! queue ! videoconvert ! pngenc ! filesink location={}",
        raw.display(),
        png.display()
    ));
    let mut colours = HashMap::new();
    for pixel in std::fs::read(raw).unwrap().chunks_exact(3) {
        *colours.entry([pixel[0] >> 5, pixel[1] >> 5, pixel[2] >> 5]).or_default() += 1;
    }
    colours
}
