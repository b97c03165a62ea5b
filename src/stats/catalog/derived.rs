//! Columns that combine several parts of a record, or two rows: what decides whether gradients vanish or explode.

use super::{Cell, Formula, Level, RowContext, StatisticRow};
use crate::network::{NetworkSpec, Norm, Residual};
use crate::program::ProgramKey;
use crate::stats::record::{Count, Quantity, RecordMask, Scaled, Sum};

struct DerivedRow {
    name: &'static str,
    group: &'static str,
    level: Level,
    unit: &'static str,
    mask: RecordMask,
    needs_next: bool,
    rows: &'static str,
    doc: &'static str,
    applies: fn(&NetworkSpec, u32) -> bool,
    formula: fn(&RowContext) -> Cell,
}

/// Names of the groups of derived columns, with what they are about.
pub(super) const GROUPS: [(&str, &str); 5] = [
    ("flow", "how the gradient changes from layer to layer"),
    ("path", "the factor that a gradient takes along one path, and what the paths add up to"),
    ("phi", "slopes and states of the activation function"),
    ("similarity", "how alike the samples of a batch are"),
    ("jacobian", "singular values s of dh_L/dh_0, in float64 (`--precision f64`)"),
];

fn is_hidden(spec: &NetworkSpec, layer: u32) -> bool {
    (1..=spec.depth).contains(&layer)
}
/// There are W_{l+1}, z_{l+1} and delta_{l+1}.
fn has_next(spec: &NetworkSpec, layer: u32) -> bool {
    is_hidden(spec, layer) && layer + 1 < spec.rows()
}
/// The layer has an activation: every hidden layer but a linear stem.
fn has_phi(spec: &NetworkSpec, layer: u32) -> bool {
    is_hidden(spec, layer) && !spec.is_linear_stem(layer)
}
/// The activation meets a weight matrix: the next layer's, or in `pre_act` networks the layer's own.
fn has_path(spec: &NetworkSpec, layer: u32) -> bool {
    has_phi(spec, layer) && (spec.residual == Residual::PreAct || has_next(spec, layer))
}
/// Forward estimate of the backward factor: only where u_l = z_l, h_l = phi(u_l) and z_{l+1} = W_{l+1} h_l + b.
fn has_chi(spec: &NetworkSpec, layer: u32) -> bool {
    let plain = spec.norm == Norm::None && spec.residual == Residual::None;
    plain && has_next(spec, layer) && !(spec.final_norm && layer == spec.depth)
}
/// z_l and delta_l of two samples or more.
fn has_preact_pairs(spec: &NetworkSpec, layer: u32) -> bool {
    layer >= 1 && spec.batch_size >= 2
}

/// The last hidden layer of a plain network at one sample, of a size that a dense decomposition can take.
fn has_jacobian(spec: &NetworkSpec, layer: u32) -> bool {
    layer == spec.depth && jacobian_refusal(&ProgramKey::of(spec)).is_none()
}

/// Largest width and input_size of the Jacobian's columns.
const LARGEST_JACOBIAN: u32 = 256;

/// Why networks of this key have no `jacobian_*` columns, if they have none.
pub fn jacobian_refusal(key: &ProgramKey) -> Option<String> {
    let largest = LARGEST_JACOBIAN;
    if key.batch_size != 1 {
        return Some(format!("they are for one sample (batch_size = 1), and a network here has {}", key.batch_size));
    }
    if key.norm != Norm::None || key.residual != Residual::None {
        return Some("they are for networks without norm and residual".to_string());
    }
    let size = key.width.max(key.input_size);
    (size > largest)
        .then(|| format!("they are for width and input_size up to {largest}, and a network here has {size}"))
}

fn log10_grad_ratio(row: &RowContext) -> Cell {
    let Some(next) = row.next else { return Cell::Empty };
    let [this, next] = [row.this, next].map(|record| record.moments(Quantity::PreactGrad));
    if this.count == 0 || next.count == 0 || this.nonfinite > 0 || next.nonfinite > 0 {
        return Cell::Empty;
    }
    this.sum_of_squares().log10_ratio(next.sum_of_squares()).into()
}

fn chi(row: &RowContext) -> Cell {
    let Some(next) = row.next else { return Cell::Empty };
    let weight = next.moments(Quantity::Weight);
    let weight_square = weight.sum_of_squares().mean_of(weight.count);
    let phi_grad_square = row.this.sum(Sum::PhiGradSquare).mean_of(row.this.count(Count::PhiElements));
    let width = Scaled::from(f64::from(row.spec.fan_out(row.layer)));
    width.times(weight_square).times(phi_grad_square).value().into()
}

/// Mean f^2 over the paths between two layers.
fn path_square(row: &RowContext) -> Scaled {
    row.this.sum(Sum::PathSquare).mean_of(row.this.count(Count::Paths))
}

fn path_gain(row: &RowContext) -> Cell {
    // The rows of the weight matrix in f: W_{l+1}, or in `pre_act` networks W_l.
    let matrix = if row.spec.residual == Residual::PreAct { row.layer } else { row.layer + 1 };
    path_square(row).times(Scaled::from(f64::from(row.spec.fan_out(matrix)))).value().into()
}

/// `part / whole`, empty where there is no whole.
fn fraction(row: &RowContext, part: Count, whole: Count) -> Cell {
    let (part, whole) = (row.this.count(part), row.this.count(whole));
    Cell::from((whole > 0).then(|| part as f64 / whole as f64))
}

fn mean(row: &RowContext, sum: Sum, count: Count) -> Scaled {
    row.this.sum(sum).mean_of(row.this.count(count))
}

fn sample_log10_grad_std(row: &RowContext) -> Cell {
    let samples = row.this.count(Count::GradSamples);
    let spread = row.this.sum(Sum::SampleLogGradDeviation).mean_of(samples).sqrt();
    Cell::from(if samples >= 2 { spread.value() } else { None })
}

const PHI_ROWS: &str = "hidden (not the stem of pre_act)";
const PATH_ROWS: &str = "hidden with a next layer (pre_act: every hidden row but the stem)";
const JACOBIAN_ROWS: &str = "the last hidden row, in networks without norm and residual at batch_size 1";
const DELTA: RecordMask = RecordMask::quantity(Quantity::PreactGrad);

macro_rules! table {
    ($($name:literal $group:literal $level:ident $unit:literal $mask:expr, $rows:expr, $applies:expr, $formula:expr, $doc:expr;)+) => {
        &[$(DerivedRow {
            name: $name,
            group: $group,
            level: Level::$level,
            unit: $unit,
            mask: $mask,
            needs_next: matches!($name.as_bytes(), b"log10_grad_ratio" | b"chi"),
            rows: $rows,
            doc: $doc,
            applies: $applies,
            formula: $formula,
        }),+]
    };
}

static TABLE: &[DerivedRow] = table!(
    "log10_grad_ratio" "flow" Basic "log10" DELTA, "hidden with a next layer", has_next, log10_grad_ratio,
        "log10(|delta_l|^2 / |delta_{l+1}|^2): negative where the gradient shrinks on its way to the input";
    "chi" "flow" Basic "ratio" RecordMask::quantity(Quantity::Weight).union(RecordMask::PHI_GRAD),
        "hidden with a next layer, in networks without norm and residual", has_chi, chi,
        "n_l mean(W_{l+1}^2) mean(phi'(u_l)^2): the factor of |delta|^2 per layer, estimated from the forward pass alone \
        (Schoenholz et al. 2017)";
    "weight_dot_grad" "flow" Basic "value" RecordMask::WEIGHT_DOT_GRAD, "hidden, readout", |_, layer| layer >= 1,
        |row| row.this.sum(Sum::WeightDotGrad).value().into(),
        "<W_l, dLoss/dW_l>, the sum of products of the elements";
    "branch_ratio" "flow" Basic "ratio" RecordMask::BRANCH, "hidden rows with a skip",
        |spec, layer| is_hidden(spec, layer) && spec.layer_residual(layer) != Residual::None,
        |row| row.this.sum(Sum::BranchSquare).over(row.this.sum(Sum::SkipSquare)).sqrt().value().into(),
        "|a branch| / |skip| of the residual sum";
    "path_factor_abs_mean" "path" Basic "ratio" RecordMask::PATH, PATH_ROWS, has_path,
        |row| mean(row, Sum::PathAbs, Count::Paths).value().into(),
        "mean over units i, j and samples b of f = |W_{l+1}[i,j] phi'(u_l[b,j])| (pre_act: |a W_l[i,j] phi'(u_l[b,j])|), \
        the factor along one path";
    "path_factor_rms" "path" Basic "ratio" RecordMask::PATH, PATH_ROWS, has_path,
        |row| path_square(row).sqrt().value().into(),
        "root mean square of the path factor f";
    "path_factor_abs_max" "path" Basic "ratio" RecordMask::PATH, PATH_ROWS, has_path,
        |row| row.this.sum(Sum::PathMax).value().into(),
        "largest path factor f";
    "path_factor_gt1_frac" "path" Full "fraction" RecordMask::PATH.union(RecordMask::PATH_ABOVE_ONE), PATH_ROWS, has_path,
        |row| fraction(row, Count::PathsAboveOne, Count::Paths),
        "fraction of the path factors f that are above 1";
    "path_gain" "path" Basic "ratio" RecordMask::PATH, PATH_ROWS, has_path, path_gain,
        "n_{l+1} path_factor_rms^2 (pre_act: n_l): what the paths between two layers add up to in |delta|^2; equals chi \
        between layers of equal width";
    "phi_grad_mean" "phi" Basic "value" RecordMask::PHI_GRAD, PHI_ROWS, has_phi,
        |row| mean(row, Sum::PhiGrad, Count::PhiElements).value().into(),
        "mean of phi'(u_l) over units and samples";
    "phi_grad_rms" "phi" Basic "value" RecordMask::PHI_GRAD, PHI_ROWS, has_phi,
        |row| mean(row, Sum::PhiGradSquare, Count::PhiElements).sqrt().value().into(),
        "root mean square of phi'(u_l) over units and samples";
    "saturated_frac" "phi" Basic "fraction" RecordMask::PHI_GRAD, PHI_ROWS, has_phi,
        |row| fraction(row, Count::Saturated, Count::PhiElements),
        "fraction of the elements with |phi'(u_l)| below 1 % of its supremum and u_l beyond the activation's knee";
    "dead_frac" "phi" Basic "fraction" RecordMask::PHI_GRAD, PHI_ROWS, has_phi,
        |row| fraction(row, Count::DeadUnits, Count::Units),
        "fraction of the units whose u_l lies where phi is exactly flat, on every sample";
    "active_frac" "phi" Basic "fraction" RecordMask::PHI_GRAD, PHI_ROWS, has_phi,
        |row| fraction(row, Count::Active, Count::PhiElements),
        "fraction of the elements with u_l > 0";
    "preact_cos" "similarity" Basic "cosine" RecordMask::COS, "hidden, readout", has_preact_pairs,
        |row| mean(row, Sum::PreactCos, Count::PreactPairs).value().into(),
        "mean cosine of z_l over pairs of samples (within the pairs of `correlated_pairs`)";
    "preact_cos_gap" "similarity" Basic "cosine" RecordMask::COS, "hidden, readout", has_preact_pairs,
        |row| mean(row, Sum::PreactCosGap, Count::PreactPairs).value().into(),
        "1 - preact_cos, computed from differences: precise where the samples are nearly alike";
    "act_cos" "similarity" Basic "cosine" RecordMask::COS, "input, hidden",
        |spec, layer| layer <= spec.depth && spec.batch_size >= 2,
        |row| mean(row, Sum::ActCos, Count::ActPairs).value().into(),
        "mean cosine of h_l over pairs of samples (within the pairs of `correlated_pairs`)";
    "grad_cos" "similarity" Basic "cosine" RecordMask::COS, "hidden, readout", has_preact_pairs,
        |row| mean(row, Sum::GradCos, Count::GradPairs).value().into(),
        "mean cosine of delta_l over pairs of samples (within the pairs of `correlated_pairs`)";
    "sample_log10_grad_std" "similarity" Basic "log10" RecordMask::SAMPLE_SPREAD, "hidden, readout", has_preact_pairs,
        sample_log10_grad_std,
        "population standard deviation over samples b of log10 |delta_l(b)|; samples without gradient are left out";
    "jacobian_sv_min" "jacobian" Request "value" RecordMask::JACOBIAN, JACOBIAN_ROWS, has_jacobian,
        |row| row.this.spectrum.min.value().into(),
        "smallest of the min(width, input_size) singular values s of dh_L/dh_0, the product of diag(phi'(u_l)) W_l; 0 below \
        1e-14 of the largest";
    "jacobian_sv_mean_sq" "jacobian" Request "value" RecordMask::JACOBIAN, JACOBIAN_ROWS, has_jacobian,
        |row| row.this.spectrum.mean_square.value().into(),
        "mean of s^2 over the singular values s of dh_L/dh_0";
    "jacobian_sv_max" "jacobian" Request "value" RecordMask::JACOBIAN, JACOBIAN_ROWS, has_jacobian,
        |row| row.this.spectrum.max.value().into(),
        "largest singular value s of dh_L/dh_0";
    "jacobian_sv_m4_ratio" "jacobian" Request "ratio" RecordMask::JACOBIAN, JACOBIAN_ROWS, has_jacobian,
        |row| row.this.spectrum.m4_ratio.value().into(),
        "mean of s^4 over the square of the mean of s^2: 1 where all s are equal (dynamical isometry, Pennington et al. 2017)";
);

pub(super) fn rows() -> Vec<StatisticRow> {
    TABLE
        .iter()
        .map(|row| StatisticRow {
            name: row.name.to_string(),
            unit: row.unit,
            level: row.level,
            group: row.group,
            statistic: row.name,
            quantity: None,
            mask: row.mask,
            needs_next: row.needs_next,
            rows: row.rows,
            doc: row.doc.to_string(),
            applies: row.applies,
            formula: Formula::Row(row.formula),
        })
        .collect()
}
