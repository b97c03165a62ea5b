//! The edge of chaos as theory draws it: for every activation of a run that sweeps sigma_w and sigma_b, the line
//! chi_1 = 1 in their plane. It is that of plain layers; figures draw it over nothing else.

use super::data::{Edge, Run};
use crate::config::{Key, Kind, Setting};
use crate::network::Activation;
use crate::theory;

/// Points of a line.
const POINTS: usize = 61;

fn activation(text: &str) -> Option<Activation> {
    let Kind::Word(vocabulary) = Key::Activation.row().kind else { return None };
    match (vocabulary.parse)(text).ok()? {
        Setting::Activation(activation) => Some(activation),
        _ => None,
    }
}

/// The lines of the activations of `run`, over the range of its sigma_b; none unless both sigma_w and sigma_b vary.
pub fn edges(run: &Run) -> Vec<Edge> {
    let (Some(w), Some(b)) = (run.key("sigma_w"), run.key("sigma_b")) else { return Vec::new() };
    let Some(biases) = &run.keys[b].numbers else { return Vec::new() };
    let Some(names) = run.key("activation").map(|k| &run.keys[k].values) else { return Vec::new() };
    if !run.varying.contains(&w) || !run.varying.contains(&b) {
        return Vec::new();
    }
    let (low, high) = (biases[0].max(0.0), biases[biases.len() - 1]);
    let line = |name: &String| {
        let activation = activation(name)?;
        let mut edge = Edge { activation: name.clone(), ..Edge::default() };
        for i in 0..POINTS {
            let sigma_b = low + (high - low) * i as f64 / (POINTS - 1) as f64;
            if let Ok(point) = theory::critical(&activation, Some(sigma_b)) {
                edge.sigma_b.push(sigma_b);
                edge.sigma_w.push(point.sigma_w);
            }
        }
        (edge.sigma_b.len() > 1).then_some(edge)
    };
    names.iter().filter_map(line).collect()
}
