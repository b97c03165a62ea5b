//! Records of two engines held against each other, field by field, with one tolerance for relative errors.

use gradsweep::engine::NetworkResult;
use gradsweep::stats::{Count, Moments, Quantity, Record, Scaled, Sum};

/// x / y as an ordinary number.
fn ratio(x: Scaled, y: Scaled) -> f64 {
    if x.mantissa == 0.0 {
        return 0.0;
    }
    x.mantissa / y.mantissa * 2f64.powi((x.exponent - y.exponent).clamp(-1000, 1000))
}

fn rms(record: &Record, q: Quantity) -> Scaled {
    let m = record.moments(q);
    if m.finite() == 0 {
        return Scaled::ZERO;
    }
    let square = m.sum_of_squares();
    Scaled::new((square.mantissa / m.finite() as f64).sqrt(), square.exponent / 2)
}

fn product(a: Scaled, b: Scaled, factor: f64) -> Scaled {
    Scaled::new(a.mantissa * b.mantissa * factor, a.exponent + b.exponent)
}

/// The rms that a quantity would have if the terms of its sum had random signs: rounding errors follow the terms, also
/// where the sum cancels (a norm's gradient is orthogonal to its input and vanishes for what it cannot see).
fn floor(q: Quantity, row: &Record, [before, after]: [Option<&Record>; 2]) -> Scaled {
    let delta = rms(row, Quantity::PreactGrad);
    match q {
        Quantity::BiasGrad => {
            let count = row.moments(Quantity::PreactGrad).count as f64 / row.moments(q).count.max(1) as f64;
            product(delta, Scaled::from(1.0), count.sqrt())
        }
        Quantity::WeightGrad => before.map_or(Scaled::ZERO, |b| {
            let act = b.moments(Quantity::Act).count as f64;
            let fan_in = row.moments(Quantity::Weight).count as f64;
            let fan_out = row.moments(Quantity::PreactGrad).count as f64;
            // batch^2 = act * fan_out / weights.
            product(delta, rms(b, Quantity::Act), (act * fan_out / fan_in.max(1.0)).powf(0.25))
        }),
        Quantity::ActGrad => after.map_or(Scaled::ZERO, |a| {
            let (w, d) = (a.moments(Quantity::Weight).count as f64, a.moments(Quantity::PreactGrad).count as f64);
            let own = row.moments(q).count.max(1) as f64;
            // fan_out^2 = weights * deltas / elements.
            product(rms(a, Quantity::PreactGrad), rms(a, Quantity::Weight), (w * d / own).powf(0.25))
        }),
        _ => Scaled::ZERO,
    }
}

/// Collects what differs by more than it may. The second field: there is a norm, so that single elements of delta may be
/// differences that cancel.
#[derive(Default)]
pub struct Differences(pub Vec<String>, pub bool);

impl Differences {
    fn note(&mut self, name: String, got: impl std::fmt::Debug, want: impl std::fmt::Debug) {
        self.0.push(format!("{name}: {got:?}, want {want:?}"));
    }

    /// |got - want| <= tolerance * scale, all scaled numbers.
    fn close(&mut self, name: &str, got: Scaled, want: Scaled, scale: Scaled, tolerance: f64) {
        if want.mantissa.is_nan() || got.mantissa.is_nan() {
            if want.mantissa.is_nan() != got.mantissa.is_nan() {
                self.note(name.into(), got, want);
            }
            return;
        }
        if scale.mantissa == 0.0 {
            if got.mantissa != 0.0 || want.mantissa != 0.0 {
                self.note(name.into(), got, want);
            }
            return;
        }
        let error = (ratio(got, scale) - ratio(want, scale)).abs();
        if error.is_nan() || error > tolerance {
            self.note(format!("{name} off by {error:.2e} (allowed {tolerance:.1e})"), got, want);
        }
    }

    /// `floor`: a rounding error's own size where `want` itself is one (rms).
    fn moments(&mut self, name: &str, got: &Moments, want: &Moments, floor: Scaled, tolerance: f64) {
        if (got.count, got.nonfinite) != (want.count, want.nonfinite) {
            self.note(format!("{name} counts"), got, want);
            return;
        }
        if want.count == 0 {
            return;
        }
        let n = want.finite() as f64;
        let mut square = want.sum_of_squares();
        let least = Scaled::new(n * floor.mantissa * floor.mantissa, 2 * floor.exponent);
        // Sums that cancel to rounding's own size: what is 0 in one precision need not be in the other.
        let cancelled = least.mantissa > 0.0 && (square.mantissa == 0.0 || ratio(square, least) < 1e-4);
        let noisy = cancelled || (self.1 && name.ends_with("_grad"));
        // An element on one side of a kink in f32 and on the other in f64.
        let slack = if noisy { n } else { 2.0 + 2e-3 * n };
        if (got.zeros as f64 - want.zeros as f64).abs() > slack {
            self.note(format!("{name} zeros"), got.zeros, want.zeros);
        }
        if least.mantissa > 0.0 && (square.mantissa == 0.0 || ratio(square, least) < 1.0) {
            square = least;
        }
        let rms = Scaled::new((square.mantissa / n).sqrt(), square.exponent / 2);
        self.close(
            &format!("{name} sum of squares"),
            got.sum_of_squares(),
            want.sum_of_squares(),
            square,
            2.0 * tolerance,
        );
        let mean = |m: &Moments| Scaled::new(m.mean, m.exponent);
        self.close(&format!("{name} mean"), mean(got), mean(want), rms, tolerance);
        let spread = |m: &Moments| Scaled::new(m.m2, 2 * m.exponent);
        self.close(&format!("{name} m2"), spread(got), spread(want), square, 2.0 * tolerance);
        let max = |m: &Moments| Scaled::new(m.abs_max, m.exponent);
        let top = if ratio(rms, max(want)) > 1.0 { rms } else { max(want) };
        self.close(&format!("{name} abs_max"), max(got), max(want), top, 8.0 * tolerance);
        if !want.m4.is_nan() {
            let third = |m: &Moments| Scaled::new(m.m3, 3 * m.exponent);
            let fourth = |m: &Moments| Scaled::new(m.m4, 4 * m.exponent);
            // Scales without cancellation: powers of the rms, and the largest element's share.
            let top = ratio(max(want), rms).max(1.0);
            let unit = |k: i32| Scaled::new(n * rms.mantissa.powi(k) * top, k * rms.exponent);
            self.close(&format!("{name} m3"), third(got), third(want), unit(3), 16.0 * tolerance);
            self.close(
                &format!("{name} m4"),
                fourth(got),
                fourth(want),
                Scaled::new(unit(4).mantissa * top, unit(4).exponent),
                16.0 * tolerance,
            );
        }
        self.quantiles(name, got, want, floor, tolerance);
    }

    /// A bin is at most 25 % wide, so that an element that rounding carries over its edge moves what is said of it by no
    /// more; elements of rounding's own size may be any. Where an element lies on one side of a kink in f32 and on the other
    /// in f64, it takes another rank: of many elements the quantile stays in its bin, of few it is bounded by the next
    /// quantiles that so many ranks do not reach.
    fn quantiles(&mut self, name: &str, got: &Moments, want: &Moments, floor: Scaled, tolerance: f64) {
        const PERCENT: [f64; 5] = [5.0, 25.0, 50.0, 75.0, 95.0];
        const BIN: f64 = 1.25;
        let of = |m: &Moments, i: usize| Scaled::new(m.abs_quantiles[i], m.exponent);
        if want.abs_quantiles.iter().chain(&got.abs_quantiles).any(|q| q.is_nan()) {
            if want.abs_quantiles.map(f64::is_nan) != got.abs_quantiles.map(f64::is_nan) {
                self.note(format!("{name} quantiles"), got.abs_quantiles, want.abs_quantiles);
            }
            return;
        }
        let n = want.finite() as f64;
        let top = Scaled::new(want.abs_max, want.exponent);
        if top.mantissa == 0.0 {
            return;
        }
        let slack = 8.0 * tolerance * (1.0 + ratio(floor, top));
        let reach = if n < 400.0 { 100.0 * (2.0 + 2e-3 * n) / n } else { 0.0 };
        for (i, percent) in PERCENT.into_iter().enumerate() {
            let below = (0..5).rev().find(|j| PERCENT[*j] <= percent - reach).map_or(0.0, |j| ratio(of(want, j), top));
            let above = (0..5).find(|j| PERCENT[*j] >= percent + reach).map_or(1.0, |j| ratio(of(want, j), top));
            let x = ratio(of(got, i), top);
            if x * BIN + slack < below || x > above * BIN + slack {
                self.note(format!("{name} quantile {percent} % of {n}"), got.abs_quantiles, want.abs_quantiles);
            }
        }
    }

    /// `neighbours`: the rows before and after in `want`, where there are any.
    pub fn records(
        &mut self,
        name: &str,
        got: &Record,
        want: &Record,
        neighbours: [Option<&Record>; 2],
        tolerance: f64,
    ) {
        for q in Quantity::ALL {
            let floor = floor(q, want, neighbours);
            self.moments(&format!("{name} {}", q.name()), got.moments(q), want.moments(q), floor, tolerance);
        }
        for &s in Sum::ALL {
            let (a, b) = (got.sum(s), want.sum(s));
            let pairs = |c: Count| Scaled::from(want.count(c).max(1) as f64);
            let elements = want.count(Count::PhiElements).max(1) as f64;
            let scale = match s {
                Sum::PhiGrad => {
                    let square = want.sum(Sum::PhiGradSquare);
                    Scaled::new((square.mantissa * elements).sqrt(), square.exponent / 2)
                }
                Sum::PreactCos => pairs(Count::PreactPairs),
                Sum::ActCos => pairs(Count::ActPairs),
                Sum::GradCos => pairs(Count::GradPairs),
                Sum::PreactCosGap => pairs(Count::PreactPairs),
                Sum::SampleLogGradDeviation => Scaled::from(want.count(Count::GradSamples).max(1) as f64),
                Sum::WeightDotGrad => {
                    let w = want.moments(Quantity::Weight).sum_of_squares();
                    let g = want.moments(Quantity::WeightGrad).sum_of_squares();
                    let own = Scaled::new((w.mantissa * g.mantissa).sqrt(), (w.exponent + g.exponent) / 2);
                    let count = want.moments(Quantity::WeightGrad).count as f64;
                    let terms =
                        product(rms(want, Quantity::Weight), floor(Quantity::WeightGrad, want, neighbours), count);
                    if own.mantissa == 0.0 || ratio(terms, own) > 1.0 { terms } else { own }
                }
                _ => b,
            };
            self.close(&format!("{name} {s:?}"), a, b, scale, 4.0 * tolerance);
        }
        for &c in Count::ALL {
            let (a, b) = (got.count(c), want.count(c));
            let exact = matches!(
                c,
                Count::PhiElements
                    | Count::Units
                    | Count::Paths
                    | Count::PreactPairs
                    | Count::ActPairs
                    | Count::GradPairs
                    | Count::GradSamples
            );
            let n = match c {
                Count::PathsAboveOne => want.count(Count::Paths),
                Count::DeadUnits => want.count(Count::Units),
                _ => want.count(Count::PhiElements),
            } as f64;
            let slack = if exact { 0.0 } else { 1.0 + 2e-3 * n };
            if (a as f64 - b as f64).abs() > slack {
                self.note(format!("{name} {c:?}"), a, b);
            }
        }
    }

    pub fn results(&mut self, name: &str, got: &NetworkResult, want: &NetworkResult, tolerance: f64) {
        assert_eq!(got.rows.len(), want.rows.len(), "{name}");
        assert_eq!(got.error, None, "{name}");
        for (i, (a, b)) in got.rows.iter().zip(&want.rows).enumerate() {
            assert_eq!(a.layer, b.layer, "{name}");
            let row = |i: usize| want.rows.get(i).map(|r| &r.record);
            let neighbours = [i.checked_sub(1).and_then(row), row(i + 1)];
            self.records(&format!("{name} layer {}", b.layer), &a.record, &b.record, neighbours, tolerance);
        }
        self.close(&format!("{name} loss"), got.loss, want.loss, want.loss, 8.0 * tolerance);
        for (l, (a, b)) in got.delta_squares.iter().zip(&want.delta_squares).enumerate() {
            self.close(&format!("{name} delta square {}", l + 1), *a, *b, *b, 2.0 * tolerance);
        }
    }
}

#[test]
fn wrong_quantiles_are_found_in_tensors_of_any_size() {
    let of = |count: u64, factor: f64| Moments {
        count,
        mean: 0.0,
        m2: count as f64,
        abs_max: 4.0,
        // Of |x| for a normal x.
        abs_quantiles: [0.063, 0.319, 0.674, 1.15, 1.96].map(|q| q * factor),
        ..Moments::NONE
    };
    let found = |count: u64, factor: f64| {
        let mut differences = Differences::default();
        differences.moments("act", &of(count, factor), &of(count, 1.0), Scaled::ZERO, 1e-6);
        differences.0.len()
    };
    for (count, factor) in [(4000, 1.0), (4000, 1.2), (4000, 0.85), (30, 1.0), (30, 1.9), (1, 1.0)] {
        assert_eq!(found(count, factor), 0, "{count} {factor}");
    }
    for (count, factor) in [(4000, 1.3), (4000, 0.75), (30, 4.0), (30, 0.2), (1, 3.0)] {
        assert!(found(count, factor) > 0, "{count} {factor}");
    }
}
