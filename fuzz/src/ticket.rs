//! Tickets as text.

use beacon_sdk::ticket::{TICKET_CHARS_MAX, valid_name};
use beacon_sdk::{BroadcastId, PublicKey, Ticket};

/// Input: a text, or the body of a ticket to which the checksum is added here.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    if kind & 1 == 0 {
        return check(&String::from_utf8_lossy(rest));
    }
    // The fuzzer cannot guess a checksum: every ticket with a name of its choosing is right.
    let text = String::from_utf8_lossy(rest);
    let mut parts = text.split('\n').map(str::to_owned);
    let name = parts.next().unwrap_or_default();
    let publisher = PublicKey::from_bytes([*kind; 32]);
    let broadcast = BroadcastId { publisher, epoch: rest.len() as u64 };
    let ticket = Ticket { broadcast, name, rendezvous: parts.take(4).collect() };
    let printed = ticket.to_string();
    check(&printed);
    let fits = valid_name(&ticket.name)
        && printed.len() <= TICKET_CHARS_MAX
        && ticket.rendezvous.iter().all(|a| a.len() <= 256 && !a.chars().any(char::is_control));
    assert_eq!(printed.parse().ok(), fits.then_some(ticket));
}

fn check(text: &str) {
    if let Ok(ticket) = text.parse::<Ticket>() {
        assert_eq!(ticket.to_string().parse(), Ok(ticket));
    }
}

/// Tickets, and pieces that make them.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let broadcast = BroadcastId { publisher: PublicKey::from_bytes([3; 32]), epoch: 1 };
    let rendezvous = vec!["ws://10.0.0.1:3001".to_owned()];
    let ticket = Ticket { broadcast, name: "demo".to_owned(), rendezvous };
    let text = ticket.to_string();
    vec![
        ("empty", vec![]),
        ("whole", [&[0], text.as_bytes()].concat()),
        ("upper-case", [&[0], text.to_uppercase().as_bytes()].concat()),
        ("cut", [&[0], &text.as_bytes()[..60]].concat()),
        ("name-alone", b"\x01demo".to_vec()),
        ("two-addresses", b"\x01demo\nwss://a.example\nws://b.example".to_vec()),
        ("control-character", b"\x01de\x07mo".to_vec()),
    ]
}
