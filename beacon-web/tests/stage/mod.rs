//! A signaling server with pages, and Chromium driven by a script of `tests/browser`.

use beacon_signal::Server;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::runtime::Runtime;

/// A server, which ends with its runtime.
pub(crate) struct Stage {
    // Not every test has native peers.
    #[allow(dead_code)]
    pub(crate) runtime: Runtime,
    /// Its host and port.
    pub(crate) host: String,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut config = beacon_signal::Config::default();
        config.pages = Some(target().join("web-tests"));
        let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap(), config));
        let server = server.expect("cargo xtask web --tests builds what is served");
        let host = server.local_addr().to_string();
        runtime.spawn(server.serve(std::future::pending()));
        Self { runtime, host }
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
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed: apt-get install nodejs");
        Play(child)
    }
}

/// A script at work.
pub(crate) struct Play(Child);

impl Play {
    /// What it prints at its end.
    pub(crate) fn finish<T: DeserializeOwned>(self) -> T {
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        serde_json::from_str(&said).unwrap()
    }
}

/// Where pictures of the pages are left.
pub(crate) fn screenshots() -> PathBuf {
    let folder = target().join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The target folder: a test lies in deps/ of a profile's folder of it.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}
