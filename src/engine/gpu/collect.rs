//! Turns the words that a batch reads back into records: every expected item must carry the batch's stamp; tiles are merged
//! in float64 in a fixed order.

use super::execute::InFlight;
use super::tensors::{Expected, RowSlot, What};
use crate::engine::{Batch, EngineError, NetworkResult, Row};
use crate::network::{NetworkSpec, Residual};
use crate::stats::histogram::{PERCENT, interpolate, rank};
use crate::stats::{Count, Moments, Quantity, Record, RecordMask, Scaled, Sum};

fn float(word: u32) -> f64 {
    f64::from(f32::from_bits(word))
}

/// One network while its records come in.
struct Collected {
    records: Vec<Record>,
    loss: Scaled,
}

/// Results of every network of a batch, in the schedule's order.
pub fn collect(batch: &InFlight, words: &[u32]) -> Result<Vec<NetworkResult>, EngineError> {
    let specs: Vec<&NetworkSpec> = batch.order.iter().map(|&slot| &batch.batch.networks[slot]).collect();
    let mut collected: Vec<Collected> = specs
        .iter()
        .map(|s| s.rows() as usize)
        .map(|rows| Collected { records: vec![Record::EMPTY; rows], loss: Scaled::ABSENT })
        .collect();
    for expected in &batch.schedule.ledger.expected {
        for (place, network) in collected.iter_mut().enumerate().take(expected.networks as usize) {
            let items = items(words, expected, place, batch.stamp)?;
            let spec = specs[place];
            let row = match expected.row {
                RowSlot::Layer(layer) => layer,
                RowSlot::Readout => spec.depth + 1,
                RowSlot::Last => spec.depth,
            };
            if expected.what == What::MeanSquared || expected.what == What::CrossEntropy {
                network.loss = loss(expected.what, &items, spec);
            } else {
                let record = &mut network.records[row as usize];
                fill(record, expected.what, &items, spec, row, batch.batch.mask);
                if let What::Quantiles { quantity } = expected.what {
                    counted(items[0], record, quantity, expected)?;
                }
            }
        }
    }
    Ok(collected.into_iter().zip(&batch.order).map(|(c, &slot)| finish(&batch.batch, slot, c)).collect())
}

/// The items of one network, each checked to be written by this batch.
fn items<'a>(words: &'a [u32], expected: &Expected, place: usize, stamp: u32) -> Result<Vec<&'a [u32]>, EngineError> {
    let start = expected.offset as usize + place * expected.stride as usize;
    // A record inside a wider item may run past the last item's end.
    let item = |i: usize| {
        let at = start + i * expected.words as usize;
        &words[at..(at + expected.words as usize).min(words.len())]
    };
    let list: Vec<&[u32]> = (0..expected.items as usize).map(item).collect();
    let written = list.iter().filter(|w| w[0] == stamp).count();
    if written != list.len() {
        return Err(EngineError::Failed(format!(
            "the device wrote {written} of {} records of {:?} in {:?}; the batch cannot be trusted",
            list.len(),
            expected.what,
            expected.row
        )));
    }
    Ok(list)
}

/// A histogram holds every finite element, or its kernel has not run.
fn counted(w: &[u32], record: &Record, quantity: Quantity, expected: &Expected) -> Result<(), EngineError> {
    let finite = record.moments(quantity).finite();
    if u64::from(w[1]) == finite {
        return Ok(());
    }
    Err(EngineError::Failed(format!(
        "the device counted {} of {finite} elements of {:?} in {:?}; the batch cannot be trusted",
        w[1], expected.what, expected.row
    )))
}

/// Moments of one tile: sums of powers of x - m become moments about the mean.
fn tile(w: &[u32], full: bool) -> Moments {
    let (count, nonfinite) = (u64::from(w[1]), u64::from(w[2]));
    let n = (count - nonfinite) as f64;
    let [s1, s2, s3, s4] = [5, 6, 7, 8].map(|i| float(w[i]));
    let d = s1 / n;
    let higher = |v: f64| if full { v } else { f64::NAN };
    Moments {
        exponent: w[10] as i32,
        count,
        nonfinite,
        zeros: u64::from(w[3]),
        mean: float(w[4]) + d,
        m2: (s2 - s1 * d).max(0.0),
        m3: higher(s3 - 3.0 * d * s2 + 2.0 * d * d * s1),
        m4: higher(s4 - 4.0 * d * s3 + 6.0 * d * d * s2 - 3.0 * d * d * d * s1),
        abs_max: float(w[9]),
        abs_quantiles: [f64::NAN; 5],
    }
}

/// The same moments at a larger exponent.
fn at_exponent(t: Moments, exponent: i32) -> Moments {
    let down = t.exponent.saturating_sub(exponent).min(0);
    let scaled = |v: f64, power: i32| if down == 0 { v } else { libm::scalbn(v, down.saturating_mul(power)) };
    Moments {
        exponent,
        mean: scaled(t.mean, 1),
        m2: scaled(t.m2, 2),
        m3: scaled(t.m3, 3),
        m4: scaled(t.m4, 4),
        abs_max: scaled(t.abs_max, 1),
        ..t
    }
}

fn merged(items: &[&[u32]], full: bool, old: &Moments) -> Moments {
    let tiles = items.iter().map(|w| tile(w, full));
    // A tile of zeros may stand at any exponent.
    let exponent = tiles.clone().filter(|t| t.abs_max > 0.0).map(|t| t.exponent).max();
    let exponent = exponent.unwrap_or(items[0][10] as i32);
    let joined = tiles.map(|t| at_exponent(t, exponent)).fold(Moments::NONE, |a, b| a.merge(&b));
    Moments { abs_quantiles: old.abs_quantiles, ..joined }
}

fn sum(items: &[&[u32]], word: usize) -> f64 {
    items.iter().map(|w| float(w[word])).sum()
}

/// The sum at the largest exponent of the terms that are not zero.
fn aligned(terms: impl Iterator<Item = Scaled> + Clone) -> Scaled {
    let exponent = terms.clone().filter(|t| t.mantissa != 0.0).map(|t| t.exponent).max().unwrap_or(0);
    // A zero may stand at any exponent.
    let at = |t: Scaled| libm::scalbn(t.mantissa, t.exponent.saturating_sub(exponent).min(0));
    Scaled::new(terms.map(at).sum(), exponent)
}

fn count(items: &[&[u32]], word: usize) -> u64 {
    items.iter().map(|w| u64::from(w[word])).sum()
}

fn fill(record: &mut Record, what: What, items: &[&[u32]], spec: &NetworkSpec, row: u32, mask: RecordMask) {
    let full = mask.contains(RecordMask::KURTOSIS);
    match what {
        What::Moments { quantity } => {
            let old = record.moments[quantity as usize];
            record.moments[quantity as usize] = merged(items, full, &old);
        }
        What::Cosines { quantity } => cosines(record, quantity, items, spec),
        What::WeightGrad => {
            let old = record.moments[Quantity::WeightGrad as usize];
            let moments = merged(items, full, &old);
            record.moments[Quantity::WeightGrad as usize] = moments;
            let exponent = moments.exponent + items[0][11] as i32;
            record.sums[Sum::WeightDotGrad as usize] = Scaled::new(sum(items, 14), exponent);
        }
        What::Phi => phi(record, items, spec, row),
        What::Residual => {
            record.sums[Sum::SkipSquare as usize] = Scaled::new(sum(items, 1), 2 * items[0][2] as i32);
            record.sums[Sum::BranchSquare as usize] = Scaled::new(sum(items, 3), 2 * items[0][4] as i32);
        }
        What::Spread => {
            let parts = items.iter().map(|w| {
                let (n, s1, s2) = (f64::from(w[1]), float(w[3]), float(w[4]));
                let mean = if n > 0.0 { float(w[2]) + s1 / n } else { f64::NAN };
                let m2 = if n > 0.0 { (s2 - s1 * s1 / n).max(0.0) } else { f64::NAN };
                Moments { count: u64::from(w[1]), mean, m2, ..Moments::NONE }
            });
            let joined = parts.fold(Moments::NONE, |a, b| a.merge(&b));
            // Base 2 to base 10.
            let unit = std::f64::consts::LOG10_2;
            let deviation = if joined.count == 0 { 0.0 } else { joined.m2 * unit * unit };
            record.sums[Sum::SampleLogGradDeviation as usize] = Scaled::from(deviation);
            record.counts[Count::GradSamples as usize] = joined.count;
        }
        What::PathsAboveOne => record.counts[Count::PathsAboveOne as usize] = count(items, 1),
        What::Quantiles { quantity } => quantiles(&mut record.moments[quantity as usize], items[0]),
        What::MeanSquared | What::CrossEntropy => {}
    }
}

fn cosines(record: &mut Record, quantity: Quantity, items: &[&[u32]], spec: &NetworkSpec) {
    let samples = f64::from(items[0][3]);
    let adjacent = spec.input == crate::network::Input::CorrelatedPairs;
    // All pairs: sum (1 - cos) = V/2 sum |u - mean|^2 over the V samples that have a direction. Adjacent: |u - v|^2 / 2 each.
    let (pairs, gap) = if adjacent {
        (f64::from(items[0][4]), 0.5 * sum(items, 2))
    } else {
        (0.5 * samples * (samples - 1.0).max(0.0), 0.5 * samples * sum(items, 1))
    };
    let cosine = Scaled::from(pairs - gap);
    let (place, counted) = match quantity {
        Quantity::Preact => (Sum::PreactCos, Count::PreactPairs),
        Quantity::Act => (Sum::ActCos, Count::ActPairs),
        _ => (Sum::GradCos, Count::GradPairs),
    };
    record.sums[place as usize] = cosine;
    record.counts[counted as usize] = pairs as u64;
    if quantity == Quantity::Preact {
        record.sums[Sum::PreactCosGap as usize] = Scaled::from(gap);
    }
}

fn phi(record: &mut Record, items: &[&[u32]], spec: &NetworkSpec, row: u32) {
    // Every strip has a power of two of its own.
    let joined = |word: usize, power: i32, exponent: fn(&[u32]) -> i32| {
        aligned(items.iter().map(|w| Scaled::new(float(w[word]), power * (exponent(w) - w[3] as i32))))
    };
    record.sums[Sum::PhiGrad as usize] = joined(1, 1, |_| 0);
    record.sums[Sum::PhiGradSquare as usize] = joined(2, 2, |_| 0);
    for (place, word) in [
        (Count::PhiElements, 8),
        (Count::Saturated, 9),
        (Count::Active, 10),
        (Count::Units, 11),
        (Count::DeadUnits, 12),
    ] {
        record.counts[place as usize] = count(items, word);
    }
    let facts = spec.activation.facts();
    if facts.flat.iter().all(|f| f.is_infinite()) {
        record.counts[Count::DeadUnits as usize] = 0;
    }
    if items[0][13] == 0 {
        return;
    }
    let (next, scale) = match spec.layer_residual(row) {
        Residual::PreAct => (row, spec.residual_scale.abs()),
        _ => (row + 1, 1.0),
    };
    let exponent = |w: &[u32]| w[7] as i32;
    let scaled = |s: Scaled, factor: f64| Scaled::new(factor * s.mantissa, s.exponent);
    record.sums[Sum::PathAbs as usize] = scaled(joined(4, 1, exponent), scale);
    record.sums[Sum::PathSquare as usize] = scaled(joined(5, 2, exponent), scale * scale);
    let largest = items.iter().map(|w| Scaled::new(float(w[6]), exponent(w) - w[3] as i32));
    let largest = largest.fold(Scaled::ZERO, |a, b| if b.log10_abs() > a.log10_abs() { b } else { a });
    record.sums[Sum::PathMax as usize] = scaled(largest, scale);
    record.counts[Count::Paths as usize] = count(items, 8) * u64::from(spec.fan_out(next));
}

/// The lowest bins hold zeros and what the layer's scale drowns. The bins have the exponent of the kernel that counted, the
/// moments, which stand in the record before, that of their largest element.
fn quantiles(moments: &mut Moments, w: &[u32]) {
    let total = u64::from(w[1]);
    if total == 0 {
        return;
    }
    let down = (w[17] as i32).saturating_sub(moments.exponent);
    let edge = |bin: u32| libm::scalbn(f64::from(f32::from_bits(bin << 21)), down);
    for (i, percent) in PERCENT.into_iter().enumerate() {
        let (bin, below, here) = (w[2 + 3 * i], u64::from(w[3 + 3 * i]), u64::from(w[4 + 3 * i]));
        let rank = rank(percent, total);
        moments.abs_quantiles[i] = if bin < 4 { 0.0 } else { interpolate(edge(bin), edge(bin + 1), rank, below, here) };
    }
}

fn loss(what: What, items: &[&[u32]], spec: &NetworkSpec) -> Scaled {
    let batch = f64::from(spec.batch_size);
    if what == What::MeanSquared {
        return Scaled::new(sum(items, 1) / (2.0 * batch), 2 * items[0][2] as i32);
    }
    let (gap, rest) = (sum(items, 1) / batch, sum(items, 3) / batch);
    let (gap_exponent, rest_exponent) = (items[0][2] as i32, items[0][4] as i32);
    aligned([Scaled::new(gap, gap_exponent), Scaled::new(rest, rest_exponent)].into_iter())
}

fn finish(batch: &Batch, slot: usize, collected: Collected) -> NetworkResult {
    let depth = batch.networks[slot].depth as usize;
    let delta = |record: &Record| record.moments(Quantity::PreactGrad).sum_of_squares();
    let delta_squares = collected.records[1..=depth].iter().map(delta).collect();
    let rows = collected.records.into_iter().enumerate().filter(|(layer, _)| batch.layers.contains(*layer as u32));
    let rows = rows.map(|(layer, record)| Row { step: 0, layer: layer as u32, record }).collect();
    NetworkResult { slot, rows, delta_squares, loss: collected.loss, error: None }
}
