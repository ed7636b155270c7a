//! The sending side of a channel, and the browser's events about it.

use super::inbox::{Inbox, Line, News};
use super::port::Order;
use crate::lane::low;
use beacon_sdk::plugin::Lane;
use core::cell::Cell;
use js_sys::Uint8Array;
use std::rc::Rc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{
    Event, MessageEvent, MessagePort, RtcDataChannel, RtcDataChannelState, RtcDataChannelType,
};

/// Bytes that a channel in the page was given, and those of them that have left. Both wrap.
#[derive(Debug, Default)]
pub(super) struct Counts {
    given: Cell<u32>,
    left: Cell<u32>,
}

/// Where frames go.
#[derive(Clone, Debug)]
pub(super) enum Outlet {
    /// A channel of this thread.
    Own(RtcDataChannel),
    /// A channel that stayed in the page.
    Kept { port: MessagePort, link: u32, lane: Lane, counts: Rc<Counts> },
}

impl Outlet {
    /// False when the channel is closed.
    pub(super) fn send(&self, frame: &[u8]) -> bool {
        match self {
            Self::Own(channel) => channel.send_with_u8_array(frame).is_ok(),
            Self::Kept { .. } => {
                self.order(frame.len(), Uint8Array::from(frame).buffer().into());
                true
            }
        }
    }

    pub(super) fn say(&self, word: &str) {
        match self {
            Self::Own(channel) => {
                // A channel that is closing says so by an event.
                let _ = channel.send_with_str(word);
            }
            Self::Kept { .. } => self.order(word.len(), word.into()),
        }
    }

    fn order(&self, len: usize, message: JsValue) {
        if let Self::Kept { port, link, lane, counts } = self {
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            counts.given.set(counts.given.get().wrapping_add(len));
            Order::Send { lane: *lane, message }.post(*link, port);
        }
    }

    /// Bytes that were taken and have not left yet.
    pub(super) fn buffered(&self) -> usize {
        let bytes = match self {
            Self::Own(channel) => channel.buffered_amount(),
            Self::Kept { counts, .. } => counts.given.get().wrapping_sub(counts.left.get()),
        };
        bytes as usize
    }

    /// There is room again when no more than so many bytes wait.
    pub(super) fn tell_below(&self, level: usize) {
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        match self {
            Self::Own(channel) => channel.set_buffered_amount_low_threshold(level),
            Self::Kept { port, link, lane, .. } => {
                Order::Level { lane: *lane, bytes: level }.post(*link, port);
            }
        }
    }

    /// Notes how much has left, all in all, through a channel that stayed in the page.
    pub(super) fn left(&self, bytes: u32) {
        if let Self::Kept { counts, .. } = self {
            counts.left.set(bytes);
        }
    }
}

/// A channel in use. Dropping it closes it, once what was sent has left.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) outlet: Outlet,
    _listeners: Vec<Closure<dyn FnMut(Event)>>,
    _on_message: Option<Closure<dyn FnMut(MessageEvent)>>,
}

impl Channel {
    /// Takes over a channel. To be called in the task in which it came: what arrives before there
    /// are listeners is lost.
    pub(super) fn own(
        channel: RtcDataChannel,
        lane: Lane,
        line: &Rc<Line>,
        inbox: &Rc<Inbox>,
    ) -> Self {
        let link = line.link;
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let low = u32::try_from(low(lane, line.window)).unwrap_or(u32::MAX);
        channel.set_buffered_amount_low_threshold(low);
        let listen = |news: fn(Lane) -> News| {
            let inbox = inbox.clone();
            Closure::<dyn FnMut(Event)>::new(move |_| inbox.push(link, news(lane)))
        };
        let listeners = vec![listen(News::Opened), listen(News::Low), listen(|_| News::Closed)];
        channel.set_onopen(listeners.first().map(function));
        channel.set_onbufferedamountlow(listeners.get(1).map(function));
        channel.set_onclose(listeners.get(2).map(function));
        let (line, inbox_of_messages) = (line.clone(), inbox.clone());
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            line.take_in(lane, &event.data(), &inbox_of_messages);
        });
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        if channel.ready_state() == RtcDataChannelState::Open {
            inbox.push(link, News::Opened(lane));
        }
        Self { outlet: Outlet::Own(channel), _listeners: listeners, _on_message: Some(on_message) }
    }

    /// A channel that stayed in the page.
    pub(super) fn kept(port: &MessagePort, link: u32, lane: Lane) -> Self {
        let outlet = Outlet::Kept { port: port.clone(), link, lane, counts: Rc::default() };
        Self { outlet, _listeners: Vec::new(), _on_message: None }
    }
}

fn function(closure: &Closure<dyn FnMut(Event)>) -> &js_sys::Function {
    closure.as_ref().unchecked_ref()
}

impl Drop for Channel {
    fn drop(&mut self) {
        // A channel of the page closes with its connection.
        if let Outlet::Own(channel) = &self.outlet {
            channel.set_onopen(None);
            channel.set_onbufferedamountlow(None);
            channel.set_onclose(None);
            channel.set_onmessage(None);
            channel.close();
        }
    }
}
