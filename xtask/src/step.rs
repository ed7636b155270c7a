//! A list of steps that are run in order, each announced and timed.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::process::print;

/// One step.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Does the work. `Ok` carries one line for the closing table, which may be empty; `Err` names cause and cure.
    pub(crate) run: fn() -> Result<String, String>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    List,
    All,
    Only(Vec<String>),
}

/// Runs the command `name` over `steps`: all of them, or what `args` selects, until one fails.
pub(crate) fn command(name: &str, steps: &[Step], args: &[String]) -> Result<(), Failure> {
    match parse(steps, args)? {
        Request::List => {
            for step in steps {
                print(&format!("{:<8} {}", step.name, step.about));
            }
            Ok(())
        }
        Request::All => run(name, &steps.iter().collect::<Vec<_>>()),
        Request::Only(names) => {
            let chosen: Vec<_> =
                steps.iter().filter(|step| names.iter().any(|name| name == step.name)).collect();
            run(name, &chosen)
        }
    }
}

fn parse(steps: &[Step], args: &[String]) -> Result<Request, Failure> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let list = match words.as_slice() {
        [] => return Ok(Request::All),
        ["--list"] => return Ok(Request::List),
        ["--only", list] => *list,
        [word] if word.starts_with("--only=") => &word["--only=".len()..],
        _ => {
            let said = words.join(" ");
            return Err(Failure::Usage(format!(
                "'{said}' is not understood: expected nothing, --list, or --only STEP,STEP"
            )));
        }
    };
    let names: Vec<String> =
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
    let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
    if names.is_empty() {
        return Err(Failure::Usage(format!(
            "--only names no step; there are {}",
            known.join(", ")
        )));
    }
    if let Some(stranger) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Failure::Usage(format!(
            "there is no step '{stranger}'; there are {}",
            known.join(", ")
        )));
    }
    Ok(Request::Only(names))
}

fn run(name: &str, steps: &[&Step]) -> Result<(), Failure> {
    let start = Instant::now();
    let mut table = String::new();
    for (index, step) in steps.iter().enumerate() {
        eprintln!("\n=== {} ({} of {}): {}", step.name, index + 1, steps.len(), step.about);
        let begun = Instant::now();
        let outcome = (step.run)();
        let took = shown(begun.elapsed());
        match outcome {
            Ok(note) => {
                eprintln!("=== {} ok, {took}", step.name);
                let row = format!("  {:<8} {took:>8}  {note}", step.name);
                table.push_str(row.trim_end());
                table.push('\n');
            }
            Err(cause) => {
                eprint!("\n=== {name} done before the failure:\n{table}");
                let left: Vec<&str> = steps[index + 1..].iter().map(|step| step.name).collect();
                if !left.is_empty() {
                    eprintln!("=== {name} not run: {}", left.join(", "));
                }
                return Err(Failure::Failed(format!(
                    "{name} failed in step '{}' after {took}: {cause}\nAgain, alone: cargo xtask {name} --only {}",
                    step.name, step.name
                )));
            }
        }
    }
    eprintln!(
        "\n=== {name} ok: {} steps, {}\n{}",
        steps.len(),
        shown(start.elapsed()),
        table.trim_end()
    );
    Ok(())
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} m {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static RUNS: AtomicUsize = AtomicUsize::new(0);

    const STEPS: &[Step] = &[
        Step {
            name: "one",
            about: "counts",
            run: || {
                RUNS.fetch_add(1, Ordering::SeqCst);
                Ok(String::new())
            },
        },
        Step { name: "two", about: "fails", run: || Err("no luck: try again".to_owned()) },
        Step {
            name: "three",
            about: "counts much",
            run: || {
                RUNS.fetch_add(100, Ordering::SeqCst);
                Ok(String::new())
            },
        },
    ];

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn selects_by_name() {
        assert_eq!(parse(STEPS, &[]).unwrap(), Request::All);
        assert_eq!(parse(STEPS, &words("--list")).unwrap(), Request::List);
        let both = Request::Only(words("one two"));
        assert_eq!(parse(STEPS, &words("--only one,two")).unwrap(), both);
        assert_eq!(parse(STEPS, &words("--only=one,two,")).unwrap(), both);
        for wrong in ["--only", "--only four", "--only ,", "--lists", "one", "--list one"] {
            assert!(matches!(parse(STEPS, &words(wrong)), Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn stops_at_the_first_failure_and_names_it() {
        let Err(Failure::Failed(text)) = command("ci", STEPS, &[]) else {
            panic!("a failing step must fail the command");
        };
        assert!(text.contains("step 'two'") && text.contains("no luck: try again"), "{text}");
        assert_eq!(RUNS.load(Ordering::SeqCst), 1, "the first step runs, the third does not");
    }
}
