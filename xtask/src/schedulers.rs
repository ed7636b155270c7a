//! `cargo xtask schedulers`: the comparison of schedulers, in full.

use crate::Failure;
use crate::process::{cargo, print, program, root, run as run_program, target_dir};
use std::env::consts::EXE_SUFFIX;
use std::fs;

pub(crate) const HELP: &str = "
Usage: cargo xtask schedulers [--only SWEEP,SWEEP] [--seeds N] [--jobs N] [--resume]

Plays the sweeps of beacon-sim/plans/sweeps on all cores and writes tables (Markdown, CSV), runs (JSON lines) and figures
(SVG) to target/schedulers; schedulers.md there holds all tables. Half an hour on two free cores; the small version is
'cargo bench -p beacon-sim --bench schedulers'.

  --only SWEEP,SWEEP  plays only these: supply, peers, loss, churn, unit, burst
  --seeds N           seeds 1 to N instead of 10
  --jobs N            runs at the same time instead of one per core
  --resume            takes the runs that an interrupted comparison by the same program has left there
";

/// The sweeps, in the order of the table.
const SWEEPS: [&str; 6] = ["supply", "peers", "loss", "churn", "unit", "burst"];

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Sweeps; all when empty.
    only: Vec<String>,
    /// Passed on to `sim sweep`.
    options: Vec<String>,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let request = parse(args).map_err(Failure::Usage)?;
    print(&compare(&request)?);
    Ok(())
}

fn parse(args: &[String]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut args = args.iter();
    while let Some(option) = args.next() {
        if option == "--resume" {
            request.options.push(option.clone());
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--only" => request.only = value.split(',').map(str::to_owned).collect(),
            "--seeds" | "--jobs" => {
                if value.parse::<u32>().is_ok_and(|number| number > 0) {
                    request.options.extend([option.clone(), value.clone()]);
                } else {
                    return Err(format!("{option} needs a number of at least 1, not '{value}'"));
                }
            }
            _ => {
                return Err(format!(
                    "there is no option '{option}': say --only, --seeds, --jobs or --resume"
                ));
            }
        }
    }
    match request.only.iter().find(|name| !SWEEPS.contains(&name.as_str())) {
        Some(name) => Err(format!("there is no sweep '{name}': use one of {}", SWEEPS.join(", "))),
        None => Ok(request),
    }
}

/// Plays sweeps and puts their tables together.
pub(crate) fn compare(request: &Request) -> Result<String, String> {
    run_program(&mut cargo(&["build", "--release", "--package", "beacon-sim", "--bin", "sim"]))?;
    let sim = target_dir().join(format!("release/sim{EXE_SUFFIX}"));
    let out = target_dir().join("schedulers");
    let mut all = String::from("# Schedulers compared\n");
    for name in SWEEPS {
        if !request.only.is_empty() && !request.only.iter().any(|only| only == name) {
            continue;
        }
        let sweep = root().join(format!("beacon-sim/plans/sweeps/{name}.toml"));
        let mut command = program(&sim.to_string_lossy(), &["sweep"]);
        run_program(command.arg(&sweep).arg("--out").arg(&out).args(&request.options))?;
        let table = out.join(format!("{name}.md"));
        let text = fs::read_to_string(&table)
            .map_err(|error| format!("cannot read {}: {error}", table.display()))?;
        all.push_str(&format!("\n{text}"));
    }
    let path = out.join("schedulers.md");
    fs::write(&path, all).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(format!("tables in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_understood_or_refused() {
        assert_eq!(parsed(""), Ok(Request::default()));
        let request = parsed("--only loss,unit --resume --seeds 3").unwrap_or_default();
        assert_eq!(request.only, ["loss", "unit"]);
        assert_eq!(request.options, ["--resume", "--seeds", "3"]);
        assert!(parsed("--only weather").is_err_and(|error| error.contains("supply")));
        assert!(parsed("--seeds").is_err());
        assert!(parsed("--seeds 0").is_err());
        assert!(parsed("--fast 1").is_err());
    }

    #[test]
    fn every_sweep_has_its_file() {
        for name in SWEEPS {
            assert!(
                root().join(format!("beacon-sim/plans/sweeps/{name}.toml")).is_file(),
                "{name}"
            );
        }
    }
}
