//! The handshake: an engine that is told anything before it knows with whom it speaks.

use crate::draw::Draw;
use beacon_sdk::engine::{Input, Output, Parts};
use beacon_sdk::plugin::Link;
use beacon_sdk::policy::{MeshScore, OpenLedger, Plain, PushPull};
use beacon_sdk::wire::{Hello, Message, SymbolHeader};
use beacon_sdk::{BroadcastId, Engine, Identity, Instant, Lane, Profile, SegmentId};
use bytes::Bytes;

/// Frames of one input at most.
const FRAMES_MAX: usize = 64;

/// Input: frames that each change a field of a true hello, or are anything. Only a hello that is
/// true in every field makes a neighbour.
pub fn run(data: &[u8]) {
    let mut draw = Draw::new(data);
    let now = Instant::from_micros(1 << 50);
    let (me, peer) = (Identity::from_secret([1; 32]), Identity::from_secret([2; 32]));
    let broadcast = BroadcastId { publisher: peer.public(), epoch: 7 };
    let config = Profile::Live.config();
    let parts = Parts {
        scheduler: Box::new(PushPull::new(&config)),
        scorer: Box::new(MeshScore::default()),
        ledger: Box::new(OpenLedger::default()),
        code: Box::new(Plain),
    };
    let to = me.public();
    let Ok(mut engine) = Engine::watch(now, config, [3; 32], me, broadcast, parts) else {
        panic!("a profile that contradicts itself")
    };
    let (from, binding) = (peer.public(), [4; 32]);
    let mut closed = false;
    let mut farewell = false;
    let mut feed = |engine: &mut Engine, input: Input| {
        engine.handle(now, input);
        while let Some(output) = engine.poll_output() {
            match output {
                Output::Send { frame, .. } => {
                    assert!(!closed, "sent after the close");
                    farewell |= matches!(Message::decode(frame), Ok(Message::Farewell { .. }));
                }
                Output::Close { .. } => closed = true,
                _ => {}
            }
        }
        (closed, farewell)
    };
    feed(&mut engine, Input::Connected(Link { peer: from, binding, dialled: false }));
    let truth = Message::Hello(Hello::sign(&peer, broadcast, &binding, &to)).encode();
    for _ in 0..FRAMES_MAX {
        if !draw.more() {
            break;
        }
        let mut bytes = truth.to_vec();
        let what = draw.u8();
        let (lane, frame) = match what % 4 {
            // One field after the signature was made.
            0 => {
                let at = 1 + draw.below(bytes.len() - 1);
                bytes[at] ^= draw.u8();
                (Lane::Control, Bytes::from(bytes))
            }
            1 => {
                bytes.truncate(draw.below(bytes.len()));
                (Lane::Control, Bytes::from(bytes))
            }
            2 => {
                let symbol = SymbolHeader { segment: SegmentId::default(), esi: draw.u16() };
                (Lane::Data, symbol.frame(&[what; 64]))
            }
            _ => {
                let anything: Vec<u8> = (0..draw.below(40)).map(|_| draw.u8()).collect();
                (Lane::Control, anything.into())
            }
        };
        let (is_true, known) = (frame == truth, engine.neighbours());
        let (closed, farewell) = feed(&mut engine, Input::Received { from, lane, frame });
        let neighbours = engine.neighbours();
        assert!(neighbours.is_empty() || !known.is_empty() || is_true, "not proven");
        assert!(!closed || neighbours.is_empty());
        assert!(!is_true || closed || farewell || !neighbours.is_empty(), "a true hello");
        if closed {
            return;
        }
    }
}

/// A true hello, one with each field spoilt, and noise around it.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", vec![]),
        ("true", vec![0, 0, 0, 0]),
        ("twice", vec![0, 0, 0, 0, 0, 0, 0, 0]),
        ("symbols-first", vec![2, 1, 0, 2, 2, 0, 0, 0, 0, 0]),
        ("version", vec![0, 0, 0, 4, 0, 0, 0, 0]),
        ("publisher", vec![0, 9, 0, 1]),
        ("epoch", vec![0, 40, 0, 1, 0, 0, 0, 0]),
        ("another-peer", vec![0, 50, 0, 1]),
        ("signature", vec![0, 100, 0, 128]),
        ("cut", vec![1, 30, 0]),
        ("noise", vec![3, 9, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7]),
    ]
}
