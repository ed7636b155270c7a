//! What a peer needs to join, besides its key.

use crate::config::Config;
use crate::outbox::Closing;
use crate::token::{Grant, Right, TokenKey, read};
use beacon_sdk::plugin::Join;
use beacon_sdk::signaling::{ErrorCode, Token};

/// How far the clock of whoever makes tokens may be off, in seconds.
const SKEW: u64 = 90;

/// As what a peer comes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Guest {
    /// With a token.
    Bearer,
    /// With nothing but its key.
    Stranger,
}

/// Who may join.
#[derive(Debug)]
pub(super) struct Gate {
    /// A token is signed by one of these; without any no token is looked at.
    keys: Vec<TokenKey>,
    strangers: bool,
}

impl Gate {
    pub(super) fn new(config: &Config) -> Self {
        let keys = config.tokens.clone();
        Self { strangers: config.tokens_optional || keys.is_empty(), keys }
    }

    /// Whether it lets in who has no token.
    pub(super) fn takes_strangers(&self) -> bool {
        self.strangers
    }

    /// Whether a token is worth anything here.
    pub(super) fn takes_tokens(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether a peer that has proven its key may join, at Unix second `now`, and as what.
    pub(super) fn admit(
        &self,
        now: u64,
        join: &Join,
        token: Option<&Token>,
    ) -> Result<Guest, Closing> {
        let Some(token) = token.filter(|_| self.takes_tokens()) else {
            if self.strangers {
                return Ok(Guest::Stranger);
            }
            let cause = "this server lets in who has a token: get one from whoever runs it, for this \
                         peer's key (--token, --identity)";
            return Err((ErrorCode::TokenMissing, cause.into()));
        };
        let grant = read(&self.keys, token)
            .map_err(|why| (ErrorCode::TokenInvalid, format!("the token is not taken: {why}")))?;
        check(now, join, &grant).map(|()| Guest::Bearer)
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::token::Mint;
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
    fn who_brings_no_token_is_a_stranger_where_they_are_let_in() {
        let (mint, join) = (Mint::from_secret([1; 32]).unwrap(), join("launch", 7, false));
        let token = mint.sign(&grant(&[Right::Watch])).unwrap();
        let other = Mint::from_secret([2; 32]).unwrap().sign(&grant(&[Right::Watch])).unwrap();
        let mut config = Config::default();
        let come = |config: &Config, token| {
            Gate::new(config).admit(NOW, &join, token).map_err(|(code, _)| code)
        };
        for token in [None, Some(&token)] {
            assert_eq!(come(&config, token), Ok(Guest::Stranger), "no key, no token");
        }
        config.tokens = vec![mint.key()];
        assert_eq!(come(&config, None), Err(ErrorCode::TokenMissing));
        config.tokens_optional = true;
        assert_eq!(come(&config, None), Ok(Guest::Stranger));
        for optional in [true, false] {
            config.tokens_optional = optional;
            assert_eq!(come(&config, Some(&token)), Ok(Guest::Bearer));
            assert_eq!(come(&config, Some(&other)), Err(ErrorCode::TokenInvalid));
        }
    }
}
