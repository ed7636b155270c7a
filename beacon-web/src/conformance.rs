//! The transport's suite, clause by clause: a clause that is not kept panics, and ends the
//! module's instance.

use beacon_sdk::conformance::TransportFixture;
use beacon_sdk::conformance::transport::{CLAUSES, clause};
use beacon_sdk::plugin::Transport;
use beacon_sdk::{PeerId, timer};
use beacon_transport_webrtc::{WebRtc, WebRtcConfig};
use core::time::Duration;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};
use web_sys::MessagePort;

/// A clause that has not ended by then hangs.
const CLAUSE_MAX: Duration = Duration::from_secs(240);

/// Ports that lead to a connector each.
struct Ports(Vec<MessagePort>);

impl TransportFixture for Ports {
    async fn transport(&mut self, me: PeerId) -> Box<dyn Transport> {
        let dial_timeout = Duration::from_secs(5);
        let config = WebRtcConfig { dial_timeout, ..WebRtcConfig::default() };
        let port =
            self.0.pop().expect("a clause takes at most as many transports as there are ports");
        Box::new(WebRtc::new(me, config, port).expect("the configuration is sound"))
    }
}

/// The names of all clauses.
#[wasm_bindgen(js_name = transportClauses)]
pub fn transport_clauses() -> Vec<String> {
    CLAUSES.iter().map(|name| (*name).to_owned()).collect()
}

/// Runs one clause with transports over these ports, four at most.
#[wasm_bindgen(js_name = transportClause)]
pub async fn transport_clause(name: String, ports: Vec<MessagePort>) -> Result<(), JsError> {
    match timer::timeout(CLAUSE_MAX, clause(&name, &mut Ports(ports))).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(JsError::new(&format!("{name}: there is no such clause"))),
        Err(_) => Err(JsError::new(&format!("{name}: has not come to an end"))),
    }
}
