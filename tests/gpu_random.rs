//! More than 300 seeded random networks on every software adapter against float64, covering all pairs of activation, norm,
//! residual form, loss and bias, with odd shapes.

use std::collections::HashSet;

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{NetworkResult, Precision, check};
use gradsweep::network::activation::TABLE;
use gradsweep::network::{
    Activation, ActivationKind, Init, InitKind, Input, Loss, NetworkSpec, Norm, Residual, Target,
};
use gradsweep::sampler::{TensorId, words};

use crate::gpu_compare::Differences;
use crate::gpu_support::{on_each_adapter, on_each_adapter_tiled};
use crate::support::{batch, run_batch, spec};

/// A stream of numbers in 0..n from one seed.
struct Dice {
    seed: u64,
    drawn: u32,
}

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.drawn += 1;
        words(self.seed, TensorId::Label, 0, 7, self.drawn)[0] % n
    }
    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u32) as usize]
    }
}

const NORMS: [Norm; 4] = [Norm::None, Norm::Batch, Norm::Layer, Norm::Rms];
const RESIDUALS: [Residual; 3] = [Residual::None, Residual::PostAct, Residual::PreAct];
const LOSSES: [Loss; 4] = [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent, Loss::CotangentShared];
const MATES: usize = 7;

/// 48 batches of 7 networks; the networks of one batch share their key.
fn batches() -> Vec<Vec<NetworkSpec>> {
    let mut dice = Dice { seed: 20_261_123, drawn: 0 };
    let mut list = Vec::new();
    for (n, norm) in NORMS.into_iter().enumerate() {
        for (r, residual) in RESIDUALS.into_iter().enumerate() {
            for (l, loss) in LOSSES.into_iter().enumerate() {
                // Close to the smallest shapes for which a norm is allowed, gradients are exactly 0 up to rounding: one
                // active unit in a normalised row, three units or samples in a line.
                let least_width = [1, 5, 24, 24][n];
                let least_batch = if norm == Norm::Batch { 7 } else { 1 };
                let width = dice.of(&[1, 2, 5, 8, 13, 24, 31, 33, 40]).max(least_width);
                let batch_size = dice.of(&[1, 2, 3, 7, 8, 16, 19, 34]).max(least_batch);
                // One or two inputs under a norm leave no gradient but rounding.
                let least_input = if norm == Norm::None { 1 } else { 8 };
                let other = dice.of(&[1, 3, 8, 17, 30]).max(least_input);
                let input_size = if dice.below(2) == 0 { width.max(least_input) } else { other };
                let shape = NetworkSpec {
                    norm,
                    residual,
                    loss,
                    width,
                    batch_size,
                    input_size,
                    output_size: dice.of(&[1, 2, 3, 10, 33]),
                    bias: (n + r + l) % 2 == 0,
                    final_norm: norm != Norm::None && loss.has_readout() && dice.below(2) == 0,
                    residual_every: if residual == Residual::PostAct { 1 + dice.below(3) } else { 1 },
                    ..spec()
                };
                let group = (r + l) % 3;
                let mut mates: Vec<_> = (0..MATES).map(|i| mate(&shape, group * MATES + i, &mut dice)).collect();
                // A shared cotangent behind linear layers is a constant over the batch, which batch norm projects out.
                let vanishes = norm == Norm::Batch && loss == Loss::CotangentShared;
                mates.retain(|m| !(vanishes && m.activation.kind == ActivationKind::Linear));
                list.push(mates);
            }
        }
    }
    list
}

fn mate(shape: &NetworkSpec, activation: usize, dice: &mut Dice) -> NetworkSpec {
    let row = &TABLE[activation];
    let param = if dice.below(2) == 0 { Activation::from(row.kind).param } else { row.param.map_or(0.0, |_| 0.7) };
    let kind = dice.of(&[
        InitKind::HeNormal,
        InitKind::XavierUniform,
        InitKind::LecunNormal,
        InitKind::Orthogonal,
        InitKind::PytorchDefault,
    ]);
    let sigma_b = if kind == InitKind::PytorchDefault { None } else { Some(f64::from(dice.below(3)) * 0.2) };
    let gain = dice.of(&[0.7, 1.0, 1.2]);
    NetworkSpec {
        activation: Activation { kind: row.kind, param },
        depth: 1 + dice.below(6),
        init: Init { kind, param: 0.0, gain, sigma_w: 1.0, sigma_b },
        input: dice.of(&[Input::Gaussian, Input::Sphere, Input::CorrelatedPairs]),
        input_param: 0.6,
        target: dice.of(&[Target::Gaussian, Target::Teacher, Target::Classes, Target::Zeros]),
        residual_scale: dice.of(&[1.0, 0.5, -0.3]),
        seed: u64::from(dice.below(1 << 30)),
        ..shape.clone()
    }
}

#[test]
fn the_cases_cover_all_pairs() {
    let all: Vec<NetworkSpec> = batches().concat();
    assert!(all.len() >= 300, "{}", all.len());
    let words = |s: &NetworkSpec| {
        [s.activation.kind as u32, s.norm as u32, s.residual as u32, s.loss as u32, u32::from(s.bias)]
    };
    let sizes = [TABLE.len(), NORMS.len(), RESIDUALS.len(), LOSSES.len(), 2];
    for a in 0..5 {
        for b in 0..a {
            let pairs: HashSet<(u32, u32)> = all.iter().map(|s| (words(s)[a], words(s)[b])).collect();
            assert_eq!(pairs.len(), sizes[a] * sizes[b], "pairs of {a} and {b}");
        }
    }
}

#[test]
fn every_random_network_meets_float64() {
    let batches = batches();
    let mut reference = CpuEngine::new(Precision::F64, 0).unwrap();
    let want: Vec<Vec<NetworkResult>> =
        batches.iter().map(|networks| run_batch(&mut reference, batch(networks.clone(), None))).collect();
    let meets = |name: &str, engine: &mut GpuEngine, step: usize| {
        let mut failed = Vec::new();
        for (networks, want) in batches.iter().zip(&want).step_by(step) {
            let got = run_batch(engine, batch(networks.clone(), None));
            for ((spec, got), want) in networks.iter().zip(&got).zip(want) {
                let tolerance = check::tolerance(want);
                assert!(tolerance < 1e-2, "{name}: {spec:?} is too chaotic for a comparison ({tolerance})");
                let mut differences = Differences(Vec::new(), spec.norm != Norm::None);
                differences.results(name, got, want, tolerance);
                if !differences.0.is_empty() {
                    failed.push(format!("{spec:?}\n  {}", differences.0.join("\n  ")));
                }
            }
        }
        assert!(failed.is_empty(), "{} networks differ\n{}", failed.len(), failed.join("\n"));
    };
    on_each_adapter(|name, engine| meets(name, engine, 1));
    on_each_adapter_tiled(|name, engine| meets(name, engine, 4));
}
