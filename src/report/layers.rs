//! `layers.csv` and `theory.csv`: curves over layers, gathered per configuration and layer in one pass over the rows, in
//! whatever order they stand.

use std::io::Read;

use super::data::{Band, DISTRIBUTIONS, Distribution, Profile, QUANTILES, Run};
use super::networks::Index;
use super::read::Budget;
use super::spread::{Number, Samples, Spread};
use super::thin::Thinning;
use crate::output::{ReadError, TableReader};

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

    let mut strangers = 0u64;
    let mut first_step = None;
    let mut last: (Vec<u8>, Option<u32>) = (Vec::new(), None);
    while let Some(row) = table.next_row()? {
        if row.bytes(kind) != b"hidden" {
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
        if let Some(cell) = profiles[configuration].as_mut().and_then(|curve| curve.at(layer)) {
            let norm = row.number(l2);
            match row.number(log10_l2).or(norm.filter(|x| *x > 0.0).map(f64::log10)) {
                None if norm == Some(0.0) || row.number(zero_frac) == Some(1.0) => cell.gradient.push_zero(),
                log => cell.gradient.push(log),
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

    for (configuration, curve) in run.configurations.iter_mut().zip(profiles) {
        configuration.profile = curve.map(profile);
    }
    for (configuration, curve) in run.configurations.iter_mut().zip(distributions) {
        configuration.distribution = curve.map(|curve| distribution(curve, &shown));
    }
    let profiles = || run.configurations.iter().filter_map(|c| c.profile.as_ref());
    run.recorded.gradient = profiles().any(|p| !p.gradient.median.is_empty());
    run.recorded.factor = profiles().any(|p| !p.factor.median.is_empty());
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
    let seen = |spreads: &[Spread]| spreads.iter().any(|s| s.known + s.zeros > 0);
    let band = |spreads: &[Spread]| if seen(spreads) { Band::of(spreads) } else { Band::default() };
    Profile {
        layers: curve.layers,
        gradient: band(&gradient),
        factor: band(&factor),
        chi: if seen(&chi) { chi.iter().map(|s| s.median).collect() } else { Vec::new() },
        ..Profile::default()
    }
}

fn distribution(curve: Curve<Quantiles>, shown: &[usize]) -> Distribution {
    let mut columns: Vec<[Vec<Number>; QUANTILES.len()]> = vec![Default::default(); shown.len()];
    for mut cell in curve.cells {
        for (column, q) in columns.iter_mut().zip(shown) {
            for (numbers, samples) in column.iter_mut().zip(std::mem::take(&mut cell[*q])) {
                numbers.push(samples.spread().median);
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
        run.notes
            .push(format!("{strangers} rows of layers.csv belong to no network of networks.csv and were left out"));
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
                column[place] = Number(Some(number));
                run.recorded.theory = true;
            }
        }
    }
    Ok(())
}
