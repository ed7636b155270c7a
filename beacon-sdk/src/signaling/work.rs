//! Work at join: a price for an id where a server is crowded. Whoever joins searches for a number that makes a
//! hash small, which takes many tries, and the server looks at one of them.
//!
//! The hash is Argon2id (RFC 9106), because it needs memory: hardware that is made for hashing gains less by it than by
//! one that fits in registers.

use super::proof::{Nonce, signed};
use crate::plugin::Join;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Memory of one try, in KiB. (Guess: a phone has it to spare, and it exceeds what a core has of fast cache.)
pub const WORK_KIB: u32 = 2048;
/// Tries on average that a server may ask for, and a client makes, at most: some two seconds of a computer of today
/// and ten of a phone (`docs/measurements.md`, "Work at join"; the phone is a guess).
pub const TRIES_MAX: u32 = 1024;

/// What a try is made for: no hash for anything else begins with it.
const CONTEXT: &[u8] = b"beacon-work-v1";
/// Bytes of the hash that are looked at.
const HASH_LEN: usize = 8;
const PARAMS: Params = match Params::new(WORK_KIB, 1, 1, Some(HASH_LEN)) {
    Ok(params) => params,
    Err(_) => panic!("2 MiB, one pass and one lane are within Argon2's ranges"),
};

/// What a server asks of whoever joins.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Work {
    /// Tries that it takes on average, 1 to [`TRIES_MAX`].
    pub tries: u32,
    /// Whether a join token does in its place.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub token: bool,
}

/// More than a client does.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the server asks for {0} tries of work and this program makes {TRIES_MAX} at most: use another server, or a token \
     if this one takes some"
)]
pub struct WorkError(u32);

impl Work {
    /// Whether a client should do it.
    ///
    /// # Errors
    /// [`WorkError`] above [`TRIES_MAX`].
    pub const fn check(&self) -> Result<(), WorkError> {
        if self.tries > TRIES_MAX { Err(WorkError(self.tries)) } else { Ok(()) }
    }
}

/// The work of one join over one connection: the answer to it is worth nothing anywhere else.
///
/// ```
/// use beacon_sdk::Identity;
/// use beacon_sdk::plugin::Join;
/// use beacon_sdk::signaling::{Nonce, Riddle, Slate};
///
/// let peer = Identity::from_secret([7; 32]).public();
/// let join = Join { name: "launch".into(), peer, broadcast: None, publish: false };
/// let riddle = Riddle::new(&Nonce::from_bytes([1; 32]), 5, &join, 4);
/// let mut slate = Slate::new();
/// let answer = (0..).find(|&answer| riddle.is_solved_by(answer, &mut slate));
/// assert!(answer.is_some());
/// ```
#[derive(Clone)]
pub struct Riddle {
    nonce: Nonce,
    /// The answer comes at its beginning.
    rest: Vec<u8>,
    /// What the hash may be at most.
    most: u64,
}

impl Riddle {
    /// That `join` is worth `tries` tries on average, 0 as 1, to the server that drew `nonce`.
    #[must_use]
    pub fn new(nonce: &Nonce, session: u64, join: &Join, tries: u32) -> Self {
        let rest = [join.peer.as_bytes(), &*signed(nonce, session, join)].concat();
        Self { nonce: *nonce, rest, most: u64::MAX / u64::from(tries.max(1)) }
    }

    /// One try, which takes about two milliseconds of a core.
    #[must_use]
    pub fn is_solved_by(&self, answer: u64, slate: &mut Slate) -> bool {
        let mut hash = [0; HASH_LEN];
        let asked = [CONTEXT, &answer.to_be_bytes(), &self.rest].concat();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS);
        // It fails for a salt below 8 bytes, an input above 4 GiB, or too little memory: none is possible here.
        let hashed = argon2.hash_password_into_with_memory(
            &asked,
            self.nonce.as_bytes(),
            &mut hash,
            &mut slate.0,
        );
        hashed.is_ok() && u64::from_be_bytes(hash) <= self.most
    }
}

impl fmt::Debug for Riddle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Riddle({} tries)", u64::MAX / self.most)
    }
}

/// The memory of a try, 2 MiB, for one after the other.
pub struct Slate(Box<[Block]>);

impl Slate {
    /// Takes the memory.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![Block::new(); PARAMS.block_count()].into())
    }
}

impl Default for Slate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Slate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slate({} KiB)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn join(name: &str, secret: u8, publish: bool) -> Join {
        let peer = Identity::from_secret([secret; 32]).public();
        Join { name: name.into(), peer, broadcast: None, publish }
    }

    #[test]
    fn an_answer_is_for_one_connection_session_peer_and_join() {
        let (here, there) = (Nonce::from_bytes([1; 32]), Nonce::from_bytes([2; 32]));
        let riddle = |nonce, session, join: &Join| Riddle::new(nonce, session, join, TRIES_MAX);
        let launch = join("launch", 7, false);
        let own = riddle(&here, 5, &launch);
        // As long as it is read the same it is the same work: other programs solve it as well.
        let answer = 1779;
        let mut slate = Slate::new();
        assert!(own.is_solved_by(answer, &mut slate));
        assert!(!own.is_solved_by(answer + 1, &mut slate));
        for (other, what) in [
            (riddle(&there, 5, &launch), "another connection"),
            (riddle(&here, 6, &launch), "another session"),
            (riddle(&here, 5, &join("launch", 8, false)), "another peer"),
            (riddle(&here, 5, &join("lunch", 7, false)), "another name"),
            (riddle(&here, 5, &join("launch", 7, true)), "as the origin"),
        ] {
            assert!(!other.is_solved_by(answer, &mut slate), "{what}");
        }
    }

    #[test]
    fn it_takes_as_many_tries_as_are_asked_for() {
        let mut slate = Slate::new();
        let launch = join("launch", 7, false);
        let mut solved = |tries| {
            let riddle = Riddle::new(&Nonce::from_bytes([1; 32]), 5, &launch, tries);
            (0..512).filter(|&answer| riddle.is_solved_by(answer, &mut slate)).count()
        };
        assert_eq!((solved(0), solved(1)), (512, 512));
        // Expected are 64, with a deviation of 7.5; the hash is the same every time.
        assert!((42..=86).contains(&solved(8)));
    }

    #[test]
    fn what_is_absurd_is_refused_with_the_cure() {
        let ask = |tries| Work { tries, token: false }.check();
        assert_eq!(ask(TRIES_MAX), Ok(()));
        let error = ask(TRIES_MAX + 1).map_err(|error| error.to_string());
        assert!(
            error.is_err_and(|error| error.contains("1025") && error.contains("another server"))
        );
    }
}
