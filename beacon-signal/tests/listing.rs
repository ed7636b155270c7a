//! What a broadcast says of itself: told by its origin, listed, and refused when it cannot be.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_sdk::signaling::{ClientMessage, ErrorCode, ServerMessage};
use beacon_sdk::{About, Thumbnail};
use beacon_signal::Config;
use peer::{Peer, Running, origin, viewer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JPEG: &[u8] = include_bytes!("../../beacon-sdk/src/listing/pictures/picture.jpg");
const PNG: &[u8] = include_bytes!("../../beacon-sdk/src/listing/pictures/picture.png");

fn describe(title: &str, category: &str, tags: &[&str]) -> ClientMessage {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    ClientMessage::Describe(About::new(title, category, tags).unwrap())
}

fn thumbnail(bytes: &'static [u8]) -> ClientMessage {
    ClientMessage::Thumbnail { data: Some(Thumbnail::new(bytes.into()).unwrap()) }
}

/// A heartbeat's answer: what was said before has been dealt with.
async fn settled(peer: &mut Peer) {
    peer.send(&ClientMessage::Heartbeat).await;
    peer.until(|message| matches!(message, ServerMessage::Heartbeat).then_some(())).await;
}

async fn stream(server: &Running) -> Value {
    let listed: Value = serde_json::from_str(&server.get("/api/streams").await.1).unwrap();
    listed[0].clone()
}

/// Head and body of an answer that is no text.
async fn raw(server: &Running, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

#[tokio::test]
async fn an_origin_is_listed_as_it_describes_itself() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("a/b ü", 1, 7)).await;
    settled(&mut source).await;
    let bare = stream(&server).await;
    assert_eq!(
        (&bare["title"], &bare["tags"], &bare["thumbnail"]),
        (&json!(""), &json!([]), &Value::Null)
    );
    assert_eq!(bare["version"], 2);
    assert!(bare["age"].as_u64().unwrap() < 30);

    source.send(&describe("The launch", "Space", &["rocket", "live"])).await;
    source.send(&thumbnail(JPEG)).await;
    settled(&mut source).await;
    let listed = stream(&server).await;
    assert_eq!(listed["title"], "The launch");
    assert_eq!(listed["category"], "Space");
    assert_eq!(listed["tags"], json!(["rocket", "live"]));
    let path = listed["thumbnail"].as_str().unwrap();
    assert!(path.starts_with("/api/streams/a%2Fb%20%C3%BC/thumbnail?v="), "{path}");
    let (head, body) = raw(&server, path).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for line in ["content-type: image/jpeg", "x-content-type-options: nosniff", "sandbox"] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert_eq!(body, JPEG);

    // Words are replaced as a whole, and the picture can be taken away on a later connection.
    source.send(&describe("", "Science", &[])).await;
    settled(&mut source).await;
    let listed = stream(&server).await;
    assert_eq!((&listed["title"], &listed["category"]), (&json!(""), &json!("Science")));
    drop(source);
    let (mut source, _) = Peer::join(&server, origin("a/b ü", 1, 8)).await;
    settled(&mut source).await;
    let listed = stream(&server).await;
    assert_eq!(
        (&listed["category"], &listed["thumbnail"]),
        (&json!(""), &Value::Null),
        "another run"
    );
    let (head, body) = server.get("/api/streams/a%2Fb%20%C3%BC/thumbnail").await;
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("no thumbnail"), "{head} {body}");
    assert!(server.get("/api/streams/other/thumbnail").await.0.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn what_cannot_be_listed_is_refused_with_cause_and_survived() {
    let server = Running::start(Config::default()).await;
    let (mut source, _) = Peer::join(&server, origin("launch", 1, 7)).await;
    source.send(&describe("Kept", "", &[])).await;
    let (long, many) = ("x".repeat(101), vec!["a"; 9]);
    for (text, cause) in [
        (json!({"type": "describe", "title": long}), "at most 100"),
        (json!({"type": "describe", "category": "<script>"}), "letters, digits"),
        (json!({"type": "describe", "tags": many}), "at most 8"),
        (json!({"type": "describe", "tags": ["a", "A"]}), "twice"),
        (json!({"type": "thumbnail", "data": "PHN2Zy8+"}), "JPEG, PNG or WebP"),
        (json!({"type": "thumbnail", "data": "///"}), "base64"),
        (json!({"type": "thumbnail", "data": 7}), "expected"),
    ] {
        source.send_text(&text.to_string()).await;
        let (code, said) = source.until_error().await;
        assert_eq!(code, ErrorCode::BadListing, "{text}");
        assert!(said.contains(cause), "{said:?} does not say {cause:?}");
    }
    // Too soon after the first; the first stays.
    source.send(&thumbnail(PNG)).await;
    source.send(&thumbnail(JPEG)).await;
    let (code, said) = source.until_error().await;
    assert_eq!(code, ErrorCode::Rate);
    assert!(said.contains("every 5 s"), "{said}");
    let (head, _) = raw(&server, "/api/streams/launch/thumbnail").await;
    assert!(head.contains("image/png"), "{head}");

    // Nobody but the origin describes it, whatever key it claims.
    let (mut other, _) = Peer::join(&server, viewer("launch", 2)).await;
    for message in [describe("Mine", "", &[]), thumbnail(JPEG)] {
        other.send(&message).await;
        let (code, said) = other.until_error().await;
        assert_eq!(code, ErrorCode::BadListing);
        assert!(said.contains("origin"), "{said}");
    }
    let mut stranger = Peer::connect(&server).await;
    stranger.send(&describe("Mine", "", &[])).await;
    assert_eq!(stranger.until_error().await.0, ErrorCode::NotJoined);
    assert_eq!(stream(&server).await["title"], "Kept");
}
