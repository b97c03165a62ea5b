//! Batch norm after a layer that is nearly constant: it divides by how samples differ, and with phi(0) = 1/2 and slopes
//! of 1e-30 that is lost in h. Such layers keep h less a constant beside h; what batch norm removes, the mean over
//! samples, is removed before the product with W, and before the product delta^T h, where the sum over samples of delta
//! is zero.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Simd;

use super::kernels::abs_max;
use super::network::{Runner, typical_product};
use super::norm::{UnitRanges, column_means};
use super::real::Real;
use super::tensor::{Tensor, accumulate, exponent_for, power};
use crate::network::{Activation, Norm, Residual};
use crate::program::Slot;

/// Where phi(u) - phi(0) is smaller than this, a difference of float32 values loses digits.
const SMALL: f64 = 0.0625;

/// phi(u) - phi(0) where phi(0) is not zero and every u is small.
pub fn from_zero<T: Real>(activation: &Activation, u: &Tensor<T>) -> Option<Tensor<T>> {
    let facts = activation.facts();
    // An exponent below zero says that every u is far below 1.
    let small = u.exponent < 0 || (u.exponent == 0 && u.abs_max < SMALL);
    if facts.at_zero == 0.0 || !small {
        return None;
    }
    let rest = |v: &T| {
        let v = v.to_f64();
        let slope = facts.slopes_at_zero[usize::from(v > 0.0)];
        // Both are accurate to 2^-25 where they meet.
        let linear = u.exponent != 0 || v.abs() < 2f64.powi(-26);
        T::from_f64(if linear { slope * v } else { activation.value(v) - facts.at_zero })
    };
    let data: Vec<T> = u.data.iter().map(rest).collect();
    let abs_max = abs_max(&data);
    Some(Tensor { data, exponent: u.exponent, rows: Vec::new(), abs_max })
}

/// The same tensor with the mean over samples taken out.
fn centred<T: Real>(x: &Tensor<T>, columns: usize) -> Tensor<T> {
    let mut out = x.clone();
    let mut means = Vec::new();
    column_means(&x.data, columns, &mut UnitRanges::default(), &mut means);
    for row in out.data.chunks_exact_mut(columns) {
        for (v, m) in row.iter_mut().zip(&means) {
            *v -= *m;
        }
    }
    out.abs_max = abs_max(&out.data);
    out.normalise();
    out
}

impl<T: Real, S: Simd> Runner<'_, T, S> {
    /// The tensor behind a slot less a constant: empty where the slot's own tensor shows how samples differ.
    pub(super) fn rest(&mut self, layer: u32, slot: Slot) -> Option<&mut Tensor<T>> {
        let layers = &mut self.workspace.layers;
        match slot {
            Slot::Act { back } => Some(&mut layers[(layer - back) as usize].act_rest),
            Slot::Phi => Some(&mut layers[layer as usize].phi_rest),
            Slot::Preact => Some(&mut self.workspace.preact_rest),
            Slot::PhiArg | Slot::FinalAct => None,
        }
    }

    pub(super) fn set_rest(&mut self, layer: u32, slot: Slot, value: Option<Tensor<T>>) {
        if let Some(place) = self.rest(layer, slot) {
            match value {
                Some(value) => *place = value,
                None => place.resize(0),
            }
        }
    }

    /// What a sum has less the constants of both parts.
    pub(super) fn add_rest(&mut self, layer: u32, skip: Slot, branch: Slot, dst: Slot) {
        let simd = self.simd;
        let known = |rest: Option<&mut Tensor<T>>| rest.filter(|rest| !rest.data.is_empty()).map(|rest| rest.clone());
        let parts = known(self.rest(layer, skip)).zip(known(self.rest(layer, branch)));
        let sum = parts.map(|(mut sum, branch)| {
            accumulate(simd, &mut sum, &branch, self.spec.residual_scale);
            sum
        });
        self.set_rest(layer, dst, sum);
    }

    /// The source of W_l without its mean over samples, where batch norm follows and the mean hides the rest.
    pub(super) fn centred_source(&mut self, layer: u32, src: Slot) -> Option<Tensor<T>> {
        let spec = self.spec;
        let normed = spec.norm == Norm::Batch && spec.residual != Residual::PreAct && layer <= spec.depth;
        let columns = self.columns(layer, src);
        let rest = self.rest(layer, src).filter(|rest| normed && !rest.data.is_empty())?;
        Some(centred(rest, columns))
    }

    /// W_l times the centred source, for the batch norm that follows.
    pub(super) fn linear_rest(&mut self, layer: u32, src: Slot, fan_out: usize) {
        let out = self.centred_source(layer, src).map(|x| {
            let weight = &self.workspace.layers[layer as usize].weight;
            let (batch, fan_in) = (self.batch(), weight.data.len() / fan_out);
            let typical = typical_product(&[x.log2_max(), weight.log2_max()], fan_in) + x.exponent + weight.exponent;
            let mut out = Tensor { exponent: exponent_for::<T>(typical), ..Tensor::default() };
            out.resize(batch * fan_out);
            matmul(
                MatMut::from_row_major_slice_mut(&mut out.data, batch, fan_out),
                Accum::Replace,
                MatRef::from_row_major_slice(&x.data, batch, fan_in),
                MatRef::from_row_major_slice(&weight.data, fan_out, fan_in).transpose(),
                power::<T>(x.exponent + weight.exponent - out.exponent),
                Par::Seq,
            );
            out
        });
        self.set_rest(layer, Slot::Preact, out);
    }
}
