//! What the two halves say to each other: JavaScript arrays of a word, the number of a link and
//! what the word takes.
//!
//! Both halves are of one build, so there are no versions here. A message that is none of these is
//! passed over.

use crate::lane;
use beacon_sdk::plugin::{CloseReason, Lane, TurnServer};
use js_sys::Array;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{MessagePort, RtcDataChannel};

/// What the transport wants of the page.
#[derive(Debug)]
pub(super) enum Order {
    /// Begin a connection with an offer.
    Offer,
    /// Begin one with the answer to this offer.
    Answer { sdp: String },
    /// Take the peer's answer.
    Accept { sdp: String },
    /// Try these candidates of the peer.
    Candidates(Vec<String>),
    /// Send bytes or text on a channel that stayed in the page.
    Send { lane: Lane, message: JsValue },
    /// Tell when no more than so many bytes wait on a channel that stayed in the page.
    Level { lane: Lane, bytes: u32 },
    /// Use this TURN server for connections to come, in place of the one before. Of no link.
    Turn(TurnServer),
    /// End it, after a moment for what was sent last.
    Close,
}

/// What the page tells the transport.
#[derive(Debug)]
pub(super) enum Report {
    /// The channels, handed over.
    Channels { control: RtcDataChannel, data: RtcDataChannel },
    /// The channels cannot be handed over and stay in the page.
    Kept,
    /// The own description.
    Described { sdp: String },
    /// An own candidate.
    Candidate(String),
    /// There are no more own candidates.
    Gathered,
    /// The connection is lost, or cannot be had.
    Failed(CloseReason),
    /// A channel that stayed in the page has opened.
    Opened(Lane),
    /// Bytes or text came on a channel that stayed in the page.
    Message { lane: Lane, message: JsValue },
    /// So many bytes have left through a channel that stayed in the page, counted from the start;
    /// the count wraps.
    Left { lane: Lane, bytes: u32 },
    /// A channel that stayed in the page is closed.
    Closed,
}

fn message(word: &str, link: u32, rest: &[JsValue]) -> Array {
    let array = Array::of2(&word.into(), &link.into());
    for value in rest {
        array.push(value);
    }
    array
}

fn text(value: &JsValue) -> Option<String> {
    value.as_string()
}

fn number(value: &JsValue) -> Option<u32> {
    let number = value.as_f64()?;
    // Both halves send whole numbers of 32 bits, which a double holds exactly.
    (0.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32)
}

fn lane_of(value: &JsValue) -> Option<Lane> {
    number(value).and_then(|id| u16::try_from(id).ok()).and_then(lane::of_channel)
}

fn id(lane: Lane) -> JsValue {
    lane::channel(lane).into()
}

impl Order {
    pub(super) fn post(self, link: u32, port: &MessagePort) {
        let order = match self {
            Self::Offer => message("offer", link, &[]),
            Self::Answer { sdp } => message("answer", link, &[sdp.into()]),
            Self::Accept { sdp } => message("accept", link, &[sdp.into()]),
            Self::Candidates(list) => {
                let list: Array = list.into_iter().map(JsValue::from).collect();
                message("candidates", link, &[list.into()])
            }
            Self::Send { lane, message: bytes } => message("send", link, &[id(lane), bytes]),
            Self::Level { lane, bytes } => message("level", link, &[id(lane), bytes.into()]),
            Self::Turn(TurnServer { urls, username, credential }) => {
                let urls: Array = urls.into_iter().map(JsValue::from).collect();
                message("turn", link, &[urls.into(), username.into(), credential.into()])
            }
            Self::Close => message("close", link, &[]),
        };
        // Fails on what cannot be cloned only, and all of this can.
        let _ = port.post_message(&order);
    }

    pub(super) fn read(data: &JsValue) -> Option<(u32, Self)> {
        let array = data.dyn_ref::<Array>()?;
        let link = number(&array.get(1))?;
        let order = match text(&array.get(0))?.as_str() {
            "offer" => Self::Offer,
            "answer" => Self::Answer { sdp: text(&array.get(2))? },
            "accept" => Self::Accept { sdp: text(&array.get(2))? },
            "candidates" => {
                let list = array.get(2).dyn_into::<Array>().ok()?;
                Self::Candidates(list.iter().filter_map(|item| text(&item)).collect())
            }
            "send" => Self::Send { lane: lane_of(&array.get(2))?, message: array.get(3) },
            "level" => Self::Level { lane: lane_of(&array.get(2))?, bytes: number(&array.get(3))? },
            "turn" => {
                let urls = array.get(2).dyn_into::<Array>().ok()?;
                Self::Turn(TurnServer {
                    urls: urls.iter().filter_map(|url| text(&url)).collect(),
                    username: text(&array.get(3))?,
                    credential: text(&array.get(4))?,
                })
            }
            "close" => Self::Close,
            _ => return None,
        };
        Some((link, order))
    }
}

impl Report {
    /// Posts everything but [`Report::Channels`].
    pub(super) fn post(self, link: u32, port: &MessagePort) {
        let report = match self {
            Self::Channels { control, data } => {
                let _ = Self::hand_over(link, &control, &data, port);
                return;
            }
            Self::Kept => message("kept", link, &[]),
            Self::Described { sdp } => message("described", link, &[sdp.into()]),
            Self::Candidate(candidate) => message("candidate", link, &[candidate.into()]),
            Self::Gathered => message("gathered", link, &[]),
            Self::Failed(reason) => {
                message("failed", link, &[(reason == CloseReason::Timeout).into()])
            }
            Self::Opened(lane) => message("opened", link, &[id(lane)]),
            Self::Message { lane, message: bytes } => message("message", link, &[id(lane), bytes]),
            Self::Left { lane, bytes } => message("left", link, &[id(lane), bytes.into()]),
            Self::Closed => message("closed", link, &[]),
        };
        let _ = port.post_message(&report);
    }

    /// Hands both channels over; false where the browser cannot. Only possible in the task that
    /// made them.
    pub(super) fn hand_over(
        link: u32,
        control: &RtcDataChannel,
        data: &RtcDataChannel,
        port: &MessagePort,
    ) -> bool {
        let report = message("channels", link, &[control.into(), data.into()]);
        let transfer = Array::of2(control, data);
        port.post_message_with_transferable(&report, &transfer).is_ok()
    }

    pub(super) fn read(data: &JsValue) -> Option<(u32, Self)> {
        let array = data.dyn_ref::<Array>()?;
        let link = number(&array.get(1))?;
        let report = match text(&array.get(0))?.as_str() {
            "channels" => Self::Channels {
                control: array.get(2).dyn_into().ok()?,
                data: array.get(3).dyn_into().ok()?,
            },
            "kept" => Self::Kept,
            "described" => Self::Described { sdp: text(&array.get(2))? },
            "candidate" => Self::Candidate(text(&array.get(2))?),
            "gathered" => Self::Gathered,
            "failed" if array.get(2).is_truthy() => Self::Failed(CloseReason::Timeout),
            "failed" => Self::Failed(CloseReason::Failed),
            "opened" => Self::Opened(lane_of(&array.get(2))?),
            "message" => Self::Message { lane: lane_of(&array.get(2))?, message: array.get(3) },
            "left" => Self::Left { lane: lane_of(&array.get(2))?, bytes: number(&array.get(3))? },
            "closed" => Self::Closed,
            _ => return None,
        };
        Some((link, report))
    }
}
