//! The critical initialisation of an activation: the weight scale at which gradients neither grow nor shrink at the
//! fixed point of the variance (Schoenholz et al. 2017), or, for activations that have no stable one without bias, the
//! half-stable pair of Roberts, Yaida & Hanin, "The Principles of Deep Learning Theory" (2022), section 5.3.4.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use super::expectation::{homogeneous, moments};
use super::root::brent;
use crate::network::Activation;

/// A point (sigma_w, sigma_b) with chi_1 = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalPoint {
    pub sigma_w: f64,
    pub sigma_b: f64,
    /// The fixed point q* of the variance of z. Any q is one for homogeneous activations: then 1.
    pub q: f64,
}

/// Largest variance looked at.
const LARGEST: f64 = 1e14;
/// A fixed point whose own growth factor (dq_{l+1}/dq_l) exceeds this is not one that a network stays at.
const STABLE: f64 = 1.001;

type Key = (u32, u64, Option<u64>);
static CACHE: LazyLock<Mutex<HashMap<Key, Result<CriticalPoint, String>>>> = LazyLock::new(Mutex::default);
const CACHE_ENTRIES: usize = 1 << 16;

/// At the given `sigma_b`, the sigma_w with chi_1 = 1 at the fixed point q*. Without one, sigma_b = 0, or the
/// activation's half-stable pair where q* = 0 repels. Answers are remembered.
pub fn critical(activation: &Activation, sigma_b: Option<f64>) -> Result<CriticalPoint, String> {
    let key = (activation.kind as u32, activation.param.to_bits(), sigma_b.map(f64::to_bits));
    if let Ok(cache) = CACHE.lock()
        && let Some(known) = cache.get(&key)
    {
        return known.clone();
    }
    let answer = solve(activation, sigma_b);
    if let Ok(mut cache) = CACHE.lock() {
        if cache.len() >= CACHE_ENTRIES {
            cache.clear();
        }
        cache.insert(key, answer.clone());
    }
    answer
}

fn solve(activation: &Activation, sigma_b: Option<f64>) -> Result<CriticalPoint, String> {
    let name = activation.canonical();
    if let Some(s) = sigma_b
        && !(s.is_finite() && s >= 0.0)
    {
        return Err(format!("sigma_b is {s}; it is a standard deviation, at least 0"));
    }
    if homogeneous(activation).is_some() {
        return match sigma_b {
            Some(s) if s != 0.0 => Err(format!(
                "{name} has no critical point with sigma_b = {s}: at chi_1 = 1 every bias adds to the variance, which \
                 has no fixed point; set sigma_b = 0"
            )),
            _ => Ok(CriticalPoint {
                sigma_w: moments(activation, 1.0).derivative_square.sqrt().recip(),
                sigma_b: 0.0,
                q: 1.0,
            }),
        };
    }
    let at_zero = moments(activation, 0.0);
    // Close to q = 0, where phi(0) = 0: does the variance grow from there at chi_1 = 1?
    let repelling = at_zero.square == 0.0 && growth(activation, 1e-3) > 1.0 + 1e-6;
    match sigma_b {
        None if repelling => half_stable(activation),
        None | Some(0.0) if at_zero.square == 0.0 && !repelling => {
            Ok(CriticalPoint { sigma_w: at_zero.derivative_square.sqrt().recip(), sigma_b: 0.0, q: 0.0 })
        }
        _ => {
            let s = sigma_b.unwrap_or(0.0);
            let point = if repelling && s == 0.0 { None } else { fixed_point(activation, s) };
            match point {
                Some(point) if growth(activation, point.q) <= STABLE => Ok(point),
                None if !repelling => Err(format!(
                    "{name} has no critical point with sigma_b = {s}: its variance has no fixed point at any sigma_w \
                     with chi_1 = 1; use another init, such as mean_field"
                )),
                _ => Err(repelled(activation, s)),
            }
        }
    }
}

fn repelled(activation: &Activation, sigma_b: f64) -> String {
    let name = activation.canonical();
    let way_out = match half_stable(activation) {
        Ok(pair) => format!(
            "; leave sigma_b out for the half-stable pair sigma_w = {:.6}, sigma_b = {:.6}",
            pair.sigma_w, pair.sigma_b
        ),
        Err(_) => String::new(),
    };
    format!(
        "{name} has no stable critical point with sigma_b = {sigma_b}: the variance leaves its fixed point{way_out}"
    )
}

/// d q_{l+1} / d q_l at variance q, with sigma_w such that chi(q) = 1.
fn growth(activation: &Activation, q: f64) -> f64 {
    let m = moments(activation, q);
    m.square_slope / m.derivative_square
}

/// With sigma_w^2 = 1 / E phi'^2 put into the fixed-point equation q = sigma_w^2 E phi^2 + sigma_b^2, one equation in q
/// is left, q - E phi^2 / E phi'^2 = sigma_b^2, so that q and chi are solved together: iterating q crawls here.
fn fixed_point(activation: &Activation, sigma_b: f64) -> Option<CriticalPoint> {
    let excess = |q: f64| {
        let m = moments(activation, q);
        q - m.square / m.derivative_square - sigma_b * sigma_b
    };
    let q = crossing(excess, 1e-12)?;
    Some(CriticalPoint { sigma_w: moments(activation, q).derivative_square.sqrt().recip(), sigma_b, q })
}

/// The pair at which the growth of q and chi are both 1.
fn half_stable(activation: &Activation) -> Result<CriticalPoint, String> {
    let none =
        || format!("{} has no critical point: its variance has no fixed point where chi_1 = 1", activation.canonical());
    let q = crossing(|q| 1.0 - growth(activation, q), 1e-3).ok_or_else(none)?;
    let m = moments(activation, q);
    let bias = q - m.square / m.derivative_square;
    if bias < 0.0 {
        return Err(none());
    }
    Ok(CriticalPoint { sigma_w: m.derivative_square.sqrt().recip(), sigma_b: bias.sqrt(), q })
}

/// The q in `[smallest, LARGEST]` where `f` turns from negative to positive, found outwards from 1.
fn crossing(f: impl Fn(f64) -> f64, smallest: f64) -> Option<f64> {
    let mut low = (1.0, f(1.0));
    let mut high = low;
    while high.1 < 0.0 {
        if high.0 > LARGEST {
            return None;
        }
        low = high;
        high = (high.0 * 8.0, f(high.0 * 8.0));
    }
    while low.1 >= 0.0 {
        if low.0 < smallest {
            return None;
        }
        high = low;
        low = (low.0 / 8.0, f(low.0 / 8.0));
    }
    Some(brent(f, low, high, 1e-14))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ActivationKind, activation::TABLE};

    fn at(kind: ActivationKind, sigma_b: Option<f64>) -> CriticalPoint {
        critical(&kind.into(), sigma_b).unwrap()
    }

    #[track_caller]
    fn close(got: f64, printed: f64, digits: i32) {
        let unit = 10f64.powi(-digits);
        assert!((got - printed).abs() <= 0.51 * unit, "{got} is not {printed} to {digits} decimals");
    }

    #[test]
    fn the_edge_of_chaos_of_tanh_is_the_published_one() {
        // Schoenholz et al. 2017 plot it; the digits are from an independent quadrature.
        close(at(ActivationKind::Tanh, Some(0.05f64.sqrt())).sigma_w.powi(2), 1.760955, 6);
        close(at(ActivationKind::Tanh, Some(0.2)).sigma_w, 1.30415, 5);
        close(at(ActivationKind::Tanh, None).sigma_w, 1.0, 12);
    }

    #[test]
    fn sigmoid_has_a_critical_point_without_bias() {
        close(at(ActivationKind::Sigmoid, None).sigma_w, 10.149, 3);
    }

    #[test]
    fn gelu_and_silu_get_their_half_stable_pairs() {
        let gelu = at(ActivationKind::Gelu, None);
        close(gelu.sigma_w.powi(2), 1.983058, 6);
        close(gelu.sigma_b.powi(2), 0.172922, 6);
        let silu = at(ActivationKind::Silu, None);
        close(silu.sigma_w.powi(2), 1.988005, 6);
        close(silu.sigma_b.powi(2), 0.555143, 6);
    }

    #[test]
    fn piecewise_linear_activations_are_critical_without_bias_only() {
        close(at(ActivationKind::Relu, None).sigma_w.powi(2), 2.0, 12);
        close(at(ActivationKind::Linear, Some(0.0)).sigma_w, 1.0, 12);
        close(at(ActivationKind::LeakyRelu, None).sigma_w.powi(2), 2.0 / 1.0001, 12);
        let error = critical(&ActivationKind::Relu.into(), Some(0.1)).unwrap_err();
        assert!(error.contains("set sigma_b = 0"), "{error}");
    }

    #[test]
    fn softplus_has_none_and_says_so() {
        for sigma_b in [None, Some(0.0), Some(0.3)] {
            let error = critical(&ActivationKind::Softplus.into(), sigma_b).unwrap_err();
            assert!(error.contains("softplus(1) has no critical point"), "{error}");
        }
    }

    #[test]
    fn a_repelled_bias_names_the_pair() {
        for sigma_b in [0.0, 0.2] {
            let error = critical(&ActivationKind::Gelu.into(), Some(sigma_b)).unwrap_err();
            assert!(error.contains("sigma_w = 1.408211, sigma_b = 0.415839"), "{error}");
        }
        // Larger biases have a stable point, and the printed pair is accepted.
        assert!(at(ActivationKind::Gelu, Some(0.5)).q > at(ActivationKind::Gelu, None).q);
        assert!(critical(&ActivationKind::Gelu.into(), Some(0.415839)).is_ok());
        assert!(critical(&ActivationKind::Gelu.into(), Some(-1.0)).is_err());
        assert!(critical(&ActivationKind::Gelu.into(), Some(f64::NAN)).is_err());
    }

    #[test]
    fn every_activation_has_a_point_that_is_fixed_and_critical_or_an_error() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            for sigma_b in [None, Some(0.0), Some(0.05), Some(0.3), Some(1.0), Some(3.0)] {
                let Ok(point) = critical(&activation, sigma_b) else {
                    continue;
                };
                let m = moments(&activation, point.q);
                let w = point.sigma_w * point.sigma_w;
                assert!((w * m.derivative_square - 1.0).abs() < 1e-10, "{} {sigma_b:?}", row.name);
                let q = w * m.square + point.sigma_b * point.sigma_b;
                assert!((q - point.q).abs() < 1e-9 * point.q.max(1e-3), "{} {sigma_b:?}: {q}", row.name);
                assert!(sigma_b.is_none_or(|s| s == point.sigma_b));
            }
            assert!(critical(&activation, None).is_ok() || row.kind == ActivationKind::Softplus, "{}", row.name);
        }
    }

    #[test]
    fn the_edge_moves_continuously_with_the_bias() {
        for kind in [ActivationKind::Tanh, ActivationKind::Erf, ActivationKind::Sigmoid, ActivationKind::Elu] {
            let line: Vec<f64> = (1..=60).map(|i| at(kind, Some(f64::from(i) * 0.05)).sigma_w).collect();
            for pair in line.windows(2) {
                assert!(pair[1] > pair[0] && pair[1] - pair[0] < 0.2, "{kind:?}: {pair:?}");
            }
        }
    }
}
