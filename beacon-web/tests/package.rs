//! What `cargo xtask web` builds, as a package of npm: packed, installed, imported, and used from TypeScript.
//!
//! Needs Node.js, npm, `npm ci` in `browser/` and `cargo xtask web --tests`; `cargo ci` sees to all of them.
#![allow(clippy::unwrap_used, missing_docs)]

mod stage;

use serde_json::Value;
use stage::target;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project of somebody else's that has installed the package.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packed = run(Command::new("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(folder.path())
            .current_dir(target().join("web-tests")));
        fs::write(folder.path().join("package.json"), r#"{ "private": true, "type": "module" }"#)
            .unwrap();
        run(Command::new("npm")
            .args(["install", "--silent", "--offline", "--no-audit", "--no-fund"])
            .arg(packed.trim())
            .current_dir(folder.path()));
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn package(&self) -> PathBuf {
        self.path().join("node_modules/beacon-web")
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}{complained}");
    said.into_owned()
}

fn browser() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

#[test]
fn the_package_has_what_it_says_and_no_more() {
    let project = Project::new();
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (packed, built) = (names(&project.package()), names(&target().join("web-tests")));
    // Pages and laboratory are the server's.
    let left: BTreeSet<&str> = built.difference(&packed).map(String::as_str).collect();
    let lab = ["lab.d.ts", "lab.js", "lab_bg.wasm", "lab_bg.wasm.d.ts", "pages"];
    assert_eq!(left, lab.into_iter().collect());
    for wanted in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(packed.contains(wanted), "{wanted}");
    }
    let manifest = fs::read_to_string(project.package().join("package.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let mut exported = Vec::new();
    for entry in manifest["exports"].as_object().unwrap().values() {
        match entry {
            Value::String(file) => exported.push(file.as_str()),
            _ => exported.extend(entry.as_object().unwrap().values().filter_map(Value::as_str)),
        }
    }
    exported.extend(manifest["sideEffects"].as_array().unwrap().iter().filter_map(Value::as_str));
    assert!(exported.len() > 15, "{exported:?}");
    for file in exported {
        assert!(packed.contains(file.trim_start_matches("./")), "{file} is exported");
    }
}

#[test]
fn the_package_is_imported_where_there_is_no_page() {
    let project = Project::new();
    let script = "import { watch, support } from 'beacon-web'; import { broadcast } from 'beacon-web/broadcast'; \
        import { age } from 'beacon-web/pattern'; console.log([watch, broadcast, age].every(it => typeof it === 'function'), support().relay);";
    let said = run(Command::new("node")
        .args(["--input-type=module", "--eval", script])
        .current_dir(project.path()));
    assert_eq!(said.trim(), "true false", "a server that renders pages loads it and plays nothing");
}

/// Wrong types fail to compile too: `types.mts` says where it expects them to.
#[test]
fn the_types_are_those_of_the_readme() {
    let project = Project::new();
    fs::copy(browser().join("types.mts"), project.path().join("types.mts")).unwrap();
    let compiler = browser().join("node_modules/typescript/bin/tsc");
    assert!(compiler.is_file(), "typescript is missing: run `npm ci` in beacon-web/tests/browser");
    run(Command::new("node")
        .arg(compiler)
        .args(["--noEmit", "--strict", "--target", "esnext", "--module", "nodenext"])
        .args(["--lib", "esnext,dom,dom.iterable", "types.mts"])
        .current_dir(project.path()));
}
