//! `layers.csv` and `theory.csv`: curves over layers, gathered per configuration and layer in one pass over the rows, in
//! whatever order they stand.

use std::collections::HashMap;
use std::io::Read;

use super::data::{Band, DEAD, DISTRIBUTIONS, Distribution, Profile, QUANTILES, Run};
use super::networks::Index;
use super::read::Budget;
use super::spread::{Number, Samples, Spread};
use super::thin::Thinning;
use crate::output::{ReadError, TableReader};
use crate::run::human;

/// What is gathered at one layer of one configuration.
#[derive(Clone, Default)]
struct Cell {
    gradient: Samples,
    factor: Samples,
    chi: Samples,
}

/// Kept layers of one configuration; a row finds its place by its layer.
struct Curve<T> {
    layers: Vec<u32>,
    cells: Vec<T>,
}

impl<T: Clone + Default> Curve<T> {
    fn new(layers: Vec<u32>) -> Self {
        Curve { cells: vec![T::default(); layers.len()], layers }
    }

    fn at(&mut self, layer: u32) -> Option<&mut T> {
        let place = self.layers.binary_search(&layer).ok()?;
        Some(&mut self.cells[place])
    }
}

fn curves<T: Clone + Default>(thinning: Thinning, depths: &[u32]) -> Vec<Option<Curve<T>>> {
    let curve = |(c, depth): (usize, &u32)| (c % thinning.stride == 0).then(|| Curve::new(thinning.layers_of(*depth)));
    depths.iter().enumerate().map(curve).collect()
}

/// Quantiles of the quantities of [`DISTRIBUTIONS`] at one layer.
type Quantiles = [[Samples; QUANTILES.len()]; DISTRIBUTIONS.len()];

/// Reads `layers.csv` into the profiles of `run`.
pub fn read(source: impl Read, index: &Index, budget: Budget, run: &mut Run) -> Result<(), ReadError> {
    let mut table = TableReader::new(source)?;
    let column = |name: &str| table.column(name);
    let [network, step, layer, kind] = ["network", "step", "layer", "layer_kind"].map(column);
    let [log10_l2, l2, zero_frac] = ["preact_grad_log10_l2", "preact_grad_l2", "preact_grad_zero_frac"].map(column);
    let [factor, chi] = ["log10_grad_ratio", "chi"].map(column);
    let quantiles = DISTRIBUTIONS.map(|(quantity, _)| QUANTILES.map(|q| column(&format!("{quantity}_{q}"))));
    let present = |q: &usize| quantiles[*q].iter().all(Option::is_some);
    run.recorded.distributions = (0..DISTRIBUTIONS.len()).filter(present).collect();
    let shown = run.recorded.distributions.clone();

    let thinning = Thinning::new(&index.depths, budget.curve_points);
    let coarse = Thinning::new(&index.depths, if shown.is_empty() { 0 } else { budget.distribution_points });
    let mut profiles: Vec<Option<Curve<Cell>>> = curves(thinning, &index.depths);
    let mut distributions: Vec<Option<Curve<Quantiles>>> =
        if shown.is_empty() { Vec::new() } else { curves(coarse, &index.depths) };

    // Of dead networks, by network and layer: whether the gradient is exactly zero.
    let mut zero: HashMap<(u32, u32), bool> = HashMap::new();
    let mut strangers = 0u64;
    let mut first_step = None;
    let mut last: (Vec<u8>, Option<u32>) = (Vec::new(), None);
    while let Some(row) = table.next_row()? {
        let hidden = row.bytes(kind) == b"hidden";
        if !hidden && row.bytes(kind) != b"readout" {
            continue;
        }
        // The state at the start; a later step has its own figure.
        let step = row.integer(step).unwrap_or(0);
        if step != *first_step.get_or_insert(step) {
            continue;
        }
        let id = row.bytes(network);
        if last.1.is_none() || last.0 != id {
            last = (id.to_vec(), index.networks.get(id).copied());
        }
        let (Some(position), Some(layer)) = (last.1, row.integer(layer)) else {
            strangers += 1;
            continue;
        };
        let configuration = run.networks.configuration[position as usize] as usize;
        let layer = u32::try_from(layer).unwrap_or(u32::MAX);
        let norm = row.number(l2);
        let log = row.number(log10_l2).or(norm.filter(|x| *x > 0.0).map(f64::log10));
        let is_zero = log.is_none() && (norm == Some(0.0) || row.number(zero_frac) == Some(1.0));
        if run.networks.outcome[position as usize] == Some(DEAD as u8) && (is_zero || log.is_some()) {
            zero.insert((position, layer), is_zero);
        }
        if !hidden {
            continue;
        }
        if let Some(cell) = profiles[configuration].as_mut().and_then(|curve| curve.at(layer)) {
            if is_zero {
                cell.gradient.push_zero();
            } else {
                cell.gradient.push(log);
            }
            cell.factor.push(row.number(factor));
            cell.chi.push(row.number(chi).filter(|x| *x > 0.0).map(f64::log10));
        }
        if let Some(curve) = distributions.get_mut(configuration)
            && let Some(cell) = curve.as_mut().and_then(|curve| curve.at(layer))
        {
            for &q in &shown {
                for (samples, column) in cell[q].iter_mut().zip(&quantiles[q]) {
                    match row.number(*column) {
                        Some(0.0) => samples.push_zero(),
                        value => samples.push(value.map(f64::log10)),
                    }
                }
            }
        }
    }

    // Where a gradient dies its factor is exactly zero; below that there is none.
    for ((position, layer), _) in zero.iter().filter(|(_, is_zero)| **is_zero) {
        let configuration = run.networks.configuration[*position as usize] as usize;
        if zero.get(&(*position, layer.saturating_add(1))) == Some(&false)
            && let Some(cell) = profiles[configuration].as_mut().and_then(|curve| curve.at(*layer))
        {
            cell.factor.push_zero();
        }
    }
    for (configuration, curve) in run.configurations.iter_mut().zip(profiles) {
        configuration.profile = curve.map(profile);
    }
    for (configuration, curve) in run.configurations.iter_mut().zip(distributions) {
        configuration.distribution = curve.map(|curve| distribution(curve, &shown));
    }
    let profiles = || run.configurations.iter().filter_map(|c| c.profile.as_ref());
    run.recorded.gradient = profiles().any(|p| !p.gradient.median.is_empty());
    run.recorded.factor = profiles().any(|p| !p.factor.is_empty());
    run.recorded.chi = profiles().any(|p| !p.chi.is_empty());
    tell(run, index, thinning, (!shown.is_empty()).then_some(coarse), strangers);
    Ok(())
}

fn profile(curve: Curve<Cell>) -> Profile {
    let mut columns: [Vec<Spread>; 3] = Default::default();
    for cell in curve.cells {
        for (column, samples) in columns.iter_mut().zip([cell.gradient, cell.factor, cell.chi]) {
            column.push(samples.spread());
        }
    }
    let [gradient, factor, chi] = columns;
    let medians = |spreads: &[Spread]| -> Vec<Number> { spreads.iter().map(|s| s.median.of_curve()).collect() };
    let seen = |spreads: &[Spread]| spreads.iter().any(|s| s.known + s.zeros > 0);
    let band = |spreads: &[Spread]| if seen(spreads) { Band::of(spreads) } else { Band::default() };
    Profile {
        layers: curve.layers,
        gradient: band(&gradient),
        factor: if seen(&factor) { medians(&factor) } else { Vec::new() },
        chi: if seen(&chi) { medians(&chi) } else { Vec::new() },
        ..Profile::default()
    }
}

fn distribution(curve: Curve<Quantiles>, shown: &[usize]) -> Distribution {
    let mut columns: Vec<[Vec<Number>; QUANTILES.len()]> = vec![Default::default(); shown.len()];
    for mut cell in curve.cells {
        for (column, q) in columns.iter_mut().zip(shown) {
            for (numbers, samples) in column.iter_mut().zip(std::mem::take(&mut cell[*q])) {
                numbers.push(samples.median().of_histogram());
            }
        }
    }
    Distribution { layers: curve.layers, quantiles: columns }
}

/// Says in the page what was thinned or left out.
fn tell(run: &mut Run, index: &Index, curves: Thinning, coarse: Option<Thinning>, strangers: u64) {
    let deepest = index.depths.iter().copied().max().unwrap_or(0);
    let mut tell = |what: &str, thinning: Thinning| {
        let kept = index.depths.len().div_ceil(thinning.stride);
        if thinning.layers < deepest {
            run.notes.push(format!(
                "{what} show at most {} layers of a network, evenly spread, the first and the last among them",
                thinning.layers
            ));
        }
        if thinning.stride > 1 {
            run.notes.push(format!(
                "{what} are kept for {kept} of {} configurations, one in {} in the order of the plan; layers.csv has all",
                index.depths.len(),
                thinning.stride
            ));
        }
    };
    tell("curves over layers", curves);
    if let Some(coarse) = coarse {
        tell("distributions", coarse);
    }
    if strangers > 0 {
        let belong = if strangers == 1 { "belongs" } else { "belong" };
        let rows = human::plural(strangers, "row");
        run.notes.push(format!("{rows} of layers.csv {belong} to no network of networks.csv, and so left out"));
    }
}

/// Reads `theory.csv` into the profiles that [`read`] made.
pub fn read_theory(source: impl Read, index: &Index, run: &mut Run) -> Result<(), ReadError> {
    let mut table = TableReader::new(source)?;
    let column = |name: &str| table.column(name);
    let [configuration, layer] = ["configuration", "layer"].map(column);
    let [ratio, to_last, shift] =
        ["predicted_log10_grad_ratio", "predicted_log10_grad_to_last", "predicted_finite_width_shift"].map(column);
    let mut last: (Vec<u8>, Option<u32>) = (Vec::new(), None);
    while let Some(row) = table.next_row()? {
        let id = row.bytes(configuration);
        if last.1.is_none() || last.0 != id {
            last = (id.to_vec(), index.configurations.get(id).copied());
        }
        let (Some(position), Some(layer)) = (last.1, row.integer(layer)) else { continue };
        let Some(profile) = run.configurations[position as usize].profile.as_mut() else { continue };
        let Ok(place) = profile.layers.binary_search(&u32::try_from(layer).unwrap_or(u32::MAX)) else { continue };
        // Medians over seeds of logarithms lie lower than the logarithm of the mean, which theory predicts.
        let to_last = row.number(to_last).map(|x| x + row.number(shift).unwrap_or(0.0));
        for (column, number) in
            [(&mut profile.predicted_factor, row.number(ratio)), (&mut profile.predicted_to_last, to_last)]
        {
            if let Some(number) = number {
                column.resize(profile.layers.len(), Number(None));
                column[place] = Number(Some(number)).of_curve();
                run.recorded.theory = true;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::networks;
    use super::*;

    const NETWORKS: &str = "network,configuration,replicate,depth,status,verdict\n\
        n-1,c-1,0,3,ok,stable\nn-2,c-1,1,3,ok,dead\nn-3,c-1,2,3,ok,dead\n";

    /// Network 2 dies at layer 2, network 3 at layer 3: the readout still has a gradient.
    const LAYERS: &str = "network,step,layer,layer_kind,preact_grad_l2,preact_grad_log10_l2,log10_grad_ratio\n\
        n-1,0,1,hidden,0.01,-2.0,-1.0\nn-1,0,2,hidden,0.1,-1.0,-3.0\nn-1,0,3,hidden,1.0,0.0,-2.0\nn-1,0,4,readout,1.0,0.0,\n\
        n-2,0,1,hidden,0.0,,\nn-2,0,2,hidden,0.0,,\nn-2,0,3,hidden,1.0,0.0,-4.0\nn-2,0,4,readout,1.0,0.0,\n\
        n-3,0,1,hidden,0.0,,\nn-3,0,2,hidden,0.0,,\nn-3,0,3,hidden,0.0,,\nn-3,0,4,readout,1.0,0.0,\n";

    fn profile_of(layers: &str) -> Profile {
        let mut run = Run::default();
        let index = networks::read(NETWORKS.as_bytes(), &mut run).unwrap();
        read(layers.as_bytes(), &index, Budget::PAGE, &mut run).unwrap();
        run.configurations[0].profile.clone().unwrap()
    }

    #[test]
    fn where_a_gradient_dies_its_factor_is_lowest_and_below_that_there_is_none() {
        let profile = profile_of(LAYERS);
        assert_eq!(profile.gradient.zeros, [2, 2, 1]);
        // Layer 1: one factor. Layer 2: -3 and a zero. Layer 3: -2, -4 and a zero.
        assert_eq!(profile.factor, [Some(-1.0), None, Some(-4.0)].map(Number));
    }

    #[test]
    fn rows_may_stand_in_any_order() {
        let (header, rows) = LAYERS.split_once('\n').unwrap();
        let backwards: Vec<&str> = rows.lines().rev().collect();
        assert_eq!(profile_of(&format!("{header}\n{}\n", backwards.join("\n"))), profile_of(LAYERS));
    }
}
