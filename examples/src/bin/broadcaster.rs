//! Streams a test pattern or a file to whoever watches.

use anyhow::{Result, bail};
use beacon_codec_lite::{FileSink, Mp4File, Rendition, TestPattern, TestPatternOptions};
use beacon_codec_raptorq::RaptorQ;
use beacon_examples::{Edge, args, finish};
use beacon_sdk::{Broadcast, Event, Profile, Sink, Source, Ticket};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Publishes a broadcast that its viewers carry.
///
/// Example: broadcaster --signal ws://127.0.0.1:3001 --name launch --source test
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = args::AFTER_HELP)]
struct Args {
    /// Signaling server, ws://HOST:PORT or wss://HOST; several that share their rooms, separated by commas
    #[arg(long, value_name = "URL")]
    signal: String,
    /// Name under which viewers find the broadcast, 1 to 64 characters
    #[arg(long, value_name = "NAME")]
    name: String,
    /// test (a pattern with a clock and a tone), file:PATH (MP4 with H.264, passed through) or
    /// camera (with GStreamer)
    #[arg(long, value_name = "SOURCE", default_value = "test")]
    source: String,
    /// Encode with GStreamer: needed for cameras and for files that are not MP4 with H.264
    #[arg(long, value_enum, value_name = "CODEC")]
    codec: Option<Codec>,
    /// Start a file again at its end
    #[arg(long = "loop")]
    looped: bool,
    /// Bits per second of what is encoded here, in Mbit/s
    #[arg(long, value_name = "MBIT", default_value = "0.8", value_parser = args::megabits)]
    bitrate: u64,
    /// Publish the test pattern in two sizes, 640 x 360 and 320 x 180 at a quarter of --bitrate:
    /// viewers take the one that arrives in time
    #[arg(long)]
    ladder: bool,
    /// Links this process has at most; viewers carry the stream to all others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    max_links: Option<u16>,
    /// Publish every picture even when the viewers' uplinks together do not carry the stream: as a
    /// rule nothing arrives then. Otherwise part of the pictures is left out meanwhile
    #[arg(long)]
    no_thin: bool,
    /// Write what is published as a fragmented MP4
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    listing: args::Listed,
    #[command(flatten)]
    run: args::Run,
}

/// What GStreamer encodes to.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Codec {
    H264,
    Vp8,
    Vp9,
}

fn main() -> ExitCode {
    let args = Args::parse();
    finish::main(run(args))
}

async fn run(args: Args) -> Result<()> {
    let listing = args.listing.read()?;
    let source = open_source(&args)?;
    let record = match &args.record {
        Some(path) => Some(Box::new(FileSink::create(path)?) as Box<dyn Sink>),
        None => None,
    };
    let mut config = args.run.profile.config();
    config.thin = !args.no_thin;
    if let Some(links) = args.max_links {
        config.links_max = links;
        config.links_target = config.links_target.min(links);
    }
    let (broadcast, driver) = Edge::beacon(&args.signal, &args.run)?
        .config(config)
        .code(RaptorQ::new())
        .publish(&args.name, source, record)?;
    let rendezvous = args.signal.split(',').map(|url| url.trim().to_owned()).collect();
    let ticket = Ticket { rendezvous, ..broadcast.ticket().clone() };
    finish::say(format_args!("ticket {ticket}"));
    finish::say(format_args!("watch  viewer --signal {} --name {}", args.signal, args.name));
    broadcast.list(listing);
    if let Some(file) = args.listing.thumbnail {
        tokio::spawn(args::follow(file, broadcast.lister()));
    }
    let (stop, snapshots) = (broadcast.stopper(), broadcast.snapshots());
    let telling = tokio::spawn(tell(broadcast));
    let ended = finish::drive(driver, stop, snapshots, args.run.stats, args.run.duration).await;
    telling.await?;
    ended
}

/// Prints what the broadcaster can do something about, until there is no more.
async fn tell(mut broadcast: Broadcast) {
    while let Some(event) = broadcast.next_event().await {
        if matches!(
            event,
            Event::Supply { .. } | Event::RendezvousLost { .. } | Event::RendezvousBack
        ) {
            eprintln!("{event}");
        }
    }
}

fn open_source(args: &Args) -> Result<Box<dyn Source>> {
    if args.ladder && args.source != "test" {
        bail!("--ladder goes with --source test; a file has the pictures that it has");
    }
    let encode = args.codec.is_some() || args.source.starts_with("camera");
    match args.source.strip_prefix("file:") {
        _ if encode => gst_source(args),
        Some(path) => Ok(Box::new(Mp4File::open(path, args.looped)?)),
        None if args.source == "test" => {
            let bitrate = u32::try_from(args.bitrate).unwrap_or(u32::MAX);
            let small = Rendition { width: 320, height: 180, bitrate: (bitrate / 4).max(50_000) };
            let options = TestPatternOptions {
                group: group(args.run.profile),
                video_bitrate: bitrate,
                further: if args.ladder { vec![small] } else { Vec::new() },
                ..Default::default()
            };
            Ok(Box::new(TestPattern::new(options)?))
        }
        None => bail!("--source {}: use test, file:PATH or camera", args.source),
    }
}

#[cfg(feature = "gst")]
fn gst_source(args: &Args) -> Result<Box<dyn Source>> {
    use beacon_codec_gst::{GstSource, SourceOptions, VideoCodec};
    let mut options = SourceOptions::new(args.run.profile);
    options.video = match args.codec.unwrap_or(Codec::H264) {
        Codec::H264 => VideoCodec::H264,
        Codec::Vp8 => VideoCodec::Vp8,
        Codec::Vp9 => VideoCodec::Vp9,
    };
    options.bitrate = u32::try_from(args.bitrate).ok();
    options.group = group(args.run.profile);
    options.looped = args.looped;
    Ok(Box::new(GstSource::open(&args.source, &options)?))
}

#[cfg(not(feature = "gst"))]
fn gst_source(args: &Args) -> Result<Box<dyn Source>> {
    bail!(
        "--source {} with an encoder needs GStreamer, which this program was built without: run \
         `cargo xtask setup-gst` and build with --features gst, or use test or an MP4 file",
        args.source
    )
}

/// Newcomers start at a keyframe, so low latency wants them often.
fn group(profile: Profile) -> Duration {
    match profile {
        Profile::Live => Duration::from_secs(2),
        _ => Duration::from_millis(500),
    }
}
