//! Signaling messages of both directions, as text.

use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};

/// Input: a text frame.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match ClientMessage::parse(&text) {
        Ok(message) => assert_eq!(ClientMessage::parse(&message.to_json()), Ok(message)),
        Err(error) => explained(&error.to_string(), error.code()),
    }
    match ServerMessage::parse(&text) {
        Ok(message) => assert_eq!(ServerMessage::parse(&message.to_json()), Ok(message)),
        Err(error) => explained(&error.to_string(), error.code()),
    }
}

/// An error that goes back to whoever wrote the text stays short.
fn explained(error: &str, code: ErrorCode) {
    let answer = ServerMessage::error(code, error).to_json();
    assert!(answer.len() < 4096, "{} bytes", answer.len());
    assert!(ServerMessage::parse(&answer).is_ok(), "{answer}");
}

/// One message of every type.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let key = "03".repeat(32);
    let proof = format!("{}==", "A".repeat(86));
    let seed = |text: &str| text.replace("KEY", &key).replace("PROOF", &proof).into_bytes();
    vec![
        ("empty", vec![]),
        (
            "join",
            seed(
                r#"{"type":"join","version":2,"name":"demo","peer":"KEY","broadcast":null,"publish":false,"session":5,"proof":"PROOF"}"#,
            ),
        ),
        (
            "join-origin",
            seed(
                r#"{"type":"join","version":2,"name":"demo","peer":"KEY","broadcast":{"publisher":"KEY","epoch":7},"publish":true,"session":5,"proof":"PROOF"}"#,
            ),
        ),
        (
            "join-token",
            seed(
                r#"{"type":"join","version":2,"name":"demo","peer":"KEY","broadcast":null,"publish":false,"session":5,"proof":"PROOF","token":"v4.public.AAEC"}"#,
            ),
        ),
        (
            "join-work",
            seed(
                r#"{"type":"join","version":2,"name":"demo","peer":"KEY","broadcast":null,"publish":false,"session":5,"proof":"PROOF","work":1779}"#,
            ),
        ),
        ("join-version", seed(r#"{"type":"join","version":1}"#)),
        ("signal", seed(r#"{"type":"signal","to":"KEY","data":"AAEC"}"#)),
        (
            "report",
            seed(
                r#"{"type":"metrics-report","score":50,"role":"leaf","depth":1,"slots":4,"upload_bps":9}"#,
            ),
        ),
        (
            "describe",
            seed(r#"{"type":"describe","title":"Launch","category":"Space","tags":["live"]}"#),
        ),
        (
            "thumbnail",
            seed(
                r#"{"type":"thumbnail","data":"UklGRhwAAABXRUJQVlA4TBAAAAAvH0AEAAdQwChg/wMR0f8A"}"#,
            ),
        ),
        ("claims", seed(r#"{"type":"claims","receipts":["AAEC"]}"#)),
        ("heartbeat", seed(r#"{"type":"heartbeat"}"#)),
        ("leave", seed(r#"{"type":"leave"}"#)),
        (
            "challenge",
            seed(&format!(r#"{{"type":"challenge","version":2,"nonce":"{}="}}"#, "A".repeat(43))),
        ),
        (
            "challenge-work",
            seed(&format!(
                r#"{{"type":"challenge","version":2,"nonce":"{}=","work":{{"tries":128,"token":true}}}}"#,
                "A".repeat(43)
            )),
        ),
        (
            "joined",
            seed(
                r#"{"type":"joined","version":2,"broadcast":{"publisher":"KEY","epoch":7},"heartbeat_ms":5000}"#,
            ),
        ),
        (
            "peers",
            seed(
                r#"{"type":"peers","peers":[{"peer":"KEY","score":50,"role":"relay","depth":2,"slots":1}]}"#,
            ),
        ),
        (
            "joined-paying",
            seed(
                r#"{"type":"joined","version":2,"broadcast":null,"heartbeat_ms":5000,"issuer":"KEY"}"#,
            ),
        ),
        ("edges", seed(r#"{"type":"edges","edges":["AAEC",""]}"#)),
        ("gone", seed(r#"{"type":"gone","peer":"KEY"}"#)),
        ("signal-from", seed(r#"{"type":"signal","from":"KEY","data":"AAEC"}"#)),
        ("error", seed(r#"{"type":"error","code":"full","message":"no room","fatal":false}"#)),
        ("unknown", seed(r#"{"type":"wave","version":1}"#)),
    ]
}
