//! A network's numbers depend on its own configuration and seed alone.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::{Engine, NetworkResult, Precision};
use gradsweep::network::{ActivationKind, Input, Loss, NetworkSpec, Norm, Residual, Target};

use crate::gpu_support::on_each_adapter;
use crate::support::{batch, run_batch, spec};

/// Networks of one key with different depths, activations and seeds.
fn mixed() -> Vec<NetworkSpec> {
    let kinds = [ActivationKind::Tanh, ActivationKind::Relu, ActivationKind::Gelu, ActivationKind::Sigmoid];
    (0..12)
        .map(|i| NetworkSpec {
            depth: 1 + (i * 5) % 9,
            width: 19,
            input_size: 19,
            batch_size: 33,
            norm: Norm::Layer,
            residual: Residual::PostAct,
            activation: kinds[i as usize % 4].into(),
            seed: 77 + u64::from(i),
            ..spec()
        })
        .collect()
}

/// Every bit of a result, comparable where NaN stands for absent.
fn bits(result: &NetworkResult) -> String {
    let mut result = result.clone();
    result.slot = 0;
    format!("{result:?}")
}

#[test]
fn a_network_alone_equals_the_same_network_in_a_batch_with_any_number_of_threads() {
    let networks = mixed();
    let mut one = CpuEngine::new(Precision::F32, 1).expect("starts");
    let alone: Vec<_> =
        networks.iter().map(|n| bits(&run_batch(&mut one, batch(vec![n.clone()], None)).remove(0))).collect();
    for threads in [1, 2, 3] {
        let mut engine = CpuEngine::new(Precision::F32, threads).expect("starts");
        for order in [false, true] {
            let mut list = networks.clone();
            if order {
                list.reverse();
            }
            let results = run_batch(&mut engine, batch(list, None));
            for (i, result) in results.iter().enumerate() {
                let which = if order { networks.len() - 1 - i } else { i };
                assert_eq!(bits(result), alone[which], "network {which} with {threads} threads, reversed {order}");
            }
        }
    }
}

#[test]
fn a_network_of_noise_beside_one_of_digits_keeps_its_numbers() {
    let of = |input, loss, seed| NetworkSpec {
        depth: 3,
        width: 12,
        input_size: 64,
        output_size: 10,
        batch_size: 20,
        target: Target::Classes,
        input,
        loss,
        seed,
        ..spec()
    };
    for loss in [Loss::CrossEntropy, Loss::Mse] {
        let networks = [of(Input::Gaussian, loss, 5), of(Input::Digits, loss, 6)];
        let check = |name: &str, engine: &mut dyn Engine| {
            let together = run_batch(engine, batch(networks.to_vec(), None));
            for (network, result) in networks.iter().zip(&together) {
                let alone = run_batch(engine, batch(vec![network.clone()], None)).remove(0);
                assert_eq!(bits(result), bits(&alone), "{name}: {:?} {loss:?}", network.input);
            }
        };
        check("f64", &mut CpuEngine::new(Precision::F64, 1).expect("starts"));
        check("f32", &mut CpuEngine::new(Precision::F32, 1).expect("starts"));
        on_each_adapter(|name, engine| check(name, engine));
    }
}
