//! How long a lost symbol takes to be brought again over one hop: the receiver asks (NAK), or the
//! sender notices (ACK), as transports do.
//!
//! One sender, one receiver, a symbol every so often, independent loss of every frame in both
//! directions. What is measured is how much later a lost symbol comes than it would have come:
//!
//! - **NAK**, as the engine does it: a symbol that a later one overtakes is asked for after a guard of
//!   20 ms, again after 1.2 round trips (20 ms at least) until it is there.
//! - **SACK**: every symbol is acknowledged; one that three later ones overtake is sent again (RFC 6675),
//!   once, and then when its timer runs out.
//! - **RTO**: it is sent again when its timer runs out and not before (RFC 6298 with the minimum of
//!   200 ms that stacks use; doubled each time).

use beacon_sdk::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Who notices a loss, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The receiver asks.
    Nak,
    /// The sender counts later acknowledgements; the timer is its second try.
    Sack,
    /// The sender waits for its timer.
    Rto,
}

/// One hop. Times in microseconds. Build it with a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Round trip.
    pub rtt: u64,
    /// From one symbol to the next.
    pub gap: u64,
    /// Frames lost, in thousandths, either way.
    pub loss: u32,
}

/// How much later lost symbols came, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Repair {
    /// Mean.
    pub mean: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// The guard of the engine's NAK, and the pause between two at least.
const GUARD: u64 = 20_000;
/// Smallest timer.
const RTO_MIN: u64 = 200_000;
/// Later acknowledgements that mean a loss (RFC 6675).
const OVERTAKEN: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A symbol reaches the receiver.
    Symbol(u64),
    /// An acknowledgement reaches the sender.
    Ack(u64),
    /// The receiver looks whether a symbol has come, and asks for it if not.
    Ask(u64),
    /// Its question reaches the sender.
    Asked(u64),
    /// The sender's timer for a symbol runs out, set so often before.
    Timer(u64, u32),
}

#[derive(Debug)]
struct Line {
    hop: Hop,
    rng: Rng,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    serial: u64,
}

impl Line {
    fn plan(&mut self, at: u64, step: Step) {
        self.serial += 1;
        self.steps.push(Reverse((at, self.serial, step)));
    }

    /// Sends something that arrives half a round trip later, or never.
    fn send(&mut self, now: u64, step: Step) {
        if self.rng.below(1000) >= self.hop.loss {
            self.plan(now + self.hop.rtt / 2, step);
        }
    }
}

impl Hop {
    /// The delay of the symbols that were lost at first, out of `symbols` sent.
    #[must_use]
    pub fn repair(&self, notice: Notice, symbols: u64, seed: [u8; 32]) -> Repair {
        let rng = Rng::new(seed, notice as u64);
        let mut line = Line { hop: *self, rng, steps: BinaryHeap::new(), serial: 0 };
        let timer = |tries: u32| RTO_MIN.max(self.rtt * 2) << tries.min(6);
        for symbol in 0..symbols {
            let now = symbol * self.gap;
            line.send(now, Step::Symbol(symbol));
            if notice != Notice::Nak {
                line.plan(now + timer(0), Step::Timer(symbol, 0));
            }
        }
        let mut came: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut newest, mut acked, mut resent) = (None, BTreeSet::new(), BTreeSet::new());
        while let Some(Reverse((now, _, step))) = line.steps.pop() {
            match step {
                Step::Symbol(symbol) => {
                    came.entry(symbol).or_insert(now);
                    if notice == Notice::Nak {
                        let first = newest.map_or(0, |newest: u64| newest + 1);
                        (first..symbol).for_each(|lost| line.plan(now + GUARD, Step::Ask(lost)));
                        newest = newest.max(Some(symbol));
                    } else {
                        line.send(now, Step::Ack(symbol));
                    }
                }
                Step::Ask(symbol) if !came.contains_key(&symbol) => {
                    line.send(now, Step::Asked(symbol));
                    line.plan(now + (self.rtt * 6 / 5).max(GUARD), Step::Ask(symbol));
                }
                Step::Asked(symbol) => line.send(now, Step::Symbol(symbol)),
                Step::Ack(symbol) => {
                    acked.insert(symbol);
                    let oldest = symbol.saturating_sub(64);
                    let lost = (oldest..symbol).filter(|lost| {
                        notice == Notice::Sack
                            && !acked.contains(lost)
                            && acked.range(lost + 1..).take(OVERTAKEN).count() == OVERTAKEN
                    });
                    for lost in lost.collect::<Vec<_>>() {
                        if resent.insert(lost) {
                            line.send(now, Step::Symbol(lost));
                        }
                    }
                }
                Step::Timer(symbol, tries) if !acked.contains(&symbol) && tries < 12 => {
                    line.send(now, Step::Symbol(symbol));
                    line.plan(now + timer(tries + 1), Step::Timer(symbol, tries + 1));
                }
                Step::Ask(_) | Step::Timer(..) => {}
            }
        }
        let due = |symbol: u64| symbol * self.gap + self.rtt / 2;
        let mut late: Vec<u64> =
            came.iter().map(|(symbol, at)| at - due(*symbol)).filter(|late| *late > 0).collect();
        late.sort_unstable();
        let Some(p95) = late.get(late.len() * 95 / 100) else { return Repair::default() };
        let sum: u64 = late.iter().sum();
        Repair { mean: sum as f64 / late.len() as f64 / 1000.0, p95: *p95 as f64 / 1000.0 }
    }
}

/// The table of the report: every notice over loss, round trip and pace, as Markdown.
#[must_use]
pub fn table(seed: [u8; 32]) -> String {
    let mut table = String::from(
        "| symbol every | round trip | loss | NAK mean (p95) | SACK | RTO | SACK ÷ NAK | RTO ÷ NAK |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for gap in [4_350, 34_800] {
        for rtt in [20_000, 50_000, 100_000, 200_000] {
            for loss in [10, 50, 100] {
                let hop = Hop { rtt, gap, loss };
                let [nak, sack, rto] = [Notice::Nak, Notice::Sack, Notice::Rto]
                    .map(|notice| hop.repair(notice, 20_000, seed));
                let cell = |repair: Repair| format!("{:.0} ({:.0}) ms", repair.mean, repair.p95);
                table += &format!(
                    "| {:.1} ms | {} ms | {} % | {} | {} | {} | {:.1} | {:.1} |\n",
                    gap as f64 / 1000.0,
                    rtt / 1000,
                    loss / 10,
                    cell(nak),
                    cell(sack),
                    cell(rto),
                    sack.mean / nak.mean,
                    rto.mean / nak.mean,
                );
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(notice: Notice, rtt_ms: u64, gap: u64, loss: u32) -> Repair {
        Hop { rtt: rtt_ms * 1000, gap, loss }.repair(notice, 20_000, [5; 32])
    }

    /// One loss among many symbols: the next symbol shows it, the guard passes, question and answer
    /// take a round trip. SACK needs three symbols and no guard. A timer needs its time.
    #[test]
    fn a_single_loss_takes_what_it_must() {
        let near = |got: f64, want: f64| (got / want - 1.0).abs() < 0.05;
        // At .1 % hardly anything is lost twice.
        assert!(near(repair(Notice::Nak, 50, 10_000, 1).mean, 10.0 + 20.0 + 50.0));
        // The last symbols have no three after them, and wait for the timer.
        let sack = repair(Notice::Sack, 50, 10_000, 1).mean;
        assert!((80.0..100.0).contains(&sack), "{sack}");
        assert!(near(repair(Notice::Rto, 50, 10_000, 1).mean, 200.0));
        assert_eq!(repair(Notice::Nak, 50, 10_000, 0), Repair::default());
    }

    #[test]
    fn asking_beats_a_timer_and_hardly_beats_selective_acknowledgements() {
        for loss in [10, 50, 100] {
            let [nak, sack, rto] = [Notice::Nak, Notice::Sack, Notice::Rto]
                .map(|notice| repair(notice, 50, 4_350, loss).mean);
            assert!(rto > 2.0 * nak, "{loss}: {rto} {nak}");
            assert!(sack < 2.0 * nak, "{loss}: {sack} {nak}");
        }
    }
}
