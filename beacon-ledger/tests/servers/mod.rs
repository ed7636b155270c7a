//! A PostgreSQL server of the test's own: in a scratch folder, on a Unix socket there, gone with the
//! test.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub struct Server {
    folder: TempDir,
    /// Whether it waits for the disk. Without, it survives its own crash but no power cut, which is
    /// all that a test can do to it.
    syncs: bool,
    /// The port of this machine on which it speaks TLS, and nothing else.
    tls: Option<u16>,
}

impl Server {
    /// One that is reached by TLS alone, as 127.0.0.1; beside its data lies what certifies it, `authority.pem`.
    pub fn start_tls() -> Self {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut server = Self::make(false);
        server.tls = Some(free.local_addr().unwrap().port());
        drop(free);
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = signed.signing_key.serialize_pem();
        for (name, text) in [("server.crt", signed.cert.pem()), ("server.key", key)] {
            let file = server.data().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            own(&file);
        }
        std::fs::write(server.authority(), signed.cert.pem()).unwrap();
        let rules = server.data().join("pg_hba.conf");
        std::fs::write(rules, "local all all trust\nhostssl all all 127.0.0.1/32 trust\n").unwrap();
        server.resume();
        server
    }

    /// The certificate of the authority that its own is signed by.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The address of a database over the network.
    pub fn network_address(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.tls.unwrap())
    }

    /// Makes and starts one; `syncs`: it waits for the disk.
    pub fn start(syncs: bool) -> Self {
        let server = Self::make(syncs);
        server.resume();
        server
    }

    fn make(syncs: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("beacon-pg").tempdir().unwrap();
        // The server refuses to run as root: it runs as the user that its package makes.
        own(folder.path());
        let server = Self { folder, syncs, tls: None };
        let data = server.data();
        let data = data.to_str().unwrap();
        tool("initdb", &["--auth=trust", "--no-sync", "--username=postgres", "--pgdata", data]);
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again after [`Server::crash`], and waits until it serves.
    pub fn resume(&self) {
        let network = match self.tls {
            Some(port) => format!("-c listen_addresses=127.0.0.1 -c ssl=on -p {port}"),
            None => "-c listen_addresses=".to_owned(),
        };
        let options = format!(
            "-k {} {network} -c max_connections=60 -c shared_buffers=64MB -c fsync={}",
            self.folder.path().display(),
            if self.syncs { "on" } else { "off" }
        );
        let log = self.folder.path().join("log");
        let (data, log) = (self.data(), log.to_str().unwrap().to_owned());
        tool("pg_ctl", &["start", "-w", "-D", data.to_str().unwrap(), "-l", &log, "-o", &options]);
    }

    /// Ends it at once, as a crash would: it recovers when it is started again.
    pub fn crash(&self) {
        tool("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", self.data().to_str().unwrap()]);
    }

    /// The address of a database, made new.
    pub fn database(&self, name: &str) -> String {
        let folder = self.folder.path().to_str().unwrap();
        tool("createdb", &["-h", folder, "-U", "postgres", name]);
        self.address(name)
    }

    pub fn address(&self, name: &str) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{folder}/{name}")
    }

    /// Runs SQL as the owner of the database.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let folder = self.folder.path().to_str().unwrap();
        let port = self.tls.unwrap_or(5432).to_string();
        let stop = "ON_ERROR_STOP=1";
        run(
            "psql",
            &["-h", folder, "-p", &port, "-U", "postgres", "-v", stop, "-Atc", sql, database],
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let _ = run("pg_ctl", &["stop", "-m", "immediate", "-D", data.to_str().unwrap()]);
    }
}

/// Gives a file to the user that the server runs as.
fn own(file: &Path) {
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("postgres").unwrap().expect(MISSING);
        chown(file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
}

const MISSING: &str =
    "the tests need PostgreSQL: Debian's package postgresql, which `cargo ci` installs";

/// Where Debian keeps the server's programs, the newest version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect(MISSING);
    let newest = versions.filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    newest.max().expect(MISSING).1
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let program = programs().join(program);
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output =
        command.args(args).current_dir(Path::new("/")).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn tool(program: &str, args: &[&str]) {
    // Into a file, because a server that stays would keep a pipe open.
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(programs().join(program));
        command
    } else {
        Command::new(programs().join(program))
    };
    command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().unwrap();
    assert!(status.success(), "{program} {args:?}: {status}");
}
