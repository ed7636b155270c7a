//! Objects for JavaScript.

use js_sys::{Function, Object, Reflect, Uint8Array};
use wasm_bindgen::JsValue;

/// Where messages go: a function of JavaScript that must not throw.
#[derive(Clone, Debug)]
pub(crate) struct Out(pub(crate) Function);

impl Out {
    pub(crate) fn send(&self, message: &Message) {
        // What it throws is its own trouble; the peer goes on.
        let _ = self.0.call1(&JsValue::UNDEFINED, &message.0);
    }
}

/// An object with a `type`.
#[derive(Debug)]
pub(crate) struct Message(Object);

impl Message {
    pub(crate) fn new(kind: &str) -> Self {
        Self(Object::new()).with("type", kind)
    }

    pub(crate) fn plain() -> Self {
        Self(Object::new())
    }

    pub(crate) fn with(self, name: &str, value: impl Into<JsValue>) -> Self {
        // Fails on a frozen object only.
        let _ = Reflect::set(&self.0, &name.into(), &value.into());
        self
    }

    /// Whole numbers up to 2⁵³ are exact: 285 years in microseconds.
    pub(crate) fn number(self, name: &str, value: u64) -> Self {
        self.with(name, value as f64)
    }

    pub(crate) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.with(name, Uint8Array::from(bytes))
    }
}

impl From<Message> for JsValue {
    fn from(message: Message) -> Self {
        message.0.into()
    }
}
