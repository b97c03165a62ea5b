//! The plan: a sweep file expanded into networks, with identities, seeds, costs, buckets and chunks. Pure and
//! deterministic: it touches no file, clock or device. One network takes 24 bytes; everything else is decoded on demand.

mod chunk;
mod expand;
mod identity;
mod point;
mod refuse;
mod resolve;
mod survey;

use std::ops::Range;
use std::sync::Arc;

use crate::config::{Key, LayersRequest, StatisticsRequest, SweepError, SweepFile, Value};
use crate::engine::LayerSelection;
use crate::network::NetworkSpec;
use crate::program::ProgramKey;
use crate::stats::catalog::StatisticRow;
use crate::stats::{RecordMask, catalog};
use crate::theory::Known;
use chunk::Member;
use expand::Expansion;
use point::Point;
use resolve::Resolved;
pub use survey::{Spread, Stretch, Survey};

/// A planned network, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedNetwork {
    /// Position in plan order: sweep, axes in file order (last fastest), replicate fastest.
    pub index: u64,
    /// Index into [`Plan::sweeps`].
    pub sweep: u32,
    pub replicate: u32,
    /// `c-` + 16 hex.
    pub configuration_id: String,
    /// `n-` + 16 hex.
    pub network_id: String,
    pub spec: NetworkSpec,
    /// Value of every key that applies to this network, in the order of [`Key`]; `None` where it does not apply.
    pub values: Vec<Option<Value>>,
}

impl PlannedNetwork {
    pub fn value(&self, key: Key) -> Option<&Value> {
        self.values[key as usize].as_ref()
    }
}

/// Networks of one key, committed together. Cut in bucket order, at most 2 TFLOP, 8 MiB of text or 8,192 rows: a pure
/// function of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub key: ProgramKey,
    /// Range of [`Plan::bucket_order`].
    pub members: Range<usize>,
    pub flops: f64,
    pub rows: u64,
}

/// What a sweep amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub networks: u64,
    /// Of `layers.csv`.
    pub rows: u64,
    pub flops: f64,
}

/// What is recorded and written.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordPlan {
    pub mask: RecordMask,
    pub layers: LayerSelection,
    /// Names of the statistic columns that the sweep file asked for (already expanded from `basic`, `full` or a list),
    /// in catalog order: those that some planned network can fill ([`crate::stats::catalog::can_fill`]).
    pub columns: Vec<String>,
}

/// A sweep file, expanded.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    /// The root seed.
    pub seed: u64,
    /// Names of the sweeps in file order.
    pub sweeps: Vec<String>,
    /// Keys with two values or more over all sweeps together: the columns that `layers.csv` repeats.
    pub varying: Vec<Key>,
    pub record: RecordPlan,
    /// |log10(|delta_1|/|delta_L|)| above this is vanishing or exploding.
    pub verdict_decades: f64,
    /// What theory knows of some network: decides which predicted columns there are.
    pub known: Known,
    /// Plan indices sorted by bucket (key, then deeper first, then index).
    pub bucket_order: Vec<u32>,
    pub chunks: Vec<Chunk>,
    /// What a reader should know: keys dropped, networks merged, values rounded together.
    pub notes: Vec<String>,
    /// Networks in plan order.
    entries: Vec<Entry>,
    /// What [`Entry::bucket`] points into.
    keys: Vec<ProgramKey>,
    /// Decodes entries.
    file: Arc<SweepFile>,
}

/// A network as the plan stores it: 24 bytes, from which everything else is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The hex digits of the network's id.
    network: u64,
    /// Index of the point in its sweep, before filters.
    point: u32,
    replicate: u32,
    bucket: u32,
    sweep: u16,
    depth: u16,
}

impl Plan {
    /// Expands a sweep file. Varying keys and statistic columns are those of all sweeps, also under `--only` and
    /// `--limit`.
    pub fn new(file: &SweepFile) -> Result<Plan, SweepError> {
        Plan::spread(file, &|stretches, survey| stretches.iter().cloned().map(survey).collect(), &mut |_, _| {})
    }

    /// The same: `spread` surveys stretches of points, on as many threads as it likes, and `watch` hears now and then how
    /// many points are done, and of how many. The plan depends on neither.
    pub fn spread(file: &SweepFile, spread: &Spread, watch: &mut dyn FnMut(u64, u64)) -> Result<Plan, SweepError> {
        let request: &[String] = match &file.record.statistics {
            StatisticsRequest::Basic => &["basic".to_string()],
            StatisticsRequest::Full => &["full".to_string()],
            StatisticsRequest::List(names) => names,
        };
        let mut reporter = file.reporter();
        let requested = catalog::columns(request).unwrap_or_else(|error| {
            reporter.at(file.record.statistics_mark, error.to_string());
            Vec::new()
        });
        reporter.check()?;
        let mut expansion = expand::expand(file, &requested, spread, watch)?;
        let layers = match &file.record.layers {
            LayersRequest::All => LayerSelection::All,
            LayersRequest::Only(list) => LayerSelection::Only(list.clone()),
        };
        check_jacobian(file, &requested, &expansion)?;
        check_record(file, &layers, &expansion)?;
        if matches!(file.record.statistics, StatisticsRequest::List(_)) {
            for row in requested.iter().filter(|row| !expansion.columns.iter().any(|c| c.name == row.name)) {
                let note = format!("column `{}` is left out: no network can fill it", row.name);
                expansion.notes.push(note);
            }
        }
        let record = RecordPlan {
            mask: catalog::mask_for(&expansion.columns),
            layers,
            columns: expansion.columns.iter().map(|row| row.name.clone()).collect(),
        };
        let Expansion { mut entries, keys, varying, known, notes, .. } = expansion;
        entries.shrink_to_fit();
        let member = |entry: &Entry| Member { bucket: entry.bucket, depth: entry.depth.into() };
        let bucket_order = chunk::bucket_order(entries.iter().map(member), &keys);
        let row_bytes = chunk::row_bytes(varying.len(), &record);
        let chunks = chunk::chunks(&bucket_order, |i| member(&entries[i as usize]), &keys, row_bytes, &record.layers);
        Ok(Plan {
            name: file.name.clone(),
            seed: file.seed,
            sweeps: file.sweeps.iter().map(|sweep| sweep.name.clone()).collect(),
            varying,
            record,
            verdict_decades: file.verdict_decades,
            known,
            bucket_order,
            chunks,
            notes,
            entries,
            keys,
            file: Arc::new(file.clone()),
        })
    }

    /// Number of networks.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Decodes network `index < len()`.
    pub fn network(&self, index: u64) -> PlannedNetwork {
        let entry = &self.entries[index as usize];
        let mut resolved = self.resolve(entry);
        let (mut configuration, mut start) = (String::new(), String::new());
        resolved.write_canonical(&mut configuration, false);
        resolved.write_canonical(&mut start, true);
        resolved.spec.seed = identity::seed(&start, self.seed, entry.replicate, self.file.seeding, &mut String::new());
        PlannedNetwork {
            index,
            sweep: entry.sweep.into(),
            replicate: entry.replicate,
            configuration_id: identity::configuration_id(&configuration),
            network_id: identity::network_id(entry.network),
            values: Key::ALL.iter().map(|&key| resolved.shown(key).map(|setting| setting.value())).collect(),
            spec: resolved.spec,
        }
    }

    /// Indices of the configurations in plan order: of the first replicate of each.
    pub fn configurations(&self) -> impl Iterator<Item = u64> {
        let first = self.entries.iter().enumerate().filter(|(_, entry)| entry.replicate == 0);
        first.map(|(index, _)| index as u64)
    }

    /// The depth of network `index`, without decoding it.
    pub fn depth(&self, index: u64) -> u32 {
        self.entries[index as usize].depth.into()
    }

    /// The canonical configuration of network `index`, as JSON.
    pub fn configuration(&self, index: u64) -> String {
        let mut configuration = String::new();
        self.resolve(&self.entries[index as usize]).write_canonical(&mut configuration, false);
        configuration
    }

    fn resolve(&self, entry: &Entry) -> Resolved {
        let point = Point::new(&self.file.sweeps[entry.sweep as usize], entry.point.into());
        let mut resolved = resolve::resolve(point.given());
        resolve::solve_critical(&mut resolved).expect("the plan holds only points that were solved when it was made");
        resolved
    }

    /// The index of a network by its id (`n-...`) or by its index in the plan.
    pub fn find(&self, name: &str) -> Option<u64> {
        if let Some(hex) = name.strip_prefix("n-") {
            let hash = u64::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 16)?;
            return self.entries.iter().position(|entry| entry.network == hash).map(|i| i as u64);
        }
        name.parse().ok().filter(|&index| index < self.len())
    }

    /// Hex blake3 of everything that results depend on and that the sweep file decides: networks, sweeps, record,
    /// columns, verdict. Precision and numerics version are not in it.
    pub fn identity(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(b"gradsweep plan 1");
        part(self.name.as_bytes());
        self.sweeps.iter().for_each(|name| part(name.as_bytes()));
        part(b"varying");
        self.varying.iter().for_each(|key| part(key.name().as_bytes()));
        part(b"columns");
        self.record.columns.iter().for_each(|name| part(name.as_bytes()));
        match &self.record.layers {
            LayerSelection::All => part(b"all"),
            LayerSelection::Only(list) => list.iter().for_each(|layer| part(&layer.to_le_bytes())),
        }
        part(&self.verdict_decades.to_le_bytes());
        let mut networks = Vec::with_capacity(16 * self.entries.len());
        for entry in &self.entries {
            networks.extend(entry.network.to_le_bytes());
            networks.extend(entry.replicate.to_le_bytes());
            networks.extend(u32::from(entry.sweep).to_le_bytes());
        }
        part(&networks);
        hasher.finalize().to_hex().to_string()
    }

    /// Floating point operations of all networks.
    pub fn total_flops(&self) -> f64 {
        self.chunks.iter().map(|chunk| chunk.flops).sum()
    }
    /// Rows of `layers.csv`.
    pub fn total_rows(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.rows).sum()
    }
    /// Size of `layers.csv`, estimated.
    pub fn total_bytes(&self) -> u64 {
        self.total_rows() * chunk::row_bytes(self.varying.len(), &self.record)
    }
    /// Networks of sweep `sweep`.
    pub fn networks_of_sweep(&self, sweep: u32) -> u64 {
        self.entries.iter().filter(|entry| u32::from(entry.sweep) == sweep).count() as u64
    }
    /// What each sweep amounts to.
    pub fn totals_of_sweeps(&self) -> Vec<Totals> {
        let mut totals = vec![Totals::default(); self.sweeps.len()];
        for entry in &self.entries {
            let (key, depth) = (&self.keys[entry.bucket as usize], entry.depth.into());
            let of_sweep = &mut totals[entry.sweep as usize];
            of_sweep.networks += 1;
            of_sweep.rows += chunk::rows(key, depth, &self.record.layers);
            of_sweep.flops += chunk::flops(key, depth);
        }
        totals
    }
    /// The buckets in bucket order, with the number of networks and the largest depth of each.
    pub fn buckets(&self) -> Vec<(ProgramKey, u64, u32)> {
        let mut buckets: Vec<(ProgramKey, u64, u32)> = Vec::new();
        for &index in &self.bucket_order {
            let entry = &self.entries[index as usize];
            let key = self.keys[entry.bucket as usize];
            match buckets.last_mut() {
                Some(last) if last.0 == key => last.1 += 1,
                _ => buckets.push((key, 1, entry.depth.into())),
            }
        }
        buckets
    }
}

/// The Jacobian's columns are dear and narrow: asking for them where they cannot be had is a mistake.
fn check_jacobian(file: &SweepFile, requested: &[&StatisticRow], expansion: &Expansion) -> Result<(), SweepError> {
    let mut reporter = file.reporter();
    let wanted = requested.iter().find(|row| row.mask.contains(RecordMask::JACOBIAN));
    if let Some(row) = wanted
        && let Some(reason) = expansion.keys.iter().find_map(catalog::jacobian_refusal)
    {
        let message = format!("`{}` and its like cannot be had of every network of this file: {reason}", row.name);
        reporter.at(file.record.statistics_mark, message);
    }
    reporter.check()
}

/// A selection that leaves nothing to record is a mistake.
fn check_record(file: &SweepFile, layers: &LayerSelection, expansion: &Expansion) -> Result<(), SweepError> {
    let mut reporter = file.reporter();
    if expansion.columns.is_empty() {
        reporter.at(file.record.statistics_mark, "no network of this file can fill any of these columns");
    }
    if let LayerSelection::Only(list) = layers
        && list.first().is_none_or(|&first| first >= expansion.most_rows)
    {
        let last = expansion.most_rows.saturating_sub(1);
        reporter.at(file.record.layers_mark, format!("no network has any of these layers (the last is {last})"));
    }
    reporter.check()
}

#[cfg(test)]
mod tests;
