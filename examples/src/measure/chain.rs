//! How long a frame takes over a chain of relays, and where the time goes.

use super::fence::{Fence, Traffic};
use super::pulse::Pulse;
use super::report::{Circumstances, Output, Spread, print_table};
use super::unix_now;
use crate::args;
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::media::Playout;
use beacon_sdk::memory::MemoryRendezvous;
use beacon_sdk::plugin::SinkError;
use beacon_sdk::{
    Beacon, DriveError, Identity, Instant, PeerId, Profile, SegmentId, Sink, Snapshot, Stopper,
};
use beacon_transport_webrtc::{WebRtc, WebRtcConfig};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the chain may take until its last peer plays.
const START_MAX: Duration = Duration::from_secs(30);
/// What is played before this long after the start of the last peer is not counted.
const SETTLE: Duration = Duration::from_secs(3);

/// Latency over a chain of relays, hop by hop and stage by stage.
///
/// A source without an encoder, and peers that reach only their neighbours in the chain, over
/// real WebRTC on loopback, all in this process. A frame's time starts when the source hands it
/// over and ends when a peer's sink has it. Fails when a segment is missed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Relays and the last viewer, one behind the other
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=7))]
    hops: u8,
    /// live, low-latency or ephemeral
    #[arg(long, default_value = "low-latency", value_name = "PROFILE")]
    profile: Profile,
    /// Length of a segment instead of the profile's, in seconds
    #[arg(long, value_name = "SECS", value_parser = args::seconds)]
    segment: Option<Duration>,
    /// Bit rate of the source
    #[arg(long, default_value = "2", value_name = "MBIT", value_parser = args::megabits)]
    mbit: u64,
    /// Frames per second
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120))]
    fps: u32,
    /// How long to measure
    #[arg(long, default_value = "20", value_name = "SECS", value_parser = args::seconds)]
    seconds: Duration,
    #[command(flatten)]
    output: Output,
}

/// One segment at one peer's sink.
#[derive(Debug, Clone)]
struct Played {
    at: Instant,
    /// When its last piece came over the network; at the origin, when it was played.
    arrived: Instant,
    /// Capture times of its frames.
    captured: Vec<Instant>,
}

/// What the sinks have seen, per hop.
#[derive(Debug, Default)]
struct Log {
    played: Vec<BTreeMap<SegmentId, Played>>,
    gaps: Vec<u64>,
}

/// A sink that writes down when it got what.
struct Probe {
    hop: usize,
    traffic: Traffic,
    log: Arc<Mutex<Log>>,
}

#[async_trait]
impl Sink for Probe {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        let at = unix_now();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match item {
            Playout::Segment { id, objects, .. } => {
                let arrived = self.traffic.last_arrival(id).unwrap_or(at);
                let captured = objects.iter().map(|object| object.captured).collect();
                log.played[self.hop].insert(id, Played { at, arrived, captured });
            }
            Playout::Gap { .. } => log.gaps[self.hop] += 1,
            Playout::Tracks(_) | Playout::End => {}
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The peers at work.
struct Chain {
    drivers: JoinSet<Result<(), DriveError>>,
    /// The origin first.
    stoppers: Vec<Stopper>,
    snapshots: Vec<watch::Receiver<Snapshot>>,
    traffic: Vec<Traffic>,
    log: Arc<Mutex<Log>>,
}

impl Chain {
    fn start(args: &Args) -> Result<Self> {
        let peers = usize::from(args.hops) + 1;
        let log = Log { played: vec![BTreeMap::new(); peers], gaps: vec![0; peers] };
        let mut chain = Self {
            drivers: JoinSet::new(),
            stoppers: Vec::new(),
            snapshots: Vec::new(),
            traffic: Vec::new(),
            log: Arc::new(Mutex::new(log)),
        };
        let hub = MemoryRendezvous::new();
        let identities = (0..peers).map(|_| Identity::random()).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<PeerId> = identities.iter().map(Identity::public).collect();
        for (hop, identity) in identities.into_iter().enumerate() {
            chain.add(args, hop, identity, &ids, &hub)?;
        }
        Ok(chain)
    }

    fn add(
        &mut self,
        args: &Args,
        hop: usize,
        identity: Identity,
        ids: &[PeerId],
        hub: &MemoryRendezvous,
    ) -> Result<()> {
        let neighbours = [hop.checked_sub(1), Some(hop + 1)];
        let neighbours: Vec<PeerId> =
            neighbours.into_iter().flatten().filter_map(|at| ids.get(at).copied()).collect();
        let traffic = Traffic::default();
        let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback())?;
        let transport =
            Fence::new(transport, move |peer| neighbours.contains(peer)).watched(traffic.clone());
        let mut config = args.profile.config();
        config.segment = args.segment.unwrap_or(config.segment);
        let group = if args.profile == Profile::Live { 2000 } else { 500 };
        let beacon =
            Beacon::new(identity, transport, hub.client()).config(config).code(RaptorQ::new());
        let probe = Probe { hop, traffic: traffic.clone(), log: self.log.clone() };
        if hop == 0 {
            let source = Pulse::new(args.mbit, args.fps, Duration::from_millis(group));
            let (broadcast, driver) = beacon.publish("chain", source, Some(Box::new(probe)))?;
            self.stoppers.push(broadcast.stopper());
            self.snapshots.push(broadcast.snapshots());
            self.drivers.spawn(driver);
        } else {
            let (watch, driver) = beacon.watch("chain", probe)?;
            self.stoppers.push(watch.stopper());
            self.snapshots.push(watch.snapshots());
            self.drivers.spawn(driver);
        }
        self.traffic.push(traffic);
        Ok(())
    }

    fn log<R>(&self, look: impl FnOnce(&mut Log) -> R) -> R {
        look(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the last peer plays.
    async fn started(&mut self) -> Result<()> {
        let until = tokio::time::Instant::now() + START_MAX;
        while self.log(|log| log.played.last().is_none_or(BTreeMap::is_empty)) {
            if let Some(ended) = self.drivers.try_join_next() {
                ended?.context("a peer ended early")?;
                bail!("a peer ended early");
            }
            if tokio::time::Instant::now() > until {
                let playing = self.log(|log| log.played.iter().filter(|p| !p.is_empty()).count());
                bail!("after {START_MAX:?} only {playing} peers of the chain play");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ends the broadcast, and with it everyone.
    async fn end(&mut self) -> Result<()> {
        self.stoppers[0].stop();
        while let Some(ended) = self.drivers.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Runs the measurement.
///
/// # Errors
/// When the chain does not come up, or misses something.
pub async fn run(args: Args) -> Result<()> {
    let circumstances = Circumstances::now();
    println!(
        "{} hops, {} Mbit/s at {} frames/s, {:?} profile; measuring {:?}\n",
        args.hops,
        args.mbit as f64 / 1e6,
        args.fps,
        args.profile,
        args.seconds
    );
    let mut chain = Chain::start(&args)?;
    chain.started().await?;
    tokio::time::sleep(SETTLE).await;
    chain.traffic.iter().for_each(|traffic| drop(traffic.dwells()));
    let from = unix_now();
    tokio::time::sleep(args.seconds).await;
    let until = unix_now();
    let dwells: Vec<f64> = chain.traffic.iter().flat_map(Traffic::dwells).map(ms).collect();
    // What was captured last is still on its way.
    tokio::time::sleep(args.profile.config().playout).await;
    chain.end().await?;
    let figures = chain.log(|log| Figures::of(log, from, until, dwells));
    figures.print();
    circumstances.print();
    let hops: Vec<u8> = chain.snapshots.iter().map(|s| s.borrow().stats.hops_max).collect();
    args.output.write(&circumstances, figures.json(&args))?;
    if hops.last() != Some(&args.hops) {
        bail!("the mesh was no chain: hops {hops:?}");
    }
    if figures.gaps > 0 {
        bail!("{} segments were missed", figures.gaps);
    }
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Milliseconds from one instant to another, negative when it is the other way round.
fn between(from: Instant, to: Instant) -> f64 {
    ms(to.since(from)) - ms(from.since(to))
}

/// What came of it.
#[derive(Debug)]
struct Figures {
    segments: usize,
    gaps: u64,
    /// Per hop from 1 on: frames from source to sink.
    latency: Vec<Spread>,
    /// Per hop from 1 on: segments from the hop before.
    added: Vec<Spread>,
    stages: Vec<(&'static str, Spread)>,
    dwell: Spread,
}

impl Figures {
    fn of(log: &Log, from: Instant, until: Instant, dwells: Vec<f64>) -> Self {
        let hops = log.played.len() - 1;
        let within = |played: &&Played| {
            played.captured.first().is_some_and(|first| (from..until).contains(first))
        };
        // The segments that everybody played, as each played them.
        let segments: Vec<Vec<&Played>> = log.played[0]
            .iter()
            .filter(|(_, played)| within(played))
            .filter_map(|(id, _)| log.played.iter().map(|hop| hop.get(id)).collect())
            .collect();
        let latency = (1..=hops).map(|hop| {
            let frames = |played: &&Played| -> Vec<f64> {
                played.captured.iter().map(|captured| between(*captured, played.at)).collect()
            };
            Spread::of(segments.iter().flat_map(|peers| frames(&peers[hop])).collect())
        });
        let added = (1..=hops).map(|hop| {
            Spread::of(segments.iter().map(|p| between(p[hop - 1].at, p[hop].at)).collect())
        });
        Self {
            segments: segments.len(),
            gaps: log.gaps.iter().sum(),
            latency: latency.collect(),
            added: added.collect(),
            stages: stages(&segments, hops),
            dwell: Spread::of(dwells),
        }
    }

    fn print(&self) {
        let hop_row = |(hop, (latency, added)): (usize, (&Spread, &Spread))| {
            let mut row = vec![format!("{}", hop + 1)];
            row.extend(latency.cells());
            row.extend(added.cells());
            row
        };
        let rows: Vec<Vec<String>> =
            self.latency.iter().zip(&self.added).enumerate().map(hop_row).collect();
        println!("source to sink, frames, ms            from the hop before, segments, ms");
        print_table(&["hop", "p50", "p95", "p99", "p50", "p95", "p99"], &rows);
        let total: f64 = self.stages.iter().map(|(_, spread)| spread.mean).sum();
        let stage_row = |name: &str, spread: &Spread| {
            let mut row = vec![name.to_owned()];
            row.extend(spread.cells());
            row.push(format!("{:.1}", spread.mean));
            row.push(format!("{:.0} %", spread.mean * 100.0 / total));
            row
        };
        let mut rows: Vec<Vec<String>> =
            self.stages.iter().map(|(name, spread)| stage_row(name, spread)).collect();
        let mut dwell = stage_row("(a symbol inside one relay)", &self.dwell);
        dwell.pop();
        rows.push(dwell);
        println!();
        print_table(&["stage, to the last hop, ms", "p50", "p95", "p99", "mean", "part"], &rows);
        println!("\n{} segments, {} missed", self.segments, self.gaps);
    }

    fn json(&self, args: &Args) -> serde_json::Value {
        let all = |spreads: &[Spread]| spreads.iter().map(Spread::json).collect::<Vec<_>>();
        json!({
            "measurement": "chain",
            "hops": args.hops,
            "profile": args.profile,
            "mbit": args.mbit as f64 / 1e6,
            "fps": args.fps,
            "segments": self.segments,
            "segments_missed": self.gaps,
            "latency_ms": all(&self.latency),
            "added_ms": all(&self.added),
            "stages_ms": self
                .stages
                .iter()
                .map(|(name, spread)| json!({"stage": name, "spread": spread.json()}))
                .collect::<Vec<_>>(),
            "relay_dwell_ms": self.dwell.json(),
        })
    }
}

/// The stages from a frame's capture to the last hop's sink; their means add up to its mean.
fn stages(segments: &[Vec<&Played>], hops: usize) -> Vec<(&'static str, Spread)> {
    let last_frame = |played: &Played| played.captured.last().copied().unwrap_or(played.at);
    let per_segment = |stage: &dyn Fn(&[&Played]) -> f64| -> Spread {
        // Weighed by frames, so that the means add up to the mean latency of frames.
        let weighed = |peers: &Vec<&Played>| vec![stage(peers); peers[0].captured.len()];
        Spread::of(segments.iter().flat_map(weighed).collect())
    };
    let waiting = segments.iter().flat_map(|peers| {
        let end = last_frame(peers[0]);
        peers[0].captured.iter().map(move |captured| between(*captured, end))
    });
    vec![
        ("waiting for the segment's last frame", Spread::of(waiting.collect())),
        (
            "sealing: hashes, repair, signature, first send",
            per_segment(&|p| between(last_frame(p[0]), p[0].at)),
        ),
        ("first hop, to its last symbol", per_segment(&|p| between(p[0].at, p[1].arrived))),
        (
            "further hops, to the last one's last symbol",
            per_segment(&|p| between(p[1].arrived, p[hops].arrived)),
        ),
        (
            "playout: from last symbol to sink",
            per_segment(&|p| between(p[hops].arrived, p[hops].at)),
        ),
    ]
}
