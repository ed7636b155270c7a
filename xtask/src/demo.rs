//! `cargo demo`.

use std::env::{self, consts::EXE_SUFFIX};
use std::path::PathBuf;
use std::process::Command;

use crate::{Failure, process, web};

pub(crate) const HELP: &str = "
Usage: cargo demo [ARGUMENTS]

Builds beacon-signal, broadcaster, viewer and demo, and runs the demo with ARGUMENTS: signaling, one broadcaster and six
viewers as processes of their own on this machine. It needs no camera and no network. Ctrl-C ends it.

Where the Rust target wasm32-unknown-unknown is installed, it builds the browser's peer too: the page 'join' takes part in the
mesh.

'cargo demo -- --help' lists the arguments of the demo itself.
";

/// The programs of the demonstration, by the package that each is in.
const BINARIES: &[(&str, &[&str])] = &[
    ("beacon-signal", &["beacon-signal"]),
    ("beacon-examples", &["broadcaster", "viewer", "demo"]),
];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let own = env::current_exe().map_err(|error| format!("xtask cannot find itself: {error}"))?;
    // xtask was built by the same cargo with the same settings, so the others come to lie beside it.
    let folder =
        own.parent().ok_or("xtask lies in no folder: run it as 'cargo demo'".to_owned())?;

    let mut build = process::cargo(&["build"]);
    for (package, binaries) in BINARIES {
        build.args(["--package", package]);
        for binary in *binaries {
            build.args(["--bin", binary]);
        }
    }
    process::run(&mut build)?;
    let pages = pages(args);

    let mut demo = Command::new(folder.join(format!("demo{EXE_SUFFIX}")));
    demo.args(args.strip_prefix(&["--".to_owned()]).unwrap_or(args));
    if let Some(folder) = pages {
        demo.arg("--pages").arg(folder);
    }
    Ok(become_program(demo)?)
}

/// The build for browsers, where this machine can make one and nobody wants another.
fn pages(args: &[String]) -> Option<PathBuf> {
    let own = |arg: &String| arg.starts_with("--pages") || arg == "--help" || arg == "-h";
    if args.iter().any(own) {
        return None;
    }
    if !web::target_is_installed() {
        process::print(
            "No page joins the mesh: 'rustup target add wasm32-unknown-unknown', then 'cargo demo' again.",
        );
        return None;
    }
    // The demo does its main job without.
    web::for_demo().map_or_else(
        |cause| {
            process::print(&format!("No page joins the mesh: {cause}"));
            None
        },
        Some,
    )
}

/// Turns this process into `program`, so that Ctrl-C and the exit code are the program's own.
#[cfg(unix)]
fn become_program(mut program: Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    // Returns only when it fails.
    let error = program.exec();
    Err(format!("{} did not start: {error}", program.get_program().display()))
}

#[cfg(not(unix))]
fn become_program(mut program: Command) -> Result<(), String> {
    let status = program
        .status()
        .map_err(|error| format!("{} did not start: {error}", program.get_program().display()))?;
    std::process::exit(status.code().unwrap_or(1))
}
