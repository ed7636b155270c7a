//! A page whose only neighbour has a slow uplink, for a while.

use crate::native::Viewer;
use crate::pages::{Look, Pages};
use crate::stage::Stage;
use crate::wait_for;
use async_trait::async_trait;
use beacon_codec_lite::{Rendition, TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::media::Media;
use beacon_sdk::plugin::SourceError;
use beacon_sdk::{Beacon, Broadcast, Identity, Profile, Source};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use bytes::{BufMut as _, BytesMut};
use std::time::Duration;

/// Bits per second that carry the small picture with ease and the large one not at all.
const SLOW: u64 = 600_000;

/// What each picture of the large size is filled up with, as by an encoder of constant rate: 180,000 bytes per second. The
/// pattern is drawn with so few bytes that both sizes would fit.
const FILLER: usize = 6000;

struct Filled(TestPattern);

#[async_trait]
impl Source for Filled {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        let mut media = self.0.next().await?;
        if let Some(Media::Object(object)) = &mut media
            && object.track.get() == 0
        {
            let mut data = BytesMut::from(&object.data[..]);
            // A unit of filler data (H.264, 7.3.2.7), which decoders pass over.
            data.put_u32(FILLER as u32 + 2);
            data.put_u8(12);
            data.put_bytes(0xff, FILLER);
            data.put_u8(0x80);
            object.data = data.freeze();
        }
        Ok(media)
    }
}

/// Publishes the test pattern in two sizes, to one neighbour.
fn publish(stage: &Stage) -> Broadcast {
    let _inside = stage.runtime.enter();
    let identity = Identity::random().unwrap();
    let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback()).unwrap();
    let rendezvous = SignalClient::new(&format!("ws://{}", stage.host), &identity).unwrap();
    let options = TestPatternOptions {
        group: Duration::from_secs(1),
        further: vec![Rendition { width: 320, height: 180, bitrate: 100_000 }],
        ..TestPatternOptions::default()
    };
    let mut config = Profile::Live.config();
    (config.links_max, config.links_target) = (1, 1);
    // It would leave out pictures when the relay says how little it carries.
    config.thin = false;
    let beacon = Beacon::new(identity, transport, rendezvous).config(config).code(RaptorQ::new());
    let pattern = Filled(TestPattern::new(options).unwrap());
    let (broadcast, driver) = beacon.publish("test", pattern, None).unwrap();
    stage.runtime.spawn(driver);
    broadcast
}

#[test]
fn a_page_takes_the_smaller_picture_while_its_neighbour_is_slow() {
    let stage = Stage::set();
    let broadcast = publish(&stage);
    let relay = Viewer::join(&stage, 24, None);
    wait_for("the relay plays", || relay.stats(), |stats| stats.segments_delivered > 8);
    let pages = Pages::of(&stage);
    pages.watch("page", 24);
    pages.plays("page");
    let height = |height: u32| move |look: &Look| look.height == height && look.state == "playing";
    pages.until("page", "it shows the large picture", height(360));
    relay.watch.set_upload(Some(SLOW));
    pages.until("page", "it shows the small one", height(180));
    let on = pages.plays_on("page", crate::ON);
    assert_eq!(on.height, 180, "the small one is what the relay carries: {on:#?}");
    relay.watch.set_upload(None);
    pages.until("page", "it shows the large one again", height(360));
    pages.plays_on("page", crate::ON);
    assert_eq!(pages.errors(), Vec::<String>::new());
    drop(broadcast);
}
