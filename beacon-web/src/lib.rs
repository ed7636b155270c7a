//! The browser as a peer: what JavaScript sees of Beacon. The README says how it is used; this is
//! glue, and natively it is empty.
//!
//! `Connector` lives in the page, `WebPeer` in a worker; a `MessagePort` joins them.
#![cfg(target_family = "wasm")]

#[cfg(feature = "conformance")]
mod conformance;
mod connector;
mod feed;
mod options;
mod out;
mod peer;
mod screen;

#[cfg(feature = "conformance")]
pub use conformance::{transport_clause, transport_clauses};
pub use connector::Connector;
pub use peer::WebPeer;

use wasm_bindgen::prelude::{JsError, wasm_bindgen};

/// The id of the peer with this identity, 32 secret bytes.
#[wasm_bindgen(js_name = peerId)]
pub fn peer_id(identity: &[u8]) -> Result<String, JsError> {
    options::secret(identity).map(|identity| identity.public().to_string())
}

/// Panics are bugs; let them be read in the console.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        web_sys::console::error_1(&panic.to_string().into());
    }));
}
