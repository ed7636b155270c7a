use super::*;

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

fn count(path: &str, text: &str) -> usize {
    problems(&file(path, text)).len()
}

#[test]
fn unfinished_code_is_found_in_any_crate() {
    let unfinished = BANS.iter().filter(|ban| (ban.applies)("beacon-mux/src/lib.rs"));
    let words: Vec<&str> = unfinished.flat_map(|ban| ban.words).copied().collect();
    assert_eq!(words.len(), 4);
    for word in words {
        let line = format!("fn f() {{}}\n    {word}(x)\n");
        let found = problems(&file("beacon-mux/src/lib.rs", &line));
        assert_eq!(found.len(), 1, "{word}");
        assert!(found[0].starts_with("beacon-mux/src/lib.rs:2: "), "{}", found[0]);
        assert_eq!(count("CONTRIBUTING.md", &line), 0, "prose may name {word}");
        assert_eq!(
            count("a.rs", &format!("x(); // was {word} once")),
            0,
            "a comment may name {word}"
        );
        assert_eq!(count("a.rs", &format!("my_{word}(x)")), 0, "my_{word} is another macro");
        assert_eq!(count("a.rs", &format!("f(\"http://x\", {word}(x))")), 1, "a URL ends no code");
    }
}

#[test]
fn a_test_may_be_left_to_the_nightly_checks() {
    let ignored = concat!("#[", "ignore");
    assert_eq!(count("a.rs", &format!("    {ignored} = \"nightly: takes a minute\"]")), 0);
    assert_eq!(count("a.rs", &format!("    {ignored} = \"takes a minute\"]")), 1);
    assert_eq!(count("a.rs", &format!("    {ignored}]")), 1);
}

#[test]
fn the_core_has_no_clock_and_no_unordered_map() {
    for line in ["let t = std::time::Instant::now();", "use std::collections::{HashMap};"] {
        for path in
            ["engine/mod.rs", "engine.rs", "wire/frame.rs", "policy/rarest.rs", "media/mod.rs"]
        {
            assert_eq!(count(&format!("beacon-sdk/src/{path}"), line), 1, "{path}: {line}");
        }
        for path in [
            "beacon-sdk/src/driver/tokio.rs",
            "beacon-sdk/src/media_kit.rs",
            "beacon-signal/src/lib.rs",
        ] {
            assert_eq!(count(path, line), 0, "{path}: {line}");
        }
    }
}

#[test]
fn paths_of_one_machine_are_found_in_any_text() {
    for folder in MACHINE_FOLDERS {
        for text in [
            format!("see /{folder}/x.mp4"),
            format!("(\"/{folder}/x.mp4\")"),
            format!("file:/{folder}/x.mp4"),
        ] {
            let found = problems(&file("README.md", &text));
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].contains(&format!(": /{folder}/x.mp4: ")), "{}", found[0]);
        }
        for text in [
            format!("https://example.org/{folder}/x"),
            format!("beacon-web/{folder}/x"),
            format!("../{folder}/x"),
            format!("/{folder}/ and elsewhere"),
            format!("/dev/{folder}/x"),
        ] {
            assert_eq!(count("README.md", &text), 0, "{text}");
        }
    }
}

#[test]
fn length_is_listed_first_and_fails_later() {
    let lines = |count: usize| file("a.rs", &"x\n".repeat(count));
    assert!(listed(&lines(LINES_LISTED)).is_none());
    assert!(listed(&lines(LINES_LISTED + 1)).is_some());
    assert!(problems(&lines(LINES_MAX)).is_empty());
    assert_eq!(problems(&lines(LINES_MAX + 1)).len(), 1);
    assert_eq!(count("notes.md", &"x\n".repeat(LINES_MAX + 1)), 0);
}

#[test]
fn the_core_repeats_the_rows_of_the_workspace() {
    let workspace =
        file("clippy.toml", "{ path = \"a::b\", reason = \"r\" },\n{ path = \"c::d\" },\n");
    let core = file("beacon-sdk/clippy.toml", "{ path = \"a::b\" },\n{ path = \"e::f\" },\n");
    let missing = core_lints_missing(&[workspace, core]);
    assert_eq!(missing.len(), 1);
    assert!(missing[0].contains("c::d"), "{}", missing[0]);
}
