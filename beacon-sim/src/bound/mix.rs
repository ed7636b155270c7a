//! Mixes of uplinks.

/// A class of viewers in a [`Mix`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Its share of the viewers, 0..=1.
    pub share: f64,
    /// The upload of each, in bit/s; 0 for a viewer that gives nothing.
    pub upload: f64,
}

/// How the uploads of a swarm are distributed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    classes: Vec<Class>,
}

impl Mix {
    /// Classes whose shares are relative: they need not add up to 1.
    ///
    /// Classes without a positive, finite share or with an upload that is no number are left out.
    #[must_use]
    pub fn new(classes: &[Class]) -> Self {
        let fit = |class: &Class| {
            class.share > 0.0 && class.share.is_finite() && class.upload.is_finite()
        };
        let kept: Vec<Class> = classes.iter().copied().filter(fit).collect();
        let sum: f64 = kept.iter().map(|class| class.share).sum();
        let scaled =
            |class: &Class| Class { share: class.share / sum, upload: class.upload.max(0.0) };
        Self { classes: kept.iter().map(scaled).collect() }
    }

    /// Everyone uploads `upload` bit/s.
    #[must_use]
    pub fn homogeneous(upload: f64) -> Self {
        Self::new(&[Class { share: 1.0, upload }])
    }

    /// ref-691 of HEAP (Middleware 2009), mean 691.2 kbit/s, for a stream of 600 kbit/s.
    #[must_use]
    pub fn ref_691() -> Self {
        Self::of(&[(10.0, 2048e3), (50.0, 768e3), (40.0, 256e3)])
    }

    /// ms-691 of HEAP: the mean of [`ref_691`](Self::ref_691), more skewed.
    #[must_use]
    pub fn ms_691() -> Self {
        Self::of(&[(5.0, 3072e3), (10.0, 1024e3), (85.0, 512e3)])
    }

    /// The mix of Beacon's own plans, for a stream of 2.5 Mbit/s: 20 % at 20 Mbit/s, 30 % at 6,
    /// 30 % at 1.5 and 20 % that give nothing. A guess at home access in 2026, no measurement.
    #[must_use]
    pub fn beacon() -> Self {
        Self::of(&[(20.0, 20e6), (30.0, 6e6), (30.0, 1.5e6), (20.0, 0.0)])
    }

    fn of(classes: &[(f64, f64)]) -> Self {
        let class = |&(share, upload): &(f64, f64)| Class { share, upload };
        Self::new(&classes.iter().map(class).collect::<Vec<_>>())
    }

    /// The classes, with shares that add up to 1.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The mean upload in bit/s.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.classes.iter().map(|class| class.share * class.upload).sum()
    }

    /// The uploads of `viewers` viewers in bit/s, class after class, without randomness: the
    /// boundaries between classes are the cumulative shares, rounded. Empty without classes.
    #[must_use]
    pub fn uploads(&self, viewers: usize) -> Vec<f64> {
        let mut uploads = Vec::with_capacity(viewers);
        let mut share = 0.0;
        for (index, class) in self.classes.iter().enumerate() {
            share += class.share;
            let last = index + 1 == self.classes.len();
            // Not by the sum for the last class: it may fall short of 1 by a rounding error.
            let end = if last { viewers } else { (share * viewers as f64).round() as usize };
            uploads.resize(end.clamp(uploads.len(), viewers), class.upload);
        }
        uploads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_mixes_have_the_means_they_are_named_for() {
        assert!((Mix::ref_691().mean() - 691.2e3).abs() < 1.0);
        assert!((Mix::ms_691().mean() - 691.2e3).abs() < 1.0);
        assert!((Mix::beacon().mean() - 6.25e6).abs() < 1.0);
    }

    #[test]
    fn every_viewer_gets_a_class() {
        for viewers in [0, 1, 7, 100, 1001] {
            assert_eq!(Mix::beacon().uploads(viewers).len(), viewers);
        }
        let uploads = Mix::beacon().uploads(10);
        assert_eq!(uploads.iter().filter(|&&upload| upload == 20e6).count(), 2);
        assert_eq!(uploads.iter().filter(|&&upload| upload == 0.0).count(), 2);
        assert!(Mix::new(&[Class { share: f64::NAN, upload: 1.0 }]).uploads(5).is_empty());
    }
}
