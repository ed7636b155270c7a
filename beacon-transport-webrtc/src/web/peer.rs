//! One peer as the deciding half knows it: a set-up or a link, and what may be sent over it.

use super::channel::Channel;
use super::inbox::Line;
use super::setup::Setup;
use crate::lane::{Gauge, channel, frame_max, low};
use crate::signal::{DialId, Signal};
use beacon_sdk::plugin::{Lane, TrySendError};
use beacon_sdk::timer::Instant;
use bytes::Bytes;
use std::rc::Rc;

/// A link or a set-up.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: u32,
    pub(super) stage: Stage,
    pub(super) line: Rc<Line>,
    pub(super) channels: Option<[Channel; 2]>,
    flows: [Flow; 2],
    /// The peer does not read its control lane for now.
    pub(super) held: bool,
    /// An offer that came while the link is up. The peer may have lost the link before we
    /// notice; or somebody plays tricks, and the link must not suffer. So it waits for the end.
    pub(super) next_offer: Option<(Instant, Signal)>,
}

/// One lane, towards the peer.
#[derive(Debug)]
struct Flow {
    /// The largest window, and the one that goes with the link's speed.
    most: usize,
    window: usize,
    gauge: Gauge,
    /// A frame was given back and `Writable` is owed.
    starved: bool,
}

impl Flow {
    fn new(window: usize) -> Self {
        Self { most: window, window, gauge: Gauge::default(), starved: false }
    }
}

#[derive(Debug)]
pub(super) enum Stage {
    Dialling(Box<Setup>),
    Answering(DialId, Box<Setup>),
    Up { dial: Option<DialId> },
}

impl Stage {
    pub(super) fn setup(&mut self) -> Option<&mut Setup> {
        match self {
            Self::Dialling(setup) | Self::Answering(_, setup) => Some(setup),
            Self::Up { .. } => None,
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

pub(super) const fn at(lane: Lane) -> usize {
    channel(lane) as usize
}

impl Peer {
    pub(super) fn new(stage: Stage, line: Rc<Line>, window: usize) -> Self {
        Self {
            link: line.link,
            stage,
            line,
            channels: None,
            flows: [Flow::new(window), Flow::new(window)],
            held: false,
            next_offer: None,
        }
    }

    pub(super) fn say(&self, word: &str) {
        if let Some([control, _]) = &self.channels {
            control.outlet.say(word);
        }
    }

    pub(super) fn take(&mut self, lane: Lane, frame: Bytes) -> Result<(), TrySendError> {
        let Some(channels) = self.channels.as_ref().filter(|_| self.stage.is_up()) else {
            return Err(TrySendError::NotConnected(frame));
        };
        if frame.len() > frame_max(lane) {
            return Err(TrySendError::TooLarge(frame));
        }
        let (outlet, flow) = (&channels[at(lane)].outlet, &mut self.flows[at(lane)]);
        let buffered = outlet.buffered();
        let full = buffered > 0 && buffered + frame.len() > flow.window;
        if full || (lane == Lane::Control && self.held) {
            if !core::mem::replace(&mut flow.starved, true) && full {
                flow.gauge.fill(Instant::now(), buffered);
            }
            return Err(TrySendError::Full(frame));
        }
        if outlet.send(&frame) { Ok(()) } else { Err(TrySendError::NotConnected(frame)) }
    }

    /// Whether `Writable` is owed and true.
    pub(super) fn relieve(&mut self, lane: Lane) -> bool {
        let held = lane == Lane::Control && self.held;
        let Some(channels) = &self.channels else { return false };
        let (outlet, flow) = (&channels[at(lane)].outlet, &mut self.flows[at(lane)]);
        let buffered = outlet.buffered();
        if held || buffered > low(lane, flow.window) || !core::mem::take(&mut flow.starved) {
            return false;
        }
        let window = flow.gauge.drain(lane, Instant::now(), buffered, flow.most);
        if let Some(window) = window.filter(|window| *window != flow.window) {
            flow.window = window;
            outlet.tell_below(low(lane, window));
        }
        true
    }
}
