//! [`WebPeer`]: the engine in a worker.

use crate::feed::{Writer, feed};
use crate::options::{self, PublishOptions, WatchOptions};
use crate::out::{Message, Out};
use crate::screen::{self, Screen};
use beacon_codec_raptorq::RaptorQ;
use beacon_ledger::{CreditConfig, CreditLedger};
use beacon_sdk::media::Unplayable;
use beacon_sdk::plugin::RendezvousError;
use beacon_sdk::{
    Beacon, DriveError, Event, Identity, Lister, Profile, Snapshot, Stopper, Ticket, Tuner, Watch,
};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use core::future::Future;
use js_sys::{Array, Function, JSON};
use serde::Serialize;
use tokio::sync::watch::Receiver;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};
use wasm_bindgen_futures::spawn_local;
use web_sys::MessagePort;

/// A peer that watches or publishes one broadcast. Its [`Connector`](crate::Connector) is in the
/// page, at the other end of the port.
///
/// What it has to say goes to the function `out`, as objects with a `type`; see the README.
#[wasm_bindgen]
#[derive(Debug)]
pub struct WebPeer {
    stopper: Stopper,
    snapshots: Receiver<Snapshot>,
    writer: Option<Writer>,
    lister: Option<Lister>,
    tuner: Option<Tuner>,
    ticket: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    stats: &'a beacon_sdk::Stats,
    links: &'a [beacon_sdk::LinkStats],
}

/// A peer of this profile. Where the signaling server keeps a ledger, it signs for what it receives and earns by what it
/// carries; an ephemeral one leaves no trace of that kind.
fn beacon(
    identity: Identity,
    (signal, token): (&str, Option<&str>),
    profile: Profile,
    port: MessagePort,
) -> Result<Beacon, JsError> {
    let webrtc = WebRtcConfig { links_max: 300, ..WebRtcConfig::default() };
    let transport = WebRtc::new(identity.public(), webrtc, port)?;
    let rendezvous = SignalClient::new(signal, &identity)?;
    let rendezvous = match token {
        Some(token) => rendezvous.token(token.parse()?),
        None => rendezvous,
    };
    let ledger = CreditLedger::new(identity.clone(), CreditConfig::new(None, rendezvous.session()));
    let beacon = Beacon::new(identity, transport, rendezvous).code(RaptorQ::new());
    Ok(if profile == Profile::Ephemeral { beacon } else { beacon.ledger(ledger) })
}

#[wasm_bindgen]
impl WebPeer {
    /// Watches a broadcast, and relays it.
    pub fn watch(options: JsValue, port: MessagePort, out: Function) -> Result<WebPeer, JsError> {
        let read: WatchOptions = options::read(&options, "options")?;
        let (out, mut config) = (Out(out), read.config()?);
        config.choice = options::choice(&options)?;
        let ticket = read.ticket.as_deref().map(str::parse::<Ticket>).transpose()?;
        let signal = read.signal(ticket.as_ref())?;
        let way = (signal, read.token.as_deref());
        let beacon = beacon(options::identity(&options)?, way, read.profile()?, port)?;
        let beacon = beacon.config(config).report(read.report);
        let screen = Screen::new(out.clone(), read.mode);
        let (watch, driver) = match &ticket {
            Some(ticket) => beacon.watch_ticket(ticket, screen)?,
            None => beacon.watch(&read.name, screen)?,
        };
        let (stopper, snapshots) = (watch.stopper(), watch.snapshots());
        let tuner = Some(watch.tuner());
        spawn_local(tell(watch, out.clone()));
        spawn_local(end(driver, out));
        Ok(Self { stopper, snapshots, writer: None, lister: None, tuner, ticket: None })
    }

    /// Publishes a broadcast of `options.tracks`; media follows by [`write`](Self::write).
    pub fn publish(options: JsValue, port: MessagePort, out: Function) -> Result<WebPeer, JsError> {
        let read: PublishOptions = options::read(&options, "options")?;
        let (out, config) = (Out(out), read.config()?);
        let tracks = js_sys::Reflect::get(&options, &"tracks".into()).unwrap_or_default();
        let (writer, feed) = feed(options::tracks(&tracks)?);
        let way = (&*read.signal, read.token.as_deref());
        let beacon = beacon(options::identity(&options)?, way, read.profile()?, port)?;
        let beacon = beacon.config(config).report(read.report);
        let listing = options::listing(&options)?;
        let (mut broadcast, driver) = beacon.publish(&read.name, feed, None)?;
        broadcast.list(listing);
        let lister = Some(broadcast.lister());
        let (stopper, snapshots) = (broadcast.stopper(), broadcast.snapshots());
        let mut ticket = broadcast.ticket().clone();
        ticket.rendezvous.extend(read.signal.split(',').map(|url| url.trim().to_owned()));
        let told = out.clone();
        spawn_local(async move {
            while let Some(event) = broadcast.next_event().await {
                told.send(&told_event(&event));
            }
        });
        spawn_local(end(driver, out));
        let (writer, ticket) = (Some(writer), Some(ticket.to_string()));
        Ok(Self { stopper, snapshots, writer, lister, tuner: None, ticket })
    }

    /// Publishes an encoded frame or packet: `{track, pts, dts?, duration?, captured?, keyframe,
    /// data}`, times in microseconds. False when it had to be left out: then a keyframe is wanted.
    pub fn write(&mut self, object: JsValue) -> Result<bool, JsError> {
        match &mut self.writer {
            Some(writer) => writer.write(&object),
            None => Err(JsError::new("a peer that watches publishes nothing")),
        }
    }

    /// Other tracks from now on, such as after a switch of the camera or of its size.
    #[wasm_bindgen(js_name = setTracks)]
    pub fn set_tracks(&mut self, tracks: JsValue) -> Result<(), JsError> {
        match &mut self.writer {
            Some(writer) => writer.announce(options::tracks(&tracks)?),
            None => Err(JsError::new("a peer that watches has no tracks of its own")),
        }
    }

    /// What lists show of an own broadcast from now on: `{title?, category?, tags?, thumbnail?}`,
    /// the thumbnail as bytes of a JPEG, PNG or WebP file. What is left out is taken away.
    pub fn list(&self, listing: JsValue) -> Result<(), JsError> {
        match &self.lister {
            Some(lister) => {
                lister.list(options::listing(&listing)?);
                Ok(())
            }
            None => Err(JsError::new("a peer that watches lists nothing")),
        }
    }

    /// Passes on at most so many bits per second from now on; `undefined` is what the links carry,
    /// 0 is nothing. What is watched goes on.
    #[wasm_bindgen(js_name = setUpload)]
    pub fn set_upload(
        &self,
        #[wasm_bindgen(js_name = bitsPerSecond)] bits_per_second: Option<f64>,
    ) -> Result<(), JsError> {
        // Rounds down and saturates: below zero is nothing.
        self.tuner()?.set_upload(bits_per_second.map(|bits| bits as u64));
        Ok(())
    }

    /// Takes other tracks from now on: `{maxHeight?, maxBitrate?, codecs?, auto?}`, as of
    /// [`watch`](Self::watch). The picture goes on until the other can take its place; `tracks`
    /// says when.
    pub fn choose(&self, choice: JsValue) -> Result<(), JsError> {
        self.tuner()?.choose(options::choice(&choice)?);
        Ok(())
    }

    fn tuner(&self) -> Result<&Tuner, JsError> {
        self.tuner.as_ref().ok_or_else(|| JsError::new("this peer publishes; it watches nothing"))
    }

    /// The counters that `--stats` writes, and `links`, as of a moment ago.
    pub fn stats(&self) -> JsValue {
        let snapshot = self.snapshots.borrow();
        let shown = Shown { stats: &snapshot.stats, links: &snapshot.links };
        // Numbers, strings and lists always serialise, and parse again.
        let json = serde_json::to_string(&shown).unwrap_or_default();
        JSON::parse(&json).unwrap_or_default()
    }

    /// The ticket of an own broadcast.
    #[wasm_bindgen(getter)]
    pub fn ticket(&self) -> Option<String> {
        self.ticket.clone()
    }

    /// Leaves, or ends the broadcast; an `end` message follows.
    pub fn stop(&self) {
        self.stopper.stop();
    }
}

async fn tell(mut watch: Watch, out: Out) {
    while let Some(event) = watch.next_event().await {
        out.send(&told_event(&event));
    }
}

async fn end(driver: impl Future<Output = Result<(), DriveError>>, out: Out) {
    let message = Message::new("end");
    out.send(&match driver.await {
        Ok(()) => message,
        Err(error) => match (stale(&error), offered(&error)) {
            (Some(what), _) => message.with("stale", what),
            (None, Some(codecs)) => message.with("offered", codecs),
            (None, None) => message,
        }
        .with("reason", error.to_string()),
    });
}

/// The codecs of the broadcast, where the trouble is that they cannot be played.
fn offered(error: &DriveError) -> Option<Array> {
    let DriveError::Unplayable(Unplayable { offered, .. }) = error else { return None };
    Some(offered.iter().map(JsValue::from).collect())
}

/// What is too old to go with the rest, if that is the trouble.
fn stale(error: &DriveError) -> Option<&'static str> {
    match error {
        DriveError::Incompatible(with) if with.outdated() => Some("page"),
        DriveError::Incompatible(_) => Some("broadcast"),
        DriveError::Rendezvous(RendezvousError::Version(_)) => Some("signaling"),
        _ => None,
    }
}

fn told_event(event: &Event) -> Message {
    let message = Message::new("event").with("text", event.to_string());
    match event {
        Event::PeerJoined { peer } => message.with("name", "peer").with("peer", peer.to_string()),
        Event::PeerLeft { peer, .. } => {
            message.with("name", "peer-left").with("peer", peer.to_string())
        }
        Event::PeerBanned { peer, .. } => {
            message.with("name", "peer-banned").with("peer", peer.to_string())
        }
        Event::OtherVersion { peer, .. } => {
            message.with("name", "other-version").with("peer", peer.to_string())
        }
        Event::Described { tracks } => {
            message.with("name", "described").with("tracks", screen::list(tracks))
        }
        Event::Started { after } => {
            message.with("name", "started").with("ms", after.as_secs_f64() * 1000.0)
        }
        Event::Reparented { stripe, parent } => {
            let message = message.with("name", "reparented").with("stripe", *stripe);
            message.with("peer", parent.to_string())
        }
        Event::Missed { id } => message.with("name", "missed").with("track", id.track.get()),
        Event::Equivocation { .. } => message.with("name", "equivocation"),
        Event::Supply { percent, enough } => {
            message.with("name", "supply").with("percent", *percent).with("enough", *enough)
        }
        Event::Thinned { thinned } => message.with("name", "thinned").with("thinned", *thinned),
        Event::RendezvousLost { .. } => message.with("name", "signal-lost"),
        Event::RendezvousBack => message.with("name", "signal-back"),
        Event::Replaced { .. } => message.with("name", "replaced"),
        Event::Ended => message.with("name", "ended"),
        _ => message.with("name", "other"),
    }
}
