//! The bounds of one swarm, to print.

use core::fmt;
use core::num::NonZeroU32;

use super::{
    Delay, Mix, Snowball, fibonacci_slots, fluid_rate, growth_rate, slots, source_at_least,
    tree_reach,
};

/// Fan-outs whose stripe trees are computed.
const FAN_OUTS: [u32; 4] = [3, 4, 5, 8];
/// The depth that the engine allows, for the reach of a tree.
const HOPS: u32 = beacon_sdk::DEPTH_MAX as u32;

/// A swarm to compute bounds for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Viewers.
    pub viewers: u32,
    /// Their uplinks.
    pub mix: Mix,
    /// The stream, in bit/s, with everything that travels beside the media.
    pub stream: f64,
    /// Upload of the source, in bit/s.
    pub source: f64,
    /// What is forwarded as a whole, in bytes.
    pub unit_bytes: f64,
    /// One-way delay between any two, in seconds.
    pub delay: f64,
}

/// A tree in which each viewer serves a few others, and the source one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tree {
    /// Viewers that a viewer serves.
    pub fan_out: NonZeroU32,
    /// The last arrival, in seconds; `INFINITY` when the uplinks do not reach everyone.
    pub last: f64,
    /// [`fibonacci_slots`].
    pub slots: Option<u32>,
    /// [`tree_reach`] within the depth that the engine allows.
    pub reach: u64,
}

/// The bounds of a [`Scenario`]; [`Display`](fmt::Display) prints them, one per line.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// What they were computed for.
    pub scenario: Scenario,
    /// [`fluid_rate`] without a limit on downloads, in bit/s.
    pub rate: f64,
    /// Mean upload of a viewer over the stream's rate.
    pub supply: f64,
    /// [`source_at_least`] for the stream, in bit/s.
    pub source_at_least: f64,
    /// [`Snowball`] without limits. Only the mean is a bound for every mix: see [`Delay`].
    pub delay: Delay,
    /// [`slots`].
    pub slots: u32,
    /// [`growth_rate`] among viewers of the mean upload, in 1/s.
    pub growth: f64,
    /// Stripe trees, with the uplinks of the mix: references, no bounds.
    pub trees: Vec<Tree>,
}

impl Bounds {
    /// Computes the bounds of `scenario`, in a time proportional to its viewers.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let uploads = scenario.mix.uploads(scenario.viewers as usize);
        let unit = scenario.unit_bytes * 8.0;
        let free = Snowball {
            unit,
            source: scenario.source,
            delay: scenario.delay,
            fan_out: None,
            root_copies: None,
        };
        let tree = |fan_out: NonZeroU32| {
            let limits =
                Snowball { fan_out: Some(fan_out), root_copies: Some(NonZeroU32::MIN), ..free };
            Tree {
                fan_out,
                last: limits.delay(&uploads).last,
                slots: fibonacci_slots(scenario.viewers, fan_out),
                reach: tree_reach(fan_out, HOPS),
            }
        };
        Self {
            rate: fluid_rate(scenario.source, &uploads, f64::INFINITY),
            supply: scenario.mix.mean() / scenario.stream,
            source_at_least: source_at_least(scenario.stream, &uploads),
            delay: free.delay(&uploads),
            slots: slots(scenario.viewers),
            growth: growth_rate(unit / scenario.mix.mean(), scenario.delay),
            trees: FAN_OUTS.into_iter().filter_map(NonZeroU32::new).map(tree).collect(),
            scenario,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { viewers, stream, source, unit_bytes, delay, mix } = &self.scenario;
        let mbit = |rate: f64| rate / 1e6;
        writeln!(
            out,
            "{viewers} viewers, stream {:.2} Mbit/s, source {:.2} Mbit/s, unit {unit_bytes:.0} bytes \
             ({:.1} ms), {:.0} ms one way",
            mbit(*stream),
            mbit(*source),
            unit_bytes * 8e3 / stream,
            delay * 1e3,
        )?;
        for class in mix.classes() {
            writeln!(
                out,
                "  {:>3.0} % upload {:.3} Mbit/s",
                class.share * 1e2,
                mbit(class.upload)
            )?;
        }
        writeln!(out, "supply ratio         {:.3}", self.supply)?;
        writeln!(
            out,
            "rate, at most        {:.3} Mbit/s, {:.3} of the stream",
            mbit(self.rate),
            self.rate / stream
        )?;
        writeln!(out, "source, at least     {:.3} Mbit/s", mbit(self.source_at_least))?;
        writeln!(out, "slots, at least      {}", self.slots)?;
        writeln!(out, "last delay, greedy   {:.3} s", self.delay.last)?;
        writeln!(out, "mean delay, at least {:.3} s", self.delay.mean)?;
        writeln!(out, "growth               {:.2} /s", self.growth)?;
        for tree in &self.trees {
            let slots = tree.slots.map_or_else(|| "-".to_owned(), |slots| slots.to_string());
            writeln!(
                out,
                "trees of fan-out {}   last {:.3} s, {slots} slots, {} viewers within {HOPS} hops",
                tree.fan_out, tree.last, tree.reach,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_holds_the_numbers_of_the_table() {
        let bounds = Bounds::new(Scenario {
            viewers: 1000,
            mix: Mix::beacon(),
            stream: 2.5e6,
            source: 10e6,
            unit_bytes: 62_500.0,
            delay: 0.05,
        });
        assert!((bounds.rate / 2.5e6 - 2.504).abs() < 1e-9);
        assert!((bounds.supply - 2.5).abs() < 1e-9);
        assert!((bounds.delay.last - 0.575).abs() < 1e-6);
        assert!(bounds.delay.mean < bounds.delay.last);
        let text = bounds.to_string();
        for line in
            ["supply ratio         2.500", "slots, at least      11", "1093 viewers within 7"]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
