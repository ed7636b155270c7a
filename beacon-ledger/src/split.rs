//! [`Split`]: how a broadcaster's share is divided among those who broadcast together, signed by the broadcaster.

use crate::economy::SQUAD_MAX;
use crate::id::digest;
use crate::signed::{Request, put_recipients};
use crate::tip::Recipient;
use beacon_sdk::PublicKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// From [`Split::from_ms`] on, every payment of the publisher's share goes to these by their weights, to the last
/// micro-credit, in the entry that pays. The publisher has a part if it is one of them. It holds until another
/// begins; one that names the publisher alone ends it. Signed are `beacon-split-v1`, the keys of issuer and
/// publisher, the time (64 bits), the number of recipients (16 bits), and each one's key and weight (32 bits).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Split {
    /// The ledger that it is for: the key that its edges are signed by.
    pub issuer: PublicKey,
    /// Whose share it is.
    pub publisher: PublicKey,
    /// From when it holds, Unix milliseconds; a publisher has one for each moment.
    pub from_ms: u64,
    /// Who gets which part, each once; not all of weight 0.
    pub to: Vec<Recipient>,
}

impl Split {
    /// What those of a publisher are kept under.
    pub(crate) fn name(publisher: &PublicKey) -> [u8; 32] {
        digest("split", &[publisher.as_bytes()])
    }

    /// Who gets which part.
    pub(crate) fn squad(&self) -> Vec<(PublicKey, u32)> {
        self.to.iter().map(|to| (to.peer, to.weight)).collect()
    }
}

impl Request for Split {
    const CONTEXT: &'static [u8] = b"beacon-split-v1";
    const WHAT: &'static str = "split";

    fn issuer(&self) -> PublicKey {
        self.issuer
    }

    fn author(&self) -> PublicKey {
        self.publisher
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.issuer.as_bytes().to_vec();
        body.extend_from_slice(self.publisher.as_bytes());
        body.extend_from_slice(&self.from_ms.to_be_bytes());
        put_recipients(&mut body, &self.to);
        body
    }

    fn check(&self) -> Result<(), &'static str> {
        let names: BTreeSet<_> = self.to.iter().map(|to| to.peer).collect();
        let once = names.len() == self.to.len() && self.to.len() <= SQUAD_MAX;
        if once && self.to.iter().any(|to| to.weight > 0) {
            return Ok(());
        }
        Err("a split names 1 to 32 recipients, each once, and one of them has a weight above zero")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::tests::{every_field_is_signed_for, who};

    #[test]
    fn a_split_is_signed_for_as_a_whole() {
        let to = |number, weight| Recipient { peer: who(number).public(), weight };
        let (issuer, publisher) = (who(1).public(), who(2).public());
        let split = Split { issuer, publisher, from_ms: 5, to: vec![to(2, 3), to(4, 1)] };
        every_field_is_signed_for(
            split.clone(),
            &[
                |split| split.publisher = who(3).public(),
                |split| split.from_ms = 6,
                |split| split.to[0].weight = 2,
                |split| split.to.reverse(),
                |split| split.to.truncate(1),
            ],
        );
        for to in [vec![], vec![to(2, 0)], vec![to(2, 1), to(2, 1)], vec![to(2, 1); 33]] {
            assert!(Split { to, ..split.clone() }.sign(&who(2)).verify(&issuer).is_err());
        }
    }
}
