//! Pages for people: the files of a web build, read and compressed once at the start, and served by name.

use crate::server::{ServerError, Shared};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

/// Bytes of one file at most; a debug build of the engine has about 2 MiB.
const FILE_BYTES_MAX: u64 = 32 << 20;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Everything there is: what a request names, the file in the folder, and its type. Paths of
/// requests are compared, never opened.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "pages/home.html", HTML),
    ("/watch", "pages/watch.html", HTML),
    ("/dashboard", "pages/dashboard.html", HTML),
    ("/pages/dashboard.js", "pages/dashboard.js", SCRIPT),
    ("/pages/dashboard.css", "pages/dashboard.css", STYLE),
    ("/debug", "pages/debug.html", HTML),
    ("/pages/debug.js", "pages/debug.js", SCRIPT),
    ("/pages/debug.css", "pages/debug.css", STYLE),
    ("/pages/lab-worker.js", "pages/lab-worker.js", SCRIPT),
    ("/pages/plan.js", "pages/plan.js", SCRIPT),
    ("/lab.js", "lab.js", SCRIPT),
    ("/lab_bg.wasm", "lab_bg.wasm", "application/wasm"),
    ("/pages/charts.js", "pages/charts.js", SCRIPT),
    ("/pages/mesh.js", "pages/mesh.js", SCRIPT),
    ("/pages/home.js", "pages/home.js", SCRIPT),
    ("/pages/home.css", "pages/home.css", STYLE),
    ("/pages/watch.js", "pages/watch.js", SCRIPT),
    ("/pages/panel.js", "pages/panel.js", SCRIPT),
    ("/pages/format.js", "pages/format.js", SCRIPT),
    ("/pages/page.css", "pages/page.css", STYLE),
    ("/pages/icon.svg", "pages/icon.svg", "image/svg+xml"),
    ("/index.js", "index.js", SCRIPT),
    ("/identity.js", "identity.js", SCRIPT),
    ("/member.js", "member.js", SCRIPT),
    ("/element.js", "element.js", SCRIPT),
    ("/mse.js", "mse.js", SCRIPT),
    ("/player.js", "player.js", SCRIPT),
    ("/state.js", "state.js", SCRIPT),
    ("/style.js", "style.js", SCRIPT),
    ("/support.js", "support.js", SCRIPT),
    ("/view.js", "view.js", SCRIPT),
    ("/worker.js", "worker.js", SCRIPT),
    ("/peer.js", "peer.js", SCRIPT),
    ("/broadcast", "pages/broadcast.html", HTML),
    ("/pages/broadcast.js", "pages/broadcast.js", SCRIPT),
    ("/broadcast.js", "broadcast.js", SCRIPT),
    ("/broadcaster.js", "broadcaster.js", SCRIPT),
    ("/broadcaster-view.js", "broadcaster-view.js", SCRIPT),
    ("/capture.js", "capture.js", SCRIPT),
    ("/codec.js", "codec.js", SCRIPT),
    ("/encode.js", "encode.js", SCRIPT),
    ("/rung.js", "rung.js", SCRIPT),
    ("/pattern.js", "pattern.js", SCRIPT),
    ("/tap.js", "tap.js", SCRIPT),
    ("/decode.js", "decode.js", SCRIPT),
    ("/live.js", "live.js", SCRIPT),
    ("/speaker.js", "speaker.js", SCRIPT),
    ("/beacon.js", "beacon.js", SCRIPT),
    ("/beacon_bg.wasm", "beacon_bg.wasm", "application/wasm"),
];

/// What the dashboard draws with: there where the build had npm. It says what is missing otherwise.
const OPTIONAL: &[(&str, &str, &str)] = &[
    ("/pages/charts/uplot.js", "pages/charts/uplot.js", SCRIPT),
    ("/pages/charts/uplot.css", "pages/charts/uplot.css", STYLE),
    ("/pages/charts/d3-dispatch.js", "pages/charts/d3-dispatch.js", SCRIPT),
    ("/pages/charts/d3-quadtree.js", "pages/charts/d3-quadtree.js", SCRIPT),
    ("/pages/charts/d3-timer.js", "pages/charts/d3-timer.js", SCRIPT),
    ("/pages/charts/d3-force.js", "pages/charts/d3-force.js", SCRIPT),
    ("/pages/charts/licences.txt", "pages/charts/licences.txt", "text/plain; charset=utf-8"),
];

/// What pages may do: run and load what this server serves, and compile WebAssembly.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
    style-src 'self'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// The files by what a request names.
#[derive(Debug)]
pub(crate) struct Pages(BTreeMap<&'static str, Page>);

#[derive(Debug)]
struct Page {
    kind: &'static str,
    /// As it is, and as most browsers are sent it.
    plain: Bytes,
    gzipped: Bytes,
    /// Changes with the content.
    tag: String,
}

impl Pages {
    /// Reads all files of `folder`, those for charts as far as they are there.
    ///
    /// # Errors
    /// [`ServerError::Pages`] with the first that cannot be read.
    pub(crate) fn read(folder: &Path) -> Result<Self, ServerError> {
        let there = OPTIONAL.iter().filter(|(_, file, _)| folder.join(file).is_file());
        let pages = FILES.iter().chain(there).map(|&(path, file, kind)| {
            let file = folder.join(file);
            match read(&file) {
                Ok((plain, gzipped)) => {
                    let mut hasher = DefaultHasher::new();
                    hasher.write(&plain);
                    // Weak (RFC 9110 §8.8.1): the same for both.
                    let tag = format!("W/\"{:016x}\"", hasher.finish());
                    Ok((path, Page { kind, plain: plain.into(), gzipped: gzipped.into(), tag }))
                }
                Err(source) => Err(ServerError::Pages { file, source }),
            }
        });
        pages.collect::<Result<_, _>>().map(Self)
    }

    /// The answer to a request for `path`.
    pub(crate) fn answer(&self, path: &str, request: &HeaderMap) -> Response {
        let Some(Page { kind, plain, gzipped, tag }) = self.0.get(path) else {
            return (StatusCode::NOT_FOUND, "there is no such page\n").into_response();
        };
        let fixed = [
            // Asked for anew each time, and sent anew when it has changed: parts of two builds do not mix.
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_TYPE, *kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::VARY, "accept-encoding"),
        ];
        let known = request.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
        let known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
        let gzip = [(header::CONTENT_ENCODING, "gzip")];
        let mut response = match (known, takes_gzip(request)) {
            (true, _) => (StatusCode::NOT_MODIFIED, fixed).into_response(),
            (false, true) => (fixed, gzip, gzipped.clone()).into_response(),
            (false, false) => (fixed, plain.clone()).into_response(),
        };
        if let Ok(tag) = HeaderValue::from_str(tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// Whether an answer may be gzipped (RFC 9110 §12.5.3).
fn takes_gzip(request: &HeaderMap) -> bool {
    let taken = request.get_all(header::ACCEPT_ENCODING).iter();
    let codings = taken.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.map(|coding| coding.split(';').map(str::trim)).any(|mut parts| {
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// A file, as it is and gzipped.
fn read(file: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut plain = Vec::new();
    File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 32 MiB"));
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&plain)?;
    Ok((plain, gzip.finish()?))
}

/// Any path that is nothing else.
pub(crate) async fn page(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    request: HeaderMap,
) -> Response {
    match &shared.pages {
        Some(pages) => pages.answer(uri.path(), &request),
        None => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    }
}
