//! [`Signed`]: what somebody asks of one ledger, with the signature of whoever asks.

use crate::tip::Recipient;
use beacon_sdk::{Identity, PublicKey, SIGNATURE_LEN, Signature};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// Something that may be asked of a ledger in the name of a key.
pub trait Request {
    /// What its signature is told from all others by.
    const CONTEXT: &'static [u8];
    /// What refusals call it.
    const WHAT: &'static str;

    /// The ledger that is asked: the key that its edges are signed by.
    fn issuer(&self) -> PublicKey;

    /// Who asks, and has to sign.
    fn author(&self) -> PublicKey;

    /// All of it, as it is signed: numbers are big-endian.
    fn body(&self) -> Vec<u8>;

    /// Whether it has the form of one; what is wrong if not.
    ///
    /// # Errors
    /// The rule that it breaks.
    fn check(&self) -> Result<(), &'static str>;

    /// The author signs it.
    #[must_use]
    fn sign(self, author: &Identity) -> Signed<Self>
    where
        Self: Sized,
    {
        let signature = BASE64.encode(&author.sign(Self::CONTEXT, &self.body()));
        Signed { request: self, signature }
    }
}

/// A request with its author's signature: Ed25519 over [`Request::CONTEXT`] and [`Request::body`]. As JSON the
/// signature is in base64, beside the request's fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signed<R> {
    /// What is asked.
    #[serde(flatten)]
    pub request: R,
    signature: String,
}

/// A request that nobody has to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not of this ledger.
    #[error("the {0} is for another ledger: sign it for the issuer of this one, {1}")]
    Issuer(&'static str, PublicKey),
    /// Not the author's.
    #[error("the {0} is not signed by {1}, in whose name it is: sign it with that key")]
    Signature(&'static str, PublicKey),
    /// It has not the form of one.
    #[error("{0}")]
    Form(&'static str),
}

impl<R: Request> Signed<R> {
    /// Whether its author asks this of the ledger of `issuer`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn verify(&self, issuer: &PublicKey) -> Result<(), RequestError> {
        let request = &self.request;
        request.check().map_err(RequestError::Form)?;
        if request.issuer() != *issuer {
            return Err(RequestError::Issuer(R::WHAT, *issuer));
        }
        let author = request.author();
        let signature = BASE64.decode(self.signature.as_bytes()).ok();
        let signature = signature.and_then(|bytes| <[u8; SIGNATURE_LEN]>::try_from(bytes).ok());
        let signed = signature.is_some_and(|signature: Signature| {
            author.verify(R::CONTEXT, &request.body(), &signature)
        });
        if signed { Ok(()) } else { Err(RequestError::Signature(R::WHAT, author)) }
    }
}

/// Recipients as they are signed: their number (16 bits), and of each key and weight (32 bits).
pub(crate) fn put_recipients(body: &mut Vec<u8>, to: &[Recipient]) {
    body.extend_from_slice(&u16::try_from(to.len()).unwrap_or(u16::MAX).to_be_bytes());
    for Recipient { peer, weight } in to {
        body.extend_from_slice(peer.as_bytes());
        body.extend_from_slice(&weight.to_be_bytes());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use core::fmt::Debug;
    use serde::de::DeserializeOwned;

    pub(crate) fn who(number: u8) -> Identity {
        Identity::from_secret([number; 32])
    }

    /// Each of `changes` to a request of 2 to the ledger of 1 breaks its signature, as do another's and another ledger.
    pub(crate) fn every_field_is_signed_for<R>(request: R, changes: &[fn(&mut R)])
    where
        R: Request + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let (issuer, signed) = (who(1).public(), request.clone().sign(&who(2)));
        assert_eq!(signed.verify(&issuer), Ok(()));
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<Signed<R>>(&text).unwrap(), signed);
        let unsigned = |author| Err(RequestError::Signature(R::WHAT, author));
        for change in changes {
            let mut forged = signed.clone();
            change(&mut forged.request);
            assert_eq!(forged.verify(&issuer), unsigned(forged.request.author()), "{forged:?}");
        }
        let elsewhere = who(9).public();
        assert_eq!(signed.verify(&elsewhere), Err(RequestError::Issuer(R::WHAT, elsewhere)));
        assert_eq!(request.sign(&who(3)).verify(&issuer), unsigned(who(2).public()));
        for scrawl in ["", "?", "AAAA"] {
            let scrawl = Signed { signature: scrawl.into(), ..signed.clone() };
            assert_eq!(scrawl.verify(&issuer), unsigned(who(2).public()));
        }
    }
}
