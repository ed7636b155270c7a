//! Watches a broadcast and carries it to others.

use anyhow::{Context, Result, bail};
use beacon_codec_lite::{FileSink, NullSink};
use beacon_codec_raptorq::RaptorQ;
use beacon_examples::{Edge, args, finish};
use beacon_sdk::{Beacon, Event, Sink, Ticket, Watch};
use clap::Parser;
use std::process::ExitCode;

/// Watches a broadcast, and relays it to other viewers meanwhile.
///
/// Example: viewer --signal ws://127.0.0.1:3001 --name launch --sink file:launch.mp4
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = args::AFTER_HELP)]
struct Args {
    /// Signaling server, ws://HOST:PORT or wss://HOST
    #[arg(long, value_name = "URL", required_unless_present = "ticket")]
    signal: Option<String>,
    /// Name of the broadcast; whoever publishes it there is believed
    #[arg(long, value_name = "NAME", required_unless_present = "ticket")]
    name: Option<String>,
    /// Ticket of the broadcast; only its publisher is believed
    #[arg(long, value_name = "TICKET", conflicts_with = "name")]
    ticket: Option<Ticket>,
    /// file:PATH (fragmented MP4), or null (relay only)
    #[arg(long, value_name = "SINK", default_value = "null")]
    sink: String,
    /// Upload at most this much to others, in Mbit/s
    #[arg(long, value_name = "MBIT", value_parser = args::megabits)]
    upload_limit: Option<u64>,
    /// Links this process keeps open of its own accord
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    links: Option<u16>,
    /// Print what happens
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    run: args::Run,
}

fn main() -> ExitCode {
    let args = Args::parse();
    finish::main(run(args))
}

async fn run(args: Args) -> Result<()> {
    let signal = address(&args)?;
    let sink = open_sink(&args.sink)?;
    let mut config = args.run.profile.config();
    config.upload_bps = args.upload_limit;
    if let Some(links) = args.links {
        config.links_target = links;
        config.links_max = config.links_max.max(links);
    }
    let edge = Edge::open(&signal, &args.run.ice)?;
    let beacon = Beacon::new(edge.identity, edge.transport, edge.rendezvous)
        .config(config)
        .code(RaptorQ::new());
    let (watch, driver) = match (&args.ticket, &args.name) {
        (Some(ticket), _) => beacon.watch_ticket(ticket, sink)?,
        (None, Some(name)) => beacon.watch(name, sink)?,
        (None, None) => bail!("say what to watch: --ticket, or --signal and --name"),
    };
    let (stop, snapshots) = (watch.stopper(), watch.snapshots());
    let telling = tokio::spawn(tell(watch, args.verbose));
    let ended = finish::drive(driver, stop, snapshots, args.run.stats, args.run.duration).await;
    telling.await?;
    ended
}

/// Prints events until there are no more.
async fn tell(mut watch: Watch, verbose: bool) {
    while let Some(event) = watch.next_event().await {
        let loud = matches!(
            event,
            Event::PeerBanned { .. }
                | Event::RendezvousLost { .. }
                | Event::RendezvousBack
                | Event::Equivocation { .. }
        );
        if verbose || loud {
            eprintln!("{event}");
        }
    }
}

fn address(args: &Args) -> Result<String> {
    let in_ticket = args.ticket.as_ref().and_then(|ticket| ticket.rendezvous.first().cloned());
    args.signal.clone().or(in_ticket).context("the ticket has no address: give --signal URL")
}

fn open_sink(spec: &str) -> Result<Box<dyn Sink>> {
    if let Some(path) = spec.strip_prefix("file:") {
        return Ok(Box::new(FileSink::create(path)?));
    }
    match spec {
        "null" => Ok(Box::new(NullSink::new())),
        other => bail!("--sink {other}: use file:PATH, http:ADDR, window or null"),
    }
}
