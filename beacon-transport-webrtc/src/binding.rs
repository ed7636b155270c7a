//! What ties a link to its two ends.

use crate::sdp::Fingerprint;
use sha2::{Digest, Sha256};

const CONTEXT: &[u8] = b"beacon webrtc link binding v1\0";

/// A hash of both ends' certificate fingerprints, the same at both ends.
///
/// Each end takes its own fingerprint from the description it made and the other's from the
/// description it was given, and DTLS refuses a peer whose certificate does not hash to the
/// latter. So the value names the two key pairs that end this very DTLS session. Whoever sits in
/// the middle, and may rewrite every signal, must end one session towards either side with a key
/// of its own, so the sides compute different values; to make them equal takes two certificates
/// with one SHA-256. The engine's handshake signs the value, and thereby finds out. No two links
/// share one, because every connection draws its own key pair.
pub(crate) fn binding(local: Fingerprint, remote: Fingerprint) -> [u8; 32] {
    let (first, second) = if local <= remote { (local, remote) } else { (remote, local) };
    Sha256::new()
        .chain_update(CONTEXT)
        .chain_update(first.0)
        .chain_update(second.0)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_agree_and_a_middle_is_seen() {
        let (a, b, m) = (Fingerprint([1; 32]), Fingerprint([2; 32]), Fingerprint([3; 32]));
        assert_eq!(binding(a, b), binding(b, a));
        assert_ne!(binding(a, m), binding(m, b));
    }
}
