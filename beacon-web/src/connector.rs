//! The page's half.

use crate::options;
use beacon_transport_webrtc::Connector as Inner;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};
use web_sys::MessagePort;

/// Makes and ends peer connections for the [`WebPeer`](crate::WebPeer) at the other end of the
/// port. Lives in a page: workers have no peer connections.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Connector(Inner);

#[wasm_bindgen]
impl Connector {
    /// Serves the peer at the other end of `port`. `iceServers` is a list as
    /// `RTCPeerConnection` takes it, STUN and TURN over UDP.
    #[wasm_bindgen(constructor)]
    pub fn new(
        port: MessagePort,
        #[wasm_bindgen(js_name = iceServers)] ice_servers: JsValue,
    ) -> Result<Connector, JsError> {
        Ok(Self(Inner::new(port, &options::ice_servers(&ice_servers)?)))
    }

    /// As the constructor, but data channels stay in the page, as they must in browsers that
    /// cannot hand them over: for tests.
    #[wasm_bindgen(js_name = keepingChannels)]
    pub fn keeping_channels(port: MessagePort) -> Connector {
        Self(Inner::keeping_channels(port, &[]))
    }

    /// Peer connections there are.
    #[wasm_bindgen(getter)]
    pub fn connections(&self) -> usize {
        self.0.connections()
    }

    /// Closes every connection.
    pub fn close(self) {}
}
