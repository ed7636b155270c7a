//! Processes, their files, and what can be read from those.

use beacon_mux::Reader;
use beacon_sdk::media::Track;
use beacon_sdk::{Stats, TrackId};
use beacon_signal::{Config, Server};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Far more than any step takes, for a machine that does ten things at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Objects of a recording per track: decode time and bytes.
pub type Objects = BTreeMap<TrackId, Vec<(u64, Vec<u8>)>>;

/// A signaling server and a folder.
pub struct Stage {
    folder: TempDir,
    addr: SocketAddr,
    server: Option<(Runtime, oneshot::Sender<()>)>,
}

fn serve(addr: SocketAddr, config: &Config) -> (SocketAddr, (Runtime, oneshot::Sender<()>)) {
    let runtime = Runtime::new().unwrap();
    // The port of a server that just went may take a moment to be free.
    let until = Instant::now() + PATIENCE;
    let server = loop {
        match runtime.block_on(Server::bind(addr, config.clone())) {
            Ok(server) => break server,
            Err(error) if Instant::now() > until => panic!("signaling: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    let addr = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    runtime.spawn(server.serve(async {
        let _ = stopped.await;
    }));
    (addr, (runtime, stop))
}

impl Stage {
    pub fn set(name: &str) -> Self {
        Self::with(name, &Config::default())
    }

    /// As [`set`](Self::set), with a signaling server of other settings.
    pub fn with(name: &str, config: &Config) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("beacon-{name}-")).tempdir().unwrap();
        let (addr, server) = serve("127.0.0.1:0".parse().unwrap(), config);
        Self { folder, addr, server: Some(server) }
    }

    pub fn signal(&self) -> String {
        format!("ws://{}", self.addr)
    }

    pub fn kill_signaling(&mut self) {
        if let Some((runtime, _)) = self.server.take() {
            // Sockets are cut, not closed in order.
            runtime.shutdown_background();
        }
    }

    pub fn restart_signaling(&mut self) {
        let (addr, server) = serve(self.addr, &Config::default());
        assert_eq!(addr, self.addr);
        self.server = Some(server);
    }

    /// The real clip.
    pub fn clip(&self) -> PathBuf {
        // This test lies in deps/ of a profile's folder of cargo's target folder.
        let own = std::env::current_exe().unwrap();
        let default = own.ancestors().nth(3).unwrap().join("clips/bigbuckbunny.mp4");
        let path = std::env::var_os("BEACON_CLIP").map_or(default, PathBuf::from);
        assert!(path.exists(), "{} is missing: run `cargo xtask clip`", path.display());
        path
    }

    pub fn broadcaster(&self, args: &[&str]) -> Process {
        let record = self.path("sent.mp4");
        let record = record.to_str().unwrap();
        self.start("broadcaster", "sent", &[&["--record", record], args].concat())
    }

    pub fn viewer(&self, at: usize, args: &[&str]) -> Process {
        let name = format!("viewer-{at}");
        let sink = format!("file:{}", self.path(&format!("{name}.mp4")).display());
        self.start("viewer", &name, &[&["--sink", &sink], args].concat())
    }

    pub fn start(&self, program: &str, name: &str, args: &[&str]) -> Process {
        let signal = self.signal();
        self.spawn(program, name, &[&["--signal", &signal, "--name", "test"], args].concat())
    }

    /// A viewer that has nothing but a ticket.
    pub fn ticket_holder(&self, name: &str, ticket: &str) -> Process {
        let sink = format!("file:{}", self.path(&format!("{name}.mp4")).display());
        self.spawn("viewer", name, &["--ticket", ticket, "--sink", &sink])
    }

    fn spawn(&self, program: &str, name: &str, args: &[&str]) -> Process {
        let stats = self.path(&format!("{name}.json"));
        let child = Self::command(program)
            .arg("--stats")
            .arg(&stats)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Process { name: name.to_owned(), child, stats }
    }

    fn command(program: &str) -> Command {
        let path = match program {
            "broadcaster" => env!("CARGO_BIN_EXE_broadcaster"),
            _ => env!("CARGO_BIN_EXE_viewer"),
        };
        Command::new(path)
    }

    /// Exit code and complaint of a call that must fail.
    pub fn fails(&self, program: &str, args: &[&str]) -> (Option<i32>, String) {
        let output = Self::command(program).args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("{name}.mp4"))).unwrap()
    }

    fn reader(&self, name: &str) -> Reader<impl std::io::Read + std::io::Seek> {
        let file = std::fs::File::open(self.path(&format!("{name}.mp4"))).unwrap();
        Reader::open(std::io::BufReader::new(file)).unwrap()
    }

    /// How long each track of a recording is, in whole seconds.
    pub fn seconds(&self, name: &str) -> Vec<u64> {
        let reader = self.reader(name);
        let length = |track: &Track| {
            let samples = reader.samples(track.id);
            let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
            (last.dts - first.dts) / u64::from(track.timescale)
        };
        reader.tracks().iter().map(length).collect()
    }

    /// Every object of a recording.
    pub fn objects(&self, name: &str) -> Objects {
        let mut reader = self.reader(name);
        let mut objects = Objects::new();
        while let Some(object) = reader.next_object().unwrap() {
            objects.entry(object.track).or_default().push((object.dts, object.data.to_vec()));
        }
        objects
    }
}

/// A running program.
pub struct Process {
    pub name: String,
    child: Child,
    stats: PathBuf,
}

impl Process {
    /// The counters it last wrote.
    pub fn stats(&self) -> Stats {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read(&self.stats).unwrap_or_default();
            match serde_json::from_slice(&text) {
                Ok(stats) => return stats,
                Err(error) if Instant::now() > until => panic!("{}: {error}", self.name),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The first line it prints that begins with `word`, without it.
    pub fn says(&mut self, word: &str) -> String {
        let stdout = self.child.stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix(word).map(str::to_owned));
        line.expect("it says so").trim().to_owned()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of its own accord, which must be a good one.
    pub fn finish(mut self) -> Stats {
        let until = Instant::now() + PATIENCE * 2;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(status.success(), "{} ended with {status}", self.name);
        self.stats()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every track of `seen` is the end of the same track of `sent`, object for object.
pub fn contains_tail(sent: &Objects, seen: &Objects, name: &str) {
    assert_eq!(sent.keys().collect::<Vec<_>>(), seen.keys().collect::<Vec<_>>(), "{name}");
    for (track, seen) in seen {
        let sent = &sent[track];
        assert!(!seen.is_empty() && seen.len() <= sent.len(), "{name} track {track}");
        let tail = &sent[sent.len() - seen.len()..];
        assert!(tail == seen.as_slice(), "{name}: track {track} differs from the broadcast");
    }
}
