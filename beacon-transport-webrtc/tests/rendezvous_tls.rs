//! `wss://`: a server behind a TLS proxy, as in production.
#![allow(clippy::unwrap_used)]

use beacon_sdk::plugin::{Join, RendezvousEvent};
use beacon_sdk::{Identity, Rendezvous};
use beacon_signal::{Config, Server};
use beacon_transport_webrtc::SignalClient;
use rcgen::generate_simple_self_signed;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A guard against hanging, far above what anything takes.
const HANG: Duration = Duration::from_secs(60);
/// Where the child of the test finds the server.
const URL: &str = "BEACON_TEST_WSS_URL";

/// A signaling server and a TLS proxy before it; the proxy's URL and certificate.
async fn start() -> (String, String) {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Config::default()).await.unwrap();
    let behind = server.local_addr();
    tokio::spawn(server.serve(std::future::pending()));
    let signed = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (outside, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                let mut inside = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (url, signed.cert.pem())
}

async fn first_event(url: &str) -> RendezvousEvent {
    let me = Identity::from_secret([1; 32]);
    let mut client = SignalClient::new(url, &me).unwrap();
    let peer = me.public();
    client.join(Join { name: "launch".into(), peer, broadcast: None, publish: false });
    tokio::time::timeout(HANG, client.next_event()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused() {
    let (url, _) = start().await;
    let event = first_event(&url).await;
    let RendezvousEvent::Suspended { reason } = event else { panic!("{event:?}") };
    assert!(reason.to_lowercase().contains("certificate"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_the_machines_store_is_taken() {
    let (url, certificate) = start().await;
    let file = std::env::temp_dir().join(format!("beacon-wss-{}.pem", std::process::id()));
    std::fs::write(&file, certificate).unwrap();
    // The store is named by the environment, which a process should not change while it runs.
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env("SSL_CERT_FILE", &file)
        .env(URL, &url)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(HANG, child).await.unwrap().unwrap();
    let _ = std::fs::remove_file(&file);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The other half of the test above, which starts it with an address; there is nothing to do
/// without one.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    assert_eq!(first_event(&url).await, RendezvousEvent::Joined { broadcast: None });
}
