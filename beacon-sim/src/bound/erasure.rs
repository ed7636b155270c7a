//! What loss costs, with repair symbols and without.

/// Repair symbols above which [`repair_symbols`] gives up.
pub const REPAIR_MAX: u32 = 4096;

/// The least number of repair symbols with which a block of `source` symbols fails with
/// probability `failure` at most, when each symbol is lost with probability `loss` on its own;
/// `None` above [`REPAIR_MAX`].
///
/// K + h received symbols of RaptorQ fail to decode with probability `256^{−(h+1)}` (as the crate
/// `raptorq` documents, after RFC 6330); K − 1 or fewer always fail. That an undamaged set of
/// source symbols needs no decoding is left out, which is on the safe side.
#[must_use]
pub fn repair_symbols(source: u32, loss: f64, failure: f64) -> Option<u32> {
    (0..=REPAIR_MAX).find(|&repair| block_failure(source, repair, loss) <= failure)
}

/// Probability that a block of `source` + `repair` symbols cannot be decoded.
fn block_failure(source: u32, repair: u32, loss: f64) -> f64 {
    if loss >= 1.0 {
        return 1.0;
    }
    // P(exactly `lost` symbols are lost), from none lost upwards: (1−p)^n underflows only where
    // n p > 700, and there the sum is that of a certain failure.
    let sent = f64::from(source + repair);
    let mut exactly = (1.0 - loss).powf(sent);
    let mut decoded = 0.0;
    for lost in 0..=repair {
        let surplus = repair - lost;
        decoded += exactly * (1.0 - 256_f64.powi(-(surplus.min(100) as i32 + 1)));
        exactly *= (sent - f64::from(lost)) / f64::from(lost + 1) * loss / (1.0 - loss);
    }
    (1.0 - decoded).max(0.0)
}

/// The share of symbols received in vain when a receiver that needs `needed` draws at random from
/// `circulating` distinct ones, no matter who sends: `(S/K) ln(S / (S − K)) − 1`. `INFINITY` when
/// there are no more than it needs.
///
/// The coupon collector's overhead of a fountain whose relays pass on what they got: without
/// residue classes, diversity of symbols is what it costs. Derived in the theory notes §0.6.
#[must_use]
pub fn coupon_overhead(circulating: f64, needed: f64) -> f64 {
    if needed <= 0.0 {
        return 0.0;
    }
    if circulating <= needed {
        return f64::INFINITY;
    }
    circulating / needed * (circulating / (circulating - needed)).ln() - 1.0
}

/// The share sent again when each hop repairs its own loss of `loss`: `1 / (1 − p) − 1`.
#[must_use]
pub fn hop_overhead(loss: f64) -> f64 {
    1.0 / (1.0 - loss) - 1.0
}

/// The share sent in excess when only the source makes up for `hops` hops with a loss of `loss`
/// each: `1 / (1 − p)^h − 1`.
#[must_use]
pub fn end_to_end_overhead(loss: f64, hops: u32) -> f64 {
    (1.0 - loss).powf(-f64::from(hops)) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repair_table() {
        for (source, printed) in [
            (21, [4, 6, 8, 12]),
            (42, [5, 7, 11, 18]),
            (84, [7, 10, 16, 26]),
            (209, [11, 16, 28, 48]),
        ] {
            let found = [0.01, 0.02, 0.05, 0.1].map(|loss| repair_symbols(source, loss, 1e-5));
            assert_eq!(found, printed.map(Some), "K = {source}");
        }
    }

    #[test]
    fn repair_at_the_edges() {
        assert_eq!(repair_symbols(100, 0.0, 1e-5), Some(2), "without loss, the code's own failure");
        assert_eq!(repair_symbols(100, 1.0, 1e-5), None);
        assert_eq!(repair_symbols(1, 0.5, 1.0), Some(0));
    }

    #[test]
    fn the_coupon_table() {
        let printed = [(1.1, 1.64), (1.5, 0.65), (2.0, 0.39), (4.0, 0.15), (10.0, 0.054)];
        for (diversity, printed) in printed {
            let found = coupon_overhead(100.0 * diversity, 100.0);
            assert!((found - printed).abs() < 0.005, "{diversity}: {found}, not {printed}");
        }
        assert_eq!(coupon_overhead(100.0, 100.0), f64::INFINITY);
    }

    #[test]
    fn repair_at_each_hop_is_cheaper() {
        assert!((end_to_end_overhead(0.02, 7) - 0.15).abs() < 0.005);
        assert!((hop_overhead(0.02) - 0.02).abs() < 0.005);
    }
}
