//! Losses over the readout, in float64 with exponents: readouts are small, and a confident softmax must keep the size of
//! what is left.

use super::real::Real;
use super::tensor::Tensor;
use crate::stats::Scaled;

/// 1/(2B) sum (y - d)^2, and dLoss/dy = (y - d)/B into `grad`.
pub fn mse<T: Real>(y: &Tensor<T>, target: &[T], batch: usize, grad: &mut Tensor<T>) -> Scaled {
    let target_max = target.iter().fold(0.0, |m: f64, v| m.max(v.to_f64().abs()));
    let exponent = if target_max > 0.0 { y.exponent.max(0) } else { y.exponent };
    let difference =
        |y_value: T, d: T| libm::scalbn(y_value.to_f64(), y.exponent - exponent) - libm::scalbn(d.to_f64(), -exponent);
    let mut sum = 0.0;
    grad.data.clear();
    for (v, d) in y.data.iter().zip(target) {
        let r = difference(*v, *d);
        sum += r * r;
        grad.data.push(T::from_f64(r / batch as f64));
    }
    grad.exponent = exponent;
    Scaled::new(sum / (2.0 * batch as f64), 2 * exponent)
}

/// Adds x * 2^e to a running scaled sum of non-negative terms.
fn add(sum: Scaled, term: Scaled) -> Scaled {
    if term.mantissa == 0.0 {
        return sum;
    }
    if sum.mantissa == 0.0 {
        return term;
    }
    let exponent = sum.exponent.max(term.exponent);
    Scaled::new(
        libm::scalbn(sum.mantissa, sum.exponent - exponent) + libm::scalbn(term.mantissa, term.exponent - exponent),
        exponent,
    )
}

/// 2^x for any x, as a scaled number; 0 below 2^-1048576 (and for -infinity).
fn exp2_scaled(x: f64) -> Scaled {
    if x.is_nan() {
        return Scaled::ABSENT;
    }
    if x < super::activate::LOG2_DERIVATIVE_MIN {
        return Scaled::ZERO;
    }
    let whole = x.floor();
    Scaled::new((x - whole).exp2(), whole as i32)
}

/// Mean softmax cross-entropy, and dLoss/dy = (softmax - onehot)/B into `grad`: the true class gets minus the sum of the
/// others, at the exponent of the largest element.
pub fn cross_entropy<T: Real>(y: &Tensor<T>, labels: &[u32], batch: usize, grad: &mut Tensor<T>) -> Scaled {
    let classes = y.data.len() / batch;
    let mut loss = Scaled::ZERO;
    let mut elements: Vec<Scaled> = Vec::with_capacity(y.data.len());
    for (row, &label) in y.data.chunks_exact(classes).zip(labels) {
        let label = label as usize;
        let top = row.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.to_f64()));
        // log2 of the unnormalised probabilities; gaps beyond float64 become -infinity.
        let power = |v: &T| libm::scalbn(v.to_f64() - top, y.exponent) * std::f64::consts::LOG2_E;
        let sum: f64 = row.iter().map(|v| power(v).exp2()).sum();
        let log2_sum = sum.log2();
        let start = elements.len();
        let mut others = Scaled::ZERO;
        for (k, v) in row.iter().enumerate() {
            let p = if k == label { Scaled::ZERO } else { exp2_scaled(power(v) - log2_sum) };
            others = if p.mantissa.is_nan() { p } else { add(others, p) };
            elements.push(p);
        }
        elements[start + label] = Scaled::new(-others.mantissa, others.exponent);
        // -ln p_label: the sum of the others where the class is nearly certain, else the gap to the top.
        let rest = libm::scalbn(others.mantissa, others.exponent);
        let term = if rest < 0.5 {
            if rest > 1e-290 { Scaled::new(-libm::log1p(-rest), 0) } else { others }
        } else {
            let gap = top - row[label].to_f64();
            let far = Scaled::new(gap, y.exponent);
            add(if gap > 0.0 { far } else { Scaled::ZERO }, Scaled::new(sum.ln(), 0))
        };
        loss = if term.mantissa.is_nan() { Scaled::ABSENT } else { add(loss, term) };
    }
    let exponent =
        elements.iter().filter(|p| p.mantissa != 0.0 && p.mantissa.is_finite()).map(|p| p.exponent).max().unwrap_or(0);
    let exponent = if exponent > -T::ORDINARY / 2 { 0 } else { exponent };
    grad.data.clear();
    grad.data
        .extend(elements.iter().map(|p| T::from_f64(libm::scalbn(p.mantissa, p.exponent - exponent) / batch as f64)));
    grad.exponent = exponent;
    Scaled::new(loss.mantissa / batch as f64, loss.exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data: &[f64], exponent: i32) -> Tensor<f64> {
        Tensor { data: data.to_vec(), exponent, abs_max: 1.0 }
    }

    #[test]
    fn cross_entropy_equals_the_textbook_in_the_ordinary_range() {
        let y = tensor(&[0.3, -1.2, 2.0, 0.1, 0.1, 0.1], 0);
        let mut grad = Tensor::default();
        let loss = cross_entropy(&y, &[2, 0], 2, &mut grad);
        let softmax = |r: &[f64]| {
            let s: f64 = r.iter().map(|v| v.exp()).sum();
            r.iter().map(|v| v.exp() / s).collect::<Vec<_>>()
        };
        let (a, b) = (softmax(&y.data[..3]), softmax(&y.data[3..]));
        assert!((loss.value().unwrap() + (a[2].ln() + b[0].ln()) / 2.0).abs() < 1e-14);
        let want = [a[0], a[1], a[2] - 1.0, b[0] - 1.0, b[1], b[2]];
        for (g, w) in grad.data.iter().zip(want) {
            assert!((g - w / 2.0).abs() < 1e-14);
        }
    }

    #[test]
    fn a_certain_class_keeps_the_size_of_the_rest() {
        // Gap 5000: p of the other class is e^-5000, far below float64.
        let y = tensor(&[5000.0, 0.0], 0);
        let mut grad = Tensor::default();
        let loss = cross_entropy(&y, &[0], 1, &mut grad);
        let want = -5000.0 * std::f64::consts::LOG10_E;
        assert!((loss.log10_abs().unwrap() - want).abs() < 1e-9);
        let g = Scaled::new(grad.data[0], grad.exponent).log10_abs().unwrap();
        assert!((g - want).abs() < 1e-9 && grad.data[0] < 0.0);
    }

    #[test]
    fn a_wrong_class_far_outside_float64_has_the_gap_as_loss() {
        let y = tensor(&[1.5, 0.25], 4000);
        let mut grad = Tensor::default();
        let loss = cross_entropy(&y, &[1], 1, &mut grad);
        assert!((loss.log10_abs().unwrap() - (1.25f64.log10() + 4000.0 * std::f64::consts::LOG10_2)).abs() < 1e-9);
        assert_eq!((grad.data[0], grad.data[1], grad.exponent), (1.0, -1.0, 0));
    }

    #[test]
    fn mse_meets_its_definition_at_any_exponent() {
        let mut grad = Tensor::default();
        let loss = mse(&tensor(&[3.0, -1.0], 0), &[1.0, 0.5], 1, &mut grad);
        assert_eq!(loss.value(), Some((4.0 + 2.25) / 2.0));
        assert_eq!(grad.data, [2.0, -1.5]);
        let loss = mse(&tensor(&[3.0, -1.0], -900), &[0.0, 0.0], 1, &mut grad);
        assert_eq!((loss, grad.exponent), (Scaled::new(5.0, -1800), -900));
    }
}
