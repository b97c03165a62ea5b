//! Histograms of |x| with four bins per octave, and quantiles from them (within 13 % by the width of a bin).

/// One bin per value of the exponent and the two leading mantissa bits of |x| as an f32.
pub const BINS: usize = 1024;
/// The quantiles that are reported.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Infinite and NaN elements fall into the bins from here on and are left out.
const FIRST_NONFINITE: usize = 255 * 4;

/// The bin of |x|.
pub fn bin(x: f64) -> usize {
    ((x as f32).abs().to_bits() >> 21) as usize
}

/// Lower edge of a bin.
fn edge(bin: usize) -> f64 {
    f64::from(f32::from_bits((bin as u32) << 21))
}

/// Quantiles of |x| over the finite elements, interpolated geometrically inside a bin (linearly in the lowest bins);
/// NaN for an empty histogram. Exact zeros stay exactly zero.
pub fn quantiles(histogram: &[u32]) -> [f64; 5] {
    let finite = &histogram[..FIRST_NONFINITE];
    let total: u64 = finite.iter().map(|&c| u64::from(c)).sum();
    if total == 0 {
        return [f64::NAN; 5];
    }
    QUANTILES.map(|q| {
        let rank = q * (total - 1) as f64;
        let mut below = 0u64;
        for (i, &count) in finite.iter().enumerate() {
            let count = u64::from(count);
            if rank < (below + count) as f64 {
                if i == 0 {
                    return 0.0;
                }
                let (low, high) = (edge(i), edge(i + 1).min(f64::from(f32::MAX)));
                let part = (rank - below as f64 + 0.5) / count as f64;
                return if low > 0.0 { low * (high / low).powf(part.min(1.0)) } else { high * part };
            }
            below += count;
        }
        f64::NAN
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_13_percent() {
        let x: Vec<f64> = (1..=5000).map(|i| (f64::from(i) * 0.001).powi(3)).collect();
        let mut histogram = vec![0; BINS];
        x.iter().for_each(|&v| histogram[bin(v)] += 1);
        for (q, got) in QUANTILES.into_iter().zip(quantiles(&histogram)) {
            let want = x[(q * 4999.0) as usize];
            assert!((got / want - 1.0).abs() < 0.13, "q{q}: {got} {want}");
        }
    }

    #[test]
    fn zeros_stay_zero_and_non_finite_elements_are_left_out() {
        let mut histogram = vec![0; BINS];
        for v in [0.0, 0.0, 0.0, 2.0, 2.0, f64::INFINITY, f64::NAN] {
            histogram[bin(v)] += 1;
        }
        let q = quantiles(&histogram);
        assert_eq!(&q[..3], &[0.0; 3]);
        assert!(q[4] > 0.0 && q[4] < 2.5);
        assert!(quantiles(&vec![0; BINS])[0].is_nan());
    }
}
