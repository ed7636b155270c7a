//! Why a peer is not let in.

use crate::outbox::Closing;
use beacon_sdk::signaling::ErrorCode;
use serde::Deserialize;

/// The reasons, as the functions of Redis name them too.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refused {
    /// By the owner of the broadcast.
    Banned,
    RoomFull,
    RoomsFull,
    NameTaken,
    StaleEpoch,
    /// The peer has a newer connection.
    Replaced,
}

impl Refused {
    /// What whoever wanted to join `name` is told.
    pub(crate) fn closing(self, name: &str) -> Closing {
        match self {
            Self::Banned => {
                let cause = "the broadcaster has sent this peer away: ask there, or watch another";
                (ErrorCode::Banned, cause.into())
            }
            Self::RoomFull => (ErrorCode::Full, "no room for another peer: try later".into()),
            Self::RoomsFull => (ErrorCode::Full, "no room for another broadcast: try later".into()),
            Self::NameTaken => {
                let cause = format!("{name:?} is being published by another: choose another name");
                (ErrorCode::NameTaken, cause)
            }
            Self::StaleEpoch => {
                let cause =
                    format!("a later run of {name:?} is here: start again with a later epoch");
                (ErrorCode::StaleEpoch, cause)
            }
            Self::Replaced => (ErrorCode::Replaced, REPLACED.into()),
        }
    }
}

/// What the older connection of a peer is told.
pub(crate) const REPLACED: &str = "a newer connection of the same peer has taken its place";
