//! The broadcaster's words and picture for lists, from its command line to the server's list.
#![allow(clippy::unwrap_used, missing_docs)]

use beacon_signal::{Config, Server};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Far more than any step takes, for a machine that does ten things at once.
const PATIENCE: Duration = Duration::from_secs(60);
const PICTURE: &[u8] = include_bytes!("../../beacon-web/tests/browser/thumbnail.jpg");

fn broadcaster(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broadcaster"));
    command.args(["--name", "launch", "--source", "test"]).args(args);
    command
}

/// Killed when the test is over.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(addr: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

/// The one broadcast of the list, once it is as wanted.
fn listed(addr: SocketAddr, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let list: Value = serde_json::from_slice(&get(addr, "/api/streams")).unwrap();
        if wanted(&list[0]) {
            return list[0].clone();
        }
        assert!(Instant::now() < until, "{list}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_broadcaster_is_listed_with_title_category_tags_and_picture() {
    let runtime = Runtime::new().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let server = runtime.block_on(Server::bind(any, Config::default())).unwrap();
    let addr = server.local_addr();
    runtime.spawn(server.serve(std::future::pending()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.jpg");
    std::fs::write(&file, PICTURE).unwrap();
    let (signal, picture) = (format!("ws://{addr}"), file.to_str().unwrap());
    let args = ["--signal", &signal, "--title", "Night launch", "--category", "Space", "--tag"];
    let more = ["rocket", "--tag", "live", "--thumbnail", picture];
    let _process = Process(broadcaster(&[&args[..], &more].concat()).spawn().unwrap());
    let stream = listed(addr, |stream| stream["thumbnail"].is_string());
    assert_eq!(stream["title"], "Night launch");
    assert_eq!(stream["category"], "Space");
    assert_eq!(stream["tags"], json!(["rocket", "live"]));
    let path = stream["thumbnail"].as_str().unwrap();
    assert_eq!(get(addr, path), PICTURE);
    // Another picture in the file is another picture in the list.
    let mut changed = PICTURE.to_vec();
    changed.push(0);
    std::fs::write(&file, &changed).unwrap();
    let stream = listed(addr, |stream| stream["thumbnail"].as_str().is_some_and(|at| at != path));
    assert_eq!(get(addr, stream["thumbnail"].as_str().unwrap()), changed);
}

#[test]
fn what_no_list_shows_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.svg");
    std::fs::write(&file, "<svg/>").unwrap();
    let file = file.to_str().unwrap();
    let long = "x".repeat(101);
    for (args, cause) in [
        (["--title", &long], "at most 100"),
        (["--category", "<b>"], "letters, digits"),
        (["--tag", "a,b"], "letters, digits"),
        (["--thumbnail", file], "JPEG, PNG or WebP"),
        (["--thumbnail", "/nowhere/x.png"], "/nowhere/x.png"),
    ] {
        let all = [&["--signal", "ws://127.0.0.1:9"][..], &args].concat();
        let Output { status, stderr, .. } = broadcaster(&all).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(cause) && said.contains(args[0]), "{said}");
    }
}
