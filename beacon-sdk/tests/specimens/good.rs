//! Small implementations that keep their contracts.

use async_trait::async_trait;
use beacon_sdk::conformance::sample;
use beacon_sdk::media::{Media, Playout};
use beacon_sdk::plugin::{MeshView, Plan, Scheduler, SinkError, SourceError};
use beacon_sdk::{Rng, Sink, Source};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Asks the first neighbour that holds a symbol and has window for it.
#[derive(Debug, Default)]
pub(crate) struct Greedy;

impl Scheduler for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn plan(&mut self, view: &MeshView, _rng: &mut Rng, plan: &mut Plan) {
        let mut window: BTreeMap<_, _> = view.peers.iter().map(|p| (p.key, p.window)).collect();
        for need in &view.needs {
            let mut asks: BTreeMap<_, Vec<u16>> = BTreeMap::new();
            for (esi, _) in &need.missing {
                let stripe = u32::from(view.stripe(need, *esi));
                let holder = need.holders.iter().find(|(peer, mask)| {
                    mask.checked_shr(stripe).is_some_and(|mask| mask & 1 == 1)
                        && window.get(peer).is_some_and(|window| *window > 0)
                });
                if let Some((peer, _)) = holder {
                    window.entry(*peer).and_modify(|window| *window -= 1);
                    asks.entry(*peer).or_default().push(*esi);
                }
            }
            for (peer, mut esis) in asks {
                esis.sort_unstable();
                esis.dedup();
                plan.request(peer, need.id, esis);
            }
        }
        plan.replan_at(view.now + Duration::from_millis(50));
    }
}

/// The media of [`sample`] at the pace of a camera.
pub(crate) struct Clip {
    items: VecDeque<(Duration, Media)>,
    started: tokio::time::Instant,
}

impl Clip {
    pub(crate) fn new() -> Self {
        let mut items = Vec::new();
        for item in sample() {
            match item {
                Playout::Tracks(tracks) => items.push((Duration::ZERO, Media::Tracks(tracks))),
                Playout::Segment { objects, .. } => items.extend(objects.into_iter().map(|o| {
                    let ticks = if o.track.get() == 0 { 90_000 } else { 48_000 };
                    (Duration::from_micros(o.dts * 1_000_000 / ticks), Media::Object(o))
                })),
                _ => {}
            }
        }
        items.sort_by_key(|(at, _)| *at);
        Self { items: items.into(), started: tokio::time::Instant::now() }
    }

    /// The next item, due or not.
    pub(crate) fn take(&mut self) -> Option<Media> {
        self.items.pop_front().map(|(_, item)| item)
    }
}

#[async_trait]
impl Source for Clip {
    async fn next(&mut self) -> Result<Option<Media>, SourceError> {
        let Some((at, _)) = self.items.front() else { return Ok(None) };
        tokio::time::sleep_until(self.started + *at).await;
        Ok(self.take())
    }
}

/// Keeps what it is given, and refuses what is out of order.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Vec<Playout>);

#[async_trait]
impl Sink for Recorder {
    async fn write(&mut self, item: Playout) -> Result<(), SinkError> {
        let tracks = matches!(item, Playout::Tracks(_));
        if self.0.is_empty() && !tracks {
            return Err(SinkError::new("nothing can be written before the tracks"));
        }
        self.0.push(item);
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
