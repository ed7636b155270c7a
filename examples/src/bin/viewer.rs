//! Watches a broadcast and carries it to others.

use anyhow::{Context, Result, bail};
use beacon_codec_lite::{FileSink, NullSink};
use beacon_codec_raptorq::RaptorQ;
use beacon_examples::page::Page;
use beacon_examples::{Edge, args, finish};
use beacon_sdk::media::Renditions;
use beacon_sdk::{Event, Sink, Ticket, Watch, policy};
use clap::Parser;
use std::process::ExitCode;

/// Watches a broadcast, and relays it to other viewers meanwhile.
///
/// Example: viewer --signal ws://127.0.0.1:3001 --name launch --sink file:launch.mp4
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = args::AFTER_HELP)]
struct Args {
    /// Signaling server, ws://HOST:PORT or wss://HOST; several that share their rooms, separated by commas
    #[arg(long, value_name = "URL", required_unless_present = "ticket")]
    signal: Option<String>,
    /// Name of the broadcast; whoever publishes it there is believed
    #[arg(long, value_name = "NAME", required_unless_present = "ticket")]
    name: Option<String>,
    /// Ticket of the broadcast; only its publisher is believed
    #[arg(long, value_name = "TICKET", conflicts_with = "name")]
    ticket: Option<Ticket>,
    /// file:PATH (fragmented MP4), http:ADDR (a page with a player), window (with GStreamer) or
    /// null (relay only)
    #[arg(long, value_name = "SINK", default_value = "null")]
    sink: String,
    /// Take the best rendition up to this height in pixels, instead of all
    #[arg(long, value_name = "PIXELS")]
    max_height: Option<u16>,
    /// Take one rendition, the largest that arrives in time, up to --max-height
    #[arg(long)]
    adapt: bool,
    /// Take only these codecs, by the beginning of their names, such as avc1,opus
    #[arg(long, value_name = "CODECS", value_delimiter = ',')]
    codecs: Vec<String>,
    /// Upload at most this much to others, in Mbit/s
    #[arg(long, value_name = "MBIT", value_parser = args::megabits)]
    upload_limit: Option<u64>,
    /// Links this process keeps open of its own accord
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    links: Option<u16>,
    /// From whom to take what: push-pull, or another scheduler to compare it with
    #[arg(long, value_name = "NAME", default_value = "push-pull", value_parser = args::scheduler)]
    scheduler: &'static str,
    /// Print what happens
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    run: args::Run,
}

fn main() -> ExitCode {
    let args = Args::parse();
    finish::main_on_one_thread(run(args))
}

async fn run(args: Args) -> Result<()> {
    let signal = address(&args)?;
    let (sink, page) = open_sink(&args).await?;
    let mut config = args.run.profile.config();
    config.upload_bps = args.upload_limit;
    config.choice.codecs.clone_from(&args.codecs);
    let (height_max, bitrate_max) = (args.max_height.unwrap_or(u16::MAX), u32::MAX);
    if args.adapt {
        config.choice.renditions = Renditions::Auto { height_max, bitrate_max };
    } else if args.max_height.is_some() {
        config.choice.renditions = Renditions::Best { height_max, bitrate_max };
    }
    if let Some(links) = args.links {
        config.links_target = links;
        config.links_max = config.links_max.max(links);
    }
    let scheduler = policy::scheduler(args.scheduler, &config).context("no such scheduler")?;
    let beacon =
        Edge::beacon(&signal, &args.run)?.config(config).scheduler(scheduler).code(RaptorQ::new());
    let (watch, driver) = match (&args.ticket, &args.name) {
        (Some(ticket), _) => beacon.watch_ticket(ticket, sink)?,
        (None, Some(name)) => beacon.watch(name, sink)?,
        (None, None) => bail!("say what to watch: --ticket, or --signal and --name"),
    };
    let (stop, snapshots) = (watch.stopper(), watch.snapshots());
    if let Some(page) = &page {
        let name = args.ticket.as_ref().map(|ticket| ticket.name.clone()).or(args.name.clone());
        page.show(name.unwrap_or_default(), snapshots.clone());
        finish::say(format_args!("watch  http://{}", page.addr()));
    }
    let telling = tokio::spawn(tell(watch, args.verbose));
    let ended = finish::drive(driver, stop, snapshots, args.run.stats, args.run.duration).await;
    telling.await?;
    if let Some(page) = page {
        page.close().await;
    }
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
                | Event::Replaced { .. }
                | Event::Equivocation { .. }
                | Event::Thinned { .. }
        );
        if verbose || loud {
            eprintln!("{event}");
        }
    }
}

fn address(args: &Args) -> Result<String> {
    let named = args.ticket.as_ref().filter(|ticket| !ticket.rendezvous.is_empty());
    let in_ticket = named.map(|ticket| ticket.rendezvous.join(","));
    args.signal.clone().or(in_ticket).context("the ticket has no address: give --signal URL")
}

/// The sink, and the page it feeds if it is one.
async fn open_sink(args: &Args) -> Result<(Box<dyn Sink>, Option<Page>)> {
    let spec = args.sink.as_str();
    if let Some(addr) = spec.strip_prefix("http:") {
        let addr = addr.trim_start_matches("//").parse().with_context(|| {
            format!("--sink {spec}: use http:IP:PORT, such as http:127.0.0.1:8080")
        })?;
        let page = Page::bind(addr).await?;
        return Ok((Box::new(page.sink()), Some(page)));
    }
    let sink: Box<dyn Sink> = match spec.strip_prefix("file:") {
        #[cfg(feature = "gst")]
        Some(path) if path.ends_with(".webm") || path.ends_with(".mkv") => gst_sink(spec)?,
        Some(path) => Box::new(FileSink::create(path)?),
        None if spec == "null" => Box::new(NullSink::new()),
        #[cfg(feature = "gst")]
        None if spec == "window" => gst_sink(spec)?,
        #[cfg(not(feature = "gst"))]
        None if spec == "window" => bail!(
            "--sink window: this program was built without GStreamer; run `cargo xtask setup-gst` \
             and build with --features gst, or use http:127.0.0.1:8080"
        ),
        None => bail!("--sink {spec}: use file:PATH, http:ADDR, window or null"),
    };
    Ok((sink, None))
}

#[cfg(feature = "gst")]
fn gst_sink(spec: &str) -> Result<Box<dyn Sink>> {
    use beacon_codec_gst::{GstSink, SinkOptions};
    Ok(Box::new(GstSink::open(spec, &SinkOptions::default())?))
}
