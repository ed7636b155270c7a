//! How many viewers one machine carries, and what each costs.

use super::report::{Circumstances, Output, Spread, print_table};
use super::usage::{cpu_seconds, memory};
use crate::args;
use crate::processes::{Folder, Signaling, ask_to_end, program, see_end, start_signaling};
use anyhow::{Context, Result, bail};
use beacon_sdk::{Profile, Stats};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::Instant;

/// How long the crowd may take until everybody plays.
const START_MAX: Duration = Duration::from_secs(120);

/// Many viewers, each a process: who stalls, and what each costs in CPU time and memory.
///
/// Starts a signaling server, a broadcaster and viewers without a screen beside this program and
/// reads their counters. Fails when a viewer stalls or misses a segment.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Viewers, all at once
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=500))]
    viewers: u16,
    /// Bit rate of the test pattern
    #[arg(long, default_value_t = 500, value_name = "KBIT", value_parser = clap::value_parser!(u32).range(50..=20_000))]
    kbit: u32,
    /// What to broadcast: test, or file:PATH (looped, at its own bit rate)
    #[arg(long, default_value = "test", value_name = "SOURCE")]
    source: String,
    /// Links the broadcaster has at most
    #[arg(long, default_value_t = 4, value_name = "N")]
    max_links: u16,
    /// live, low-latency or ephemeral
    #[arg(long, default_value = "live", value_name = "PROFILE")]
    profile: Profile,
    /// How long to measure, from when everybody plays
    #[arg(long, default_value = "60", value_name = "SECS", value_parser = args::seconds)]
    seconds: Duration,
    #[command(flatten)]
    output: Output,
}

/// One process.
struct Member {
    name: String,
    child: Child,
    stats: PathBuf,
    cpu_s: f64,
    rss: u64,
    private: u64,
}

impl Member {
    fn start(
        name: String,
        program_name: &str,
        common: &[&str],
        own: &[&str],
        folder: &Path,
    ) -> Result<Self> {
        let stats = folder.join(format!("{name}.json"));
        let mut command = program(program_name)?;
        command.args(common).args(own).arg("--stats").arg(&stats).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("{program_name} does not start"))?;
        Ok(Self { name, child, stats, cpu_s: 0.0, rss: 0, private: 0 })
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// The counters it last wrote.
    fn stats(&self) -> Option<Stats> {
        serde_json::from_slice(&std::fs::read(&self.stats).ok()?).ok()
    }
}

/// The broadcaster, then the viewers.
struct Crowd {
    signaling: Signaling,
    members: Vec<Member>,
}

impl Crowd {
    async fn start(args: &Args, folder: &Path) -> Result<Self> {
        let signaling = start_signaling(&[]).await?;
        let profile = serde_json::to_value(args.profile)?;
        let profile = profile.as_str().unwrap_or_default();
        let common = ["--signal", &signaling.url, "--name", "crowd", "--profile", profile];
        let (mbit, links) = (f64::from(args.kbit) / 1e3, args.max_links.to_string());
        let own = [
            "--source",
            &args.source,
            "--bitrate",
            &mbit.to_string(),
            "--max-links",
            &links,
            "--loop",
        ];
        let mut members =
            vec![Member::start("broadcaster".into(), "broadcaster", &common, &own, folder)?];
        for number in 1..=args.viewers {
            let name = format!("viewer-{number}");
            members.push(Member::start(name, "viewer", &common, &["--sink", "null"], folder)?);
        }
        Ok(Self { signaling, members })
    }

    fn viewers(&self) -> &[Member] {
        &self.members[1..]
    }

    /// Waits until everybody plays.
    async fn playing(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            self.check()?;
            let plays =
                |member: &&Member| member.stats().is_some_and(|stats| stats.segments_delivered > 0);
            let playing = self.viewers().iter().filter(plays).count();
            if playing == self.viewers().len() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > START_MAX {
                let all = self.viewers().len();
                bail!("after {START_MAX:?} only {playing} of {all} viewers play");
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Nobody has ended yet.
    fn check(&mut self) -> Result<()> {
        for member in &mut self.members {
            if let Some(status) = member.child.try_wait()? {
                bail!("{} ended: {status}", member.name);
            }
        }
        Ok(())
    }

    /// Reads what everybody has used of the machine since the last time.
    fn read_usage(&mut self) -> Result<()> {
        for member in &mut self.members {
            let pid = member.pid()?;
            member.cpu_s = cpu_seconds(pid)? - member.cpu_s;
            (member.rss, member.private) = memory(pid)?;
        }
        Ok(())
    }

    /// Ends the broadcast; viewers end with it.
    async fn end(&mut self) {
        for member in &mut self.members {
            ask_to_end(&mut member.child);
            see_end(&member.name, &mut member.child).await;
        }
        ask_to_end(&mut self.signaling.child);
        see_end("signaling", &mut self.signaling.child).await;
    }
}

/// Runs the measurement.
///
/// # Errors
/// When the crowd does not come up, or somebody stalls.
pub async fn run(args: Args) -> Result<()> {
    let circumstances = Circumstances::now();
    println!("{} viewers of {}; measuring {:?}", args.viewers, args.source, args.seconds);
    let folder = Folder::create()?;
    let mut crowd = Crowd::start(&args, folder.path()).await?;
    let start = crowd.playing().await?;
    println!("everybody plays after {:.1} s", start.as_secs_f64());
    crowd.read_usage()?;
    let begun = Instant::now();
    let until = begun + args.seconds;
    while Instant::now() < until {
        crowd.check()?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    crowd.read_usage()?;
    crowd.end().await;
    let figures = Figures::of(&crowd, seconds)?;
    figures.print();
    circumstances.print();
    args.output.write(&circumstances, figures.json(&args, start))?;
    let (stalls, missed) = (figures.total(|s| s.stalls), figures.total(|s| s.segments_missed));
    if stalls + missed > 0 {
        bail!("{stalls} stalls and {missed} missed segments: none may be");
    }
    Ok(())
}

/// What came of it.
struct Figures {
    seconds: f64,
    origin: (Stats, f64),
    /// Counters, share of a core in percent, bytes in RAM, bytes of its own.
    viewers: Vec<(Stats, f64, u64, u64)>,
}

impl Figures {
    fn of(crowd: &Crowd, seconds: f64) -> Result<Self> {
        let stats = |member: &Member| {
            member.stats().with_context(|| format!("{}: no counters", member.name))
        };
        let percent = |member: &Member| member.cpu_s * 100.0 / seconds;
        let viewers = crowd
            .viewers()
            .iter()
            .map(|viewer| Ok((stats(viewer)?, percent(viewer), viewer.rss, viewer.private)))
            .collect::<Result<_>>()?;
        let origin = &crowd.members[0];
        Ok(Self { seconds, origin: (stats(origin)?, percent(origin)), viewers })
    }

    fn total(&self, field: fn(&Stats) -> u64) -> u64 {
        self.viewers.iter().map(|(stats, ..)| field(stats)).sum()
    }

    fn spread(&self, value: impl Fn(&(Stats, f64, u64, u64)) -> f64) -> Spread {
        Spread::of(self.viewers.iter().map(value).collect())
    }

    /// How many times the stream the origin sent.
    fn origin_ratio(&self) -> f64 {
        let origin = &self.origin.0;
        origin.bytes_uploaded as f64 / origin.bytes_published.max(1) as f64
    }

    /// Bytes beside the media, per byte of media received.
    fn share(&self, field: fn(&Stats) -> u64) -> f64 {
        let media = self.total(|s| s.bytes_from_origin + s.bytes_from_peers);
        self.total(field) as f64 / media.max(1) as f64
    }

    fn rows(&self) -> Vec<(&'static str, Spread)> {
        vec![
            ("CPU, % of a core", self.spread(|v| v.1)),
            ("memory (RSS), MB", self.spread(|v| v.2 as f64 / 1e6)),
            ("memory of its own, MB", self.spread(|v| v.3 as f64 / 1e6)),
            ("startup, ms", self.spread(|v| v.0.startup_ms as f64)),
            ("latency p95, ms", self.spread(|v| v.0.latency_ms.p95 as f64)),
            ("deepest stripe, hops", self.spread(|v| f64::from(v.0.hops_max))),
            ("links", self.spread(|v| v.0.peers as f64)),
            ("changes of parent", self.spread(|v| v.0.reparents as f64)),
            ("segments late", self.spread(|v| v.0.segments_late as f64)),
            ("segments missed", self.spread(|v| v.0.segments_missed as f64)),
            ("stalls", self.spread(|v| v.0.stalls as f64)),
        ]
    }

    fn print(&self) {
        println!();
        let row = |(name, spread): &(&str, Spread)| {
            let mut row = vec![(*name).to_owned()];
            row.extend(spread.cells());
            row.push(format!("{:.1}", spread.mean));
            row
        };
        let rows: Vec<Vec<String>> = self.rows().iter().map(row).collect();
        print_table(&["of the viewers", "p50", "p95", "p99", "mean"], &rows);
        let cpu: f64 = self.viewers.iter().map(|v| v.1).sum();
        let stalled = self.viewers.iter().filter(|v| v.0.stalls > 0).count();
        println!("\nviewers that stalled  {stalled} of {}", self.viewers.len());
        println!("CPU of all viewers    {:.2} cores over {:.0} s", cpu / 100.0, self.seconds);
        println!("CPU of the origin     {:.2} cores, encoder included", self.origin.1 / 100.0);
        println!("origin's upload       {:.2} x the stream", self.origin_ratio());
        println!("duplicates            {:.3} of the media", self.share(|s| s.bytes_duplicate));
        println!(
            "control               {:.3} of the media, both ways",
            self.share(|s| s.bytes_control)
        );
    }

    fn json(&self, args: &Args, start: Duration) -> serde_json::Value {
        let rows: serde_json::Map<_, _> =
            self.rows().iter().map(|(name, spread)| ((*name).to_owned(), spread.json())).collect();
        json!({
            "measurement": "crowd",
            "viewers": args.viewers,
            "kbit": args.kbit,
            "profile": args.profile,
            "seconds": self.seconds,
            "all_play_after_s": start.as_secs_f64(),
            "viewers_stalled": self.viewers.iter().filter(|v| v.0.stalls > 0).count(),
            "segments_late": self.total(|s| s.segments_late),
            "segments_missed": self.total(|s| s.segments_missed),
            "stalls": self.total(|s| s.stalls),
            "viewers_cpu_cores": self.viewers.iter().map(|v| v.1).sum::<f64>() / 100.0,
            "origin_cpu_cores": self.origin.1 / 100.0,
            "origin_upload_ratio": self.origin_ratio(),
            "duplicates": self.share(|s| s.bytes_duplicate),
            "control": self.share(|s| s.bytes_control),
            "per_viewer": rows,
        })
    }
}
