//! Expansion: the points of every sweep, surveyed in stretches, merged with their equals and given replicates.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::hash::BuildHasherDefault;
use std::ops::Range;

use super::Entry;
use super::identity::{self, Identity};
use super::resolve::KeySet;
use super::survey::{Candidate, Fault, Spread, Stretch, Values, add_fault, survey};
use crate::config::{Key, Reporter, Sweep, SweepError, SweepFile};
use crate::program::ProgramKey;
use crate::stats::catalog::StatisticRow;
use crate::theory::Known;

/// What expansion finds out.
pub struct Expansion {
    pub entries: Vec<Entry>,
    /// Number of networks, and what is hashed of them: id, replicate, sweep.
    pub networks: u64,
    pub digest: blake3::Hasher,
    /// Keys of the buckets, in order of first appearance.
    pub keys: Vec<ProgramKey>,
    pub varying: Vec<Key>,
    /// What theory knows of some network.
    pub known: Known,
    /// The statistic columns that some network can fill.
    pub columns: Vec<&'static StatisticRow>,
    /// Most rows that one network has.
    pub most_rows: u32,
    pub notes: Vec<String>,
}

/// Numbers the keys of programs in order of first appearance.
#[derive(Default)]
struct Buckets {
    keys: Vec<ProgramKey>,
    numbers: HashMap<ProgramKey, u32>,
    last: Option<(ProgramKey, u32)>,
}

impl Buckets {
    fn of(&mut self, key: ProgramKey) -> u32 {
        if let Some((last, number)) = self.last
            && last == key
        {
            return number;
        }
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        });
        self.last = Some((key, number));
        number
    }
}

struct Expander<'a> {
    file: &'a SweepFile,
    reporter: Reporter,
    out: Expansion,
    buckets: Buckets,
    /// Replicates planned so far, by the hash of the configuration's first replicate.
    planned: HashMap<u128, u32, BuildHasherDefault<Identity>>,
    values: Values,
    unfilled: Vec<&'static StatisticRow>,
    merged: u64,
}

/// Networks of a stretch, where a single point has not more.
const STRETCH: u64 = 8192;
/// Stretches that are surveyed between two reports of progress.
const STRETCHES: usize = 32;
/// Faults of a sweep that are told: those with a number in their message may be many, and the first few say enough.
const FAULTS: usize = 8;

/// Expands a file. `columns` are the requested statistics; `spread` surveys stretches of points, and `watch` hears how
/// many points are done, and of how many.
pub fn expand(
    file: &SweepFile,
    columns: &[&'static StatisticRow],
    spread: &Spread,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Expansion, SweepError> {
    let points: u64 = file.sweeps.iter().map(Sweep::points).sum();
    let mut before = 0;
    let mut expander = Expander {
        file,
        reporter: file.reporter(),
        out: Expansion {
            entries: Vec::new(),
            networks: 0,
            digest: blake3::Hasher::new(),
            keys: Vec::new(),
            varying: Vec::new(),
            known: Known::default(),
            columns: Vec::new(),
            most_rows: 0,
            notes: file.notes.clone(),
        },
        buckets: Buckets::default(),
        planned: HashMap::default(),
        values: Values::NONE,
        unfilled: columns.to_vec(),
        merged: 0,
    };
    let mut unused_defaults: Vec<Key> = Vec::new();
    let mut used_anywhere = KeySet(0);
    for (number, sweep) in file.sweeps.iter().enumerate() {
        let used = expander.sweep(number, sweep, spread, &mut |done| watch(before + done, points));
        before += sweep.points();
        used_anywhere.0 |= used.0;
        for column in sweep.axes.iter().flat_map(|axis| &axis.columns) {
            if used.contains(column.key) || !expander.reporter.is_empty() {
                continue;
            }
            let (name, place) = (column.key.name(), column.key.row().where_it_applies);
            if column.from_defaults {
                unused_defaults.push(column.key);
            } else {
                let sweep = &sweep.name;
                let message = format!("`{name}` applies to no network of sweep `{sweep}`: it is for {place}");
                expander.reporter.at(column.mark, message);
            }
        }
    }
    expander.reporter.check()?;
    unused_defaults.sort_unstable();
    unused_defaults.dedup();
    for key in unused_defaults.into_iter().filter(|key| !used_anywhere.contains(*key)) {
        let note =
            format!("`{}` of [defaults] applies to no network: it is for {}", key.name(), key.row().where_it_applies);
        expander.out.notes.push(note);
    }
    if expander.merged > 0 {
        let equal = match expander.merged {
            1 => "1 network equals an earlier one and was merged".to_string(),
            n => format!("{n} networks equal an earlier one and were merged"),
        };
        expander.out.notes.push(format!("{equal} with it"));
    }
    let mut out = expander.out;
    out.keys = expander.buckets.keys;
    out.varying = Key::ALL.into_iter().filter(|key| expander.values.vary(*key)).collect();
    out.columns = columns.iter().copied().filter(|row| !expander.unfilled.iter().any(|u| u.name == row.name)).collect();
    Ok(out)
}

impl Expander<'_> {
    /// Expands one sweep and returns the given keys that apply to some network of it.
    fn sweep(&mut self, number: usize, sweep: &Sweep, spread: &Spread, watch: &mut dyn FnMut(u64)) -> KeySet {
        let selected = self.file.only.as_ref().is_none_or(|only| only.contains(&number));
        let mut used = KeySet(0);
        let mut dropped = [0u64; Key::COUNT];
        let mut faults: Vec<Fault> = Vec::new();
        let mut survivors = 0u64;
        let mut last_filter = 0;
        let (mut flat_shared, mut skipless) = (false, false);
        let stretches = stretches(sweep);
        for several in stretches.chunks(STRETCHES) {
            watch(several[0].start);
            let (file, unfilled) = (self.file, self.unfilled.clone());
            let wanted = selected && !self.is_full();
            for mut found in spread(several, &|range| survey(file, sweep, range, &unfilled, wanted)) {
                if let Some((mark, message)) = found.filter_error {
                    self.reporter.at(mark, format!("the filter cannot be evaluated: {message}"));
                    return used;
                }
                used.0 |= found.used.0;
                dropped.iter_mut().zip(found.dropped).for_each(|(sum, n)| *sum += n);
                std::mem::take(&mut found.faults).into_iter().for_each(|fault| add_fault(&mut faults, fault));
                survivors += found.survivors;
                last_filter = last_filter.max(found.last_filter);
                flat_shared |= found.flat_shared;
                skipless |= found.skipless;
                self.values.join(&found.values);
                self.unfilled.retain(|row| found.unfilled.iter().any(|other| other.name == row.name));
                self.out.most_rows = self.out.most_rows.max(found.most_rows);
                self.out.known = self.out.known.union(found.known);
                self.plan(number, sweep, &found);
            }
        }
        if survivors == 0 {
            self.emptied(sweep, last_filter);
            // Nothing can be said of its keys.
            used = KeySet(u32::MAX);
        }
        for fault in faults.into_iter().take(FAULTS) {
            let points = sweep.points();
            let shared = if points > 1 {
                let (name, n, first) = (&sweep.name, fault.points, &fault.first);
                format!(" (sweep `{name}`: {n} of {points} points, the first with {first}; leave them out by `where`)")
            } else {
                String::new()
            };
            self.reporter.at(fault.mark, format!("{}{shared}", fault.message));
        }
        self.note_dropped(sweep, &dropped, survivors);
        if flat_shared {
            let note = "batch norm removes from gradients what samples share: under `cotangent_shared` all of them where the \
                        activation is linear, and a part elsewhere";
            self.out.notes.push(format!("sweep `{}`: {note}", sweep.name));
        }
        if skipless {
            let note = "some networks with `residual = \"post_act\"` have no skip at all and are plain: their depth is below \
                        residual_every, or no skip but the one from the input fits, whose size is not the width";
            self.out.notes.push(format!("sweep `{}`: {note}", sweep.name));
        }
        used
    }

    /// As many networks are planned as `--limit` wants.
    fn is_full(&self) -> bool {
        self.file.limit.is_some_and(|limit| self.out.networks >= limit)
    }

    fn emptied(&mut self, sweep: &Sweep, last_filter: usize) {
        if let Some(filter) = sweep.filters.get(last_filter) {
            let message = format!(
                "`{}` removes the last of the {} points of sweep `{}`: nothing is left to run",
                filter.text,
                sweep.points(),
                sweep.name
            );
            self.reporter.at(filter.mark, message);
        }
    }

    /// Adds the networks of a stretch that are not planned yet.
    fn plan(&mut self, number: usize, sweep: &Sweep, found: &Stretch) {
        let later = sweep.replicates as usize - 1;
        for (i, candidate) in found.candidates.iter().enumerate() {
            if self.is_full() {
                return;
            }
            self.plan_point(number, sweep, candidate, &found.replicates[i * later..(i + 1) * later]);
        }
    }

    fn plan_point(&mut self, number: usize, sweep: &Sweep, candidate: &Candidate, later: &[u64]) {
        let first = match self.planned.entry(candidate.hash) {
            MapEntry::Vacant(entry) => {
                entry.insert(sweep.replicates);
                0
            }
            MapEntry::Occupied(mut entry) => {
                let known = *entry.get();
                self.merged += u64::from(known.min(sweep.replicates));
                entry.insert(known.max(sweep.replicates));
                known
            }
        };
        if first >= sweep.replicates {
            return;
        }
        let bucket = self.buckets.of(candidate.key);
        let all = std::iter::once(identity::short(candidate.hash)).chain(later.iter().copied());
        self.out.entries.push(Entry {
            first: self.out.networks as u32,
            replicate: first,
            point: candidate.point,
            bucket,
            sweep: number as u16,
            depth: candidate.depth,
        });
        for (replicate, network) in (0u32..).zip(all).skip(first as usize) {
            if self.is_full() {
                return;
            }
            self.out.networks += 1;
            let mut word = [0; 16];
            word[..8].copy_from_slice(&network.to_le_bytes());
            word[8..12].copy_from_slice(&replicate.to_le_bytes());
            word[12..].copy_from_slice(&(number as u32).to_le_bytes());
            self.out.digest.update(&word);
        }
    }

    fn note_dropped(&mut self, sweep: &Sweep, dropped: &[u64; Key::COUNT], survivors: u64) {
        for column in sweep.axes.iter().flat_map(|axis| &axis.columns) {
            let n = dropped[column.key as usize];
            if n > 0 && !column.from_defaults {
                let (name, key) = (&sweep.name, column.key.name());
                let place = column.key.row().where_it_applies;
                self.out.notes.push(format!(
                    "sweep `{name}`: `{key}` is for {place}; it was left out of {n} of {survivors} points"
                ));
            }
        }
    }
}

/// The points of a sweep in stretches, in order: a function of the sweep alone.
fn stretches(sweep: &Sweep) -> Vec<Range<u64>> {
    let (points, length) = (sweep.points(), (STRETCH / u64::from(sweep.replicates)).max(1));
    (0..points.div_ceil(length)).map(|i| i * length..points.min((i + 1) * length)).collect()
}
