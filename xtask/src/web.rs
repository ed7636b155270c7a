//! `cargo xtask web`: the browser's peer as a folder that a page can load.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::charts;
use crate::process::{cargo, output, print, root, run as run_shown, target_dir};

pub(crate) const HELP: &str = "
Usage: cargo xtask web [--tests]

Builds beacon-web for browsers into beacon-web/dist: beacon.js, beacon_bg.wasm and beacon.d.ts, which are generated, the
same of the laboratory in pages (lab.js and so on; the page /debug alone loads it), the files of beacon-web/js, and those of beacon-web/pages in a folder of their own. 'beacon-signal --pages beacon-web/dist' serves
it, and 'npm pack' there makes a package of all but pages and laboratory. Installs nothing but the Rust target wasm32-unknown-unknown. Where npm is, it fetches what the dashboard draws with into
beacon-web/charts; elsewhere the dashboard shows tables. Prints the size of the WebAssembly.

  --tests   builds quickly, with what the tests in Chromium need, into web-tests of the target folder
";

const TARGET: &str = "wasm32-unknown-unknown";

/// What is compiled, and the name of the module that comes of it.
const MODULES: &[(&str, &str)] = &[("beacon-web", "beacon"), ("beacon-web-lab", "lab")];

/// One way to build.
struct Build<'a> {
    profile: &'a str,
    features: &'a [&'a str],
    folder: &'a Path,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let line = match words.as_slice() {
        [] => return Ok(optimised().map(|_| ())?),
        ["--tests"] => for_tests()?,
        _ => {
            let said = words.join(" ");
            return Err(Failure::Usage(format!(
                "'{said}' is not understood: expected --tests or nothing"
            )));
        }
    };
    print(&line);
    Ok(())
}

fn dist() -> PathBuf {
    root().join("beacon-web/dist")
}

/// Builds what users get, and says where it is.
pub(crate) fn optimised() -> Result<PathBuf, String> {
    build(&Build { profile: "web", features: &[], folder: &dist() }).map(|line| {
        print(&line);
        dist()
    })
}

/// Builds what the tests in Chromium load.
pub(crate) fn for_tests() -> Result<String, String> {
    let folder = target_dir().join("web-tests");
    let features = &["--features", "beacon-web/conformance"];
    build(&Build { profile: "dev", features, folder: &folder })
}

/// Builds what `cargo demo` serves, quickly.
pub(crate) fn for_demo() -> Result<PathBuf, String> {
    let folder = target_dir().join("web");
    build(&Build { profile: "dev", features: &[], folder: &folder })?;
    Ok(folder)
}

/// Whether a build can be made without fetching a target.
pub(crate) fn target_is_installed() -> bool {
    output(&mut crate::process::program("rustup", &["target", "list", "--installed"]))
        .is_ok_and(|list| list.lines().any(|line| line == TARGET))
}

fn build(build: &Build<'_>) -> Result<String, String> {
    run_shown(&mut crate::process::program("rustup", &["target", "add", TARGET]))?;
    let mut compile = cargo(&["build", "--target", TARGET]);
    MODULES.iter().for_each(|(package, _)| _ = compile.args(["--package", package]));
    compile.args(["--profile", build.profile]).args(build.features);
    // SIMD is in every browser that has data channels in workers; the erasure code and hashes gain by it.
    compile.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-C target-feature=+simd128");
    run_shown(&mut compile)?;
    // Profile dev has its folder under the name it had first.
    let profile = if build.profile == "dev" { "debug" } else { build.profile };
    let compiled = target_dir().join(TARGET).join(profile);
    fs::create_dir_all(build.folder).map_err(|error| cannot_write(build.folder, &error))?;
    let mut lines = Vec::new();
    for (package, name) in MODULES {
        let wasm = compiled.join(format!("{}.wasm", package.replace('-', "_")));
        let mut bindgen =
            cargo(&["run", "--quiet", "--manifest-path", "beacon-web/bindgen/Cargo.toml"]);
        // A folder of its own, so that neither build waits for the other's lock.
        bindgen.env("CARGO_TARGET_DIR", target_dir().join("bindgen"));
        bindgen.arg("--").arg(&wasm).arg(build.folder).arg(name);
        lines.push(output(&mut bindgen)?.trim().to_owned());
    }
    copy(&root().join("beacon-web/js"), build.folder)?;
    for file in ["beacon-web/README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        let (from, to) =
            (root().join(file), build.folder.join(file.trim_start_matches("beacon-web/")));
        fs::copy(from, &to).map_err(|error| cannot_write(&to, &error))?;
    }
    copy(&root().join("beacon-web/pages"), &build.folder.join("pages"))?;
    if let Err(cause) = charts::into(&build.folder.join("pages/charts")) {
        // The tests look at the charts.
        if !build.features.is_empty() {
            return Err(cause);
        }
        print(&cause);
    }
    Ok(format!("{} in {}", lines.join(" and "), build.folder.display()))
}

/// Copies the files of a folder, and of those in it.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| cannot_write(to, &error))?;
    let entries =
        fs::read_dir(from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            fs::copy(&path, &to).map_err(|error| cannot_write(&to, &error))?;
        }
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
