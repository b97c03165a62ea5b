//! The plan: a sweep file expanded into networks, with identities, seeds, costs, buckets and chunks. Pure and
//! deterministic: it touches no file, clock or device. A configuration takes 20 bytes and each of its networks 4; everything
//! else is decoded on demand.

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
    pub configuration_id: Arc<str>,
    /// `n-` + 16 hex.
    pub network_id: String,
    pub spec: NetworkSpec,
    /// Value of every key that applies to this network, in the order of [`Key`]; `None` where it does not apply.
    pub values: Arc<[Option<Value>]>,
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
    /// Their number, and the hash of their ids, replicates and sweeps.
    networks: u64,
    digest: blake3::Hash,
    /// What [`Entry::bucket`] points into.
    keys: Vec<ProgramKey>,
    /// Decodes entries.
    file: Arc<SweepFile>,
}

/// Replicates of a configuration as the plan stores them: 20 bytes, from which everything else is decoded. They end where the
/// next entry begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Plan index of the first of them, and its replicate.
    first: u32,
    replicate: u32,
    /// Index of the point in its sweep, before filters.
    point: u32,
    bucket: u32,
    sweep: u16,
    depth: u16,
}

impl Entry {
    /// The replicate of network `index`, one of its own.
    fn replicate_of(&self, index: u64) -> u32 {
        self.replicate + (index - u64::from(self.first)) as u32
    }
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
        let Expansion { mut entries, networks, digest, keys, varying, known, notes, .. } = expansion;
        entries.shrink_to_fit();
        let member = |entry: &Entry| Member { bucket: entry.bucket, depth: entry.depth.into() };
        let ends = entries.iter().skip(1).map(|entry| entry.first).chain([networks as u32]);
        let ranges = entries.iter().zip(ends).map(|(entry, end)| (member(entry), entry.first..end));
        let bucket_order = chunk::bucket_order(ranges, &keys);
        let row_bytes = chunk::row_bytes(varying.len(), &record);
        let of_index = |i: u32| member(entry_of(&entries, i.into()));
        let chunks = chunk::chunks(&bucket_order, of_index, &keys, row_bytes, &record.layers);
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
            networks,
            digest: digest.finalize(),
            keys,
            file: Arc::new(file.clone()),
        })
    }

    /// Number of networks.
    pub fn len(&self) -> u64 {
        self.networks
    }
    pub fn is_empty(&self) -> bool {
        self.networks == 0
    }

    /// Decodes network `index < len()`.
    pub fn network(&self, index: u64) -> PlannedNetwork {
        self.decoder().network(index)
    }

    /// Decodes several networks: quickly where they are replicates of one configuration.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder { plan: self, last: None, buffer: String::new() }
    }

    /// Indices of the configurations in plan order: of the first replicate of each.
    pub fn configurations(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().filter(|entry| entry.replicate == 0).map(|entry| entry.first.into())
    }

    /// The depth of network `index`, without decoding it.
    pub fn depth(&self, index: u64) -> u32 {
        entry_of(&self.entries, index).depth.into()
    }

    /// The entries, with the number of networks of each.
    fn counted(&self) -> impl Iterator<Item = (&Entry, u64)> {
        let ends = self.entries.iter().skip(1).map(|entry| entry.first.into()).chain([self.networks]);
        self.entries.iter().zip(ends).map(|(entry, end)| (entry, end - u64::from(entry.first)))
    }

    /// The canonical configuration of network `index`, as JSON.
    pub fn configuration(&self, index: u64) -> String {
        let mut configuration = String::new();
        self.resolve(entry_of(&self.entries, index)).write_canonical(&mut configuration, false);
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
            if hex.len() != 16 {
                return None;
            }
            let mut decoder = self.decoder();
            return (0..self.len()).find(|&index| decoder.network_id(index) == name);
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
        part(b"gradsweep plan 2");
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
        part(self.digest.as_bytes());
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
        self.counted().filter(|(entry, _)| u32::from(entry.sweep) == sweep).map(|(_, count)| count).sum()
    }
    /// What each sweep amounts to.
    pub fn totals_of_sweeps(&self) -> Vec<Totals> {
        let mut totals = vec![Totals::default(); self.sweeps.len()];
        for (entry, count) in self.counted() {
            let (key, depth) = (&self.keys[entry.bucket as usize], entry.depth.into());
            let of_sweep = &mut totals[entry.sweep as usize];
            of_sweep.networks += count;
            of_sweep.rows += count * chunk::rows(key, depth, &self.record.layers);
            of_sweep.flops += count as f64 * chunk::flops(key, depth);
        }
        totals
    }
    /// The buckets in bucket order, with the number of networks and the largest depth of each.
    pub fn buckets(&self) -> Vec<(ProgramKey, u64, u32)> {
        let mut buckets: Vec<(ProgramKey, u64, u32)> = Vec::new();
        for &index in &self.bucket_order {
            let entry = entry_of(&self.entries, index.into());
            let key = self.keys[entry.bucket as usize];
            match buckets.last_mut() {
                Some(last) if last.0 == key => last.1 += 1,
                _ => buckets.push((key, 1, entry.depth.into())),
            }
        }
        buckets
    }
}

/// The entry of network `index`.
fn entry_of(entries: &[Entry], index: u64) -> &Entry {
    &entries[entries.partition_point(|entry| u64::from(entry.first) <= index) - 1]
}

/// Decodes networks and remembers the last one's configuration.
#[derive(Debug)]
pub struct Decoder<'a> {
    plan: &'a Plan,
    last: Option<Decoded>,
    buffer: String,
}

/// A configuration.
#[derive(Debug)]
struct Decoded {
    sweep: u16,
    point: u32,
    id: Arc<str>,
    /// The canonical configuration, and what seeds are made of.
    configuration: String,
    start: String,
    values: Arc<[Option<Value>]>,
    /// Without its seed.
    spec: NetworkSpec,
}

impl Decoded {
    fn new(plan: &Plan, entry: &Entry) -> Self {
        let resolved = plan.resolve(entry);
        let (mut configuration, mut start) = (String::with_capacity(256), String::with_capacity(256));
        resolved.write_canonical(&mut configuration, false);
        resolved.write_canonical(&mut start, true);
        Decoded {
            sweep: entry.sweep,
            point: entry.point,
            id: identity::configuration_id(&configuration).into(),
            configuration,
            start,
            values: Key::ALL.iter().map(|&key| resolved.shown(key).map(|setting| setting.value())).collect(),
            spec: resolved.spec,
        }
    }
}

impl Decoder<'_> {
    /// Decodes network `index < len()`.
    pub fn network(&mut self, index: u64) -> PlannedNetwork {
        let (plan, network_id) = (self.plan, self.network_id(index));
        let entry = entry_of(&plan.entries, index);
        let decoded = self.last.get_or_insert_with(|| Decoded::new(plan, entry));
        let replicate = entry.replicate_of(index);
        let seed = identity::seed(&decoded.start, plan.seed, replicate, plan.file.seeding, &mut self.buffer);
        PlannedNetwork {
            index,
            sweep: entry.sweep.into(),
            replicate,
            configuration_id: Arc::clone(&decoded.id),
            network_id,
            values: Arc::clone(&decoded.values),
            spec: NetworkSpec { seed, ..decoded.spec.clone() },
        }
    }

    /// The id of network `index < len()`.
    fn network_id(&mut self, index: u64) -> String {
        let plan = self.plan;
        let entry = entry_of(&plan.entries, index);
        let last = self.last.take().filter(|last| (last.sweep, last.point) == (entry.sweep, entry.point));
        let decoded = self.last.insert(last.unwrap_or_else(|| Decoded::new(plan, entry)));
        let (configuration, replicate) = (&decoded.configuration, entry.replicate_of(index));
        let hash = identity::network_hash(configuration, plan.seed, replicate, plan.file.seeding, &mut self.buffer);
        identity::network_id(identity::short(hash))
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
