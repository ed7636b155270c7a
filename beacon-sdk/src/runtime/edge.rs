//! The loop of a driver: what happens at transport, rendezvous, source and sink goes into the
//! engine, and what the engine wants is done.

use super::clock::Clock;
use super::driver::DriveError;
use super::handle::{Ends, Snapshot, Wishes};
use super::playback::Playback;
use super::reporter::Reporter;
use super::timer::{self, Instant as Moment};
use crate::engine::{Engine, Input, Output};
use crate::event::Event;
use crate::id::BroadcastId;
use crate::listing::Listing;
use crate::media::Media;
use crate::plugin::{
    Join, Rendezvous, RendezvousError, RendezvousEvent, Report, SinkError, Source, SourceError,
    Transport, TransportError, TransportEvent, TrySendError,
};
use core::time::Duration;
use tokio::sync::watch;

/// Transport events taken in one go before anything else has its turn.
const BATCH_MAX: usize = 256;
/// How often the application's snapshot is renewed at least, by the first wake-up after it: the
/// engine's own timers give one every 250 ms at least.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(150);
/// How long the end of a broadcast is served to others at least, and how long at most.
const LINGER_MIN: Duration = Duration::from_secs(1);
const LINGER_MAX: Duration = Duration::from_secs(4);
/// How long goodbyes may take.
const GOODBYE: Duration = Duration::from_millis(50);

/// What the engine is joined to.
pub(super) struct Edge {
    pub(super) clock: Clock,
    pub(super) join: Join,
    pub(super) transport: Box<dyn Transport>,
    pub(super) rendezvous: Box<dyn Rendezvous>,
    pub(super) source: Option<Box<dyn Source>>,
    /// None when only what parents are chosen by is told.
    pub(super) reporter: Option<Reporter>,
    /// The rendezvous names another broadcast by now.
    pub(super) replaced: bool,
}

/// What woke the driver.
enum Wake {
    Transport(Result<TransportEvent, TransportError>),
    Rendezvous(Result<RendezvousEvent, RendezvousError>),
    Source(Result<Option<Media>, SourceError>),
    Sink(Result<(), SinkError>),
    Listed(Listing),
    Wished(Wishes),
    Timeout,
    Stop,
}

impl Edge {
    /// Waits until it is known which broadcast this is; `None` when stopped before.
    pub(super) async fn meet(&mut self, ends: &Ends) -> Result<Option<BroadcastId>, DriveError> {
        if self.join.publish {
            return Ok(self.join.broadcast);
        }
        let mut stop = ends.stop.clone();
        loop {
            let event = tokio::select! {
                event = self.rendezvous.next_event() => event?,
                () = stopped(&mut stop) => return Ok(None),
            };
            match event {
                RendezvousEvent::Joined { broadcast: Some(found) } => {
                    self.check_publisher(found)?;
                    return Ok(Some(found));
                }
                RendezvousEvent::Suspended { reason } => {
                    let _ = ends.events.try_send(Event::RendezvousLost { reason });
                }
                RendezvousEvent::Turn(server) => self.transport.turn(server),
                _ => {}
            }
        }
    }

    /// A ticket names the publisher; a newer run of the same publisher is fine.
    fn check_publisher(&self, found: BroadcastId) -> Result<(), DriveError> {
        match self.join.broadcast {
            Some(wanted) if wanted.publisher != found.publisher => {
                Err(DriveError::Publisher { wanted: wanted.publisher, found: found.publisher })
            }
            _ => Ok(()),
        }
    }

    /// Runs an engine to its end, goodbyes included.
    pub(super) async fn run(
        &mut self,
        mut engine: Engine,
        playback: &mut Playback,
        ends: &mut Ends,
    ) -> Result<(), DriveError> {
        let result = self.serve(&mut engine, playback, ends).await;
        engine.leave(self.clock.now());
        self.perform(&mut engine, ends);
        // The goodbyes are with the transport; closing at once might overtake them.
        timer::sleep(GOODBYE).await;
        publish_snapshot(&engine, ends);
        result
    }

    /// The loop: until the broadcast has ended, or this peer is stopped.
    async fn serve(
        &mut self,
        engine: &mut Engine,
        playback: &mut Playback,
        ends: &mut Ends,
    ) -> Result<(), DriveError> {
        let mut rendezvous_up = true;
        let mut leaving: Option<Moment> = None;
        let mut snapshot_at = Moment::now();
        loop {
            self.perform(engine, ends);
            if playback.idle()
                && let Some(item) = engine.poll_playout()
            {
                playback.write(item);
                self.perform(engine, ends);
            }
            if Moment::now() >= snapshot_at {
                snapshot_at = Moment::now() + SNAPSHOT_INTERVAL;
                publish_snapshot(engine, ends);
            }
            if let Some(unplayable) = engine.unplayable() {
                return Err(unplayable.clone().into());
            }
            if let Some(incompatible) = engine.incompatible() {
                return Err(incompatible.into());
            }
            if let Some(id) = engine.equivocation().filter(|_| !self.join.publish) {
                return Err(DriveError::Equivocation(id));
            }
            let over = engine.ended() || self.replaced;
            if over && !playback.busy() && leaving.is_none() {
                leaving = Some(Moment::now());
            }
            if leaving.is_some_and(|since| {
                let waited = since.elapsed();
                waited >= LINGER_MAX || (waited >= LINGER_MIN && engine.served())
            }) {
                return Ok(());
            }
            let deadline = self.clock.moment(engine.poll_timeout());
            let wake = self.wait(playback, rendezvous_up, deadline, leaving.is_none(), ends).await;
            let now = self.clock.now();
            match wake {
                Wake::Transport(event) => self.take_in(engine, event?).await?,
                Wake::Rendezvous(event) => {
                    rendezvous_up = self.on_rendezvous(engine, event, ends)?;
                }
                Wake::Source(Ok(Some(media))) => {
                    engine.handle(now, Input::Media(media));
                    if let Some(error) = engine.take_publish_error() {
                        return Err(error.into());
                    }
                }
                Wake::Source(ended) => {
                    self.source = None;
                    engine.handle(now, Input::End);
                    leaving = Some(Moment::now());
                    if let Err(error) = ended {
                        self.linger(engine, ends).await;
                        return Err(error.into());
                    }
                }
                Wake::Sink(written) => written?,
                Wake::Listed(listing) => self.rendezvous.list(listing),
                Wake::Wished(Wishes { upload_bps, choice }) => {
                    engine.handle(now, Input::Upload(upload_bps));
                    engine.handle(now, Input::Choice(choice));
                }
                Wake::Timeout => engine.handle(now, Input::Timeout),
                Wake::Stop if self.join.publish => {
                    self.source = None;
                    engine.handle(now, Input::End);
                    leaving = Some(Moment::now());
                }
                Wake::Stop => return Ok(()),
            }
        }
    }

    /// A failed source still leaves viewers a moment to get what there was.
    async fn linger(&mut self, engine: &mut Engine, ends: &Ends) {
        let until = Moment::now() + LINGER_MIN;
        while Moment::now() < until {
            self.perform(engine, ends);
            let deadline = self.clock.moment(engine.poll_timeout()).min(until);
            tokio::select! {
                event = self.transport.next_event() => match event {
                    Ok(event) => self.on_transport(engine, event),
                    Err(_) => return,
                },
                () = timer::sleep_until(deadline) => {
                    engine.handle(self.clock.now(), Input::Timeout);
                }
            }
        }
    }

    async fn wait(
        &mut self,
        playback: &mut Playback,
        rendezvous_up: bool,
        deadline: Moment,
        may_stop: bool,
        ends: &mut Ends,
    ) -> Wake {
        let source = async {
            match &mut self.source {
                Some(source) => source.next().await,
                None => core::future::pending().await,
            }
        };
        let busy = playback.busy();
        tokio::select! {
            event = self.transport.next_event() => Wake::Transport(event),
            event = self.rendezvous.next_event(), if rendezvous_up => Wake::Rendezvous(event),
            item = source => Wake::Source(item),
            written = playback.written(), if busy => Wake::Sink(written),
            listing = said(&mut ends.listing) => Wake::Listed(listing),
            wishes = said(&mut ends.wishes) => Wake::Wished(wishes),
            () = timer::sleep_until(deadline) => Wake::Timeout,
            () = stopped(&mut ends.stop), if may_stop => Wake::Stop,
        }
    }

    /// Takes in one event and whatever else is there already: at stream rates the cost is in
    /// wake-ups, not in bytes.
    async fn take_in(
        &mut self,
        engine: &mut Engine,
        first: TransportEvent,
    ) -> Result<(), TransportError> {
        self.on_transport(engine, first);
        for _ in 1..BATCH_MAX {
            let next = tokio::select! {
                biased;
                event = self.transport.next_event() => Some(event?),
                () = core::future::ready(()) => None,
            };
            let Some(event) = next else { break };
            self.on_transport(engine, event);
        }
        Ok(())
    }

    fn on_transport(&mut self, engine: &mut Engine, event: TransportEvent) {
        let input = match event {
            TransportEvent::Signal { to, signal } => return self.rendezvous.signal(to, signal),
            TransportEvent::Connected(link) => Input::Connected(link),
            TransportEvent::ConnectFailed { peer, reason } => Input::ConnectFailed { peer, reason },
            TransportEvent::Disconnected { peer, reason } => Input::Disconnected { peer, reason },
            TransportEvent::Received { from, lane, frame } => Input::Received { from, lane, frame },
            TransportEvent::Writable { to, lane } => Input::Writable { to, lane },
        };
        engine.handle(self.clock.now(), input);
    }

    /// Takes in what the rendezvous says; `false` when it is of no more use.
    fn on_rendezvous(
        &mut self,
        engine: &mut Engine,
        event: Result<RendezvousEvent, RendezvousError>,
        ends: &Ends,
    ) -> Result<bool, DriveError> {
        let now = self.clock.now();
        match event {
            Ok(RendezvousEvent::Peers(hints)) => engine.handle(now, Input::Discovered(hints)),
            Ok(RendezvousEvent::Gone(peer)) => engine.handle(now, Input::Gone(peer)),
            Ok(RendezvousEvent::Banned(peer)) => engine.handle(now, Input::Banned(peer)),
            Ok(RendezvousEvent::Issuer(issuer)) => engine.handle(now, Input::Issuer(issuer)),
            Ok(RendezvousEvent::Edge(edge)) => engine.handle(now, Input::Edge(edge)),
            Ok(RendezvousEvent::Signal { from, signal }) => self.transport.signal(from, signal),
            Ok(RendezvousEvent::Turn(server)) => self.transport.turn(server),
            Ok(RendezvousEvent::Suspended { reason }) => {
                let _ = ends.events.try_send(Event::RendezvousLost { reason });
            }
            Ok(RendezvousEvent::Joined { broadcast: Some(found) })
                if found != engine.broadcast() && !self.join.publish =>
            {
                // Another broadcast under this name, or a new run: this one is over.
                let _ = ends.events.try_send(Event::Replaced { by: found });
                self.replaced = true;
            }
            Ok(RendezvousEvent::Joined { .. }) => {
                let _ = ends.events.try_send(Event::RendezvousBack);
            }
            // An origin that is refused has no audience; a viewer that has links goes on.
            Err(error) if self.join.publish || engine.neighbours().is_empty() => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(%error, "going on without the rendezvous");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells the rendezvous how this peer does, in detail now and then.
    fn report(&mut self, engine: &Engine, report: Report) {
        let now = self.clock.now();
        let detail = match &mut self.reporter {
            Some(reporter) if reporter.due(now) => {
                Some(Box::new(reporter.detail(now, &engine.stats(), &engine.links())))
            }
            _ => None,
        };
        self.rendezvous.report(Report { detail, ..report });
    }

    /// Does what the engine wants done.
    fn perform(&mut self, engine: &mut Engine, ends: &Ends) {
        while let Some(output) = engine.poll_output() {
            match output {
                Output::Send { to, lane, frame } => {
                    match self.transport.try_send(to, lane, frame) {
                        Ok(()) => {}
                        Err(TrySendError::Full(frame)) => {
                            let refused = Input::Refused { to, lane, frame };
                            engine.handle(self.clock.now(), refused);
                        }
                        // The link is going down, which an event will say; or the frame cannot
                        // be carried at all, which `caps` ruled out.
                        Err(error) => tracing::debug!(?to, %error, "frame dropped"),
                    }
                }
                Output::Dial(peer) => self.transport.dial(peer),
                Output::Close { peer, reason } => self.transport.close(peer, reason),
                Output::Report(report) => self.report(engine, report),
                Output::Claim(receipt) => self.rendezvous.claim(receipt),
                Output::Event(event) => {
                    let _ = ends.events.try_send(event);
                }
            }
        }
    }
}

/// Waits for the application to stop this peer; for ever when its handle is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        core::future::pending::<()>().await;
    }
}

/// Waits for another word of the application's; for ever when nobody can give one.
async fn said<T: Clone>(word: &mut watch::Receiver<T>) -> T {
    if word.changed().await.is_err() {
        core::future::pending::<()>().await;
    }
    word.borrow_and_update().clone()
}

fn publish_snapshot(engine: &Engine, ends: &Ends) {
    ends.snapshot.send_replace(Snapshot { stats: engine.stats(), links: engine.links() });
}
