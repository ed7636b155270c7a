//! The load through [`Transport`].

use crate::measure::{BURST_FRAMES, BURST_INTERVAL, Clock, Cost, Flow, Load};
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{Transport, TransportEvent, TrySendError};
use beacon_transport_webrtc::{WebRtc, WebRtcConfig};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, interval};

async fn connect(a: &mut WebRtc, b: &mut WebRtc, ids: [PeerId; 2]) {
    a.dial(ids[1]);
    let mut up = 0;
    while up < 2 {
        let (from, event) = tokio::select! {
            event = a.next_event() => (0, event),
            event = b.next_event() => (1, event),
        };
        match event.expect("a transport") {
            TransportEvent::Signal { signal, .. } if from == 0 => b.signal(ids[0], signal),
            TransportEvent::Signal { signal, .. } => a.signal(ids[1], signal),
            TransportEvent::Connected(_) => up += 1,
            event => panic!("{event:?}"),
        }
    }
}

/// Milliseconds from `dial` to `Connected` at both ends, signals carried at once.
pub(crate) async fn set_up() -> f64 {
    let ids = [1, 2].map(|byte| PeerId::from_bytes([byte; 32]));
    let [mut a, mut b] =
        ids.map(|id| WebRtc::new(id, WebRtcConfig::loopback()).expect("a transport"));
    let began = Instant::now();
    connect(&mut a, &mut b, ids).await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    a.shutdown().await;
    b.shutdown().await;
    took
}

pub(crate) async fn run(load: Load, span: Duration) -> Cost {
    let ids = [1, 2].map(|byte| PeerId::from_bytes([byte; 32]));
    let [mut a, mut b] =
        ids.map(|id| WebRtc::new(id, WebRtcConfig::loopback()).expect("a transport"));
    connect(&mut a, &mut b, ids).await;
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    let reader = tokio::spawn(async move {
        while let Ok(event) = b.next_event().await {
            match event {
                TransportEvent::Received { frame, .. } => {
                    count.fetch_add(frame.len() as u64, Ordering::Relaxed);
                }
                TransportEvent::Disconnected { .. } => break,
                _ => {}
            }
        }
        b.shutdown().await;
    });
    let clock = Clock::start(&received);
    let end = Instant::now() + span;
    let frame = Bytes::from(vec![7; load.frame]);
    let mut ticks = interval(BURST_INTERVAL);
    while Instant::now() < end {
        if load.flow == Flow::Paced {
            ticks.tick().await;
            for _ in 0..BURST_FRAMES {
                let _ = a.try_send(ids[1], load.lane, frame.clone());
            }
            continue;
        }
        match a.try_send(ids[1], load.lane, frame.clone()) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => drop(a.next_event().await),
            Err(error) => panic!("{error}"),
        }
    }
    let cost = clock.stop(&received);
    a.shutdown().await;
    reader.await.expect("the reader");
    cost
}
