//! A network's numbers depend on its own configuration and seed alone.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::{NetworkResult, Precision};
use gradsweep::network::{ActivationKind, NetworkSpec, Norm, Residual};

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
