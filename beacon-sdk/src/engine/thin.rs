//! What the origin leaves out when the audience's uplinks cannot carry the stream.
//!
//! A mesh that is given more than it carries delivers next to nothing: what is late is asked for
//! again, and the answers take the place of what would have been in time. So the origin publishes
//! less: first without the upper temporal layers, then without the pictures at the end of each
//! group, which nothing else needs: the last one before them is shown until the next group. Sound
//! and keyframes stay, and everybody sees the same.

use crate::id::TrackId;
use crate::media::Object;
use crate::time::Instant;
use core::time::Duration;
use std::collections::BTreeMap;

/// Temporal layers that an object can name.
const LAYERS: usize = 8;
/// The rate of what the source makes is taken over so much of it at least.
const RATED: Duration = Duration::from_secs(2);
/// A group may be larger than the one before by a sixteenth.
const SLACK: u64 = 17;

/// Decides object by object.
#[derive(Debug, Default)]
pub(super) struct Thinner {
    /// Bytes per second that may be published.
    budget: Option<u64>,
    /// Bytes per second that the source makes, and how many of them are never left out.
    offered: u64,
    fixed: u64,
    since: Option<Instant>,
    bytes: u64,
    bytes_fixed: u64,
    groups: BTreeMap<TrackId, Group>,
}

/// The present group of a video track.
#[derive(Debug, Default)]
struct Group {
    layers: [u64; LAYERS],
    kept: u64,
    /// Nothing is kept until the next keyframe.
    cut: bool,
    /// Decode time of the first object.
    start: u64,
    /// The same of the group before, and its length in ticks.
    last: [u64; LAYERS],
    length: u64,
}

impl Thinner {
    /// Bytes per second that may be published from now on; `None` is all.
    pub(super) const fn limit(&mut self, budget: Option<u64>) {
        self.budget = budget;
    }

    pub(super) const fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// Bytes per second that the source makes; 0 is not known yet.
    pub(super) const fn offered(&self) -> u64 {
        self.offered
    }

    /// What of an object is published: all, nothing, or all and for as long as what follows it is
    /// left out.
    pub(super) fn take(&mut self, object: Object, video: bool) -> Option<Object> {
        let size = object.data.len() as u64;
        self.rate(object.captured, size, video);
        if !video {
            return Some(object);
        }
        let (share, of) = self.share();
        let group = self.groups.entry(object.track).or_default();
        if object.keyframe {
            let length = object.dts.saturating_sub(group.start);
            *group = Group { start: object.dts, last: group.layers, length, ..Group::default() };
        }
        let layer = usize::from(object.layer).min(LAYERS - 1);
        group.layers[layer] += size;
        let known = group.last.iter().sum::<u64>() > 0;
        if share >= of || !known || object.keyframe {
            group.kept += size;
            return Some(object);
        }
        let total = group.last.iter().sum::<u64>().saturating_mul(share) / of.max(1);
        let mut sum = 0;
        let fits = group.last.iter().take_while(|bytes| {
            sum += **bytes;
            sum <= total
        });
        if group.cut || layer >= fits.count().max(1) {
            return None;
        }
        group.kept += size;
        group.cut = group.kept > total * SLACK / (SLACK - 1);
        if !group.cut {
            return Some(object);
        }
        let left = (group.start + group.length).saturating_sub(object.dts);
        let left = u32::try_from(left).unwrap_or(object.duration);
        Some(Object { duration: object.duration.max(left), ..object })
    }

    /// The part of the pictures' bytes that may be published, as a fraction.
    const fn share(&self) -> (u64, u64) {
        let of = self.offered.saturating_sub(self.fixed);
        match self.budget {
            Some(budget) if budget < self.offered => (budget.saturating_sub(self.fixed), of),
            _ => (of, of),
        }
    }

    fn rate(&mut self, captured: Instant, size: u64, video: bool) {
        let since = *self.since.get_or_insert(captured);
        let past = captured.since(since);
        if past >= RATED {
            let per_second = |bytes: u64| bytes * 1000 / past.as_millis().max(1) as u64;
            let smooth = |old: u64, new: u64| if old == 0 { new } else { (old + new) / 2 };
            self.offered = smooth(self.offered, per_second(self.bytes));
            self.fixed = smooth(self.fixed, per_second(self.bytes_fixed));
            (self.since, self.bytes, self.bytes_fixed) = (Some(captured), 0, 0);
        }
        self.bytes += size;
        self.bytes_fixed += if video { 0 } else { size };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const VIDEO: TrackId = TrackId::new(0).unwrap();
    const AUDIO: TrackId = TrackId::new(1).unwrap();

    /// Ten pictures a second in groups of ten, the keyframe as large as five; every second one in
    /// layer 1 if there are layers; sound beside them. What is kept: how long each picture of the last
    /// group is shown, bytes per second, whether all sound was.
    fn run(thinner: &mut Thinner, layers: bool, seconds: u64) -> (Vec<u32>, u64, bool) {
        let (mut last, mut bytes, mut sound) = (Vec::new(), 0, true);
        let first = thinner.since.map_or(0, |since| since.as_micros() / 100_000 + 100);
        for n in first..first + seconds * 10 {
            let captured = Instant::from_micros(n * 100_000);
            let object = |track, keyframe, layer, size| Object {
                track,
                dts: n,
                cts: 0,
                duration: 1,
                keyframe,
                layer,
                captured,
                data: Bytes::from(vec![0; size]),
            };
            let key = n % 10 == 0;
            let layer = if layers { (n % 2) as u8 } else { 0 };
            let picture = object(VIDEO, key, layer, if key { 5000 } else { 1000 });
            sound &= thinner.take(object(AUDIO, true, 0, 100), false).is_some();
            if key {
                last.clear();
                bytes = 0;
            }
            let kept = thinner.take(picture, true);
            bytes += kept.as_ref().map_or(0, |kept| kept.data.len() as u64);
            last.push(kept.map_or(0, |kept| kept.duration));
        }
        (last, bytes, sound)
    }

    #[test]
    fn all_is_kept_where_there_is_room() {
        let mut thinner = Thinner::default();
        assert_eq!(run(&mut thinner, false, 10).1, 14_000);
        assert!((14_000..16_000).contains(&thinner.offered()), "{}", thinner.offered());
        thinner.limit(Some(20_000));
        assert_eq!(run(&mut thinner, false, 10).1, 14_000);
    }

    #[test]
    fn the_end_of_a_group_goes_and_sound_stays() {
        let mut thinner = Thinner::default();
        run(&mut thinner, false, 10);
        thinner.limit(Some(9000));
        let (kept, bytes, sound) = run(&mut thinner, false, 10);
        assert!(sound && (7000..=9600).contains(&bytes), "{bytes}");
        let shown = kept.iter().take_while(|shown| **shown > 0).count();
        assert!(shown >= 3 && kept[shown..].iter().all(|shown| *shown == 0), "{kept:?}");
        assert_eq!(kept.iter().sum::<u32>(), 10, "the last one stays on the screen: {kept:?}");
        thinner.limit(None);
        assert_eq!(run(&mut thinner, false, 10).1, 14_000);
    }

    #[test]
    fn the_upper_layer_goes_first() {
        let mut thinner = Thinner::default();
        run(&mut thinner, true, 10);
        thinner.limit(Some(11_500));
        let (kept, ..) = run(&mut thinner, true, 10);
        let even = [1, 0].repeat(5);
        assert_eq!(kept, even, "layer 0 has 9,000 of 14,000 bytes");
    }

    #[test]
    fn a_keyframe_is_always_kept() {
        let mut thinner = Thinner::default();
        run(&mut thinner, false, 10);
        thinner.limit(Some(0));
        let (kept, ..) = run(&mut thinner, false, 10);
        assert_eq!(
            kept.iter().filter(|shown| **shown > 0).count(),
            2,
            "and what shows until the next"
        );
        assert_eq!((kept[0], kept[1]), (1, 9));
    }
}
