//! Numbers with an exponent each, for oracles at any scale, and the tensors of a run as such numbers.

use std::collections::HashMap;
use std::f64::consts::{LOG2_E, LOG10_2};

use gradsweep::engine::Precision;
use gradsweep::engine::cpu::{NamedTensor, tensors};
use gradsweep::network::NetworkSpec;

/// m 2^e, m in [0.5, 1) or zero.
#[derive(Clone, Copy, Debug)]
pub struct Wide {
    pub m: f64,
    pub e: i64,
}

impl Wide {
    pub const ZERO: Wide = Wide { m: 0.0, e: 0 };
    pub fn new(m: f64, e: i64) -> Wide {
        let (m, shift) = libm::frexp(m);
        Wide { m, e: if m == 0.0 { 0 } else { e + i64::from(shift) } }
    }
    /// factor * e^-decay
    pub fn tail(factor: f64, decay: f64) -> Wide {
        let power = -decay * LOG2_E;
        let whole = power.floor();
        if whole < -1e15 {
            return Wide::ZERO;
        }
        Wide::new(factor * (power - whole).exp2(), whole as i64)
    }
    pub fn times(self, other: Wide) -> Wide {
        Wide::new(self.m * other.m, self.e + other.e)
    }
    pub fn plus(self, other: Wide) -> Wide {
        let (a, b) = if other.m == 0.0 || (self.m != 0.0 && self.e >= other.e) { (self, other) } else { (other, self) };
        let gap = (a.e - b.e).min(2000) as i32;
        Wide::new(a.m + if b.m == 0.0 { 0.0 } else { libm::scalbn(b.m, -gap) }, a.e)
    }
    pub fn log10(self) -> f64 {
        self.m.abs().log10() + self.e as f64 * LOG10_2
    }
}

pub fn sum(terms: impl Iterator<Item = Wide>) -> Wide {
    terms.fold(Wide::ZERO, Wide::plus)
}
pub fn norm(x: &[Wide]) -> f64 {
    0.5 * sum(x.iter().map(|v| v.times(*v))).log10()
}

/// The forward values of a run.
pub struct Forward(HashMap<String, NamedTensor>);

impl Forward {
    pub fn of(spec: &NetworkSpec, precision: Precision) -> Forward {
        Forward(tensors(spec, None, None, precision).into_iter().map(|t| (t.name.clone(), t)).collect())
    }
    /// The same weights and data with a tensor that another engine has computed.
    pub fn replace(&mut self, name: &str, data: Vec<f64>, log2_scale: i32) {
        let tensor = self.0.get_mut(name).unwrap_or_else(|| panic!("no tensor {name}"));
        assert_eq!(tensor.data.len(), data.len(), "{name}");
        (tensor.data, tensor.log2_scale, tensor.log2_row_scale) = (data, log2_scale, Vec::new());
    }
    pub fn get(&self, name: &str) -> Vec<Wide> {
        let t = &self.0[name];
        t.data.iter().enumerate().map(|(i, &v)| Wide::new(v, i64::from(t.log2_scale_at(i)))).collect()
    }
    pub fn layer(&self, layer: u32, name: &str) -> Vec<Wide> {
        if layer == 0 { self.get("input") } else { self.get(&format!("layers.{layer}.{name}")) }
    }
}

pub fn narrow(x: &[Wide]) -> Vec<f64> {
    x.iter().map(|v| libm::scalbn(v.m, v.e.clamp(-2000, 2000) as i32)).collect()
}
