//! A coturn of the test's own, on this machine alone, gone with the test.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MISSING: &str =
    "the tests need a TURN server: Debian's package coturn, which `cargo ci` installs";
/// What a signaling server is to know to grant leave to use it.
pub(crate) const SECRET: &str = "a secret of this test";
/// How an operator is told to set it up.
const CONFIG: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../beacon-signal/deploy/turnserver.conf");

pub(crate) struct Coturn {
    port: u16,
    server: Child,
    _folder: TempDir,
}

impl Coturn {
    /// Starts one as `beacon-signal/deploy/turnserver.conf` has it, but for this machine alone, and waits until it
    /// answers.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("beacon-coturn").tempdir().unwrap();
        // A port that was free a moment ago: coturn takes no 0.
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("turnserver");
        command.args(["-c", CONFIG, "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"]);
        command.args(["--allow-loopback-peers", "--allowed-peer-ip=127.0.0.1"]);
        command.args(["--no-tls", "--no-dtls", "--no-tcp", "--log-file=stdout"]);
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

    pub(crate) fn url(&self) -> String {
        format!("turn:127.0.0.1:{}?transport=udp", self.port)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
