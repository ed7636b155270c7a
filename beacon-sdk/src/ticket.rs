//! Tickets: one line of text that leads to a broadcast.

use crate::id::BroadcastId;
use crate::identity::PublicKey;
use crate::wire::DecodeError;
use crate::wire::codec::{Reader, put_varint};
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt;
use core::str::FromStr;
use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

/// Characters of a broadcast's name at most.
pub const NAME_CHARS_MAX: usize = 64;
/// Rendezvous addresses in a ticket at most.
pub const ADDRESSES_MAX: usize = 4;
/// Bytes of an address at most.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// Characters of a ticket at most; a longer text is refused before it is decoded.
pub const TICKET_CHARS_MAX: usize = 2500;

const PREFIX: &str = "beacon1";
const CHECK_LEN: usize = 4;

/// Which broadcast, and where its peers are to be found.
///
/// A viewer with a ticket trusts the publisher's key in it and nobody's word about it. As text
/// it is `beacon1` and Base32 in lower case with a checksum, fit for links, chats and QR codes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// Its name at the rendezvous, 1–[`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// Where to ask: `ws://` or `wss://` addresses, up to [`ADDRESSES_MAX`].
    pub rendezvous: Vec<String>,
}

/// A text that is not a ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It does not begin with `beacon1`.
    #[error("a ticket begins with \"beacon1\"")]
    Prefix,
    /// Longer than any ticket.
    #[error("too long for a ticket")]
    Length,
    /// A character that tickets do not have, or a piece is missing.
    #[error("the ticket is damaged: copy it again, whole")]
    Damaged,
    /// Made by a later version of Beacon.
    #[error("the ticket is of version {0}, which this program does not know: update it")]
    Version(u8),
    /// Whole, but with impossible content.
    #[error("the ticket is not valid: {0}")]
    Content(#[from] DecodeError),
}

impl Ticket {
    fn body(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(128);
        out.put_u8(1);
        out.put_slice(self.broadcast.publisher.as_bytes());
        out.put_u64(self.broadcast.epoch);
        put_text(&mut out, &self.name);
        let addresses = &self.rendezvous[..self.rendezvous.len().min(ADDRESSES_MAX)];
        out.put_u8(addresses.len() as u8);
        addresses.iter().for_each(|address| put_text(&mut out, address));
        out
    }

    fn decode(body: Bytes) -> Result<Self, TicketError> {
        let mut r = Reader::new(body);
        match r.u8()? {
            1 => {}
            later => return Err(TicketError::Version(later)),
        }
        let publisher = PublicKey::from_bytes(r.array()?);
        let broadcast = BroadcastId { publisher, epoch: r.u64()? };
        let name = text(&mut r, NAME_CHARS_MAX * 4, "name")?;
        if !valid_name(&name) {
            return Err(DecodeError::Range("name").into());
        }
        let count = r.count(ADDRESSES_MAX, 1, "addresses")?;
        let rendezvous = (0..count)
            .map(|_| text(&mut r, ADDRESS_BYTES_MAX, "address"))
            .collect::<Result<_, _>>()?;
        r.end()?;
        Ok(Self { broadcast, name, rendezvous })
    }
}

/// Whether `name` can name a broadcast: 1–[`NAME_CHARS_MAX`] characters, none of them control
/// characters, no space at either end.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
        && name.trim() == name
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_varint(out, text.len() as u64);
    out.put_slice(text.as_bytes());
}

fn text(r: &mut Reader, max: usize, what: &'static str) -> Result<String, DecodeError> {
    let len = usize::try_from(r.varint()?).map_err(|_| DecodeError::Range(what))?;
    if len > max {
        return Err(DecodeError::Range(what));
    }
    let bytes = r.bytes(len)?;
    let text = core::str::from_utf8(&bytes).map_err(|_| DecodeError::Range(what))?;
    if text.chars().any(char::is_control) { Err(DecodeError::Range(what)) } else { Ok(text.into()) }
}

fn check(body: &[u8]) -> [u8; CHECK_LEN] {
    let hash: [u8; 32] = Sha256::digest(body).into();
    [hash[0], hash[1], hash[2], hash[3]]
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = self.body();
        let check = check(&body);
        body.put_slice(&check);
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&body).to_ascii_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = TicketError;
    fn from_str(text: &str) -> Result<Self, TicketError> {
        if text.len() > TICKET_CHARS_MAX {
            return Err(TicketError::Length);
        }
        let text = text.trim().to_ascii_lowercase();
        let digits = text.strip_prefix(PREFIX).ok_or(TicketError::Prefix)?;
        let bytes = BASE32_NOPAD
            .decode(digits.to_ascii_uppercase().as_bytes())
            .map_err(|_| TicketError::Damaged)?;
        let split = bytes.len().checked_sub(CHECK_LEN).ok_or(TicketError::Damaged)?;
        if check(&bytes[..split]) != bytes[split..] {
            return Err(TicketError::Damaged);
        }
        Self::decode(Bytes::from(bytes).slice(..split))
    }
}
