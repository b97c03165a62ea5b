//! Histograms of |x| with four bins per octave, and quantiles from them. A quantile is the element of rank
//! floor(q (n - 1)) in rising order, and what is said of it is within 13 % wherever in its bin the element lies.

/// One bin per value of the exponent and the two leading mantissa bits of |x| as an f64: enough for every tensor that an
/// engine keeps without an exponent of its own.
pub const BINS: usize = 2048 * 4;
/// The quantiles that are reported, in percent.
pub const PERCENT: [u64; 5] = [5, 25, 50, 75, 95];
/// Bins that are summed at once.
const GROUP: usize = 64;
/// Infinite and NaN elements fall into the bins from here on and are left out.
const FIRST_NONFINITE: usize = 2047 * 4;
/// Below lie zero and numbers without full precision, which count as zero.
const FIRST_NORMAL: usize = 4;
/// A little less than the 13 % that are promised.
const LARGEST_ERROR: f64 = 0.129;

/// The bin of |x|.
pub fn bin(x: f64) -> usize {
    (x.abs().to_bits() >> 50) as usize
}

/// Lower edge of a bin.
fn edge(bin: usize) -> f64 {
    f64::from_bits((bin as u64) << 50)
}

/// The rank of a quantile among `total > 0` elements, counted from 0.
pub fn rank(percent: u64, total: u64) -> u64 {
    let last = total - 1;
    last / 100 * percent + last % 100 * percent / 100
}

/// What is said of the element of rank `rank` that lies in the bin [low, high) with `here` elements in it and `below` under
/// it: the geometric interpolation, but no closer to an edge than the promise allows, as all elements may lie at the other
/// one. The widest bin, [1, 1.25), leaves room from 1.09 to 1.13.
pub fn interpolate(low: f64, high: f64, rank: u64, below: u64, here: u64) -> f64 {
    let part = (rank.saturating_sub(below) as f64 + 0.5) / here.max(1) as f64;
    let value = low * (high / low).powf(part.min(1.0));
    value.max((1.0 - LARGEST_ERROR) * high).min((1.0 + LARGEST_ERROR) * low)
}

/// Quantiles of |x| over the finite elements; NaN for an empty histogram. Exact zeros stay exactly zero.
pub fn quantiles(histogram: &[u32]) -> [f64; 5] {
    let finite = &histogram[..FIRST_NONFINITE];
    // Most bins are empty, and sums of many at once are quick. A tensor has fewer than 2^32 elements.
    let groups: Vec<u32> = finite.chunks(GROUP).map(|bins| bins.iter().sum()).collect();
    let total: u64 = groups.iter().map(|&n| u64::from(n)).sum();
    PERCENT.map(|percent| {
        if total == 0 {
            return f64::NAN;
        }
        let rank = rank(percent, total);
        let (group, below, _) = locate(rank, 0, &groups);
        let (i, below, here) = locate(rank, below, &finite[group * GROUP..]);
        let i = group * GROUP + i;
        let (low, high) = (edge(i), edge(i + 1).min(f64::MAX));
        if i < FIRST_NORMAL { 0.0 } else { interpolate(low, high, rank, below, here) }
    })
}

/// The first place whose elements reach past `rank`, the elements before it, and those in it.
fn locate(rank: u64, mut below: u64, counts: &[u32]) -> (usize, u64, u64) {
    let mut last = (0, below, 0);
    for (i, here) in counts.iter().map(|&n| u64::from(n)).enumerate() {
        last = (i, below, here);
        if rank < below + here {
            break;
        }
        below += here;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quantiles of `x` against its elements in order.
    fn check(x: &[f64]) {
        let mut histogram = vec![0; BINS];
        x.iter().for_each(|&v| histogram[bin(v)] += 1);
        let mut sorted: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        for (percent, got) in PERCENT.into_iter().zip(quantiles(&histogram)) {
            let want = sorted[percent as usize * (x.len() - 1) / 100];
            assert!((got / want - 1.0).abs() <= 0.13, "p{percent} of {} elements: {got} {want}", x.len());
        }
    }

    #[test]
    fn quantiles_are_within_13_percent() {
        check(&(1..=5000).map(|i| (f64::from(i) * 0.001).powi(3)).collect::<Vec<_>>());
    }

    #[test]
    fn clusters_at_the_edges_of_bins_are_within_13_percent() {
        for octave in [-1022, -600, -149, -127, -3, 0, 1, 127, 128, 900, 1023] {
            for quarter in 0..4 {
                let low = libm::scalbn(1.0 + 0.25 * f64::from(quarter), octave);
                let high = libm::scalbn(1.25 + 0.25 * f64::from(quarter), octave).min(f64::MAX);
                let last = f64::from_bits(high.to_bits() - 1);
                for (at_low, at_last) in
                    [(1, 0), (0, 1), (1, 1), (100, 0), (0, 100), (96, 4), (4, 96), (51, 49), (20, 1)]
                {
                    let mut x = vec![-low; at_low];
                    x.resize(at_low + at_last, last);
                    check(&x);
                }
            }
        }
    }

    #[test]
    fn ranks_are_those_of_whole_numbers() {
        // 0.95 * 40 is a little below 38 in float64.
        assert_eq!([41, 1, 2, 20, 21].map(|n| rank(95, n)), [38, 0, 0, 18, 19]);
        assert_eq!(rank(5, u64::MAX), u64::MAX / 20);
    }

    #[test]
    fn zeros_stay_zero_and_non_finite_elements_are_left_out() {
        let mut histogram = vec![0; BINS];
        for v in [0.0, 0.0, 0.0, 2.0, 2.0, f64::INFINITY, f64::NAN] {
            histogram[bin(v)] += 1;
        }
        let q = quantiles(&histogram);
        assert_eq!(&q[..3], &[0.0; 3]);
        assert!(q[4] > 2.0 && q[4] < 2.5);
        assert!(quantiles(&vec![0; BINS])[0].is_nan());
    }
}
