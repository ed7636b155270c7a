//! Settings by flag, environment and file, and what the log looks like, of the program as an operator starts it.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod program;

use program::{Program, program, run};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;

/// A file of settings in a folder of its own.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signal.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The line of a setting that is printed.
fn line<'a>(printed: &'a str, name: &str) -> &'a str {
    let start = format!("{name} = ");
    let found = |line: &'a str| line.trim_start_matches("# ").strip_prefix(&start);
    printed.lines().find_map(found).unwrap_or("nothing")
}

#[test]
fn a_flag_counts_before_the_environment_that_before_the_file_and_that_before_the_default() {
    let (_folder, file) = file(
        "rate = 3\nburst = 3\nqueue-max = 33\nno-mesh = true\ntrusted-proxy = [\"10.0.0.0/8\", \"192.0.2.1\"]\n\
         redis = \"redis://user:hidden@127.0.0.1:1\"\n",
    );
    let mut command = program();
    command.arg("--config").arg(&file).args(["--rate", "1", "--node", "a", "--print-config"]);
    command.env("BEACON_RATE", "2").env("BEACON_BURST", "2");
    command.env("BEACON_TURN", "turn:a:1,turn:b:2");
    let output = run(&mut command);
    let printed = text(output.stdout);
    assert!(output.status.success(), "{}", text(output.stderr));
    assert_eq!(line(&printed, "rate"), "1 # the command line");
    assert_eq!(line(&printed, "burst"), "2 # the environment");
    assert_eq!(line(&printed, "queue-max"), "33 # the file");
    assert_eq!(line(&printed, "no-mesh"), "true # the file");
    assert_eq!(line(&printed, "peers-max"), "10000 # the default");
    assert_eq!(line(&printed, "trusted-proxy"), "[\"10.0.0.0/8\", \"192.0.2.1\"] # the file");
    assert_eq!(line(&printed, "turn"), "[\"turn:a:1\", \"turn:b:2\"] # the environment");
    // A flag may need what the file says; and no password is printed.
    assert_eq!(line(&printed, "node"), "\"a\" # the command line");
    assert_eq!(line(&printed, "redis"), "\"redis://user:PASSWORD@127.0.0.1:1\" # the file");

    // What is printed is a file.
    let (_folder, again) = self::file(&printed);
    let output = run(program().arg("--config").arg(&again).arg("--print-config"));
    let from_file = text(output.stdout);
    assert!(output.status.success(), "{}", text(output.stderr));
    for name in ["rate", "burst", "queue-max", "no-mesh", "trusted-proxy", "turn", "node", "listen"]
    {
        let value = |printed| line(printed, name).split(" #").next().unwrap().to_owned();
        assert_eq!(value(&from_file), value(&printed), "{name}");
    }
}

#[test]
fn the_file_may_be_named_by_the_environment_and_leaves_out_what_is_false() {
    let (_folder, file) = file("no-mesh = false\nrate = 7");
    let output = run(program().env("BEACON_CONFIG", &file).arg("--print-config"));
    let printed = text(output.stdout);
    assert_eq!(line(&printed, "rate"), "7 # the file", "{}", text(output.stderr));
    assert!(line(&printed, "no-mesh").starts_with("false"), "{printed}");
}

#[test]
fn a_list_on_the_command_line_takes_the_place_of_that_in_the_file() {
    let (_folder, file) = file("trusted-proxy = \"10.0.0.1\"");
    let mut command = program();
    command.arg("--config").arg(&file).args(["--trusted-proxy", "10.0.0.2", "--print-config"]);
    let printed = text(run(&mut command).stdout);
    assert_eq!(line(&printed, "trusted-proxy"), "[\"10.0.0.2\"] # the command line");
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_line_cause_and_cure() {
    for (said, wanted) in [
        ("rate = 3\n\nspeed = 4", ["line 3", "no setting speed", "--help"]),
        ("rate = 3\nburst = \"many\"", ["line 2", "'many'", "--burst"]),
        ("trusted-proxy = [\"10.0.0.1\", \"nowhere\"]", ["line 1", "nowhere", "10.0.0.0/8"]),
        ("rate = 3\nno-mesh = 1", ["line 2", "no-mesh", "true or false"]),
        ("rate = [3]", ["line 1", "rate", "one value"]),
        ("[limits]\nrate = 3", ["line 1", "no setting limits", "--help"]),
        ("rate = 3\nburst 4", ["line 2", "NAME = VALUE", "TOML"]),
        ("rate = 3\nrate = 4", ["line 2", "duplicate", "TOML"]),
        ("config = \"other.toml\"", ["line 1", "config", "command line alone"]),
    ] {
        let (_folder, file) = file(said);
        let output = run(program().arg("--config").arg(&file));
        let error = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}: {error}");
        for word in wanted.into_iter().chain(["signal.toml"]) {
            assert!(error.contains(word), "{word} is not in what is said of {said:?}: {error}");
        }
    }
    let output = run(program().args(["--config", "/nowhere/signal.toml"]));
    let error = text(output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("/nowhere/signal.toml") && error.contains("may read"), "{error}");
}

#[test]
fn the_environment_of_a_server_does_not_disturb_its_other_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.env("BEACON_LISTEN", "127.0.0.1:1").env("BEACON_CONFIG", "/nowhere");
    command.args(["token", "--key"]).arg(folder.path().join("gate.key"));
    let output = run(&mut command);
    assert!(output.status.success(), "{}", text(output.stderr));
    assert!(text(output.stdout).starts_with("k4.public."));
}

#[test]
fn turn_without_its_secret_is_told_and_no_flag_takes_it() {
    let turn = ["--turn", "turn:127.0.0.1:3478", "--listen", "127.0.0.1:0"];
    let refused = |command: &mut std::process::Command| {
        let output = run(command.args(turn));
        assert_eq!(output.status.code(), Some(2));
        text(output.stderr)
    };
    let error = refused(&mut program());
    assert!(
        error.contains("--turn-secret-file") && error.contains("BEACON_TURN_SECRET"),
        "{error}"
    );
    let error = refused(program().args(["--turn-secret-file", "/nowhere/secret"]));
    assert!(error.contains("/nowhere/secret"), "{error}");
    let error = refused(program().env("BEACON_TURN_SECRET", "short"));
    assert!(error.contains("turn_secret must be") && error.contains("openssl"), "{error}");
    let error = refused(program().args(["--turn-secret", "0123456789abcdef"]));
    assert!(error.contains("unexpected argument"), "{error}");

    let secret = "0123456789abcdef";
    drop(Program::start(program().args(turn).env("BEACON_TURN_SECRET", secret)));
    let (_folder, file) = file(&format!("{secret}\n"));
    drop(Program::start(program().args(turn).arg("--turn-secret-file").arg(&file)));
}

#[test]
fn the_log_can_be_json_line_by_line() {
    let mut command = program();
    command.args(["--log-format", "json", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
    let server = Program::start(&mut command);
    let addr = server.addr.to_string();
    server.terminate();
    let (status, said) = server.ended();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listening = lines.iter().find(|line| line["message"] == "listening").expect("it is logged");
    assert_eq!((&listening["addr"], &listening["level"]), (&addr.as_str().into(), &"INFO".into()));
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
    }

    // What it ends by is a line as well.
    let holder = Program::start(program().args(["--listen", "127.0.0.1:0"]));
    let at = holder.addr.to_string();
    let output = run(program().args(["--log-format", "json", "--listen", &at]));
    let error: Value = serde_json::from_str(text(output.stderr).lines().last().unwrap()).unwrap();
    assert_eq!(error["level"], "ERROR");
    assert!(error["message"].as_str().unwrap().contains("in use"), "{error}");
}
