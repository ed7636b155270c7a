//! A WebSocket over tokio, from its URL on.

use super::Working;
use beacon_sdk::signaling::{Riddle, Slate};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

/// A connection that is not open by then is given up: names, TCP, TLS and upgrade together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open connection.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.0.poll_ready_unpin(context).map_err(|error| error.to_string())
    }

    pub(super) fn send(&mut self, text: &str) -> Result<(), String> {
        self.0.start_send_unpin(Message::text(text)).map_err(|error| error.to_string())
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.0.poll_flush_unpin(context).map_err(|error| error.to_string())
    }

    /// The next message, `None` for a sign of life that is none; an error when there will be no
    /// more.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<String>, String>> {
        self.0.poll_next_unpin(context).map(|frame| match frame {
            Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the server closed".into()),
        })
    }
}

/// A connection being opened; its error is for people.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Socket, String>> + Send>>;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) struct Address(Uri);

impl Address {
    /// Reads a `ws://` or `wss://` URL, or tells the cause and the cure.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let cure = "use ws://HOST:PORT or wss://HOST";
        let uri: Uri = url.parse().map_err(|error| format!("{url:?}: {error}; {cure}"))?;
        match uri.scheme_str() {
            Some("ws" | "wss") => {}
            Some(other) => return Err(format!("{url:?}: signaling is not {other}://; {cure}")),
            None => return Err(format!("{url:?} names no protocol; {cure}")),
        }
        match uri.host() {
            None | Some("") => Err(format!("{url:?} names no host; {cure}")),
            Some(_) => Ok(Self(uri)),
        }
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> Connecting {
        let uri = self.0.clone();
        Box::pin(async move {
            let connector = match uri.scheme_str() {
                Some("wss") => Connector::Rustls(tls()?),
                _ => Connector::Plain,
            };
            let max = beacon_sdk::signaling::MESSAGE_BYTES_MAX;
            let config = WebSocketConfig::default()
                .max_message_size(Some(max))
                .max_frame_size(Some(max))
                .read_buffer_size(8 * 1024)
                .write_buffer_size(0)
                .max_write_buffer_size(4 * max);
            let opening = connect_async_tls_with_config(uri, Some(config), true, Some(connector));
            match timeout(CONNECT_TIMEOUT, opening).await {
                Ok(Ok((socket, _))) => Ok(Socket(socket)),
                Ok(Err(error)) => Err(explain(&error)),
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

/// Does the work on a thread of its own, which stops when nobody waits any more.
pub(super) fn solve(riddle: Riddle) -> Working {
    let (tell, found) = oneshot::channel();
    spawn_blocking(move || {
        let mut slate = Slate::new();
        let mut answers = (0..).take_while(|_| !tell.is_closed());
        let answer = answers.find(|&answer| riddle.is_solved_by(answer, &mut slate));
        drop(answers);
        answer.map(|answer| tell.send(answer))
    });
    Box::pin(async { found.await.ok() })
}

/// What a failed connection means to a person.
fn explain(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            let status = response.status();
            let body = response.body().as_deref().unwrap_or_default();
            let body: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
            format!("the server answers {status}: {body}")
        }
        tungstenite::Error::Io(error) => {
            format!("cannot connect: {error}; is the server running there, and its port open?")
        }
        other => other.to_string(),
    }
}

/// TLS by the machine's roots and Mozilla's: the first know private authorities, the second are
/// there on a machine without a store. The provider is named, because a process may link two.
fn tls() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon_sdk::Identity;
    use beacon_sdk::plugin::Join;
    use beacon_sdk::signaling::Nonce;

    /// The runtime waits for its threads: it would for months.
    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it() {
        let peer = Identity::from_secret([7; 32]).public();
        let join = Join { name: "launch".into(), peer, broadcast: None, publish: false };
        let nonce = Nonce::from_bytes([1; 32]);
        let mut endless = solve(Riddle::new(&nonce, 5, &join, u32::MAX));
        let beside = solve(Riddle::new(&nonce, 5, &join, 8));
        tokio::select! {
            answer = &mut endless => panic!("{answer:?} is one of billions"),
            answer = beside => assert!(answer.is_some()),
        }
        drop(endless);
    }

    #[test]
    fn urls_that_are_none_are_told_with_the_cure() {
        for url in
            ["", "signal.example.org", "localhost:3001", "http://x", "ws://", "/x", "ws:// x"]
        {
            let error = Address::parse(url).map(|address| address.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains("ws://HOST")), "{url:?}: {error:?}");
        }
        for url in ["ws://127.0.0.1:3001", "wss://signal.example.org/ws", "ws://[::1]:3001"] {
            assert!(Address::parse(url).is_ok(), "{url:?}");
        }
    }
}
