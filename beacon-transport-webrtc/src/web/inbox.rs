//! What comes in, from the browser's events to the transport.

use super::channel::{Channel, Outlet};
use super::port::Report;
use crate::lane::{GO, HOLD, LANES, frame_max};
use beacon_sdk::plugin::Lane;
use bytes::Bytes;
use core::cell::{Cell, OnceCell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};
use js_sys::{ArrayBuffer, JsString, Uint8Array};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::MessagePort;

/// What a queued frame costs beside its bytes (guess at the queue's and allocator's share), so
/// that empty frames are not free either.
const FRAME_OVERHEAD: usize = 128;
/// Bytes of control frames that may still arrive after [`HOLD`] was said: what the other end's
/// SCTP had under way. Chromium's receive window is 5 MiB.
const HELD_EXCESS_MAX: usize = 8 * 1024 * 1024;
/// Characters of a word beside the frames at most.
const WORD_MAX: u32 = 16;

/// What has come for a link.
#[derive(Debug)]
pub(super) enum News {
    Report(Report),
    /// Its channels are here.
    Attached(Box<[Channel; 2]>),
    Opened(Lane),
    Frame(Lane, Bytes),
    Word(String),
    /// There is room again.
    Low(Lane),
    Closed,
    /// The peer broke the protocol.
    Broken,
}

/// News of all links in the order they came. Frames in it are bounded by [`Line`], everything else
/// is a few items per link.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    news: RefCell<VecDeque<(u32, News)>>,
    waker: RefCell<Option<Waker>>,
    pub(super) lines: RefCell<BTreeMap<u32, Rc<Line>>>,
    pub(super) frames_dropped: Cell<u64>,
}

impl Inbox {
    pub(super) fn push(&self, link: u32, news: News) {
        self.news.borrow_mut().push_back((link, news));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    pub(super) fn pop(&self) -> Option<(u32, News)> {
        self.news.borrow_mut().pop_front()
    }

    /// # Cancel safety
    /// Cancel-safe.
    pub(super) async fn wait(&self) -> (u32, News) {
        poll_fn(|context| match self.pop() {
            Some(news) => Poll::Ready(news),
            None => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// Lets go of what is not read: channels on their way in hold the inbox itself.
    pub(super) fn clear(&self) {
        let unread = core::mem::take(&mut *self.news.borrow_mut());
        drop(unread);
        self.lines.borrow_mut().clear();
    }

    fn line(&self, link: u32) -> Option<Rc<Line>> {
        self.lines.borrow().get(&link).cloned()
    }

    /// Takes what the page reports, in the task in which it comes: messages of a channel that is
    /// not listened to are lost.
    pub(super) fn report(self: &Rc<Self>, link: u32, report: Report, port: &MessagePort) {
        // One that is closed by now is of no more interest.
        let Some(line) = self.line(link) else { return };
        let channels = match report {
            Report::Channels { control, data } => [
                Channel::own(control, Lane::Control, &line, self),
                Channel::own(data, Lane::Data, &line, self),
            ],
            Report::Kept => LANES.map(|lane| Channel::kept(port, link, lane)),
            Report::Message { lane, message } => return line.take_in(lane, &message, self),
            Report::Opened(lane) => return self.push(link, News::Opened(lane)),
            Report::Closed => return self.push(link, News::Closed),
            report => return self.push(link, News::Report(report)),
        };
        let [control, _] = &channels;
        // Set once: the page says it once per link.
        let _ = line.answer.set(control.outlet.clone());
        self.push(link, News::Attached(Box::new(channels)));
    }
}

/// What one link has brought that is not read yet.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: u32,
    /// Bytes per lane that may wait to be read.
    limit: usize,
    /// Bytes per lane that may wait to be sent.
    pub(super) window: usize,
    control: Cell<usize>,
    data: Cell<usize>,
    /// The peer has been asked to hold its control frames.
    holding: Cell<bool>,
    pub(super) answer: OnceCell<Outlet>,
}

impl Line {
    pub(super) fn new(link: u32, limit: usize, window: usize) -> Self {
        Self {
            link,
            limit,
            window,
            control: Cell::new(0),
            data: Cell::new(0),
            holding: Cell::new(false),
            answer: OnceCell::new(),
        }
    }

    const fn waiting(&self, lane: Lane) -> &Cell<usize> {
        match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        }
    }

    /// Takes a message off a channel: the one copy of a frame's way in.
    pub(super) fn take_in(&self, lane: Lane, message: &JsValue, inbox: &Inbox) {
        if let Some(word) = message.dyn_ref::<JsString>() {
            let word = (lane == Lane::Control && word.length() <= WORD_MAX).then(|| word.into());
            return inbox.push(self.link, word.map_or(News::Broken, News::Word));
        }
        let Some(buffer) = message.dyn_ref::<ArrayBuffer>() else {
            return inbox.push(self.link, News::Broken);
        };
        let len = buffer.byte_length() as usize;
        let waiting = self.waiting(lane).get() + len + FRAME_OVERHEAD;
        match lane {
            _ if len > frame_max(lane) => return inbox.push(self.link, News::Broken),
            Lane::Control if waiting > self.limit + HELD_EXCESS_MAX => {
                return inbox.push(self.link, News::Broken);
            }
            Lane::Data if waiting > self.limit => {
                return inbox.frames_dropped.set(inbox.frames_dropped.get() + 1);
            }
            _ => self.waiting(lane).set(waiting),
        }
        if lane == Lane::Control && waiting > self.limit && !self.holding.replace(true) {
            self.say(HOLD);
        }
        let frame = Bytes::from(Uint8Array::new(buffer).to_vec());
        inbox.push(self.link, News::Frame(lane, frame));
    }

    /// The application has taken a frame.
    pub(super) fn consumed(&self, lane: Lane, frame: &[u8]) {
        let waiting = self.waiting(lane);
        waiting.set(waiting.get().saturating_sub(frame.len() + FRAME_OVERHEAD));
        if lane == Lane::Control && waiting.get() <= self.limit / 2 && self.holding.replace(false) {
            self.say(GO);
        }
    }

    fn say(&self, word: &str) {
        if let Some(outlet) = self.answer.get() {
            outlet.say(word);
        }
    }
}
