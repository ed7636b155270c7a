//! The connection to Redis: opened, watched, lost and opened again.

use super::word::Word;
use super::{ANSWER, Cluster, ClusterError, call, refused};
use crate::rooms::Seat;
use core::time::Duration;
use futures_util::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

/// How often a node shows that it lives. Its lease is ten times as long (`rooms.lua`).
const BEAT: Duration = Duration::from_secs(1);
/// Beats that were not heard back on the channel after which it is taken for broken.
const BEATS_MISSED_MAX: u32 = 5;
/// Pause before Redis is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Calls in one pipeline.
const PIPELINE_MAX: usize = 512;
/// The functions that change the rooms.
const FUNCTIONS: &str = include_str!("rooms.lua");

/// Two connections: one to ask by, one that hears.
pub(super) struct Link {
    commands: MultiplexedConnection,
    channel: PubSub,
    /// Members of this node as Redis knows them: the room, the peer, and its connection.
    known: Vec<(String, String, String)>,
}

impl Cluster {
    fn unreachable(&self, cause: impl ToString) -> ClusterError {
        // Not the whole address: it may hold a password.
        let at = self.client.get_connection_info().addr().to_string();
        ClusterError::Unreachable { at, cause: cause.to_string() }
    }

    pub(super) async fn connect(&self) -> Result<Link, ClusterError> {
        let opening = async {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
            let config = config.set_connection_timeout(Some(ANSWER));
            let client = &self.client;
            let mut commands = client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut load = redis::cmd("FUNCTION");
            load.arg("LOAD").arg("REPLACE").arg(FUNCTIONS).exec_async(&mut commands).await?;
            let mut channel = client.get_async_pubsub().await?;
            channel.subscribe(format!("beacon:node:{}", self.node)).await?;
            Ok::<_, RedisError>(Link { commands, channel, known: Vec::new() })
        };
        match timeout(2 * ANSWER, opening).await {
            Ok(opened) => opened.map_err(|error| self.unreachable(error)),
            Err(_) => Err(self.unreachable("it does not answer")),
        }
    }

    /// Takes a lease, if the other nodes have the same ledger.
    pub(super) async fn hello(&self, link: &mut Link) -> Result<(), ClusterError> {
        let mut hello = call("hello");
        hello.arg(&self.node).arg(self.issuer());
        let answer: Vec<redis::Value> =
            hello.query_async(&mut link.commands).await.map_err(|error| self.unreachable(error))?;
        let [what, value] = <[_; 2]>::try_from(answer)
            .map_err(|_| self.unreachable("a function of another version answers"))?;
        let other = |error: redis::ParsingError| self.unreachable(error);
        if redis::from_redis_value::<String>(what).map_err(other)? == "issuer" {
            let theirs = redis::from_redis_value(value).map_err(other)?;
            return Err(ClusterError::Issuer { ours: self.issuer(), theirs });
        }
        link.known = redis::from_redis_value(value).map_err(other)?;
        Ok(())
    }

    /// Serves until `closing` completes, through all outages of Redis.
    pub(crate) async fn keep(self: Arc<Self>, mut closing: oneshot::Receiver<()>) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        loop {
            let link = match opened.take() {
                Some(link) => Ok(link),
                None => tokio::select! {
                    link = self.again() => link,
                    _ = &mut closing => return,
                },
            };
            let lost = match link {
                Ok(mut link) => {
                    self.metrics.within_reach.set(1);
                    let lost = tokio::select! {
                        lost = self.live(&mut link) => lost,
                        _ = &mut closing => return self.part(&mut link).await,
                    };
                    self.metrics.within_reach.set(0);
                    lost
                }
                Err(error) => {
                    debug!(%error, "Redis is still out of reach");
                    sleep(RETRY).await;
                    continue;
                }
            };
            *self.link.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.here().lose();
            warn!(cause = lost, "Redis is out of reach: nobody can join, those here stay");
        }
    }

    async fn again(&self) -> Result<Link, ClusterError> {
        let mut link = self.connect().await?;
        self.hello(&mut link).await?;
        Ok(link)
    }

    /// Says what waits, and gives up the lease unless peers that were told to go elsewhere have not come there yet: it
    /// keeps their places for them. The server stops.
    async fn part(&self, link: &mut Link) {
        let parting = async {
            self.flush(&mut link.commands).await?;
            if !self.here().parts.is_empty() {
                return Ok(());
            }
            let mut bye = call("bye");
            bye.arg(&self.node).exec_async(&mut link.commands).await
        };
        if !matches!(timeout(ANSWER, parting).await, Ok(Ok(()))) {
            warn!("Redis did not take the goodbye: what is left of this node goes with its lease");
        }
    }

    /// Shares the rooms while Redis answers; returns why it does no longer.
    async fn live(&self, link: &mut Link) -> String {
        let mut commands = link.commands.clone();
        if let Err(error) = self.bring_all(&mut commands, &link.known).await {
            return error.to_string();
        }
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.commands.clone());
        info!(node = self.node, "the rooms are shared through Redis");
        let heard = AtomicBool::new(false);
        let (mut beating, mut writing) = (commands.clone(), commands);
        tokio::select! {
            () = self.listen(&mut link.channel, &heard) => "the channel is closed".into(),
            Err(error) = self.write(&mut writing) => error.to_string(),
            lost = self.beat(&mut beating, &heard) => lost,
        }
    }

    /// Has Redis know who is here, and forget who is no more.
    async fn bring_all(
        &self,
        commands: &mut MultiplexedConnection,
        known: &[(String, String, String)],
    ) -> Result<(), RedisError> {
        let here = self.here().regain();
        let of =
            |seat: &Seat| (seat.name.clone(), seat.peer.to_string(), seat.connection.to_string());
        let stay: BTreeSet<(String, String, String)> =
            here.iter().map(|(seat, ..)| of(seat)).collect();
        let gone = known.iter().filter(|member| !stay.contains(member)).map(|member| {
            let (name, peer, connection) = member;
            let mut leave = call("leave");
            leave.arg(name).arg(peer).arg(&self.node).arg(connection);
            (None, leave)
        });
        let brought = here
            .iter()
            .map(|(seat, join, hint)| (Some(seat), self.bring(join, seat.connection, hint, true)));
        // First the place of those that left, then those that stayed.
        let calls: Vec<(Option<&Seat>, Cmd)> = gone.chain(brought).collect();
        for calls in calls.chunks(PIPELINE_MAX) {
            let mut pipeline = Pipeline::with_capacity(calls.len());
            for (_, call) in calls {
                pipeline.add_command(call.clone());
            }
            let answers: Vec<String> = pipeline.query_async(commands).await?;
            for ((seat, _), answer) in calls.iter().zip(answers) {
                let (Some(seat), Some(refused)) = (seat, refused(&answer)) else { continue };
                if let Some(member) = self.here().member(seat) {
                    let (code, cause) = refused.closing(&seat.name);
                    member.outbox.close(code, &cause);
                }
            }
        }
        Ok(())
    }

    async fn listen(&self, channel: &mut PubSub, heard: &AtomicBool) {
        let mut messages = channel.on_message();
        while let Some(message) = messages.next().await {
            match serde_json::from_slice(message.get_payload_bytes()) {
                Ok(Word::Beat) => heard.store(true, Ordering::Relaxed),
                Ok(word) => {
                    let mut here = self.here();
                    here.hear(word, self.greeting, self.issuer.as_ref(), self.refresh);
                }
                Err(error) => warn!(%error, "passing over a word of another version"),
            }
        }
    }

    async fn write(&self, commands: &mut MultiplexedConnection) -> Result<(), RedisError> {
        loop {
            self.flush(commands).await?;
            self.wake.notified().await;
        }
    }

    /// Says all that waits, in its order.
    async fn flush(&self, commands: &mut MultiplexedConnection) -> Result<(), RedisError> {
        loop {
            let calls = core::mem::take(&mut self.here().calls);
            if calls.is_empty() {
                return Ok(());
            }
            for calls in calls.chunks(PIPELINE_MAX) {
                let mut pipeline = Pipeline::with_capacity(calls.len());
                for call in calls {
                    pipeline.add_command(call.clone()).ignore();
                }
                pipeline.exec_async(commands).await?;
            }
        }
    }

    /// Shows that this node lives, hears that Redis does, and takes out what is left of dead nodes.
    async fn beat(&self, commands: &mut MultiplexedConnection, heard: &AtomicBool) -> String {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed = 0;
        loop {
            ticks.tick().await;
            missed = if heard.swap(false, Ordering::Relaxed) { 0 } else { missed + 1 };
            if missed > BEATS_MISSED_MAX {
                return "the channel is silent".into();
            }
            loop {
                let mut beat = call("beat");
                let answer = beat.arg(&self.node).query_async(commands).await;
                let (state, nodes, left): (String, i64, u64) = match answer {
                    Ok(answer) => answer,
                    Err(error) => return error.to_string(),
                };
                if state != "on" {
                    return "this node was not heard for too long, and comes in anew".into();
                }
                self.metrics.nodes.set(nodes);
                if left == 0 {
                    break;
                }
            }
        }
    }
}
