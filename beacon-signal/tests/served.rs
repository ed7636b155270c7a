//! The pages for people, from a folder as `cargo xtask web` leaves it.
#![allow(clippy::unwrap_used)]

mod peer;

use beacon_signal::{Config, Server, ServerError};
use flate2::read::GzDecoder;
use peer::Running;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tokio_tungstenite::connect_async;

fn source(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../beacon-web").join(folder)
}

/// Names of the files of a folder.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// A build: the files of the project, and something for what is generated.
fn build(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(folder.join("pages")).unwrap();
    for (from, to) in [("js", folder.clone()), ("pages", folder.join("pages"))] {
        for file in files(&source(from)) {
            fs::copy(source(from).join(&file), to.join(&file)).unwrap();
        }
    }
    fs::write(folder.join("beacon.js"), "export default 0;").unwrap();
    fs::write(folder.join("beacon_bg.wasm"), "\0asm").unwrap();
    fs::write(folder.join("lab.js"), "export default 0;").unwrap();
    fs::write(folder.join("lab_bg.wasm"), "\0asm").unwrap();
    folder
}

async fn served(folder: PathBuf) -> Running {
    let mut config = Config::default();
    config.pages = Some(folder);
    Running::start(config).await
}

#[tokio::test]
async fn pages_come_with_type_policy_and_tag() {
    let server = served(build("typed")).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/watch?name=launch", "text/html; charset=utf-8"),
        ("/element.js", "text/javascript; charset=utf-8"),
        ("/beacon_bg.wasm", "application/wasm"),
        ("/pages/page.css", "text/css; charset=utf-8"),
        ("/pages/icon.svg", "image/svg+xml"),
    ] {
        let (head, body) = server.get(path).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}\r\n")), "{path}: {head}");
        assert!(head.contains("script-src 'self' 'wasm-unsafe-eval'"), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
        assert!(!body.is_empty(), "{path}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let (head, body) = server.get_with(path, &format!("if-none-match: {tag}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{path}: {head}");
    }
    let (_, home) = server.get("/").await;
    assert!(!home.contains("<script>") && !home.contains("style="), "the policy forbids both");
    connect_async(format!("ws://{}/", server.addr)).await.unwrap();
}

#[tokio::test]
async fn pages_are_gzipped_for_those_who_take_it() {
    let server = served(build("gzipped")).await;
    let encoded = async |accept: &str| {
        let (head, body) = server.get_bytes("/element.js", accept).await;
        assert!(head.contains("vary: accept-encoding"), "{head}");
        (head.contains("content-encoding: gzip"), body)
    };
    let (gzipped, plain) = encoded("").await;
    assert!(!gzipped);
    for accept in ["gzip", "br, GZIP;q=0.5", "deflate;q=1.0, gzip ; q=1"] {
        let (gzipped, body) = encoded(&format!("accept-encoding: {accept}\r\n")).await;
        assert!(gzipped && body.len() < plain.len(), "{accept}");
        let mut read = Vec::new();
        GzDecoder::new(&body[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, plain, "{accept}");
    }
    for accept in ["br", "gzip;q=0", "x-gzip2", "gzip;q=much"] {
        let (gzipped, body) = encoded(&format!("accept-encoding: {accept}\r\n")).await;
        assert!(!gzipped && body == plain, "{accept}");
    }
}

#[tokio::test]
async fn every_file_of_the_player_is_served_and_nothing_else() {
    let server = served(build("whole")).await;
    for (folder, path) in [("js", "/"), ("pages", "/pages/")] {
        for file in files(&source(folder)) {
            let page = file.ends_with(".js") || file.ends_with(".css") || file.ends_with(".svg");
            let (head, _) = server.get(&format!("{path}{file}")).await;
            let expected = if page { "HTTP/1.1 200" } else { "HTTP/1.1 404" };
            assert!(head.starts_with(expected), "{path}{file}: {head}");
        }
    }
    for path in ["/../Cargo.toml", "/pages/../../typed/index.js", "/%2e%2e/Cargo.toml"] {
        let (head, _) = server.get(path).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
    }
}

#[tokio::test]
async fn a_folder_that_is_no_build_is_refused_with_the_cure() {
    let folder = build("broken");
    fs::remove_file(folder.join("beacon_bg.wasm")).unwrap();
    let mut config = Config::default();
    config.pages = Some(folder);
    let refused = Server::bind("127.0.0.1:0".parse().unwrap(), config).await;
    let refused: ServerError = refused.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("beacon_bg.wasm") && text.contains("cargo xtask web"), "{text}");
}
