//! The whole of Beacon on one machine: signaling, a broadcaster and viewers, each a process.

use anyhow::{Context, Result, bail};
use beacon_examples::processes::{Folder, ask_to_end, program, see_end, start_signaling};
use beacon_examples::{args, finish};
use beacon_ledger::AccountId;
use beacon_sdk::{Profile, Stats};
use clap::Parser;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::Child;

/// Shows Beacon at work: a signaling server, a broadcaster and viewers as separate processes.
///
/// The first viewer serves a page with a player; open it in any browser of this machine. With a
/// web build, the signaling server has a page that joins the mesh by itself. One line per peer
/// says every second where its bytes come from. Ctrl-C ends everything.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = args::AFTER_HELP)]
struct Args {
    /// Viewers to start
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    viewers: u16,
    /// What to broadcast: test, or file:PATH (looped)
    #[arg(long, default_value = "test", value_name = "SOURCE")]
    source: String,
    /// Links the broadcaster has at most
    #[arg(long, default_value_t = 2, value_name = "N")]
    max_links: u16,
    /// Where the page is served
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    http: SocketAddr,
    /// live, low-latency or ephemeral
    #[arg(long, default_value = "live", value_name = "PROFILE")]
    profile: String,
    /// A web build (`cargo xtask web`): pages that are peers themselves, served by signaling
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
    /// Pay relays out of accounts, sqlite:FILE or postgres://USER@HOST/DATABASE: 1000 credits for the
    /// broadcaster's pool, and at the end what each viewer has earned
    #[arg(long, value_name = "ADDRESS")]
    ledger: Option<String>,
    /// End after this many seconds
    #[arg(long, value_name = "SECS", value_parser = args::seconds)]
    duration: Option<Duration>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    finish::main(run(args))
}

/// One process of the demonstration.
struct Peer {
    name: String,
    child: Child,
    stats: PathBuf,
    /// Where its key is kept, when it earns.
    key: Option<PathBuf>,
}

async fn run(args: Args) -> Result<()> {
    let profile: Profile = args.profile.parse()?;
    if args.ledger.is_some() && profile == Profile::Ephemeral {
        bail!("--ledger keeps what peers earn, and --profile ephemeral keeps nothing: choose one");
    }
    let folder = Folder::create()?;
    let mut signaling = start_signaling(&signaling_options(&args)?).await?;
    finish::say(format_args!("signaling  {}", signaling.url));
    let mut peers = start_peers(&args, &signaling.url, folder.path())?;
    finish::say(format_args!("watch      http://{}  (any browser on this machine)", args.http));
    if args.pages.is_some() {
        let server = signaling.url.replacen("ws", "http", 1);
        finish::say(format_args!(
            "join       {server}/watch?name=demo  (the page is a peer itself)"
        ));
        finish::say(format_args!("dashboard  {server}/dashboard?name=demo  (the mesh as it is)"));
    }
    finish::say(format_args!("Ctrl-C ends everything\n"));
    let ended = watch_over(&mut peers, args.duration).await;
    end(&mut peers).await;
    ask_to_end(&mut signaling.child);
    see_end("signaling", &mut signaling.child).await;
    if let Some(ledger) = &args.ledger {
        print_earnings(ledger, &peers).await?;
    }
    ended
}

fn signaling_options(args: &Args) -> Result<Vec<OsString>> {
    let mut options: Vec<OsString> = Vec::new();
    if let Some(pages) = &args.pages {
        options.extend(["--pages".into(), pages.into()]);
    }
    if let Some(ledger) = &args.ledger {
        if ledger.starts_with("memory") {
            bail!("--ledger {ledger}: nothing could be shown at the end; use sqlite:FILE");
        }
        options.extend(["--ledger", ledger, "--grant", "1000", "--vest", "0"].map(Into::into));
        if !ledger.starts_with("sqlite:") {
            options.extend(["--ledger-key", "beacon-demo.key"].map(Into::into));
        }
    }
    Ok(options)
}

/// What each peer has, and that nothing came from nowhere.
async fn print_earnings(ledger: &str, peers: &[Peer]) -> Result<()> {
    let store = beacon_ledger::store::open(ledger).await?;
    for peer in peers {
        let Some(key) = &peer.key else { continue };
        let id = beacon_signal::read_or_make_key(key)?.public();
        let account = AccountId::peer(id);
        let earned = store.accounts(&[account]).await?.pop().unwrap_or_default();
        finish::say(format_args!("{:<12} has {} credits  {id}", peer.name, earned.available()));
    }
    let audit = store.audit().await?;
    let agree = audit.faults.is_empty() && audit.issued == audit.held;
    finish::say(format_args!(
        "all accounts together have what was issued: {}\nwhy: beacon-signal statement --ledger {ledger} ID",
        if agree { "yes" } else { "no" }
    ));
    Ok(())
}

fn start_peers(args: &Args, signal: &str, folder: &Path) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    let mut start = |name: String, program_name: &str, extra: &[&str]| -> Result<()> {
        let stats = folder.join(format!("{name}.json"));
        let mut command = program(program_name)?;
        let key = args.ledger.is_some().then(|| folder.join(format!("{name}.key")));
        if let Some(key) = &key {
            command.arg("--identity").arg(key);
        }
        command
            .args(["--signal", signal, "--name", "demo", "--profile", &args.profile])
            .arg("--stats")
            .arg(&stats)
            .args(extra)
            .stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("{program_name} does not start"))?;
        peers.push(Peer { name, child, stats, key });
        Ok(())
    };
    let links = args.max_links.to_string();
    let listing = ["--title", "Demonstration", "--category", "Demo", "--tag", "this machine"];
    let origin = ["--source", &args.source, "--loop", "--max-links", &links];
    let origin = [&origin[..], &listing].concat();
    start("broadcaster".into(), "broadcaster", &origin)?;
    for number in 1..=args.viewers {
        let sink = if number == 1 { format!("http:{}", args.http) } else { "null".into() };
        start(format!("viewer-{number}"), "viewer", &["--sink", &sink])?;
    }
    Ok(peers)
}

/// Prints a table every second until the time is up, the user ends it or a process fails.
async fn watch_over(peers: &mut [Peer], duration: Option<Duration>) -> Result<()> {
    let limit = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let asked = finish::asked_to_end();
    tokio::pin!(limit, asked);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = &mut limit => return Ok(()),
            () = &mut asked => return Ok(()),
            _ = second.tick() => {
                print_table(peers);
                for peer in peers.iter_mut() {
                    if let Some(status) = peer.child.try_wait()? {
                        bail!("{} ended: {status}", peer.name);
                    }
                }
            }
        }
    }
}

fn print_table(peers: &[Peer]) {
    finish::say(format_args!(
        "{:<12} {:<10} {:>4} {:>7} {:>8} {:>11} {:>11} {:>11} {:>8} {:>6}",
        "peer",
        "role",
        "hops",
        "parents",
        "children",
        "from origin",
        "from peers",
        "uploaded",
        "latency",
        "stalls"
    ));
    for peer in peers {
        let Some(stats) = read_stats(&peer.stats) else {
            finish::say(format_args!("{:<12} starting", peer.name));
            continue;
        };
        let role = serde_json::to_value(stats.role).ok();
        let role = role.as_ref().and_then(|role| role.as_str()).unwrap_or("?");
        finish::say(format_args!(
            "{:<12} {:<10} {:>4} {:>7} {:>8} {:>8.2} MB {:>8.2} MB {:>8.2} MB {:>5} ms {:>6}",
            peer.name,
            role,
            stats.hops_max,
            stats.parents,
            stats.children,
            megabytes(stats.bytes_from_origin),
            megabytes(stats.bytes_from_peers),
            megabytes(stats.bytes_uploaded),
            stats.latency_ms.p50,
            stats.stalls,
        ));
    }
    finish::say("");
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn read_stats(path: &Path) -> Option<Stats> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Asks the processes to end, viewers first, and sees to it that they do.
async fn end(peers: &mut [Peer]) {
    for peer in peers.iter_mut().rev() {
        ask_to_end(&mut peer.child);
    }
    for peer in peers.iter_mut() {
        see_end(&peer.name, &mut peer.child).await;
    }
}
