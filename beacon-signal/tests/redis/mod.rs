//! A Redis of the test's own: in a scratch folder, on a Unix socket there, gone with the test.
#![allow(dead_code)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const MISSING: &str =
    "the tests need Redis: Debian's package redis-server, which `cargo ci` installs";

pub(crate) struct Redis {
    folder: TempDir,
    server: Option<Child>,
}

impl Redis {
    /// Starts one that keeps what it is told, also over its own end.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("beacon-redis").tempdir().unwrap();
        let mut redis = Self { folder, server: None };
        redis.resume();
        redis
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}/socket", self.folder.path().display())
    }

    /// Starts it again after [`Redis::stop`], and waits until it listens.
    pub(crate) fn resume(&mut self) {
        let folder = self.folder.path();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            "0",
            "--unixsocket",
            "socket",
            "--save",
            "",
            "--appendonly",
            "yes",
        ]);
        command.args(["--appendfsync", "always", "--dir"]).arg(folder).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.server = Some(command.spawn().expect(MISSING));
        let start = Instant::now();
        while UnixStream::connect(folder.join("socket")).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "Redis does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a crash would.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        std::fs::remove_file(self.folder.path().join("socket")).unwrap();
    }

    /// Has it stand still, as a machine without memory does, or go on.
    pub(crate) fn hang(&self, hangs: bool) {
        let server = self.server.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(server.id()).unwrap());
        kill(pid, if hangs { Signal::SIGSTOP } else { Signal::SIGCONT }).unwrap();
    }

    /// What a command answers, for people.
    pub(crate) fn says(&self, command: &[&str]) -> String {
        let socket = self.folder.path().join("socket");
        let output =
            Command::new("redis-cli").arg("-s").arg(socket).args(command).output().expect(MISSING);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
