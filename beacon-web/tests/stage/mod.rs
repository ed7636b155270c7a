//! A signaling server with pages, and Chromium driven by a script of `tests/browser`.

use beacon_signal::{Config, Server};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Far more than any step takes, for a machine that does ten things at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server, which ends with it.
// Not every test needs all of it.
#[allow(dead_code)]
pub(crate) struct Stage {
    /// For native peers.
    pub(crate) runtime: Runtime,
    server: Option<Runtime>,
    /// Its host and port.
    pub(crate) host: String,
}

fn serve(addr: &str, change: impl Fn(&mut Config)) -> (Runtime, SocketAddr) {
    let runtime = Runtime::new().unwrap();
    let folder = target().join("web-tests");
    assert!(folder.is_dir(), "cargo xtask web --tests builds what is served");
    // The port of a server that just went may take a moment to be free.
    let until = Instant::now() + PATIENCE;
    let server = loop {
        let mut config = Config::default();
        config.pages = Some(folder.clone());
        change(&mut config);
        match runtime.block_on(Server::bind(addr.parse().unwrap(), config)) {
            Ok(server) => break server,
            Err(error) if Instant::now() > until => panic!("signaling: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    let addr = server.local_addr();
    runtime.spawn(server.serve(std::future::pending()));
    (runtime, addr)
}

#[allow(dead_code)]
impl Stage {
    pub(crate) fn set() -> Self {
        Self::set_with(|_| ())
    }

    /// The same, of a server that is asked for something else.
    pub(crate) fn set_with(change: impl Fn(&mut Config)) -> Self {
        let (server, addr) = serve("127.0.0.1:0", change);
        Self { runtime: Runtime::new().unwrap(), server: Some(server), host: addr.to_string() }
    }

    pub(crate) fn kill_signaling(&mut self) {
        if let Some(server) = self.server.take() {
            // Sockets are cut, not closed in order.
            server.shutdown_background();
        }
    }

    /// Another one in its place, that is asked for something else.
    pub(crate) fn restart_signaling_with(&mut self, change: impl Fn(&mut Config)) {
        self.server = Some(serve(&self.host, change).0);
    }

    /// The body of what the server answers.
    pub(crate) fn get(&self, path: &str) -> String {
        self.get_with(path, "")
    }

    /// The same, with further lines of the request's head, each with its end.
    pub(crate) fn get_with(&self, path: &str, lines: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Starts a script of `tests/browser` with the address of the server and these arguments.
    pub(crate) fn play(&self, script: &str, args: &[&str]) -> Play {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "playwright-core is missing: run `npm ci` in beacon-web/tests/browser, or `cargo ci`"
        );
        let child = Command::new("node")
            .arg(folder.join(script))
            .arg(format!("http://{}", self.host))
            .args(args)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("node is needed: apt-get install nodejs");
        let (orders, answers) = (child.stdin.take(), child.stdout.take().unwrap());
        Play { child, orders, answers: BufReader::new(answers) }
    }
}

/// A script at work, which ends when nothing more is asked of it.
pub(crate) struct Play {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[allow(dead_code)]
impl Play {
    /// What it prints at its end.
    pub(crate) fn finish<T: DeserializeOwned>(mut self) -> T {
        let mut said = String::new();
        self.answers.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        serde_json::from_str(&said).unwrap()
    }

    /// What it answers to a line of input.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, order: &Value) -> T {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{order}: {error}: {line}"))
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.orders = None;
        // A browser of its own goes with it.
        let _ = self.child.wait();
    }
}

/// Where pictures of the pages are left.
#[allow(dead_code)]
pub(crate) fn screenshots() -> PathBuf {
    let folder = target().join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The target folder: a test lies in deps/ of a profile's folder of it.
#[allow(dead_code)]
pub(crate) fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}
