//! What the checks need on a Debian machine, and its installation.

use crate::Failure;
use crate::process::{cargo, output, program, root, run, succeeds};

pub(crate) const GST_HELP: &str = "
Usage: cargo xtask setup-gst

Installs, with apt-get, the Debian packages of GStreamer that beacon-codec-gst is built with and plays through: camera,
screen, files of any format, window. Names what it installs first. Uses sudo when not root.
";

/// A Debian package.
struct Package {
    name: &'static str,
    why: &'static str,
    /// The folder that needs it: a package whose folder does not exist is not installed.
    folder: &'static str,
}

const fn package(name: &'static str, folder: &'static str, why: &'static str) -> Package {
    Package { name, why, folder }
}

const PACKAGES: &[Package] = &[
    package("git", "xtask", "tidy and cargo-deny: the list of files, the advisories"),
    package("gcc", "xtask", "the linker, and the assembly of ring"),
    package("g++", "fuzz", "libFuzzer is C++"),
    package("python3", "xtask", "fetches the real clip"),
    package("python3-pip", "xtask", "fetches the real clip"),
    package("ffmpeg", "beacon-mux", "ffprobe: an independent reader of what the muxer writes"),
    package("postgresql", "beacon-ledger", "the accounts' tests start a server of their own"),
    package("redis-server", "beacon-signal", "the nodes' tests start a server of their own"),
    package("coturn", "beacon-signal", "the tests of relayed links start a server of their own"),
    package("chromium", "examples", "plays the viewer's page, and is a peer, in tests"),
    package("xvfb", GST, "a screen for the window's tests"),
    package("pkg-config", GST, "finds GStreamer when building"),
    package("libgstreamer1.0-dev", GST, "GStreamer itself"),
    package(
        "libgstreamer-plugins-base1.0-dev",
        GST,
        "its application interfaces (app, video, audio)",
    ),
    package("gstreamer1.0-plugins-base", GST, "conversion, test sources, Opus, playback"),
    package("gstreamer1.0-plugins-good", GST, "camera, MP4 and Matroska reading, VP8 and VP9"),
    package("gstreamer1.0-plugins-bad", GST, "H.264 and AAC parsing, more containers"),
    package("gstreamer1.0-plugins-ugly", GST, "H.264 encoding by x264"),
    package("gstreamer1.0-x", GST, "window and screen capture"),
    package("gstreamer1.0-libav", GST, "H.264 and AAC decoding, and every other format"),
];

const GST: &str = "beacon-codec-gst";

/// A cargo subcommand.
pub(crate) struct Tool {
    binary: &'static str,
    version: &'static str,
    why: &'static str,
}

pub(crate) const NEXTEST: Tool = Tool {
    binary: "cargo-nextest",
    version: "0.9.143",
    why: "runs tests and ends those that hang",
};
pub(crate) const DENY: Tool =
    Tool { binary: "cargo-deny", version: "0.20.2", why: "licences, advisories, sources" };
pub(crate) const FUZZ: Tool =
    Tool { binary: "cargo-fuzz", version: "0.13.2", why: "builds and runs the fuzz targets" };

/// The step `setup`: everything that the other steps need.
pub(crate) fn everything() -> Result<String, String> {
    let wanted: Vec<&Package> =
        PACKAGES.iter().filter(|package| root().join(package.folder).is_dir()).collect();
    let installed = packages(&wanted)?;
    run(&mut program("rustup", &["target", "add", "wasm32-unknown-unknown", "wasm32-wasip1"]))?;
    tool(&NEXTEST)?;
    tool(&DENY)?;
    if root().join("fuzz").is_dir() {
        nightly()?;
        tool(&FUZZ)?;
    }
    npm_packages()?;
    Ok(installed)
}

/// Folders with a package of npm, locked: what drives Chromium in tests, and what the dashboard draws with.
const NPM: &[&str] = &["examples/tests/browser", "beacon-web/tests/browser", "beacon-web/charts"];

/// What drives Chromium in tests, and what pages there draw with.
fn npm_packages() -> Result<(), String> {
    let found = succeeds(&mut program("node", &["--version"]))
        && succeeds(&mut program("npm", &["--version"]));
    if !found {
        eprintln!("installing nodejs npm: they drive Chromium in tests");
        run(&mut apt_get(&["update", "--quiet"])?)?;
        let mut install = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"])?;
        run(install.args(["nodejs", "npm"]))?;
    }
    NPM.iter().try_for_each(|folder| npm_ci(folder))
}

/// What the lock file of a folder names.
pub(crate) fn npm_ci(folder: &str) -> Result<(), String> {
    let mut npm = program("npm", &["ci", "--no-audit", "--no-fund"]);
    run(npm.current_dir(root().join(folder)))
}

/// `cargo xtask setup-gst`.
pub(crate) fn gst_command(args: &[String]) -> Result<(), Failure> {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("setup-gst takes no argument, got '{arg}'")));
    }
    let wanted: Vec<&Package> =
        PACKAGES.iter().filter(|package| package.folder == GST && package.name != "xvfb").collect();
    packages(&wanted)?;
    Ok(())
}

/// Says which packages are needed, and installs those that are missing.
fn packages(wanted: &[&Package]) -> Result<String, String> {
    let debian = succeeds(&mut program("dpkg-query", &["--version"]));
    let mut missing = Vec::new();
    eprintln!("Debian packages:");
    for package in wanted {
        let there = debian && is_installed(package.name);
        let state = match (debian, there) {
            (false, _) => "?",
            (true, true) => "installed",
            (true, false) => "MISSING",
        };
        eprintln!("  {:<34} {state:<10} {}", package.name, package.why);
        if !there {
            missing.push(package.name);
        }
    }
    if !debian {
        eprintln!(
            "This is no Debian system: nothing is installed. See that the above are there under their names here."
        );
        return Ok("no Debian system: packages not checked".to_owned());
    }
    if missing.is_empty() {
        return Ok(format!("{} packages, all there", wanted.len()));
    }
    eprintln!("installing {}", missing.join(" "));
    run(&mut apt_get(&["update", "--quiet"])?)?;
    let mut install = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"])?;
    run(install.args(&missing))?;
    Ok(format!("{} packages, {} newly installed", wanted.len(), missing.len()))
}

fn is_installed(name: &str) -> bool {
    output(&mut program("dpkg-query", &["--show", "--showformat=${Status}", name]))
        .is_ok_and(|status| status == "install ok installed")
}

fn apt_get(args: &[&str]) -> Result<std::process::Command, String> {
    let root = output(&mut program("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    // Through `env`, because sudo drops the variables it was called with.
    let mut command = if root {
        program("env", &[])
    } else if succeeds(&mut program("sudo", &["--version"])) {
        program("sudo", &["env"])
    } else {
        return Err("packages are missing, and this user is neither root nor has sudo: \
             run the command as root once, or install the packages marked MISSING by hand"
            .to_owned());
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
    Ok(command)
}

/// Sees that `tool` is installed.
pub(crate) fn tool(tool: &Tool) -> Result<(), String> {
    if succeeds(&mut program(tool.binary, &["--version"])) {
        return Ok(());
    }
    eprintln!("{} is missing ({}): installing {}", tool.binary, tool.why, tool.version);
    let mut install = cargo(&["install", "--locked", "--version", tool.version, tool.binary]);
    // These tools are waited for once and run for seconds: quick to build is better than quick.
    install.envs([
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ]);
    run(&mut install).map_err(|cause| format!("{} could not be installed: {cause}", tool.binary))
}

/// Sees that there is a nightly toolchain, which cargo-fuzz's sanitizers need.
pub(crate) fn nightly() -> Result<(), String> {
    if succeeds(&mut program("rustup", &["run", "nightly", "rustc", "--version"])) {
        return Ok(());
    }
    eprintln!("the nightly toolchain is missing (fuzzing needs its sanitizers): installing it");
    run(&mut program("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"]))
}
