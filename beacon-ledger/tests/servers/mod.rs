//! A PostgreSQL server of the test's own: in a scratch folder, on a Unix socket there, gone with the
//! test.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub struct Server {
    folder: TempDir,
    /// Whether it waits for the disk. Without, it survives its own crash but no power cut, which is
    /// all that a test can do to it.
    syncs: bool,
}

impl Server {
    /// Makes and starts one; `syncs`: it waits for the disk.
    pub fn start(syncs: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("beacon-pg").tempdir().unwrap();
        if nix::unistd::geteuid().is_root() {
            // The server refuses to run as root: it runs as the user that its package makes.
            let user = nix::unistd::User::from_name("postgres").unwrap().expect(MISSING);
            chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let server = Self { folder, syncs };
        let data = server.data();
        let data = data.to_str().unwrap();
        tool("initdb", &["--auth=trust", "--no-sync", "--username=postgres", "--pgdata", data]);
        server.resume();
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again after [`Server::crash`], and waits until it serves.
    pub fn resume(&self) {
        let options = format!(
            "-k {} -c listen_addresses= -c max_connections=60 -c shared_buffers=64MB -c fsync={}",
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
        let args = ["-h", folder, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-Atc", sql, database];
        run("psql", &args)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let _ = run("pg_ctl", &["stop", "-m", "immediate", "-D", data.to_str().unwrap()]);
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
