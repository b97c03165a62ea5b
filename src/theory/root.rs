//! Roots of scalar functions on an interval with a sign change: Brent's zero finder, after Brent, "Algorithms for
//! Minimization without Derivatives" (1973), chapter 4.

/// A root of `f` between `a` and `b`, whose signs there differ (`fa`, `fb`), to about `relative` of its size.
pub fn brent(mut f: impl FnMut(f64) -> f64, (a, fa): (f64, f64), (b, fb): (f64, f64), relative: f64) -> f64 {
    let ((mut a, mut fa), (mut b, mut fb)) = ((a, fa), (b, fb));
    let (mut c, mut fc) = (a, fa);
    let (mut step, mut last) = (b - a, b - a);
    for _ in 0..200 {
        if fc.abs() < fb.abs() {
            (a, fa, b, fb, c, fc) = (b, fb, c, fc, b, fb);
        }
        let tolerance = 0.5 * relative * b.abs() + f64::MIN_POSITIVE;
        let half = 0.5 * (c - b);
        if half.abs() <= tolerance || fb == 0.0 {
            return b;
        }
        if last.abs() < tolerance || fa.abs() <= fb.abs() {
            (step, last) = (half, half);
        } else {
            let s = fb / fa;
            let (mut p, mut q) = if a == c {
                (2.0 * half * s, 1.0 - s)
            } else {
                let (t, r) = (fa / fc, fb / fc);
                (s * (2.0 * half * t * (t - r) - (b - a) * (r - 1.0)), (t - 1.0) * (r - 1.0) * (s - 1.0))
            };
            if p > 0.0 {
                q = -q
            } else {
                p = -p
            }
            if 2.0 * p < (3.0 * half * q - (tolerance * q).abs()).min((last * q).abs()) {
                (last, step) = (step, p / q);
            } else {
                (step, last) = (half, half);
            }
        }
        (a, fa) = (b, fb);
        b += if step.abs() > tolerance { step } else { tolerance.copysign(half) };
        fb = f(b);
        if (fb > 0.0) == (fc > 0.0) {
            (c, fc) = (a, fa);
            (step, last) = (b - a, b - a);
        }
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_found_also_where_the_secant_fails() {
        let find = |f: fn(f64) -> f64, a: f64, b: f64| brent(f, (a, f(a)), (b, f(b)), 1e-14);
        assert!((find(|x| x * x * x - 2.0, 0.0, 5.0) - 2f64.cbrt()).abs() < 1e-13);
        assert!((find(|x| libm::atan(50.0 * (x - 0.7)), -100.0, 3.0) - 0.7).abs() < 1e-12);
        assert!((find(|x| if x < 0.25 { -1.0 } else { 1.0 }, 0.0, 1.0) - 0.25).abs() < 1e-12);
    }
}
