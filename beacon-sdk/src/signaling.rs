//! The signaling protocol: JSON in WebSocket text frames, one message per frame.
//!
//! The server, the native client and the browser share these types; `beacon-signal/PROTOCOL.md`
//! is the same in prose. Nothing here does input or output.
//!
//! Fields that a side does not know are ignored, so that a later version can add some. Text that
//! is not a message is a [`ProtocolError`] and never a panic; its cost is bounded by
//! [`MESSAGE_BYTES_MAX`].

mod code;
pub mod hints;
mod proof;
mod token;
mod work;

pub use code::ErrorCode;
pub use proof::{NONCE_LEN, Nonce, Proof, SESSION_MAX};
pub use token::{TOKEN_CHARS_MAX, Token, TokenError};
pub use work::{Riddle, Slate, TRIES_MAX, WORK_KIB, Work, WorkError};

use crate::id::{BroadcastId, PeerId};
use crate::identity::PublicKey;
use crate::listing::{About, Thumbnail};
use crate::plugin::{
    DETAIL_LINKS_MAX, EDGE_BYTES_MAX, Join, PeerHint, RECEIPT_BYTES_MAX, Report, SIGNAL_BYTES_MAX,
    TURN_URLS_MAX, TurnServer,
};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use data_encoding::BASE64;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version that a [`ServerMessage::Challenge`] and a [`ClientMessage::Join`] name. A client goes
/// away from another one, and a server answers it with [`ErrorCode::Version`].
pub const VERSION: u16 = 2;
/// Bytes of a WebSocket message at most, in either direction: a signal of
/// [`SIGNAL_BYTES_MAX`] in base64 is 21.4 KiB.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Characters of a broadcast's name at most.
pub const NAME_CHARS_MAX: usize = 64;
/// Hints in one [`ServerMessage::Peers`] at most.
pub const HINTS_MAX: usize = 64;
/// Receipts in one [`ClientMessage::Claims`] at most: one of 317 bytes takes 426 here.
pub const CLAIMS_MAX: usize = 64;
/// A thumbnail is replaced this often at most.
pub const THUMBNAIL_INTERVAL: Duration = Duration::from_secs(5);
/// Characters of a message to a person at most; what a parser says of hostile text is cut here.
const EXPLANATION_CHARS_MAX: usize = 200;

/// Bytes that mean nothing here, at most `MAX`; base64 (RFC 4648 §4, padded, canonical) on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Data<const MAX: usize>(Bytes);

/// A set-up signal.
pub type SignalData = Data<SIGNAL_BYTES_MAX>;
/// An edge of the server's ledger.
pub type EdgeData = Data<EDGE_BYTES_MAX>;
/// A receipt that a neighbour signed.
pub type ReceiptData = Data<RECEIPT_BYTES_MAX>;

impl<const MAX: usize> Data<MAX> {
    /// `None` above `MAX` bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes themselves.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl<const MAX: usize> Serialize for Data<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Data<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
        Self::new(Bytes::from(bytes))
            .ok_or_else(|| D::Error::custom(format_args!("data above {MAX} bytes")))
    }
}

/// What a peer says to the server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// The answer to [`ServerMessage::Challenge`] and the first message of a connection, once.
    Join {
        /// [`VERSION`].
        version: u16,
        /// Who comes, and to which broadcast.
        #[serde(flatten)]
        join: Join,
        /// Drawn at random for each run of the program, at most [`SESSION_MAX`]: what was said in an
        /// earlier run binds nobody in this one.
        session: u64,
        /// That the peer's key is its own.
        proof: Proof,
        /// Leave to join, where a server wants it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Token>,
        /// The answer to the challenge's [`Riddle`], where it asks for work.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work: Option<u64>,
    },
    /// Carry `data` to another peer of the same broadcast.
    Signal {
        /// The addressee; unknown ones are passed over in silence.
        to: PeerId,
        /// The set-up signal.
        data: SignalData,
    },
    /// What lists show of the broadcast, by its origin; only the latest counts.
    Describe(About),
    /// The picture that lists show of the broadcast, by its origin; `None` takes it away. One that
    /// comes within [`THUMBNAIL_INTERVAL`] of the last is passed over.
    Thumbnail {
        /// The picture.
        data: Option<Thumbnail>,
    },
    /// What the peer says of itself; only the latest counts.
    MetricsReport(Report),
    /// Receipts for what this peer carried, for the server's ledger, and proofs against who signed two histories; at
    /// most [`CLAIMS_MAX`].
    Claims {
        /// The newest of each edge counts.
        receipts: Vec<ReceiptData>,
    },
    /// Still here. Answered with [`ServerMessage::Heartbeat`].
    Heartbeat,
    /// Goodbye; the server closes the connection.
    Leave,
}

/// What the server says to a peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The first message of a connection: join, and sign this.
    Challenge {
        /// The server's [`VERSION`].
        version: u16,
        /// Drawn for this connection alone.
        nonce: Nonce,
        /// What joining costs at the moment; absent where it costs nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work: Option<Work>,
    },
    /// A TURN server and leave to use it: before [`Joined`](Self::Joined), where a server grants one, and again
    /// before it ends. At most [`TURN_URLS_MAX`] addresses.
    Turn(TurnServer),
    /// The peer is in; sent again when the broadcast of that name comes or changes.
    Joined {
        /// The server's [`VERSION`].
        version: u16,
        /// The broadcast of that name; `null` while its origin has not come yet.
        broadcast: Option<BroadcastId>,
        /// Send a heartbeat this often, in milliseconds. Both sides give a connection up that
        /// was silent for three of them.
        heartbeat_ms: u32,
        /// The key of the server's ledger, by which its edges are signed; absent where none is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<PublicKey>,
    },
    /// Edges of the server's ledger: this peer is to take the broadcast from others, and to sign for
    /// it. At most [`HINTS_MAX`].
    Edges {
        /// Each is a whole edge.
        edges: Vec<EdgeData>,
    },
    /// Peers worth a dial, best first, at most [`HINTS_MAX`].
    Peers {
        /// The hints.
        peers: Vec<PeerHint>,
    },
    /// A peer of this broadcast has left.
    Gone {
        /// Who.
        peer: PeerId,
        /// The owner of the broadcast has sent it away: links to it are to end.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        banned: bool,
    },
    /// A set-up signal from another peer of this broadcast.
    Signal {
        /// The id the sender joined with.
        from: PeerId,
        /// The set-up signal.
        data: SignalData,
    },
    /// The answer to [`ClientMessage::Heartbeat`].
    Heartbeat,
    /// Something was refused.
    Error {
        /// The reason for programs.
        code: ErrorCode,
        /// The reason for people: cause and cure.
        message: String,
        /// Coming back with the same request cannot help. The connection is closed.
        fatal: bool,
    },
}

/// Text that is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Above [`MESSAGE_BYTES_MAX`].
    #[error("a message of {0} bytes is above the limit of {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// A type this version does not know.
    #[error("unknown message type {0:?}")]
    UnknownType(String),
    /// A join or a challenge of another version.
    #[error("protocol version {0} is not spoken here: use version {VERSION}")]
    Version(u64),
    /// Not JSON, or a field that is missing or wrong.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A join that cannot be.
    #[error("{0}")]
    BadJoin(&'static str),
    /// Words or a picture that no list shows.
    #[error("{0}")]
    BadListing(String),
}

impl ProtocolError {
    /// The code a server answers with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge(_) => ErrorCode::TooLarge,
            Self::UnknownType(_) => ErrorCode::UnknownType,
            Self::Version(_) => ErrorCode::Version,
            Self::Malformed(_) => ErrorCode::Malformed,
            Self::BadJoin(_) => ErrorCode::BadJoin,
            Self::BadListing(_) => ErrorCode::BadListing,
        }
    }
}

impl ClientMessage {
    /// Reads one text frame and checks what can be checked without state. Links of a report above
    /// [`DETAIL_LINKS_MAX`] are cut off, and receipts above [`CLAIMS_MAX`].
    ///
    /// # Errors
    /// [`ProtocolError`]; [`ProtocolError::code`] says what to answer.
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        const TYPES: [&str; 8] = [
            "join",
            "signal",
            "describe",
            "thumbnail",
            "metrics-report",
            "claims",
            "heartbeat",
            "leave",
        ];
        let mut message = parse(text, &TYPES)?;
        match &mut message {
            Self::MetricsReport(Report { detail: Some(detail), .. }) => {
                detail.links.truncate(DETAIL_LINKS_MAX);
            }
            Self::Claims { receipts } => receipts.truncate(CLAIMS_MAX),
            Self::Join { version, join, session, .. } => {
                check_version(*version)?;
                check_join(join)?;
                if *session > SESSION_MAX {
                    return Err(ProtocolError::BadJoin("a session is a number below 2^53"));
                }
            }
            _ => {}
        }
        Ok(message)
    }

    /// The text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

impl ServerMessage {
    /// Reads one text frame. Hints and edges above [`HINTS_MAX`] are cut off, and addresses above
    /// [`TURN_URLS_MAX`].
    ///
    /// # Errors
    /// [`ProtocolError`]. A client passes over [`ProtocolError::UnknownType`]: a later server
    /// may say more than this one.
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        const TYPES: [&str; 9] = [
            "challenge",
            "turn",
            "joined",
            "edges",
            "peers",
            "gone",
            "signal",
            "heartbeat",
            "error",
        ];
        let mut message = parse(text, &TYPES)?;
        match &mut message {
            Self::Challenge { version, .. } => check_version(*version)?,
            Self::Turn(server) => server.urls.truncate(TURN_URLS_MAX),
            Self::Peers { peers } => peers.truncate(HINTS_MAX),
            Self::Edges { edges } => edges.truncate(HINTS_MAX),
            _ => {}
        }
        Ok(message)
    }

    /// The text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// The error message of a code.
    #[must_use]
    pub fn error(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self::Error { code, message: explain(&message), fatal: code.fatal() }
    }
}

fn check_version(version: u16) -> Result<(), ProtocolError> {
    if version == VERSION { Ok(()) } else { Err(ProtocolError::Version(u64::from(version))) }
}

/// Whether `join` can be: the name is 1–64 characters without control characters, and an origin
/// publishes a broadcast of its own.
///
/// # Errors
/// [`ProtocolError::BadJoin`] with the cause and the cure.
pub fn check_join(join: &Join) -> Result<(), ProtocolError> {
    // Four bytes per character at most: the count below never walks a long text.
    let long = join.name.len() > 4 * NAME_CHARS_MAX || join.name.chars().count() > NAME_CHARS_MAX;
    if join.name.is_empty() || long || join.name.chars().any(char::is_control) {
        return Err(ProtocolError::BadJoin(
            "the name of a broadcast is 1 to 64 characters without control characters",
        ));
    }
    if join.publish && join.broadcast.is_none() {
        return Err(ProtocolError::BadJoin(
            "an origin joins with its broadcast: publisher key and epoch",
        ));
    }
    let own = |broadcast: BroadcastId| broadcast.publisher == join.peer;
    if join.publish && !join.broadcast.is_some_and(own) {
        return Err(ProtocolError::BadJoin(
            "an origin publishes under its own key: name the peer as the publisher",
        ));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(text: &str, types: &[&str]) -> Result<T, ProtocolError> {
    /// The part of a message that tells why the whole cannot be read.
    #[derive(Deserialize)]
    struct Probe {
        #[serde(rename = "type")]
        kind: String,
        version: Option<u64>,
    }
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(ProtocolError::TooLarge(text.len()));
    }
    let error = match serde_json::from_str(text) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    match serde_json::from_str::<Probe>(text) {
        Ok(probe) if !types.contains(&probe.kind.as_str()) => {
            Err(ProtocolError::UnknownType(explain(&probe.kind)))
        }
        Ok(Probe { kind, version: Some(version) })
            if matches!(&*kind, "join" | "challenge") && version != u64::from(VERSION) =>
        {
            Err(ProtocolError::Version(version))
        }
        Ok(Probe { kind, .. }) if kind == "describe" || kind == "thumbnail" => {
            Err(ProtocolError::BadListing(explain(&error)))
        }
        _ => Err(ProtocolError::Malformed(explain(&error))),
    }
}

fn to_json<T: Serialize>(message: &T) -> String {
    // String keys, integers, booleans and strings only: serialisation has no way to fail.
    serde_json::to_string(message).unwrap_or_default()
}

fn explain(what: &impl fmt::Display) -> String {
    what.to_string().chars().take(EXPLANATION_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
