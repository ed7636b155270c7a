//! Transfers that follow from their number, so that whoever reads a number can ask again for the
//! same.

#![allow(dead_code, unreachable_pub)]

use beacon_ledger::{AccountId, Entry, Id, Leg, Micro, Reason, Rule};
use beacon_sdk::PublicKey;

pub const START_MS: u64 = 1_700_000_000_000;
pub const TASKS: u64 = 4;
pub const BATCH: u64 = 5;
const PEERS: u64 = 8;

fn peer(number: u64) -> AccountId {
    AccountId::peer(PublicKey::from_bytes([1 + (number % PEERS) as u8; 32]))
}

fn leg(debit: AccountId, credit: AccountId, micros: u64) -> Leg {
    Leg { debit, credit, amount: Micro::new(micros).unwrap_or(Micro::MAX), rule: Rule::Order }
}

/// What all begins with; asked for again in each round.
pub fn funds() -> Entry {
    let legs = (0..PEERS).map(|number| leg(AccountId::ISSUANCE, peer(number), 1 << 50)).collect();
    Entry::transfer(Id::derived(START_MS, &[b"funds"]), legs, Reason::note("funds"))
}

pub fn numbers(round: u64, task: u64, batch: u64) -> Vec<u64> {
    (0..BATCH).map(|at| (round << 40) | (task << 32) | (batch * BATCH + at)).collect()
}

pub fn entry(number: u64) -> Entry {
    let id = Id::derived(START_MS + (number & 0xffff_ffff), &[&number.to_be_bytes()]);
    let (from, by) = (number % PEERS, 1 + number / PEERS % (PEERS - 1));
    let legs = vec![leg(peer(from), peer(from + by), 1 + number % 1000)];
    Entry::transfer(id, legs, Reason::note("load"))
}
