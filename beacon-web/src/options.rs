//! What JavaScript asks for, read and checked.

use beacon_sdk::media::{Choice, Kind, Renditions, Track};
use beacon_sdk::{About, Config, Identity, Listing, Profile, Thumbnail, Ticket, TrackId};
use beacon_transport_webrtc::{IceServer, WebRtcConfig};
use bytes::Bytes;
use js_sys::{Array, JSON, Reflect, Uint8Array};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::JsError;
use wasm_bindgen::{JsCast as _, JsValue};

/// How a broadcast is watched.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WatchOptions {
    signal: Option<String>,
    /// Where to ask when neither `signal` nor a ticket says.
    home: Option<String>,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) ticket: Option<String>,
    #[serde(default)]
    pub(crate) mode: Mode,
    profile: Option<String>,
    upload_bps: Option<u64>,
    links: Option<u16>,
    max_links: Option<u16>,
    #[serde(default = "yes")]
    pub(crate) report: bool,
    pub(crate) token: Option<String>,
}

/// Which tracks are taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChoiceOptions {
    max_height: Option<u16>,
    max_bitrate: Option<u32>,
    #[serde(default)]
    codecs: Vec<String>,
    #[serde(default)]
    auto: bool,
}

/// The choice in `maxHeight`, `maxBitrate`, `codecs` and `auto` of an object that may have other
/// fields.
pub(crate) fn choice(of: &JsValue) -> Result<Choice, JsError> {
    let read: ChoiceOptions = self::read(of, "choice")?;
    let limited = read.max_height.is_some() || read.max_bitrate.is_some();
    let height_max = read.max_height.unwrap_or(u16::MAX);
    let bitrate_max = read.max_bitrate.unwrap_or(u32::MAX);
    let renditions = match (read.auto, limited) {
        (true, _) => Renditions::Auto { height_max, bitrate_max },
        (false, true) => Renditions::Best { height_max, bitrate_max },
        (false, false) => Renditions::All,
    };
    Ok(Choice { renditions, codecs: read.codecs })
}

/// In which form media leaves.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Fragments of MP4, for Media Source Extensions.
    #[default]
    Mse,
    /// Encoded frames, for WebCodecs.
    Objects,
    /// Not at all: a relay.
    None,
}

/// What lists show of a broadcast: `title`, `category`, `tags` and `thumbnail`, the bytes of a picture, of an object
/// that may have other fields.
pub(crate) fn listing(of: &JsValue) -> Result<Listing, JsError> {
    let about: About = read(of, "listing")?;
    let thumbnail = bytes(of, "thumbnail").map(|bytes| Thumbnail::new(bytes.into())).transpose()?;
    Ok(Listing { about, thumbnail })
}

/// How one is published.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishOptions {
    pub(crate) signal: String,
    pub(crate) name: String,
    profile: Option<String>,
    max_links: Option<u16>,
    upload_bps: Option<u64>,
    #[serde(default = "yes")]
    pub(crate) report: bool,
    pub(crate) token: Option<String>,
}

/// Unless told.
const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackOptions {
    id: u8,
    kind: String,
    codec: String,
    #[serde(default)]
    width: u16,
    #[serde(default)]
    height: u16,
    #[serde(default)]
    rate: u32,
    #[serde(default)]
    channels: u8,
    #[serde(default)]
    bitrate: u32,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct IceOptions {
    urls: Urls,
    #[serde(default)]
    username: String,
    #[serde(default)]
    credential: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    Some(Vec<String>),
}

/// Objects of publishers in a browser are timed in microseconds, as WebCodecs times them.
pub(crate) const TIMESCALE: u32 = 1_000_000;

/// Reads a plain object. What JSON cannot hold, such as bytes, is read beside it.
pub(crate) fn read<T: DeserializeOwned>(value: &JsValue, what: &str) -> Result<T, JsError> {
    let json = JSON::stringify(value).ok().and_then(|json| json.as_string());
    let json = json.ok_or_else(|| JsError::new(&format!("{what}: expected an object")))?;
    serde_json::from_str(&json).map_err(|error| JsError::new(&format!("{what}: {error}")))
}

fn bytes(of: &JsValue, name: &str) -> Option<Vec<u8>> {
    let value = Reflect::get(of, &name.into()).ok()?;
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)
}

/// The identity in `options.identity`, 32 secret bytes, or a new one.
pub(crate) fn identity(options: &JsValue) -> Result<Identity, JsError> {
    match bytes(options, "identity") {
        None => Ok(Identity::random()?),
        Some(bytes) => secret(&bytes),
    }
}

/// The identity of these secret bytes.
pub(crate) fn secret(bytes: &[u8]) -> Result<Identity, JsError> {
    let secret = bytes.try_into().map_err(|_| JsError::new("identity: expected 32 bytes"))?;
    Ok(Identity::from_secret(secret))
}

pub(crate) fn ice_servers(list: &JsValue) -> Result<Vec<IceServer>, JsError> {
    if list.is_falsy() {
        return Ok(Vec::new());
    }
    let list: Vec<IceOptions> = read(list, "iceServers")?;
    let servers: Vec<IceServer> = list
        .into_iter()
        .map(|IceOptions { urls, username, credential }| {
            let urls = match urls {
                Urls::One(url) => vec![url],
                Urls::Some(urls) => urls,
            };
            IceServer { urls, username, credential }
        })
        .collect();
    WebRtcConfig { ice_servers: servers.clone(), ..WebRtcConfig::default() }.check()?;
    Ok(servers)
}

fn profile(name: Option<&str>) -> Result<Profile, JsError> {
    Ok(name.map_or(Ok(Profile::Live), str::parse)?)
}

impl WatchOptions {
    /// The signaling server: the one that was told, the ticket's first, or that of the page.
    pub(crate) fn signal<'a>(&'a self, ticket: Option<&'a Ticket>) -> Result<&'a str, JsError> {
        let signal = self.signal.as_ref();
        let signal = signal.or_else(|| ticket.and_then(|ticket| ticket.rendezvous.first()));
        let signal = signal.or(self.home.as_ref());
        signal.map(String::as_str).ok_or_else(|| JsError::new("signal: expected wss://HOST"))
    }

    pub(crate) fn profile(&self) -> Result<Profile, JsError> {
        profile(self.profile.as_deref())
    }

    pub(crate) fn config(&self) -> Result<Config, JsError> {
        let mut config = self.profile()?.config();
        config.upload_bps = self.upload_bps;
        if let Some(links) = self.links {
            config.links_target = links;
            config.links_max = config.links_max.max(links);
        }
        if let Some(most) = self.max_links {
            config.links_max = most;
            config.links_target = config.links_target.min(most);
        }
        Ok(config)
    }
}

impl PublishOptions {
    pub(crate) fn profile(&self) -> Result<Profile, JsError> {
        profile(self.profile.as_deref())
    }

    pub(crate) fn config(&self) -> Result<Config, JsError> {
        let mut config = self.profile()?.config();
        config.upload_bps = self.upload_bps;
        if let Some(links) = self.max_links {
            config.links_max = links;
            config.links_target = config.links_target.min(links);
        }
        Ok(config)
    }
}

/// The tracks of a publisher. `config` of a video track is the decoder configuration that the
/// encoder gave; an Opus track needs none.
pub(crate) fn tracks(list: &JsValue) -> Result<Vec<Track>, JsError> {
    let list = list.dyn_ref::<Array>().ok_or_else(|| JsError::new("tracks: expected a list"))?;
    let tracks = list.iter().map(|entry| track(&entry)).collect::<Result<Vec<_>, _>>()?;
    Track::check_all(&tracks)?;
    Ok(tracks)
}

fn track(entry: &JsValue) -> Result<Track, JsError> {
    let read: TrackOptions = read(entry, "track")?;
    let id = TrackId::new(read.id).ok_or_else(|| JsError::new("track: id must be 0 to 63"))?;
    let kind = match read.kind.as_str() {
        "video" => Kind::Video { width: read.width, height: read.height },
        "audio" => Kind::Audio { rate: read.rate, channels: read.channels },
        other => return Err(JsError::new(&format!("track: kind {other:?} is not video or audio"))),
    };
    let config = match bytes(entry, "config") {
        Some(config) => Bytes::from(config),
        None if read.codec == "opus" => beacon_mux::opus::config(read.channels, OPUS_PRE_SKIP),
        None => Bytes::new(),
    };
    Ok(Track {
        id,
        kind,
        codec: read.codec,
        config,
        timescale: TIMESCALE,
        bitrate: read.bitrate,
        label: read.name,
    })
}

/// Samples that a decoder drops at the start: what libopus, and so every browser, adds.
const OPUS_PRE_SKIP: u16 = 312;
