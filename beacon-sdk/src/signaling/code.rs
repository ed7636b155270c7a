//! [`ErrorCode`]: why a server refuses something.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Why the server refuses a message or a connection.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The server speaks another version of the protocol.
    Version,
    /// The join contradicts itself or names what cannot be a broadcast.
    BadJoin,
    /// The join is not signed by the key that it names.
    Unproven,
    /// This server lets nobody in without a token.
    TokenMissing,
    /// The token is none, or signed by a key that this server does not take.
    TokenInvalid,
    /// The token is of the past.
    TokenExpired,
    /// The token counts later than now.
    TokenEarly,
    /// The token is for another peer.
    TokenPeer,
    /// The token is for another broadcast.
    TokenBroadcast,
    /// The token is for watching and not for publishing, or the reverse.
    TokenRight,
    /// This server asks for work at the moment, and none came.
    WorkMissing,
    /// The answer does not solve the connection's [`Riddle`](super::Riddle).
    WorkWrong,
    /// Another publisher has a broadcast of this name.
    NameTaken,
    /// A later run of the same broadcast is here.
    StaleEpoch,
    /// The owner of the broadcast has sent this peer away.
    Banned,
    /// The owner of the broadcast has ended it.
    Ended,
    /// A newer connection of the same peer, or a newer run of the broadcast, took its place.
    Replaced,
    /// No room for another connection, broadcast or peer.
    Full,
    /// The server cannot reach what it shares its rooms through.
    Unavailable,
    /// Too many join from the peer's network: it may come back a little later.
    Crowded,
    /// Nothing was heard for too long.
    Idle,
    /// The peer does not read what it is sent.
    Slow,
    /// The server stops.
    Shutdown,
    /// A message above [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX).
    TooLarge,
    /// A message that needs a join came before it.
    NotJoined,
    /// A second join on one connection.
    AlreadyJoined,
    /// What a list cannot show, or not from the origin.
    BadListing,
    /// A claim that is no receipt for what this peer carried.
    BadClaim,
    /// Not a message of this protocol, or not text.
    Malformed,
    /// A message type this version does not know.
    UnknownType,
    /// More messages than the server reads; the surplus waits.
    Rate,
    /// A code of a later version.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Coming back with the same request cannot help.
    #[must_use]
    pub const fn fatal(self) -> bool {
        matches!(
            self,
            Self::Version
                | Self::BadJoin
                | Self::Unproven
                | Self::TokenMissing
                | Self::TokenInvalid
                | Self::TokenExpired
                | Self::TokenPeer
                | Self::TokenBroadcast
                | Self::TokenRight
                | Self::WorkWrong
                | Self::NameTaken
                | Self::StaleEpoch
                | Self::Banned
                | Self::Ended
                | Self::Replaced
        )
    }

    /// The server closes the connection after this error.
    #[must_use]
    pub const fn closes(self) -> bool {
        self.fatal()
            || matches!(
                self,
                Self::TokenEarly
                    | Self::WorkMissing
                    | Self::Full
                    | Self::Unavailable
                    | Self::Crowded
                    | Self::Idle
                    | Self::Slow
                    | Self::Shutdown
                    | Self::TooLarge
            )
    }

    /// The WebSocket close code (RFC 6455 §7.4.1) that goes with it.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Shutdown => 1001,
            Self::TooLarge => 1009,
            Self::Full | Self::Unavailable | Self::Crowded | Self::WorkMissing => 1013,
            _ => 1008,
        }
    }

    /// The code as it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::BadJoin => "bad-join",
            Self::Unproven => "unproven",
            Self::TokenMissing => "token-missing",
            Self::TokenInvalid => "token-invalid",
            Self::TokenExpired => "token-expired",
            Self::TokenEarly => "token-early",
            Self::TokenPeer => "token-peer",
            Self::TokenBroadcast => "token-broadcast",
            Self::TokenRight => "token-right",
            Self::WorkMissing => "work-missing",
            Self::WorkWrong => "work-wrong",
            Self::NameTaken => "name-taken",
            Self::StaleEpoch => "stale-epoch",
            Self::Banned => "banned",
            Self::Ended => "ended",
            Self::Replaced => "replaced",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Crowded => "crowded",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Shutdown => "shutdown",
            Self::TooLarge => "too-large",
            Self::NotJoined => "not-joined",
            Self::AlreadyJoined => "already-joined",
            Self::BadListing => "bad-listing",
            Self::BadClaim => "bad-claim",
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown-type",
            Self::Rate => "rate",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
