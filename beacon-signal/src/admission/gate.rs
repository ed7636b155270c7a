//! What a peer needs to join, besides its key.

use crate::outbox::Closing;
use crate::token::{Grant, Right, TokenKey, read};
use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{ErrorCode, Token};

/// How far the clock of whoever makes tokens may be off, in seconds.
const SKEW: u64 = 90;

/// Who may join.
#[derive(Debug)]
pub(super) enum Gate {
    /// Everybody.
    Open,
    /// Whoever has a token that one of these keys has signed.
    Tokens(Vec<TokenKey>),
}

impl Gate {
    pub(super) fn new(keys: &[TokenKey]) -> Self {
        if keys.is_empty() { Self::Open } else { Self::Tokens(keys.to_vec()) }
    }

    /// Whether a peer that has proven its key may join, at Unix second `now`.
    pub(super) fn admit(
        &self,
        now: u64,
        join: &Join,
        token: Option<&Token>,
    ) -> Result<(), Closing> {
        let Self::Tokens(keys) = self else { return Ok(()) };
        let Some(token) = token else {
            let cause = "this server lets in who has a token: get one from whoever runs it, for this \
                         peer's key (--token, --identity)";
            return Err((ErrorCode::TokenMissing, cause.into()));
        };
        let grant = read(keys, token)
            .map_err(|why| (ErrorCode::TokenInvalid, format!("the token is not taken: {why}")))?;
        check(now, join, &grant)
    }
}

/// Whether what a token grants is what is asked for.
fn check(now: u64, join: &Join, grant: &Grant) -> Result<(), Closing> {
    let right = if join.publish { Right::Publish } else { Right::Watch };
    let (code, cause) = if grant.peer != join.peer {
        let cause = format!(
            "the token is for peer {:?} and this is {:?}: join with the key (--identity) that the token was \
             made for",
            grant.peer, join.peer
        );
        (ErrorCode::TokenPeer, cause)
    } else if grant.broadcast != join.name {
        let cause =
            format!("the token is for the broadcast {:?}: get one for this", grant.broadcast);
        (ErrorCode::TokenBroadcast, cause)
    } else if !grant.rights.contains(&right) {
        (ErrorCode::TokenRight, format!("the token grants no {right}: get one that does"))
    } else if grant.expires.saturating_add(SKEW) <= now {
        let ago = now - grant.expires;
        (ErrorCode::TokenExpired, format!("the token expired {ago} s ago: get a new one"))
    } else if let Some(wait) = grant.not_before.and_then(|from| from.checked_sub(now + SKEW)) {
        (ErrorCode::TokenEarly, format!("the token counts in {} s: come back then", wait + SKEW))
    } else {
        return Ok(());
    };
    Err((code, cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_sdk::Identity;

    const NOW: u64 = 1_800_000_000;

    fn join(name: &str, secret: u8, publish: bool) -> Join {
        let peer = Identity::from_secret([secret; 32]).public();
        Join { name: name.into(), peer, broadcast: None, publish }
    }

    fn grant(rights: &[Right]) -> Grant {
        let peer = join("", 7, false).peer;
        let (broadcast, rights) = ("launch".into(), rights.to_vec());
        Grant { broadcast, peer, rights, not_before: Some(NOW - 100), expires: NOW + 100 }
    }

    fn code(now: u64, join: &Join, grant: &Grant) -> Option<ErrorCode> {
        check(now, join, grant).err().map(|(code, _)| code)
    }

    #[test]
    fn a_grant_is_for_one_peer_broadcast_and_right() {
        let watch = grant(&[Right::Watch]);
        assert_eq!(code(NOW, &join("launch", 7, false), &watch), None);
        assert_eq!(code(NOW, &join("launch", 8, false), &watch), Some(ErrorCode::TokenPeer));
        assert_eq!(code(NOW, &join("lunch", 7, false), &watch), Some(ErrorCode::TokenBroadcast));
        assert_eq!(code(NOW, &join("launch", 7, true), &watch), Some(ErrorCode::TokenRight));
        let publish = grant(&[Right::Publish, Right::Unknown]);
        assert_eq!(code(NOW, &join("launch", 7, true), &publish), None);
        assert_eq!(code(NOW, &join("launch", 7, false), &publish), Some(ErrorCode::TokenRight));
        assert_eq!(code(NOW, &join("launch", 7, false), &grant(&[])), Some(ErrorCode::TokenRight));
    }

    #[test]
    fn clocks_may_be_a_little_off() {
        let (join, grant) = (join("launch", 7, false), grant(&[Right::Watch]));
        let at = |now| code(now, &join, &grant);
        assert_eq!(at(NOW + 100 + SKEW - 1), None);
        assert_eq!(at(NOW + 100 + SKEW), Some(ErrorCode::TokenExpired));
        assert_eq!(at(u64::MAX / 1000), Some(ErrorCode::TokenExpired));
        assert_eq!(at(NOW - 100 - SKEW + 1), None);
        assert_eq!(at(NOW - 100 - SKEW), Some(ErrorCode::TokenEarly));
        assert_eq!(at(0), Some(ErrorCode::TokenEarly));
        let endless = Grant { not_before: None, expires: u64::MAX, ..grant };
        assert_eq!(code(0, &join, &endless), None);
    }

    #[test]
    fn without_keys_everybody_is_let_in() {
        assert_eq!(Gate::new(&[]).admit(NOW, &join("launch", 7, true), None), Ok(()));
    }
}
