//! The fluid bound on the rate.

/// The highest rate in bit/s that every viewer of a swarm can receive:
/// `r* = min(u_s, (u_s + Σ u_i) / N, min_i d_i)`.
///
/// Snowball-mutual trees reach it, so network coding adds nothing to it. `source` is the upload of
/// the source and `uploads` those of the viewers, in bit/s; `download` is the least download among
/// the viewers, `f64::INFINITY` where it does not bind. Without viewers it is the source's upload.
///
/// Source: Kumar, Liu, Ross, INFOCOM 2007; Liu et al., SIGMETRICS 2008.
#[must_use]
pub fn fluid_rate(source: f64, uploads: &[f64], download: f64) -> f64 {
    if uploads.is_empty() {
        return source;
    }
    let supply = source + uploads.iter().sum::<f64>();
    source.min(supply / uploads.len() as f64).min(download)
}

/// The least upload in bit/s with which a source can serve `rate` to all viewers:
/// `max(r, N r − Σ u_i)`, which is [`fluid_rate`] turned round.
#[must_use]
pub fn source_at_least(rate: f64, uploads: &[f64]) -> f64 {
    rate.max(uploads.len() as f64 * rate - uploads.iter().sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Mix;

    /// Theory notes §1.3: r*/r for 1,000 viewers and a source of four times the stream.
    #[test]
    fn the_rates_of_the_table() {
        let stream = 600e3;
        for (mix, stream, printed) in [
            (Mix::homogeneous(1.25 * stream), stream, 1.254),
            (Mix::ref_691(), stream, 1.156),
            (Mix::ms_691(), stream, 1.156),
            (Mix::beacon(), 2.5e6, 2.504),
        ] {
            let rate = fluid_rate(4.0 * stream, &mix.uploads(1000), f64::INFINITY) / stream;
            assert!((rate - printed).abs() < 0.0005, "{rate} is printed as {printed}");
        }
    }

    #[test]
    fn each_limit_can_bind() {
        assert_eq!(fluid_rate(5.0, &[9.0, 9.0], f64::INFINITY), 5.0, "the source");
        assert_eq!(fluid_rate(5.0, &[1.0, 2.0], f64::INFINITY), 4.0, "the supply");
        assert_eq!(fluid_rate(5.0, &[9.0, 9.0], 3.0), 3.0, "a download");
        assert_eq!(fluid_rate(5.0, &[], f64::INFINITY), 5.0);
        assert_eq!(source_at_least(4.0, &[1.0, 2.0]), 5.0);
        assert_eq!(source_at_least(4.0, &[9.0, 9.0]), 4.0);
    }
}
