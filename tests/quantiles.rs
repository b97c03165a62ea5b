//! Quantiles of |x| against sorted elements, on tensors made to be hard for a histogram: all elements close to one edge of
//! a bin, or split between its two edges.

use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{GivenTensors, NetworkResult, Precision};
use gradsweep::network::{ActivationKind, Init, NetworkSpec};
use gradsweep::sampler::tensors::{NetworkData, TargetData};
use gradsweep::stats::Quantity;

use crate::gpu_support::{on_each_adapter, on_each_adapter_tiled};
use crate::support::{batch, run_batch, run_cpu, spec};

const PERCENT: [usize; 5] = [5, 25, 50, 75, 95];

fn network() -> NetworkSpec {
    NetworkSpec {
        depth: 1,
        width: 16,
        batch_size: 30,
        input_size: 25,
        activation: ActivationKind::Linear.into(),
        ..spec()
    }
}

/// `count` elements of which `lower` percent lie at the lower edge of quarter `quarter` of the octave of 2^octave, and the
/// others just below the upper edge, shuffled, with signs.
fn cluster(count: usize, octave: i32, quarter: u32, lower: usize) -> Vec<f64> {
    let low = 2f64.powi(octave) * (1.0 + 0.25 * f64::from(quarter));
    // The last float32 below the edge.
    let high = 2f64.powi(octave) * (1.25 + 0.25 * f64::from(quarter) - 2f64.powi(-23));
    let value = |i: usize| if i * 37 % 100 < lower { low } else { high };
    (0..count).map(|i| if i % 3 == 0 { -value(i) } else { value(i) }).collect()
}

fn cases(octaves: &[i32]) -> Vec<GivenTensors> {
    let net = network();
    let (inputs, width, outputs) = (net.input_size as usize, net.width as usize, net.output_size as usize);
    let shares = [0, 3, 20, 50, 80, 97, 100];
    let make = |octave: i32, quarter: u32, lower: usize| GivenTensors {
        weights: vec![
            // Another octave than that of the input, so that both extremes of one tensor's scale are met.
            cluster(width * inputs, -octave / 2, quarter, lower),
            cluster(outputs * width, 0, 3 - quarter, lower),
        ],
        biases: vec![vec![0.0; width], vec![0.0; outputs]],
        data: NetworkData {
            input: cluster(net.batch_size as usize * inputs, octave, quarter, lower),
            target: TargetData::Dense(vec![0.0; net.batch_size as usize * outputs]),
        },
    };
    let of_quarter = |octave, quarter| shares.map(|lower| make(octave, quarter, lower));
    octaves.iter().flat_map(|&octave| (0..4).flat_map(move |quarter| of_quarter(octave, quarter))).collect()
}

fn check(name: &str, result: &NetworkResult, given: &GivenTensors) {
    let tensors = [
        (0, Quantity::Act, &given.data.input),
        (1, Quantity::Weight, &given.weights[0]),
        (2, Quantity::Weight, &given.weights[1]),
    ];
    for (row, quantity, x) in tensors {
        let mut sorted: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let moments = result.rows[row].record.moments(quantity);
        for (percent, got) in PERCENT.into_iter().zip(moments.abs_quantiles) {
            let want = sorted[percent * (sorted.len() - 1) / 100];
            let got = got * 2f64.powi(moments.exponent);
            assert!(
                (got / want - 1.0).abs() <= 0.13,
                "{name}: {quantity:?} of row {row}, p{percent}: {got:e} {want:e}"
            );
        }
    }
}

#[test]
fn the_cpu_engine_is_within_13_percent_for_clusters_at_the_edges_of_bins() {
    for given in cases(&[-30, 0, 1, 17]) {
        check("f32", &run_cpu(&network(), Some(given.clone()), Precision::F32), &given);
    }
    // Also where float32 ends.
    for given in cases(&[-280, -140, 0, 140]) {
        check("f64", &run_cpu(&network(), Some(given.clone()), Precision::F64), &given);
    }
}

#[test]
fn the_gpu_engine_is_within_13_percent_for_clusters_at_the_edges_of_bins() {
    let given = cases(&[-30, 0, 1, 17]);
    on_each_adapter(|name, engine| {
        let results = run_batch(engine, batch(vec![network(); given.len()], Some(given.clone())));
        assert_eq!(results.len(), given.len());
        results.iter().zip(&given).for_each(|(result, given)| check(name, result, given));
    });
}

#[test]
fn quantiles_of_every_quantity_are_the_same_on_both_engines() {
    // Several tiles and strips, and one; elements of db far below the bound that their sums have.
    let of = |&(width, batch_size, sigma_b): &(u32, u32, f64)| NetworkSpec {
        depth: 3,
        width,
        input_size: width,
        batch_size,
        activation: ActivationKind::Tanh.into(),
        bias: true,
        init: Init { sigma_b: Some(sigma_b), ..spec().init },
        ..spec()
    };
    let shapes = [(72, 40, 1.0), (150, 9, 0.1), (12, 100, 0.5)];
    let compare = |name: &str, engine: &mut GpuEngine| {
        for network in shapes.iter().map(of) {
            let got = run_batch(engine, batch(vec![network.clone()], None)).remove(0);
            let want = run_cpu(&network, None, Precision::F64);
            for (got, want) in got.rows.iter().zip(&want.rows) {
                for q in Quantity::ALL {
                    let (a, b) = (got.record.moments(q), want.record.moments(q));
                    for (i, (x, y)) in a.abs_quantiles.iter().zip(b.abs_quantiles).enumerate() {
                        let (x, y) = (x * 2f64.powi(a.exponent), y * 2f64.powi(b.exponent));
                        // Rounding may carry an element over the edge of a bin, which is 2^0.25 wide.
                        let near = x.is_nan() && y.is_nan() || x == y || (x / y).log2().abs() < 0.3;
                        assert!(
                            near,
                            "{name} width {}: {q:?} of row {}, {}: {x:e} {y:e}",
                            network.width, got.layer, PERCENT[i]
                        );
                    }
                }
            }
        }
    };
    on_each_adapter(compare);
    on_each_adapter_tiled(compare);
}
