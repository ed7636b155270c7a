//! Every target over its corpus, over spoilt copies of it, and over noise.

use beacon_fuzz::draw::Noise;
use beacon_fuzz::{TARGETS, Target};
use std::path::{Path, PathBuf};
use std::{fs, thread};

const MADE_UP_BYTES_MAX: u64 = 400;

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Says which input was at fault when the target panics.
struct Running<'a>(&'a str, &'a [u8]);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("target {} fails on {hex}", self.0);
        }
    }
}

fn run(target: &Target, input: &[u8]) {
    let _running = Running(target.name, input);
    (target.run)(input);
}

#[test]
fn corpora() {
    for target in TARGETS {
        let files = corpus(target);
        assert!(!files.is_empty(), "{} has no corpus", target.name);
        for (_, input) in files {
            run(target, &input);
        }
    }
}

#[test]
fn spoilt_corpora() {
    for target in TARGETS {
        let files = corpus(target);
        let mut noise = Noise(1);
        for _ in 0..target.replays {
            let mut input = files[noise.u64() as usize % files.len()].1.clone();
            for _ in 0..noise.u64() % 4 {
                let at = noise.u64() as usize % input.len().max(1);
                if let Some(byte) = input.get_mut(at) {
                    *byte = noise.u64() as u8;
                }
            }
            let tail = noise.u64() as usize % 24;
            input.extend(noise.bytes(tail));
            run(target, &input);
        }
    }
}

#[test]
fn noise() {
    for target in TARGETS {
        let mut noise = Noise(2);
        for _ in 0..target.replays {
            let len = noise.u64() % MADE_UP_BYTES_MAX;
            run(target, &noise.bytes(len as usize));
        }
    }
}

#[test]
fn seeds_are_checked_in() {
    for target in TARGETS {
        for (name, bytes) in (target.seeds)() {
            let found = fs::read(folder(target).join(name)).ok();
            assert_eq!(found, Some(bytes), "{}/{name}: run the example seeds", target.name);
        }
    }
}
