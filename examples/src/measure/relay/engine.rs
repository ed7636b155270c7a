//! The relay as a Beacon viewer, and its ends.

use super::{Args, Copied, CopierArgs};
use crate::Edge;
use crate::args::Network;
use crate::measure::fence::Fence;
use crate::measure::pulse::Pulse;
use anyhow::{Context, Result};
use beacon_codec_lite::NullSink;
use beacon_codec_raptorq::RaptorQ;
use beacon_sdk::{Beacon, DriveError, Identity, PeerId, Snapshot, Stopper};
use beacon_transport_webrtc::{SignalClient, WebRtc, WebRtcConfig};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const FPS: u32 = 30;
const GROUP: Duration = Duration::from_secs(2);

/// The relay.
pub(super) struct Copier {
    driver: JoinHandle<Result<(), DriveError>>,
    stopper: Stopper,
    snapshots: watch::Receiver<Snapshot>,
}

impl Copier {
    pub(super) fn start(args: &CopierArgs) -> Result<Self> {
        let edge = Edge::open(&args.signal, &Network::default(), None)?;
        let mut config = args.profile.config();
        // Every child gets every stripe from here: half the slots are for one of them, and the
        // rest is shared by the others.
        config.push_slots = 2 * u16::from(args.children) * u16::from(config.stripes + 1);
        let (watch, driver) = Beacon::new(edge.identity, edge.transport, edge.rendezvous)
            .config(config)
            .code(RaptorQ::new())
            .watch("relay", NullSink::new())?;
        let (stopper, snapshots) = (watch.stopper(), watch.snapshots());
        Ok(Self { driver: tokio::spawn(driver), stopper, snapshots })
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.stopper.stop();
        Ok(self.driver.await??)
    }
}

impl Copied for Copier {
    fn bytes(&self) -> u64 {
        self.snapshots.borrow().stats.bytes_uploaded
    }
}

/// The origin and the children, which reach the relay only.
pub(super) struct Ends {
    drivers: JoinSet<Result<(), DriveError>>,
    stoppers: Vec<Stopper>,
    children: Vec<watch::Receiver<Snapshot>>,
}

impl Ends {
    pub(super) fn start(args: &Args, signal: &str) -> Result<Self> {
        let identities = (0..=args.children)
            .map(|_| Identity::random())
            .collect::<Result<Vec<_>, _>>()
            .context("no random numbers from the system")?;
        let ids: Vec<PeerId> = identities.iter().map(Identity::public).collect();
        let mut ends = Self { drivers: JoinSet::new(), stoppers: Vec::new(), children: Vec::new() };
        for (at, identity) in identities.into_iter().enumerate() {
            let others = ids.clone();
            let transport = WebRtc::new(identity.public(), WebRtcConfig::loopback())?;
            let transport = Fence::new(transport, move |peer| !others.contains(peer));
            let rendezvous = SignalClient::new(signal, &identity)?;
            let beacon = Beacon::new(identity, transport, rendezvous)
                .config(args.profile.config())
                .code(RaptorQ::new());
            if at == 0 {
                let source = Pulse::new(args.mbit, FPS, GROUP);
                let (broadcast, driver) = beacon.publish("relay", source, None)?;
                ends.stoppers.push(broadcast.stopper());
                ends.drivers.spawn(driver);
            } else {
                let (watch, driver) = beacon.watch("relay", NullSink::new())?;
                ends.stoppers.push(watch.stopper());
                ends.children.push(watch.snapshots());
                ends.drivers.spawn(driver);
            }
        }
        Ok(ends)
    }

    /// Ends everything; gives back how many segments children had missed while the relay was
    /// there.
    pub(super) async fn stop(mut self) -> Result<u64> {
        let missed = self.children.iter().map(|c| c.borrow().stats.segments_missed).sum();
        let silent = self.children.iter().any(|c| c.borrow().stats.segments_delivered == 0);
        for stopper in self.stoppers.iter().rev() {
            stopper.stop();
        }
        while let Some(ended) = self.drivers.join_next().await {
            ended??;
        }
        if silent {
            anyhow::bail!("a child was not served");
        }
        Ok(missed)
    }
}
