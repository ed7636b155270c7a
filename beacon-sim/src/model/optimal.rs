//! R1: each chunk of an endless stream in `log2 N + 1` slots (Abeni, Kiraly, Lo Cigno).

use super::check::{Band, Check};
use super::slotted::{Mesh, Order, Policy, Slotted};
use crate::bound::slots;

/// Every viewer sends the latest chunk it has to the one whose own latest is the oldest. Who has
/// the chunk with the earliest deadline decides first: that makes the last doubling of a chunk find
/// the half that still lacks it. In random order, 1 arrival in 100 among 1,024 viewers takes 14 slots.
fn optimal(viewers: u32) -> Slotted {
    Slotted {
        order: Order::Deadline,
        one_download: true,
        window: 16,
        warm_up: 16,
        measured: 32,
        ..Slotted::new(viewers, Policy::EarliestLatest)
    }
}

/// R1, full mesh: N = 2^7 to 2^12, the slowest copy of every chunk.
pub(super) fn experiment(seed: [u8; 32]) -> Vec<Check> {
    let mut checks = Vec::new();
    for viewers in [128, 256, 512, 1024, 2048, 4096] {
        let arrivals = optimal(viewers).run(seed);
        let exact = Band::Within(0.0);
        let bound = f64::from(slots(viewers));
        let last = f64::from(arrivals.last);
        checks.push(Check::new(format!("slots to the last of {viewers}"), bound, last, exact));
        let coverage = arrivals.coverage;
        checks.push(Check::new(format!("coverage of {viewers}"), 1.0, coverage, exact));
    }
    checks
}

/// R1 with log2 N neighbours in place of all, no limit on downloads and random order. The abstract
/// says that a scheduler of this class is resilient to it and gives no number: .98 is ours.
pub(super) fn sparse(seed: [u8; 32]) -> Vec<Check> {
    [128_u32, 1024, 4096]
        .into_iter()
        .map(|viewers| {
            let degree = viewers.ilog2();
            let sparse = Slotted {
                mesh: Mesh::Random(degree),
                ..Slotted::new(viewers, Policy::EarliestLatest)
            };
            let arrivals = sparse.run(seed);
            let name = format!("coverage of {viewers} with {degree} neighbours");
            Check::new(name, 0.98, arrivals.coverage, Band::AtLeast)
        })
        .collect()
}
