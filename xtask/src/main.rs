//! The project's own commands, run as `cargo xtask COMMAND`, `cargo demo` and `cargo ci`.

mod charts;
mod ci;
mod clip;
mod demo;
mod nightly;
mod process;
mod schedulers;
mod setup;
mod step;
mod tidy;
mod web;

use std::process::ExitCode;

/// Why a command did not do its work.
#[derive(Debug)]
enum Failure {
    /// The command line makes no sense: exit code 2.
    Usage(String),
    /// It was tried and failed: exit code 1. The text names the cause and the cure.
    Failed(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// One command of `cargo xtask`.
struct Command {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        about: "build and run the demonstration: signaling, a broadcaster and six viewers",
        help: demo::HELP,
        run: demo::run,
    },
    Command {
        name: "ci",
        about: "run every check, or some, as the build server does",
        help: ci::HELP,
        run: |args| step::command("ci", ci::STEPS, args),
    },
    Command {
        name: "nightly",
        about: "run the checks that take long: fuzzing and full benchmarks",
        help: nightly::HELP,
        run: |args| step::command("nightly", nightly::STEPS, args),
    },
    Command {
        name: "schedulers",
        about: "compare all schedulers in the laboratory: tables and figures",
        help: schedulers::HELP,
        run: schedulers::run,
    },
    Command {
        name: "web",
        about: "build the browser's peer: WebAssembly, JavaScript and types",
        help: web::HELP,
        run: web::run,
    },
    Command {
        name: "setup-gst",
        about: "install the Debian packages of GStreamer",
        help: setup::GST_HELP,
        run: setup::gst_command,
    },
    Command {
        name: "clip",
        about: "fetch the real clip that tests stream, and print its path",
        help: clip::HELP,
        run: clip::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => {
            eprintln!("error: {text}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(text)) => {
            eprintln!("error: {text}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(args: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::Usage(format!("no command given\n\n{}", overview())));
    };
    if is_help(name) {
        process::print(&overview());
        return Ok(());
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Failure::Usage(format!("there is no command '{name}'\n\n{}", overview())));
    };
    if rest.first().is_some_and(|first| is_help(first)) {
        process::print(command.help.trim());
        return Ok(());
    }
    (command.run)(rest)
}

fn is_help(arg: &str) -> bool {
    matches!(arg, "--help" | "-h")
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND [ARGUMENTS]\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<10} {}\n", command.name, command.about));
    }
    text.push_str(
        "\n'cargo xtask COMMAND --help' says more. 'cargo demo' and 'cargo ci' are short forms.",
    );
    text
}
