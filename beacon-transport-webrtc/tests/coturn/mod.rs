//! A coturn of the test's own, on this machine alone, gone with the test.

use beacon_sdk::plugin::TurnServer;
use hmac::{Hmac, Mac as _};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const MISSING: &str = "the tests need a TURN server: Debian's package coturn, which `cargo ci` installs";
const SECRET: &str = "a secret of this test";

pub(crate) struct Coturn {
    port: u16,
    server: Child,
    _folder: TempDir,
}

impl Coturn {
    /// Starts one as `beacon-signal/deploy/turnserver.conf` has it, but on this machine, and waits until it answers.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("beacon-coturn").tempdir().unwrap();
        // A port that was free a moment ago: coturn takes no 0.
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("turnserver");
        command.arg("-n").args(["--use-auth-secret", "--realm=test", "--fingerprint"]);
        command.args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers"]);
        command.args(["--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--log-file=stdout"]);
        command.arg(format!("--static-auth-secret={SECRET}"));
        command.arg(format!("--listening-port={port}"));
        command.arg(format!("--pidfile={}", folder.path().join("pid").display()));
        command.arg(format!("--userdb={}", folder.path().join("users").display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.current_dir(folder.path()).spawn().expect(MISSING);
        let coturn = Self { port, server, _folder: folder };
        let start = Instant::now();
        while !coturn.answers() {
            assert!(start.elapsed() < Duration::from_secs(30), "coturn does not start");
        }
        coturn
    }

    /// Whether it answers a STUN binding request (RFC 8489 §5).
    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        request.extend([7; 12]);
        let sent = socket.send_to(&request, ("127.0.0.1", self.port));
        sent.is_ok() && socket.recv(&mut [0; 512]).is_ok()
    }

    /// What a signaling server with the same secret grants, for so many seconds from now.
    pub(crate) fn grants(&self, to: &str, seconds: i64) -> TurnServer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let username = format!("{}:{to}", now.checked_add_signed(seconds).unwrap());
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(username.as_bytes());
        let credential = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
        let urls = vec![format!("turn:127.0.0.1:{}?transport=udp", self.port)];
        TurnServer { urls, username, credential }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
