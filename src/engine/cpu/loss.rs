//! Losses over the readout, in float64 with exponents: readouts are small, and a confident softmax must keep the size of
//! what is left.

use super::real::Real;
use super::tensor::Tensor;
use crate::stats::Scaled;

/// 1/(2B) sum (y - d)^2, and dLoss/dy = (y - d)/B into `grad`.
pub fn mse<T: Real>(y: &Tensor<T>, target: &[T], batch: usize, grad: &mut Tensor<T>) -> Scaled {
    grad.resize(0);
    grad.exponent = 0;
    if y.rows.is_empty() {
        let (sum, exponent) = squared_error(&y.data, y.exponent, target, batch, &mut grad.data);
        grad.exponent = exponent;
        return Scaled::new(sum / (2.0 * batch as f64), 2 * exponent);
    }
    let columns = y.data.len() / batch;
    let mut loss = Scaled::ZERO;
    for (b, (row, target)) in y.data.chunks_exact(columns).zip(target.chunks_exact(columns)).enumerate() {
        let (sum, exponent) = squared_error(row, y.exponent + y.row(b), target, batch, &mut grad.data);
        loss = add(loss, Scaled::new(sum / (2.0 * batch as f64), 2 * exponent));
        grad.rows.push(exponent);
    }
    loss
}

/// Sum of (y - d)^2 of values that share an exponent, with (y - d)/B appended to `grad`; both at the exponent returned.
fn squared_error<T: Real>(y: &[T], y_exponent: i32, target: &[T], batch: usize, grad: &mut Vec<T>) -> (f64, i32) {
    let target_max = target.iter().fold(0.0, |m: f64, v| m.max(v.to_f64().abs()));
    let exponent = if target_max > 0.0 { y_exponent.max(0) } else { y_exponent };
    let difference =
        |y_value: T, d: T| libm::scalbn(y_value.to_f64(), y_exponent - exponent) - libm::scalbn(d.to_f64(), -exponent);
    let mut sum = 0.0;
    for (v, d) in y.iter().zip(target) {
        let r = difference(*v, *d);
        sum += r * r;
        grad.push(T::from_f64(r / batch as f64));
    }
    (sum, exponent)
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

/// 2^x for any x, as a scaled number; 0 below 2^floor (and for -infinity).
fn exp2_scaled(x: f64, floor: f64) -> Scaled {
    if x.is_nan() {
        return Scaled::ABSENT;
    }
    if x < floor {
        return Scaled::ZERO;
    }
    let whole = x.floor();
    Scaled::new((x - whole).exp2(), whole as i32)
}

/// Mean softmax cross-entropy, and dLoss/dy = (softmax - onehot)/B into `grad`: the true class gets minus the sum of the
/// others, at the exponent of the sample's largest element. What is below 2^floor counts as zero.
pub fn cross_entropy<T: Real>(y: &Tensor<T>, labels: &[u32], batch: usize, floor: f64, grad: &mut Tensor<T>) -> Scaled {
    let classes = y.data.len() / batch;
    let mut loss = Scaled::ZERO;
    let mut elements: Vec<Scaled> = Vec::with_capacity(y.data.len());
    for (b, (row, &label)) in y.data.chunks_exact(classes).zip(labels).enumerate() {
        let (label, exponent) = (label as usize, y.exponent + y.row(b));
        let top = row.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.to_f64()));
        // log2 of the unnormalised probabilities; gaps beyond float64 become -infinity.
        let power = |v: &T| libm::scalbn(v.to_f64() - top, exponent) * std::f64::consts::LOG2_E;
        let sum: f64 = row.iter().map(|v| power(v).exp2()).sum();
        let log2_sum = sum.log2();
        let start = elements.len();
        let mut others = Scaled::ZERO;
        for (k, v) in row.iter().enumerate() {
            let p = if k == label { Scaled::ZERO } else { exp2_scaled(power(v) - log2_sum, floor) };
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
            let far = Scaled::new(gap, exponent);
            add(if gap > 0.0 { far } else { Scaled::ZERO }, Scaled::new(sum.ln(), 0))
        };
        loss = if term.mantissa.is_nan() { Scaled::ABSENT } else { add(loss, term) };
    }
    grad.resize(0);
    grad.exponent = 0;
    for row in elements.chunks_exact(classes) {
        let sized = row.iter().filter(|p| p.mantissa != 0.0 && p.mantissa.is_finite());
        let exponent = sized.map(|p| p.exponent).max().unwrap_or(0);
        let exponent = if exponent > -T::ORDINARY / 2 { 0 } else { exponent };
        let value = |p: &Scaled| T::from_f64(libm::scalbn(p.mantissa, p.exponent - exponent) / batch as f64);
        grad.data.extend(row.iter().map(value));
        grad.rows.push(exponent);
    }
    if grad.rows.iter().all(|&row| row == 0) {
        grad.rows.clear();
    }
    Scaled::new(loss.mantissa / batch as f64, loss.exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data: &[f64], exponent: i32) -> Tensor<f64> {
        Tensor { data: data.to_vec(), exponent, abs_max: 1.0, ..Tensor::default() }
    }

    #[test]
    fn cross_entropy_equals_the_textbook_in_the_ordinary_range() {
        let y = tensor(&[0.3, -1.2, 2.0, 0.1, 0.1, 0.1], 0);
        let mut grad = Tensor::default();
        let loss = cross_entropy(&y, &[2, 0], 2, -1e6, &mut grad);
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
        let loss = cross_entropy(&y, &[0], 1, -1e6, &mut grad);
        let want = -5000.0 * std::f64::consts::LOG10_E;
        assert!((loss.log10_abs().unwrap() - want).abs() < 1e-9);
        let g = Scaled::new(grad.data[0], grad.exponent + grad.row(0)).log10_abs().unwrap();
        assert!((g - want).abs() < 1e-9 && grad.data[0] < 0.0);
    }

    #[test]
    fn certain_samples_stay_apart() {
        let y = tensor(&[5000.0, 0.0, 0.0, 900.0, 0.0, 0.0], 0);
        let mut grad = Tensor::default();
        let loss = cross_entropy(&y, &[0, 1, 0], 3, -1e6, &mut grad);
        assert!((loss.value().unwrap() - 2f64.ln() / 3.0).abs() < 1e-12);
        for (b, gap) in [(0, 5000.0), (1, 900.0)] {
            let g = Scaled::new(grad.data[2 * b], grad.exponent + grad.row(b)).log10_abs().unwrap();
            let want = -gap * std::f64::consts::LOG10_E - 3f64.log10();
            assert!((g - want).abs() < 1e-9, "{b}: {g} {want}");
        }
        assert!((grad.data[4] + 0.5 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_wrong_class_far_outside_float64_has_the_gap_as_loss() {
        let y = tensor(&[1.5, 0.25], 4000);
        let mut grad = Tensor::default();
        let loss = cross_entropy(&y, &[1], 1, -1e6, &mut grad);
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
