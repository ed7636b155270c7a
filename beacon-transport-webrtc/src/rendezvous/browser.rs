//! The browser's WebSocket, in a page or a worker.

use super::Working;
use beacon_sdk::signaling::{MESSAGE_BYTES_MAX, Riddle, Slate};
use beacon_sdk::timer::{Instant, sleep, timeout};
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use js_sys::JsString;
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{CloseEvent, Event, MessageEvent, WebSocket};

/// A connection that is not open by then is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that wait to be read at most; more of them is a server gone wild.
const MESSAGES_MAX: usize = 1024;
/// Bytes that wait to be sent before more is put off.
const BUFFERED_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// Work is done for so long at a time: two or three tries, and no more than a busy relay waits for a turn anyway.
const SLICE: Duration = Duration::from_millis(8);
/// In between: what browsers make of timeouts that follow each other, and long enough for what came meanwhile.
const SLICE_PAUSE: Duration = Duration::from_millis(4);

/// A connection being opened; its error is for people.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Socket, String>>>>;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) struct Address(String);

impl Address {
    /// Reads a `ws://` or `wss://` URL, or tells the cause and the cure.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let cure = "use ws://HOST:PORT or wss://HOST";
        let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"));
        match rest {
            None => Err(format!("{url:?} is not a WebSocket's; {cure}")),
            Some(rest) if rest.is_empty() || rest.starts_with(['/', ' ']) => {
                Err(format!("{url:?} names no host; {cure}"))
            }
            Some(_) => Ok(Self(url.to_owned())),
        }
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> Connecting {
        let url = self.0.clone();
        Box::pin(async move {
            let mut socket = Socket::new(&url)?;
            match timeout(CONNECT_TIMEOUT, poll_fn(|context| socket.poll_open(context))).await {
                Ok(Ok(())) => Ok(socket),
                Ok(Err(reason)) => Err(reason),
                Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
            }
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Does the work in slices, between which this page or worker does what else it has to do.
pub(super) fn solve(riddle: Riddle) -> Working {
    Box::pin(async move {
        let (mut slate, mut answers) = (Slate::new(), 0..);
        loop {
            let begun = Instant::now();
            let mut slice = answers.by_ref().take_while(|_| begun.elapsed() < SLICE);
            if let Some(answer) = slice.find(|&answer| riddle.is_solved_by(answer, &mut slate)) {
                return Some(answer);
            }
            sleep(SLICE_PAUSE).await;
        }
    })
}

#[derive(Default)]
struct State {
    messages: RefCell<VecDeque<String>>,
    open: Cell<bool>,
    /// Why it is closed.
    closed: RefCell<Option<String>>,
    waker: Cell<Option<Waker>>,
}

impl State {
    fn changed(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn close(&self, reason: &str) {
        self.closed.borrow_mut().get_or_insert_with(|| reason.to_owned());
        self.changed();
    }
}

/// A connection. Dropping it closes it.
pub(super) struct Socket {
    socket: WebSocket,
    state: Rc<State>,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Socket {
    fn new(url: &str) -> Result<Self, String> {
        let socket = WebSocket::new(url).map_err(|error| {
            let why = error.dyn_into::<js_sys::Error>().map(|error| String::from(error.message()));
            format!(
                "{url}: {}; a page of https:// can reach wss:// only",
                why.unwrap_or_else(|_| "the browser refuses".into())
            )
        })?;
        let state = Rc::<State>::default();
        let at = state.clone();
        let on_open = Closure::<dyn FnMut(Event)>::new(move |_| {
            at.open.set(true);
            at.changed();
        });
        let at = state.clone();
        let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            let reason: String = event.reason().chars().take(200).collect();
            at.close(match (reason.is_empty(), at.open.get()) {
                (false, _) => &reason,
                (true, true) => "the server closed",
                (true, false) => "cannot connect: is the server running there, and its port open?",
            });
        });
        let at = state.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data();
            let text = data.dyn_ref::<JsString>();
            let text = text.filter(|text| text.length() as usize <= MESSAGE_BYTES_MAX);
            match text {
                Some(_) if at.messages.borrow().len() == MESSAGES_MAX => {
                    at.close("the server sends more than can be read");
                }
                Some(text) => at.messages.borrow_mut().push_back(text.into()),
                None => at.close("the server sends what is no message"),
            }
            at.changed();
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Ok(Self { socket, state, _on_open: on_open, _on_close: on_close, _on_message: on_message })
    }

    fn wait(&self, context: &Context<'_>) {
        self.state.waker.set(Some(context.waker().clone()));
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        if let Some(reason) = &*self.state.closed.borrow() {
            return Poll::Ready(Err(reason.clone()));
        }
        if self.state.open.get() {
            return Poll::Ready(Ok(()));
        }
        self.wait(context);
        Poll::Pending
    }

    /// Whether more can be sent; asked again whenever the connection is polled.
    pub(super) fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), String>> {
        if self.socket.buffered_amount() as usize > BUFFERED_MAX {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn send(&mut self, text: &str) -> Result<(), String> {
        self.socket.send_with_str(text).map_err(|_| "the connection is closing".to_owned())
    }

    pub(super) fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    /// The next message; an error when there will be no more.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<String>, String>> {
        if let Some(text) = self.state.messages.borrow_mut().pop_front() {
            return Poll::Ready(Ok(Some(text)));
        }
        if let Some(reason) = &*self.state.closed.borrow() {
            return Poll::Ready(Err(reason.clone()));
        }
        self.wait(context);
        Poll::Pending
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        self.socket.set_onmessage(None);
        // Fails only with a code that is none.
        let _ = self.socket.close();
    }
}
