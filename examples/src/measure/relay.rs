//! What relaying costs above the bare data channel.

mod bare;
mod engine;

use super::report::{Circumstances, Output, print_table};
use super::usage::Own;
use crate::args;
use crate::processes::program;
use anyhow::{Context, Result, bail};
use beacon_sdk::Profile;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::sync::oneshot;

/// From the first copied byte to the start of the measurement: set-up is not counted.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a relay may take beyond its measurement.
const SLACK: Duration = Duration::from_secs(40);

/// CPU time of a relay per gigabyte, against the bare data channel doing the same copy.
///
/// One parent, one relay, some children, over real WebRTC on loopback. The relay has a process of
/// its own and only its CPU time counts. In the bare rounds the relay has no engine: a frame that
/// comes is handed to every child as it is. Rounds alternate, so that other load on the machine
/// meets both; the figure to keep is the ratio. Fails when a child misses a segment.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Children of the relay
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    children: u8,
    /// Bit rate of the stream, which goes to each child
    #[arg(long, default_value = "4", value_name = "MBIT", value_parser = args::megabits)]
    mbit: u64,
    /// live, low-latency or ephemeral
    #[arg(long, default_value = "live", value_name = "PROFILE")]
    profile: Profile,
    /// How long to measure in each round
    #[arg(long, default_value = "20", value_name = "SECS", value_parser = args::seconds)]
    seconds: Duration,
    /// Rounds of each kind
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,
    /// Only rounds of this kind, for a profiler
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
    #[command(flatten)]
    output: Output,
}

/// What copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A transport and nothing else.
    Bare,
    /// A Beacon viewer.
    Engine,
}

/// The relay's own process; started by `relay`.
#[derive(Debug, clap::Args)]
pub struct CopierArgs {
    #[arg(long)]
    signal: String,
    #[arg(long)]
    kind: Kind,
    #[arg(long)]
    children: u8,
    #[arg(long)]
    profile: Profile,
    #[arg(long, value_parser = args::seconds)]
    seconds: Duration,
}

/// Copied bytes, and a way to know them.
trait Copied {
    /// Bytes handed to children so far, without headers.
    fn bytes(&self) -> u64;
}

/// Runs the relay of one round and prints what it used as a line of JSON.
///
/// # Errors
/// When it has no links, or loses them.
pub async fn copy(args: CopierArgs) -> Result<()> {
    let figures = match args.kind {
        Kind::Bare => {
            let copier = bare::Copier::start(&args)?;
            let figures = measure(&copier, args.seconds).await;
            copier.stop().await;
            figures
        }
        Kind::Engine => {
            let copier = engine::Copier::start(&args)?;
            let figures = measure(&copier, args.seconds).await;
            copier.stop().await?;
            figures
        }
    };
    println!("{}", figures?);
    Ok(())
}

async fn measure(copied: &impl Copied, span: Duration) -> Result<Value> {
    let waiting = async {
        while copied.bytes() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SLACK / 2, waiting).await.context("the relay copies nothing")?;
    tokio::time::sleep(SETTLE).await;
    let begun = std::time::Instant::now();
    let (before, bytes_before) = (Own::now()?, copied.bytes());
    tokio::time::sleep(span).await;
    let (after, bytes_after) = (Own::now()?, copied.bytes());
    Ok(json!({
        "seconds": begun.elapsed().as_secs_f64(),
        "cpu_s": after.cpu_s - before.cpu_s,
        "sleeps": after.sleeps - before.sleeps,
        "bytes": bytes_after - bytes_before,
    }))
}

/// What the relay of one round used.
#[derive(Debug, Clone, Copy)]
struct Round {
    kind: Kind,
    seconds: f64,
    cpu_s: f64,
    sleeps: f64,
    bytes: f64,
}

impl Round {
    fn read(kind: Kind, line: &Value) -> Result<Self> {
        let number = |name: &str| {
            line[name].as_f64().with_context(|| format!("the relay says nothing of {name}"))
        };
        Ok(Self {
            kind,
            seconds: number("seconds")?,
            cpu_s: number("cpu_s")?,
            sleeps: number("sleeps")?,
            bytes: number("bytes")?,
        })
    }

    fn per_gigabyte(&self) -> f64 {
        self.cpu_s / (self.bytes / 1e9)
    }

    fn row(&self) -> Vec<String> {
        vec![
            format!("{:?}", self.kind).to_lowercase(),
            format!("{:.2}", self.bytes * 8.0 / 1e6 / self.seconds),
            format!("{:.2}", self.cpu_s * 100.0 / self.seconds),
            format!("{:.2}", self.per_gigabyte()),
            format!("{:.0}", self.sleeps / self.seconds),
        ]
    }
}

/// Runs the measurement.
///
/// # Errors
/// When a round does not come up, or a child misses a segment.
pub async fn run(args: Args) -> Result<()> {
    let circumstances = Circumstances::now();
    println!(
        "{} Mbit/s to each of {} children, {:?} profile; {} rounds of {:?} each\n",
        args.mbit as f64 / 1e6,
        args.children,
        args.profile,
        args.rounds,
        args.seconds
    );
    let mut rounds = Vec::new();
    let mut missed = 0;
    for _ in 0..args.rounds {
        for kind in [Kind::Bare, Kind::Engine] {
            if args.only.is_none_or(|only| only == kind) {
                let (round, gaps) = round(&args, kind).await?;
                rounds.push(round);
                missed += gaps;
            }
        }
    }
    let rows: Vec<Vec<String>> = rounds.iter().map(Round::row).collect();
    print_table(&["relay", "Mbit/s out", "% of a core", "CPU s/GB", "sleeps/s"], &rows);
    let median = |kind| {
        let of_kind = rounds.iter().filter(|round| round.kind == kind);
        median(of_kind.map(Round::per_gigabyte).collect())
    };
    let (bare, engine) = (median(Kind::Bare), median(Kind::Engine));
    let ratio = engine / bare;
    println!("\nmedian {engine:.2} with the engine and {bare:.2} without: ratio {ratio:.2}");
    println!("{missed} segments missed by children");
    circumstances.print();
    let figures = json!({
        "measurement": "relay",
        "children": args.children,
        "mbit": args.mbit as f64 / 1e6,
        "profile": args.profile,
        "cpu_s_per_gb": {"bare": bare, "engine": engine},
        "ratio": ratio,
        "segments_missed": missed,
        "rounds": rounds.iter().map(|round| json!({
            "kind": format!("{:?}", round.kind).to_lowercase(),
            "seconds": round.seconds,
            "cpu_s": round.cpu_s,
            "sleeps": round.sleeps,
            "bytes": round.bytes,
        })).collect::<Vec<_>>(),
    });
    args.output.write(&circumstances, figures)?;
    if missed > 0 {
        bail!("children missed {missed} segments");
    }
    Ok(())
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
    (at(low) + at(high)) / 2.0
}

/// One round; also gives the segments that children missed.
async fn round(args: &Args, kind: Kind) -> Result<(Round, u64)> {
    let any_port = ([127, 0, 0, 1], 0).into();
    let server = beacon_signal::Server::bind(any_port, beacon_signal::Config::default()).await?;
    let signal = format!("ws://{}", server.local_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    // The relay comes last, so that it is told of all others.
    let (line, missed) = match kind {
        Kind::Bare => {
            let ends = bare::Ends::start(args, &signal)?;
            let line = copier(args, kind, &signal).await;
            ends.stop().await;
            (line?, 0)
        }
        Kind::Engine => {
            let ends = engine::Ends::start(args, &signal)?;
            let line = copier(args, kind, &signal).await;
            (line?, ends.stop().await?)
        }
    };
    let _ = stop.send(());
    serving.await?;
    Ok((Round::read(kind, &line)?, missed))
}

/// Runs the relay's process to its end and reads what it says.
async fn copier(args: &Args, kind: Kind, signal: &str) -> Result<Value> {
    let profile = serde_json::to_value(args.profile)?;
    let mut command = program("measure")?;
    command
        .args(["copier", "--signal", signal])
        .args(["--kind", kind.to_possible_value().as_ref().map_or("", |value| value.get_name())])
        .args(["--children", &args.children.to_string()])
        .args(["--profile", profile.as_str().unwrap_or_default()])
        .args(["--seconds", &args.seconds.as_secs_f64().to_string()])
        .stdout(Stdio::piped());
    let child = command.spawn().context("the relay does not start")?;
    let output = tokio::time::timeout(args.seconds + SLACK, child.wait_with_output())
        .await
        .context("the relay does not end")??;
    if !output.status.success() {
        bail!("the relay failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("the relay says nothing that makes sense")
}
