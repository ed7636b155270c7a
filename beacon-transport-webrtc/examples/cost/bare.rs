//! The load through the `webrtc` crate alone, set up as the transport sets it up.

use crate::measure::{BURST_FRAMES, BURST_INTERVAL, Clock, Cost, Flow, Load};
use async_trait::async_trait;
use beacon_sdk::plugin::Lane;
use bytes::BytesMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, interval, timeout};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::error::Error;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
};

const WINDOW: usize = 64 * 1024;

struct Gathered(Notify);

#[async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.notify_one();
        }
    }
}

struct End {
    peer: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    gathered: Arc<Gathered>,
}

async fn end(lane: Lane) -> Result<End, Error> {
    let gathered = Arc::new(Gathered(Notify::new()));
    let peer: Arc<dyn PeerConnection> = Arc::new(
        PeerConnectionBuilder::new()
            .with_handler(gathered.clone())
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .with_data_channel_send_buffer_limit(WINDOW)
            .build()
            .await?,
    );
    let max_retransmits = (lane == Lane::Data).then_some(0);
    let init = RTCDataChannelInit {
        ordered: lane == Lane::Control,
        max_retransmits,
        negotiated: Some(0),
        ..Default::default()
    };
    let channel = peer.create_data_channel("bare", Some(init)).await?;
    Ok(End { peer, channel, gathered })
}

async fn opened(channel: &dyn DataChannel) {
    while !matches!(channel.poll().await, Some(DataChannelEvent::OnOpen)) {}
}

async fn connect(a: &End, b: &End) -> Result<(), Error> {
    let offer = a.peer.create_offer(None).await?;
    a.peer.set_local_description(offer).await?;
    a.gathered.0.notified().await;
    let offer = a.peer.local_description().await.expect("an offer");
    b.peer.set_remote_description(offer).await?;
    let answer = b.peer.create_answer(None).await?;
    b.peer.set_local_description(answer).await?;
    b.gathered.0.notified().await;
    let answer = b.peer.local_description().await.expect("an answer");
    a.peer.set_remote_description(answer).await?;
    tokio::join!(opened(&*a.channel), opened(&*b.channel));
    Ok(())
}

/// Waits for half the window, which is kinder than `writable`: that wakes for every message.
async fn drain(channel: &dyn DataChannel) {
    let low = async {
        while !matches!(channel.poll().await, Some(DataChannelEvent::OnBufferedAmountLow)) {}
    };
    let _ = timeout(Duration::from_millis(5), low).await;
}

/// Sends as the window allows: a refused message is tried again when there is room.
async fn send(channel: &dyn DataChannel, frame: &[u8], flow: Flow, end: Instant) {
    let mut ticks = interval(BURST_INTERVAL);
    let _ = channel.set_buffered_amount_low_threshold(WINDOW as u32 / 2).await;
    while Instant::now() < end {
        if flow == Flow::Paced {
            ticks.tick().await;
            for _ in 0..BURST_FRAMES {
                let _ = channel.try_send(BytesMut::from(frame)).await;
            }
            continue;
        }
        match channel.try_send(BytesMut::from(frame)).await {
            Ok(()) => {}
            Err(Error::ErrSendBufferFull) => drain(channel).await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn run(load: Load, span: Duration) -> Cost {
    let (a, b) = (end(load.lane).await.expect("an end"), end(load.lane).await.expect("an end"));
    timeout(Duration::from_secs(10), connect(&a, &b))
        .await
        .expect("in time")
        .expect("a connection");
    let received = Arc::new(AtomicU64::new(0));
    let (count, inbox) = (received.clone(), b.channel.clone());
    let reader = tokio::spawn(async move {
        while let Some(event) = inbox.poll().await {
            match event {
                DataChannelEvent::OnMessage(message) => {
                    count.fetch_add(message.data.len() as u64, Ordering::Relaxed);
                }
                DataChannelEvent::OnClose => break,
                _ => {}
            }
        }
    });
    let clock = Clock::start(&received);
    let frame = vec![7; load.frame];
    send(&*a.channel, &frame, load.flow, Instant::now() + span).await;
    let cost = clock.stop(&received);
    let _ = a.peer.close().await;
    let _ = b.peer.close().await;
    reader.await.expect("the reader");
    cost
}
