//! The relay without an engine, and its ends: frames of the size and at the pace of a stream's
//! symbols are handed on as they come.

use super::{Args, Copied, CopierArgs};
use crate::Edge;
use crate::args::Network;
use anyhow::Result;
use beacon_sdk::plugin::{Join, RendezvousEvent, SYMBOL_BYTES_MAX, TransportEvent, TrySendError};
use beacon_sdk::wire::SYMBOL_HEADER_LEN;
use beacon_sdk::{BroadcastId, Lane, PeerId, Rendezvous, Transport};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Frames that wait for one peer at most; the oldest go first, as in the engine.
const WAITING_MAX: usize = 1024;

/// A transport and a rendezvous without an engine between them.
struct Node {
    edge: Edge,
    /// Dials whom it is told of; the others are dialled.
    dials: bool,
    /// Frames that wait for each linked peer, and whether it has room.
    links: BTreeMap<PeerId, (VecDeque<Bytes>, bool)>,
    sent: Arc<AtomicU64>,
}

/// A frame that was received.
struct Frame {
    from: PeerId,
    frame: Bytes,
}

impl Node {
    fn open(signal: &str, dials: bool, publish: bool) -> Result<Self> {
        let mut edge = Edge::open(signal, &Network::default(), None)?;
        let peer = edge.identity.public();
        let broadcast = publish.then_some(BroadcastId { publisher: peer, epoch: 1 });
        edge.rendezvous.join(Join { name: "relay".into(), peer, broadcast, publish });
        Ok(Self { edge, dials, links: BTreeMap::new(), sent: Arc::default() })
    }

    /// Waits for something, and deals with all but frames.
    async fn step(&mut self) -> Result<Option<Frame>> {
        tokio::select! {
            event = self.edge.transport.next_event() => Ok(self.on_transport(event?)),
            event = self.edge.rendezvous.next_event() => {
                self.on_rendezvous(event?);
                Ok(None)
            }
        }
    }

    fn on_rendezvous(&mut self, event: RendezvousEvent) {
        match event {
            RendezvousEvent::Peers(hints) if self.dials => {
                for hint in hints {
                    self.edge.transport.dial(hint.peer);
                }
            }
            RendezvousEvent::Signal { from, signal } => self.edge.transport.signal(from, signal),
            _ => {}
        }
    }

    fn on_transport(&mut self, event: TransportEvent) -> Option<Frame> {
        match event {
            TransportEvent::Signal { to, signal } => self.edge.rendezvous.signal(to, signal),
            TransportEvent::Connected(link) => {
                self.links.insert(link.peer, (VecDeque::new(), true));
            }
            TransportEvent::Disconnected { peer, .. } => {
                self.links.remove(&peer);
            }
            TransportEvent::Writable { to, .. } => {
                if let Some((_, room)) = self.links.get_mut(&to) {
                    *room = true;
                }
                self.flush(to);
            }
            TransportEvent::Received { from, frame, .. } => return Some(Frame { from, frame }),
            _ => {}
        }
        None
    }

    /// Hands a frame to everyone but `except`.
    fn send(&mut self, frame: &Bytes, except: Option<PeerId>) {
        let peers: Vec<PeerId> =
            self.links.keys().copied().filter(|peer| Some(*peer) != except).collect();
        for peer in peers {
            if let Some((waiting, _)) = self.links.get_mut(&peer) {
                if waiting.len() == WAITING_MAX {
                    waiting.pop_front();
                }
                waiting.push_back(frame.clone());
            }
            self.flush(peer);
        }
    }

    fn flush(&mut self, to: PeerId) {
        let Some((waiting, room)) = self.links.get_mut(&to) else { return };
        while *room && let Some(frame) = waiting.pop_front() {
            let bytes = frame.len().saturating_sub(SYMBOL_HEADER_LEN) as u64;
            match self.edge.transport.try_send(to, Lane::Data, frame) {
                Ok(()) => {
                    self.sent.fetch_add(bytes, Ordering::Relaxed);
                }
                Err(TrySendError::Full(frame)) => {
                    waiting.push_front(frame);
                    *room = false;
                }
                Err(_) => {}
            }
        }
    }

    async fn close(mut self) {
        self.edge.rendezvous.shutdown().await;
        self.edge.transport.shutdown().await;
    }
}

/// Tasks that end when this is dropped or stopped.
struct Tasks(Vec<(oneshot::Sender<()>, JoinHandle<Result<()>>)>);

impl Tasks {
    fn spawn(&mut self, mut node: Node, pace: Option<Pace>) {
        let (stop, mut stopped) = oneshot::channel();
        let run = async move {
            let mut ticks = interval_at(
                Instant::now(),
                pace.as_ref().map_or(Duration::from_secs(3600), |pace| pace.interval),
            );
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let ended = loop {
                tokio::select! {
                    step = node.step() => match step {
                        Ok(Some(Frame { from, frame })) if node.dials => {
                            node.send(&frame, Some(from));
                        }
                        Ok(_) => {}
                        Err(error) => break Err(error),
                    },
                    _ = ticks.tick() => if let Some(pace) = &pace {
                        (0..pace.frames).for_each(|_| node.send(&pace.frame, None));
                    },
                    _ = &mut stopped => break Ok(()),
                }
            };
            node.close().await;
            ended
        };
        self.0.push((stop, tokio::spawn(run)));
    }

    async fn stop(self) {
        for (stop, task) in self.0 {
            let _ = stop.send(());
            if let Ok(Err(error)) = task.await {
                eprintln!("bare: {error:#}");
            }
        }
    }
}

/// A burst of frames at an interval, as the origin sends a segment.
struct Pace {
    interval: Duration,
    frames: u64,
    frame: Bytes,
}

/// The relay.
pub(super) struct Copier {
    tasks: Tasks,
    sent: Arc<AtomicU64>,
}

impl Copier {
    pub(super) fn start(args: &CopierArgs) -> Result<Self> {
        let node = Node::open(&args.signal, true, false)?;
        let sent = node.sent.clone();
        let mut tasks = Tasks(Vec::new());
        tasks.spawn(node, None);
        Ok(Self { tasks, sent })
    }

    pub(super) async fn stop(self) {
        self.tasks.stop().await;
    }
}

impl Copied for Copier {
    fn bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The sender and the receivers, which wait to be dialled.
pub(super) struct Ends(Tasks);

impl Ends {
    pub(super) fn start(args: &Args, signal: &str) -> Result<Self> {
        let mut tasks = Tasks(Vec::new());
        let interval = args.profile.config().segment;
        let bytes = (args.mbit as f64 * interval.as_secs_f64() / 8.0) as u64;
        let pace = Pace {
            interval,
            frames: bytes.div_ceil(SYMBOL_BYTES_MAX as u64),
            frame: vec![7; SYMBOL_HEADER_LEN + SYMBOL_BYTES_MAX].into(),
        };
        tasks.spawn(Node::open(signal, false, true)?, Some(pace));
        for _ in 0..args.children {
            tasks.spawn(Node::open(signal, false, false)?, None);
        }
        Ok(Self(tasks))
    }

    pub(super) async fn stop(self) {
        self.0.stop().await;
    }
}
