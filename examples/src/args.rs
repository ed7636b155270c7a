//! Options that the programs have in common.

use anyhow::{Context as _, Result};
use beacon_sdk::listing::THUMBNAIL_BYTES_MAX;
use beacon_sdk::signaling::Token;
use beacon_sdk::{About, Lister, Listing, Profile, Thumbnail, policy};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::warn;

/// How long to run, and what to leave behind.
#[derive(Debug, Clone, clap::Args)]
pub struct Run {
    /// Stop after this many seconds; without it, at the end of the broadcast or on Ctrl-C
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Write counters as JSON to this file, every second and at the end
    #[arg(long, value_name = "FILE.json")]
    pub stats: Option<PathBuf>,
    /// How to reach others
    #[command(flatten)]
    pub network: Network,
    /// Tell the signaling server nothing of links and counters; its dashboard shows less then
    #[arg(long)]
    pub no_report: bool,
    /// Keep this peer's key in this file, made if it is not there: credit is earned by the key, and
    /// without a file every run has a new one
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Leave to join, from whoever runs the signaling server, where it lets nobody in without; for the key
    /// in --identity
    #[arg(long, value_name = "TOKEN", requires = "identity")]
    pub token: Option<Token>,
    /// Settings: live (4 s to playout), low-latency (0.8 s) or ephemeral
    #[arg(long, default_value = "live", value_name = "PROFILE")]
    pub profile: Profile,
}

/// How other peers are reached.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Network {
    /// STUN server for peers behind NAT, such as stun:stun.example.org:3478; may be repeated. TURN servers come
    /// from the signaling server
    #[arg(long = "ice-server", value_name = "URL")]
    pub ice: Vec<String>,
    /// Use links through TURN servers alone: no other peer learns this one's address. The signaling server must grant
    /// leave to use one (beacon-signal --turn)
    #[arg(long)]
    pub relay_only: bool,
}

/// What lists show of a broadcast.
#[derive(Debug, Clone, clap::Args)]
pub struct Listed {
    /// Title in lists, up to 100 characters; without it they show the name
    #[arg(long, value_name = "TEXT", default_value = "")]
    title: String,
    /// Category in lists, such as Music, up to 32 letters, digits, spaces and - _ + # . & '
    #[arg(long, value_name = "WORD", default_value = "")]
    category: String,
    /// Tag in lists, as the category; may be repeated, 8 times at most
    #[arg(long = "tag", value_name = "WORD")]
    tags: Vec<String>,
    /// Picture in lists: JPEG, PNG or WebP of up to 20 KiB and 1280 pixels a side. When the file
    /// changes, so does the picture, every 10 s at most
    #[arg(long, value_name = "FILE")]
    pub thumbnail: Option<PathBuf>,
}

impl Listed {
    /// Checks the words and reads the picture.
    ///
    /// # Errors
    /// What no list shows, or a file that cannot be read.
    pub fn read(&self) -> Result<Listing> {
        let about = About::new(self.title.clone(), self.category.clone(), self.tags.clone());
        let about = about.context("--title, --category or --tag")?;
        Ok(Listing { about, thumbnail: self.thumbnail.as_deref().map(picture).transpose()? })
    }
}

fn picture(file: &Path) -> Result<Thumbnail> {
    let read = || -> Result<Thumbnail> {
        let mut bytes = Vec::new();
        // One byte more than there may be, so that a large file is refused for what it is.
        let most = THUMBNAIL_BYTES_MAX as u64 + 1;
        let open = std::fs::File::open(file)?;
        let size = open.metadata()?.len();
        open.take(most).read_to_end(&mut bytes)?;
        if size > most {
            return Err(beacon_sdk::ListingError::Bytes(usize::try_from(size)?).into());
        }
        Ok(Thumbnail::new(bytes.into())?)
    };
    read().with_context(|| format!("--thumbnail {}", file.display()))
}

/// Lists the picture in `file` anew whenever it has changed, until the broadcast is over.
pub async fn follow(file: PathBuf, lister: Lister) {
    const LOOK: Duration = Duration::from_secs(10);
    let changed = |file: &Path| std::fs::metadata(file).and_then(|of| of.modified()).ok();
    let mut last = changed(&file);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = changed(&file);
        if now.is_none() || now == last {
            continue;
        }
        last = now;
        match picture(&file) {
            Ok(thumbnail) => {
                lister.list(Listing { thumbnail: Some(thumbnail), ..lister.listing() });
            }
            Err(error) => warn!("{error:#}: the picture before stays"),
        }
    }
}

/// A positive number of seconds.
///
/// # Errors
/// When it is not one.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be above zero".to_owned()),
    }
}

/// Megabits per second as bits per second.
///
/// # Errors
/// When it is not a positive number.
pub fn megabits(text: &str) -> Result<u64, String> {
    let megabits: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of Mbit/s"))?;
    if megabits > 0.0 && megabits < 1e6 {
        Ok((megabits * 1e6) as u64)
    } else {
        Err("must be above zero".to_owned())
    }
}

/// The name of a scheduler that comes with the SDK.
///
/// # Errors
/// When there is none of that name; says which there are.
pub fn scheduler(name: &str) -> Result<&'static str, String> {
    let known = policy::NAMES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("no scheduler {name:?}: use one of {}", policy::NAMES.join(", ")))
}

/// What every program's help ends with.
pub const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 bad usage. RUST_LOG=info shows more.";
