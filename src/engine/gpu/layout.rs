//! Mirrors of the structures in `shaders/common/types.wgsl`, field by field. A test compares them with naga's reflection.

use bytemuck::{Pod, Zeroable};

/// "No such head": the tensor is absent.
pub const NONE: u32 = u32::MAX;

pub const FLAG_HISTOGRAM: u32 = 2;
pub const FLAG_CENTRE: u32 = 8;
pub const FLAG_COSINES: u32 = 16;
pub const FLAG_PATHS: u32 = 32;
pub const FLAG_SPREAD: u32 = 64;
pub const FLAG_ROWS: u32 = 128;
pub const FLAG_ARGUMENT: u32 = 256;
pub const FLAG_MOMENTS: u32 = 512;

/// Bits of `Params::slots`.
pub const SLOT_SOURCE: u32 = 0;
pub const SLOT_OLD: u32 = 2;
pub const SLOT_TARGET: u32 = 3;
pub const SLOT_BRANCH: u32 = 4;

/// One dispatch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    pub networks: u32,
    pub first: u32,
    pub layer: u32,
    pub flags: u32,
    pub rows: u32,
    pub columns: u32,
    pub row_pad: u32,
    pub column_pad: u32,
    pub inner: u32,
    pub draw: u32,
    pub repeat_rows: u32,
    pub source_head: u32,
    pub other_head: u32,
    pub weight_head: u32,
    pub bias_head: u32,
    pub old_head: u32,
    pub target_head: u32,
    pub branch_head: u32,
    pub record: u32,
    pub record_stride: u32,
    pub other_record: u32,
    pub histogram: u32,
    pub path_layer: u32,
    pub path_stride: u32,
    pub stamp: u32,
    pub readout_rows: u32,
    pub readout_row_pad: u32,
    pub slots: u32,
    pub stacked: u32,
    pub last_layer: u32,
    pub source_columns: u32,
    pub biases: u32,
    pub preacts: u32,
    pub acts: u32,
}

impl Default for Params {
    /// No tensors, no records.
    fn default() -> Self {
        Params {
            source_head: NONE,
            other_head: NONE,
            weight_head: NONE,
            bias_head: NONE,
            old_head: NONE,
            target_head: NONE,
            branch_head: NONE,
            layer: NONE,
            path_layer: NONE,
            ..Params::zeroed()
        }
    }
}

/// Scale of one tensor of one network, [head, network].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Head {
    pub exponent: i32,
    pub max_bits: u32,
    pub row_top: u32,
    pub tail_bits: u32,
    pub grown: u32,
    pub written: u32,
}

/// What the kernels know of one network, [network].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Network {
    pub seed_low: u32,
    pub seed_high: u32,
    pub depth: u32,
    pub activation: u32,
    pub param: f32,
    pub at_zero: f32,
    pub slope_below: f32,
    pub slope_above: f32,
    pub far_slope_below: f32,
    pub far_slope_above: f32,
    pub far_intercept_below: f32,
    pub far_intercept_above: f32,
    pub saturation: f32,
    pub knee_below: f32,
    pub knee_above: f32,
    pub flat_below: f32,
    pub flat_above: f32,
    pub branch: f32,
    pub branch_exponent: i32,
    pub eps: f32,
    pub eps_exponent: i32,
    pub pairs: u32,
    pub unused_a: u32,
    pub unused_b: u32,
}

/// How one tensor of one network is drawn, [draw, network].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Draw {
    pub law: u32,
    pub unit: f32,
    pub exponent: i32,
    pub layer: u32,
    pub tensor: u32,
}

/// Laws of [`Draw`], as in `shaders/common/drawing.wgsl`.
pub const LAW_GIVEN: u32 = 0;
pub const LAW_NORMAL: u32 = 1;
pub const LAW_UNIFORM: u32 = 2;
pub const LAW_TRUNCATED: u32 = 3;
pub const LAW_DIAGONAL: u32 = 4;
pub const LAW_CONSTANT: u32 = 5;

/// Words of a record of moments (`shaders/common/records.wgsl`).
pub const RECORD_WORDS: u32 = 16;
/// Bins of a histogram (`shaders/common/bins.wgsl`), and words of its slot.
pub const BINS: u32 = 1024;
pub const SLOT_WORDS: u32 = BINS + 1;
/// Workgroups of a row of the grid of `draw`: a grid ends at 65,535.
pub const DRAW_ACROSS: u32 = 32_768;

/// Workgroups that draw `quads` times four elements, 64 lanes each: across and down.
pub fn draw_grid(quads: u32) -> [u32; 2] {
    let groups = quads.div_ceil(64);
    let across = groups.min(DRAW_ACROSS);
    [across, groups.div_ceil(across.max(1))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::compose;

    /// (field, offset) of a struct of the composed module, and its size.
    fn reflected(name: &str) -> (Vec<(String, u32)>, u32) {
        let module = compose::parse(&compose::compose(&["common/types.wgsl", "common/float.wgsl"])).unwrap();
        let found = module.types.iter().find_map(|(_, t)| match (&t.name, &t.inner) {
            (Some(n), naga::TypeInner::Struct { members, span }) if n == name => {
                Some((members.iter().map(|m| (m.name.clone().unwrap(), m.offset)).collect(), *span))
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no struct {name}"))
    }

    macro_rules! same {
        ($type:ident: $($field:ident),+ $(,)?) => {
            let (fields, size) = reflected(stringify!($type));
            let mine = vec![$((stringify!($field).to_string(), std::mem::offset_of!($type, $field) as u32)),+];
            assert_eq!(fields, mine, stringify!($type));
            assert_eq!(size as usize, size_of::<$type>(), stringify!($type));
        };
    }

    #[test]
    fn mirrors_equal_the_shaders_structures() {
        same!(Params: networks, first, layer, flags, rows, columns, row_pad, column_pad, inner, draw, repeat_rows,
            source_head, other_head, weight_head, bias_head, old_head, target_head, branch_head, record, record_stride,
            other_record, histogram, path_layer, path_stride, stamp, readout_rows, readout_row_pad, slots, stacked,
            last_layer, source_columns, biases, preacts, acts);
        same!(Head: exponent, max_bits, row_top, tail_bits, grown, written);
        same!(Network: seed_low, seed_high, depth, activation, param, at_zero, slope_below, slope_above,
            far_slope_below, far_slope_above, far_intercept_below, far_intercept_above, saturation, knee_below,
            knee_above, flat_below, flat_above, branch, branch_exponent, eps, eps_exponent, pairs, unused_a, unused_b);
        same!(Draw: law, unit, exponent, layer, tensor);
    }

    #[test]
    fn constants_equal_the_shaders_constants() {
        let files = ["common/types.wgsl", "common/float.wgsl", "common/row_scale.wgsl", "common/rng.wgsl"];
        let mut text = compose::compose(&files).text;
        text += &compose::compose(&["common/records.wgsl", "common/bins.wgsl", "common/drawing.wgsl"]).text;
        text += &compose::compose(&["kernels/draw.wgsl"]).text;
        for (name, value) in [
            ("FLAG_HISTOGRAM", FLAG_HISTOGRAM),
            ("FLAG_CENTRE", FLAG_CENTRE),
            ("FLAG_PATHS", FLAG_PATHS),
            ("FLAG_SPREAD", FLAG_SPREAD),
            ("FLAG_ROWS", FLAG_ROWS),
            ("FLAG_ARGUMENT", FLAG_ARGUMENT),
            ("FLAG_MOMENTS", FLAG_MOMENTS),
            ("SLOT_SOURCE", SLOT_SOURCE),
            ("SLOT_OLD", SLOT_OLD),
            ("SLOT_TARGET", SLOT_TARGET),
            ("SLOT_BRANCH", SLOT_BRANCH),
            ("LAW_GIVEN", LAW_GIVEN),
            ("LAW_NORMAL", LAW_NORMAL),
            ("LAW_UNIFORM", LAW_UNIFORM),
            ("LAW_TRUNCATED", LAW_TRUNCATED),
            ("LAW_DIAGONAL", LAW_DIAGONAL),
            ("LAW_CONSTANT", LAW_CONSTANT),
            ("RECORD_WORDS", RECORD_WORDS),
            ("BINS", BINS),
            ("SLOT_WORDS", SLOT_WORDS),
            ("DRAW_ACROSS", DRAW_ACROSS),
        ] {
            assert!(text.contains(&format!("const {name}: u32 = {value}u;")), "{name}");
        }
    }
}
