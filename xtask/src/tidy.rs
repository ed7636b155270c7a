//! The house's own lint: what neither rustfmt nor clippy knows to look for.

use std::fs;

use crate::process::{output, program, root};

/// Lines of a Rust file at which it is listed, as a question: does it have two reasons to change?
const LINES_LISTED: usize = 400;
/// Lines of a Rust file at which the check fails.
const LINES_MAX: usize = 600;

/// A text file of the project, by its path from the root.
struct File {
    path: String,
    text: String,
}

/// Words that may not stand in the code of some files. A word is found where no letter, digit or `_` comes before it.
struct Ban {
    applies: fn(&str) -> bool,
    words: &'static [&'static str],
    /// What a line that breaks it may start with, and be let pass.
    unless: Option<&'static str>,
    why: &'static str,
}

// The words are put together here so that this file does not break its own rules.
const BANS: &[Ban] = &[
    Ban {
        applies: is_rust,
        words: &[concat!("todo", "!"), concat!("unimplemented", "!")],
        unless: None,
        why: "unfinished: finish it, or leave the whole feature out",
    },
    Ban {
        applies: is_rust,
        words: &[concat!("dbg", "!")],
        unless: None,
        why: "left over: use tracing",
    },
    Ban {
        applies: is_rust,
        words: &[concat!("#[", "ignore")],
        unless: Some(concat!("#[", "ignore = \"nightly: ")),
        why: "a test that is not run: mend it, delete it, or let the nightly checks run it and say so",
    },
    Ban {
        applies: is_core,
        words: &[
            "Instant::now",
            "SystemTime::now",
            "std::thread",
            "std::env",
            "std::fs",
            "std::net",
            "thread_rng",
            "rand::random",
            "OsRng",
        ],
        unless: None,
        why: "the core is told the time, the seed and the input: take it as an argument",
    },
    Ban {
        applies: is_core,
        words: &["HashMap", "HashSet", "RandomState"],
        unless: None,
        why: "its order differs from run to run: use BTreeMap or BTreeSet",
    },
];

/// First folders of paths that exist on one machine only. (Device and system folders are the same everywhere.)
const MACHINE_FOLDERS: &[&str] = &["root", "home", "tmp", "work", "farm", "Users"];

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// The parts of the SDK that must give the same output for the same input.
fn is_core(path: &str) -> bool {
    is_rust(path)
        && path.strip_prefix("beacon-sdk/src/").is_some_and(|rest| {
            ["engine", "wire", "policy", "media"].iter().any(|part| {
                rest.strip_prefix(part)
                    .is_some_and(|rest| rest.starts_with('/') || rest.starts_with('.'))
            })
        })
}

/// The step `tidy`.
pub(crate) fn step() -> Result<String, String> {
    let files = files()?;
    let mut broken: Vec<String> = files.iter().flat_map(problems).collect();
    broken.extend(core_lints_missing(&files));
    let long: Vec<String> = files.iter().filter_map(listed).collect();
    if !long.is_empty() {
        eprintln!(
            "over {LINES_LISTED} lines (has it one reason to change?):\n  {}",
            long.join("\n  ")
        );
    }
    if broken.is_empty() {
        return Ok(format!("{} files, {} over {LINES_LISTED} lines", files.len(), long.len()));
    }
    Err(format!("{} places to mend:\n  {}", broken.len(), broken.join("\n  ")))
}

/// The text files that are in the repository or would be added to it.
fn files() -> Result<Vec<File>, String> {
    let list = output(&mut program(
        "git",
        &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    ))?;
    Ok(list
        .split('\0')
        .filter(|path| !path.is_empty() && !path.ends_with(".lock"))
        // Not UTF-8: a picture or a fuzz input. Not there: deleted and not committed yet.
        .filter_map(|path| {
            fs::read_to_string(root().join(path))
                .ok()
                .map(|text| File { path: path.to_owned(), text })
        })
        .collect())
}

/// What breaks a rule in `file`, as `path:line: what: why`.
fn problems(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let bans: Vec<&Ban> = BANS.iter().filter(|ban| (ban.applies)(&file.path)).collect();
    for (index, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, index + 1);
        for ban in &bans {
            if ban.unless.is_some_and(|start| line.trim_start().starts_with(start)) {
                continue;
            }
            for word in ban.words.iter().filter(|word| has_word(code(line), word)) {
                found.push(format!("{place}: {word}: {}", ban.why));
            }
        }
        if let Some(path) = machine_path(line) {
            found.push(format!(
                "{place}: {path}: a path of one machine: name it from the project's root"
            ));
        }
    }
    let lines = file.text.lines().count();
    if is_rust(&file.path) && lines > LINES_MAX {
        found.push(format!(
            "{}: {lines} lines, at most {LINES_MAX}: divide it by reason to change",
            file.path
        ));
    }
    found
}

fn listed(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (is_rust(&file.path) && lines > LINES_LISTED).then(|| format!("{lines:>5} {}", file.path))
}

/// A line of Rust up to its comment. `://` starts no comment: it stands in a URL.
fn code(line: &str) -> &str {
    line.match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'))
        .map_or(line, |(at, _)| &line[..at])
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

/// The first path in `line` that starts in one of [`MACHINE_FOLDERS`] at the root of the file system.
fn machine_path(line: &str) -> Option<&str> {
    line.match_indices('/').find_map(|(at, _)| {
        // After a letter, a dot and the like it is the middle of a longer path or of a URL.
        if line[..at]
            .ends_with(|before: char| before.is_alphanumeric() || "._-~*/$})>".contains(before))
        {
            return None;
        }
        let (folder, rest) = line[at + 1..].split_once('/')?;
        let named =
            rest.starts_with(|first: char| first.is_alphanumeric() || "._-".contains(first));
        if !named || !MACHINE_FOLDERS.contains(&folder) {
            return None;
        }
        let path = &line[at..];
        let end = path.find(|c: char| c.is_whitespace() || "\"'`)>,;".contains(c));
        Some(&path[..end.unwrap_or(path.len())])
    })
}

/// Rows of the workspace's clippy.toml that the core's lacks: clippy reads the nearer file alone.
fn core_lints_missing(files: &[File]) -> Vec<String> {
    let paths = |name: &str| -> Vec<String> {
        let text = files.iter().find(|file| file.path == name).map_or("", |file| &file.text);
        text.lines()
            .filter_map(|line| Some(line.split_once("path = \"")?.1.split_once('"')?.0.to_owned()))
            .collect()
    };
    let core = paths("beacon-sdk/clippy.toml");
    paths("clippy.toml")
        .into_iter()
        .filter(|path| !core.contains(path))
        .map(|path| {
            format!("beacon-sdk/clippy.toml: {path} is missing: repeat the row of clippy.toml")
        })
        .collect()
}

#[cfg(test)]
mod tests;
