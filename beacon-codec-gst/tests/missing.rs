//! Missing plugins: one test alone in this process, because it takes plugins away.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use beacon_codec_gst::{GstSource, SourceOptions};
use beacon_sdk::Profile;
use common::{check_contract, collect, tracks_of};
use gstreamer as gst;
use std::time::Duration;

fn take_away(element: &str) {
    let registry = gst::Registry::get();
    registry.remove_feature(&registry.lookup_feature(element).unwrap());
}

#[tokio::test]
async fn openh264_stands_in_for_x264_and_then_the_package_is_named() {
    gst::init().unwrap();
    let mut options = SourceOptions::new(Profile::LowLatency);
    options.size = Some((320, 180));

    take_away("x264enc");
    let mut source = GstSource::open("test", &options).unwrap();
    let items = collect(&mut source, Duration::from_millis(700)).await;
    check_contract(&items, Duration::from_millis(200));
    assert!(tracks_of(&items)[0].codec.starts_with("avc1.42"), "{}", tracks_of(&items)[0].codec);

    take_away("openh264enc");
    let said = GstSource::open("test", &options).expect_err("no H.264 encoder").to_string();
    assert!(said.contains("x264enc is missing"), "{said}");
    assert!(said.contains("apt-get install gstreamer1.0-plugins-ugly"), "{said}");

    take_away("clockoverlay");
    options.video = beacon_codec_gst::VideoCodec::Vp8;
    let said = GstSource::open("test", &options).expect_err("no overlay").to_string();
    assert!(said.contains("clockoverlay") && said.contains("gstreamer1.0-x"), "{said}");
}
