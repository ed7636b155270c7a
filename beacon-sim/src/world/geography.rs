//! Where peers are: one-way delays between them.

use crate::draw::Draw;
use crate::plan::{Latency, PlanError};

/// Regions of the generator: weight in percent, centre and spread in ms of round trip. Fitted by
/// hill climbing to the round-trip percentiles 5/10/25/50/75/90/95/99 = 19/32/59/135/202/291/325/413
/// ms of PlanetLab (theory.md §6.3); it gives 19/29/65/134/202/281/328/415.
const REGIONS: [(u32, f64, f64, f64); 5] = [
    (50, 0.0, 0.0, 24.0),
    (26, 128.4, 15.9, 7.8),
    (15, -118.3, 118.8, 59.3),
    (5, 35.6, -165.5, 53.8),
    (4, -183.1, -54.5, 28.9),
];
/// What an access line adds to a round trip: median in ms, sigma. Same fit.
const HEIGHT: (f64, f64) = (2.88, 0.556);
/// How far a pair's path differs from the map, sigma: about 5 % of triples break the triangle
/// inequality, as measured.
const DETOUR: f64 = 0.15;
/// No two peers are nearer than this, one way.
const NEAREST_NS: u64 = 500_000;

/// Where one peer is.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Place {
    x: f64,
    y: f64,
    height: f64,
    /// Region of the generator, or row of the matrix.
    pub(super) region: u32,
}

/// All delays.
#[derive(Debug)]
pub(super) enum Geography {
    Fixed(u64),
    Map { scale: f64, seed: u64 },
    Matrix(Vec<Vec<f64>>),
}

impl Geography {
    pub(super) fn new(latency: &Latency, seed: u64) -> Result<Self, PlanError> {
        Ok(match latency {
            Latency::Fixed { ms } => Self::Fixed(nanos(*ms)),
            Latency::Planetlab { scale } => Self::Map { scale: *scale, seed },
            Latency::Matrix { file } => {
                let text =
                    std::fs::read_to_string(file).map_err(|e| PlanError::Read(file.clone(), e))?;
                Self::Matrix(matrix(&text).map_err(|cause| PlanError::Matrix(file.clone(), cause))?)
            }
        })
    }

    /// Puts a peer somewhere.
    pub(super) fn place(&self, draw: &mut Draw) -> Place {
        match self {
            Self::Fixed(_) => Place::default(),
            Self::Matrix(rows) => {
                Place { region: draw.below(rows.len() as u32), ..Place::default() }
            }
            Self::Map { .. } => {
                let mut ticket = draw.below(100);
                let mut region = 0;
                while ticket >= REGIONS[region].0 {
                    ticket -= REGIONS[region].0;
                    region += 1;
                }
                let (_, x, y, spread) = REGIONS[region];
                Place {
                    x: x + spread * draw.normal(),
                    y: y + spread * draw.normal(),
                    height: draw.lognormal(libm::log(HEIGHT.0), HEIGHT.1),
                    region: region as u32,
                }
            }
        }
    }

    /// One-way delay of a pair in ns; the same in both directions and at every asking.
    pub(super) fn delay(&self, a: (u32, &Place), b: (u32, &Place)) -> u64 {
        match self {
            Self::Fixed(delay) => *delay,
            Self::Matrix(rows) => nanos(rows[a.1.region as usize][b.1.region as usize] / 2.0),
            Self::Map { scale, seed } => {
                let (dx, dy) = (a.1.x - b.1.x, a.1.y - b.1.y);
                let direct = libm::sqrt(dx * dx + dy * dy) + a.1.height + b.1.height;
                let (low, high) = (a.0.min(b.0), a.0.max(b.0));
                let detour = libm::exp(DETOUR * pair_normal(*seed, low, high));
                nanos(direct * detour * scale / 2.0)
            }
        }
        .max(NEAREST_NS)
    }
}

fn nanos(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

/// A number between 0 and 1 that belongs to a pair: cheap, and nothing need be remembered.
pub(super) fn pair_unit(seed: u64, low: u32, high: u32, salt: u64) -> f64 {
    let mut bits = seed ^ (u64::from(low) << 32 | u64::from(high)) ^ salt.rotate_left(17);
    // SplitMix64's finaliser (Steele, Lea and Flood 2014), twice.
    for _ in 0..2 {
        bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
    }
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Nearly normal: the sum of twelve uniform numbers.
fn pair_normal(seed: u64, low: u32, high: u32) -> f64 {
    (0..12).map(|salt| pair_unit(seed, low, high, salt)).sum::<f64>() - 6.0
}

fn matrix(text: &str) -> Result<Vec<Vec<f64>>, String> {
    let number = |word: &str| {
        let value: f64 = word.parse().map_err(|_| format!("{word:?} is not a number"))?;
        if (0.0..=10_000.0).contains(&value) { Ok(value) } else { Err(format!("{word} ms")) }
    };
    let words = |line: &str| -> Result<Vec<f64>, String> {
        line.split([',', ' ', '\t', ';']).filter(|word| !word.is_empty()).map(number).collect()
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let rows: Vec<Vec<f64>> = lines.map(words).collect::<Result<_, _>>()?;
    match rows.iter().find(|row| row.len() != rows.len()) {
        Some(row) => Err(format!("{} rows, but one of {} numbers", rows.len(), row.len())),
        None if rows.is_empty() => Err("no rows".to_owned()),
        None => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn the_generator_has_planetlabs_percentiles() {
        let map = Geography::Map { scale: 1.0, seed: 3 };
        let places: Vec<Place> =
            (0..400).map(|at| map.place(&mut Draw::new(3, at, Purpose::Nature))).collect();
        let mut rtts = Vec::new();
        for a in 0..400_u32 {
            for b in 0..a {
                let delay = map.delay((a, &places[a as usize]), (b, &places[b as usize]));
                assert_eq!(delay, map.delay((b, &places[b as usize]), (a, &places[a as usize])));
                rtts.push(delay as f64 * 2.0 / 1e6);
            }
        }
        rtts.sort_by(f64::total_cmp);
        let want = [(5, 19.0), (25, 59.0), (50, 135.0), (75, 202.0), (90, 291.0), (99, 413.0)];
        for (percent, want) in want {
            let got = rtts[rtts.len() * percent / 100];
            assert!((got / want - 1.0).abs() < 0.25, "{percent} %: {got:.0} ms, not {want:.0}");
        }
    }

    #[test]
    fn a_matrix_is_read_or_refused() {
        assert_eq!(matrix("0 10\n10 0\n"), Ok(vec![vec![0.0, 10.0], vec![10.0, 0.0]]));
        assert!(matrix("0,10\n10").is_err());
        assert!(matrix("0 x\n1 0").is_err());
        assert!(matrix("").is_err());
        assert!(matrix("-1").is_err());
    }
}
