//! Expansion: every point of every sweep, filtered, resolved and checked, merged with its equals and given replicates.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::hash::BuildHasherDefault;

use super::Entry;
use super::identity::{self, Identity};
use super::point::Point;
use super::refuse::refuse;
use super::resolve::{KeySet, Resolved, Settings, resolve, solve_critical};
use crate::config::{Key, Mark, Reporter, Setting, Sweep, SweepError, SweepFile};
use crate::network::{Loss, NetworkSpec, Norm};
use crate::program::ProgramKey;
use crate::stats::catalog::{StatisticRow, can_fill};
use crate::theory::Known;

/// What expansion finds out.
pub struct Expansion {
    pub entries: Vec<Entry>,
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

/// A fault that many points may share.
struct Fault {
    mark: Mark,
    message: String,
    first: String,
    points: u64,
}

/// Numbers the keys of programs in order of first appearance.
#[derive(Default)]
struct Buckets {
    keys: Vec<ProgramKey>,
    numbers: HashMap<ProgramKey, u32>,
    last: Option<(ProgramKey, u32)>,
}

impl Buckets {
    fn of(&mut self, spec: &NetworkSpec) -> u32 {
        let key = ProgramKey::of(spec);
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
    first_values: Settings,
    varies: KeySet,
    unfilled: Vec<&'static StatisticRow>,
    merged: u64,
    text: Text,
}

/// Buffers that every point uses anew.
#[derive(Default)]
struct Text {
    configuration: String,
    hashed: String,
}

/// Points between two reports of progress.
const STRIDE: u64 = 1 << 14;

/// Expands a file. `columns` are the requested statistics; `watch` hears how many points are done, and of how many.
pub fn expand(
    file: &SweepFile,
    columns: &[&'static StatisticRow],
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Expansion, SweepError> {
    let points: u64 = file.sweeps.iter().map(Sweep::points).sum();
    let mut before = 0;
    let mut expander = Expander {
        file,
        reporter: file.reporter(),
        out: Expansion {
            entries: Vec::new(),
            keys: Vec::new(),
            varying: Vec::new(),
            known: Known::default(),
            columns: Vec::new(),
            most_rows: 0,
            notes: file.notes.clone(),
        },
        buckets: Buckets::default(),
        planned: HashMap::default(),
        text: Default::default(),
        first_values: [None; Key::COUNT],
        varies: KeySet(0),
        unfilled: columns.to_vec(),
        merged: 0,
    };
    let mut unused_defaults: Vec<Key> = Vec::new();
    let mut used_anywhere = KeySet(0);
    for (number, sweep) in file.sweeps.iter().enumerate() {
        let used = expander.sweep(number, sweep, &mut |done| watch(before + done, points));
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
    out.varying = Key::ALL.into_iter().filter(|key| expander.varies.contains(*key)).collect();
    out.columns = columns.iter().copied().filter(|row| !expander.unfilled.iter().any(|u| u.name == row.name)).collect();
    Ok(out)
}

impl Expander<'_> {
    /// Expands one sweep and returns the given keys that apply to some network of it.
    fn sweep(&mut self, number: usize, sweep: &Sweep, watch: &mut dyn FnMut(u64)) -> KeySet {
        let selected = self.file.only.as_ref().is_none_or(|only| only.contains(&number));
        let mut used = KeySet(0);
        let mut dropped = [0u64; Key::COUNT];
        let mut faults: Vec<Fault> = Vec::new();
        let mut survivors = 0u64;
        let mut last_filter = 0;
        let mut flat_shared = false;
        let mut point = Point::new(sweep, 0);
        for index in 0..sweep.points() {
            if index > 0 {
                point.advance();
            }
            if index % STRIDE == 0 {
                watch(index);
            }
            let mut resolved = resolve(point.given());
            match self.filtered(sweep, &resolved) {
                Err(()) => return used,
                Ok(Some(filter)) => {
                    last_filter = last_filter.max(filter);
                    continue;
                }
                Ok(None) => survivors += 1,
            }
            for key in Key::ALL {
                if resolved.dropped.contains(key) {
                    dropped[key as usize] += 1;
                } else if point.given()[key as usize].is_some() {
                    used.insert(key);
                }
            }
            if let Some(fault) = self.fault(&point, &mut resolved) {
                add_fault(&mut faults, fault);
                continue;
            }
            flat_shared |= resolved.spec.loss == Loss::CotangentShared && resolved.spec.norm == Norm::Batch;
            self.observe(&resolved);
            if selected {
                self.plan(number, sweep, index as u32, &resolved);
            }
        }
        if survivors == 0 {
            self.emptied(sweep, last_filter);
            // Nothing can be said of its keys.
            used = KeySet(u32::MAX);
        }
        for fault in faults {
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
            let note = "batch norm projects out the shared cotangent of `cotangent_shared`: expect gradients near 0";
            self.out.notes.push(format!("sweep `{}`: {note}", sweep.name));
        }
        used
    }

    /// The first filter that removes a point.
    fn filtered(&mut self, sweep: &Sweep, resolved: &Resolved) -> Result<Option<usize>, ()> {
        for (i, filter) in sweep.filters.iter().enumerate() {
            match filter.keeps(|variable| resolved.operand(variable)) {
                Ok(true) => {}
                Ok(false) => return Ok(Some(i)),
                Err(message) => {
                    self.reporter.at(filter.mark, format!("the filter cannot be evaluated: {message}"));
                    return Err(());
                }
            }
        }
        Ok(None)
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

    /// What makes this point impossible, if anything does. Solves for the critical point on the way.
    fn fault(&self, point: &Point, resolved: &mut Resolved) -> Option<Fault> {
        let (keys, message): (&[Key], String) = match refuse(&resolved.spec) {
            Some(refusal) => (refusal.keys, refusal.reason),
            None => (&[Key::Activation, Key::Init, Key::SigmaB], solve_critical(resolved).err()?),
        };
        let mark = keys.iter().find_map(|&key| point.mark(key)).unwrap_or_default();
        let first: Vec<String> = keys
            .iter()
            .filter_map(|&key| Some(format!("{} = {}", key.name(), shown(resolved.settings[key as usize]?))))
            .collect();
        Some(Fault { mark, message, first: first.join(", "), points: 1 })
    }

    /// Takes note of a network's values and of the columns that it can fill.
    fn observe(&mut self, resolved: &Resolved) {
        for key in Key::ALL {
            if let Some(value) = resolved.stated(key) {
                match self.first_values[key as usize] {
                    None => self.first_values[key as usize] = Some(value),
                    Some(first) if first != value => self.varies.insert(key),
                    Some(_) => {}
                }
            }
        }
        let spec = &resolved.spec;
        self.out.most_rows = self.out.most_rows.max(spec.rows());
        self.unfilled.retain(|row| !can_fill(row, spec));
        self.out.known = self.out.known.union(Known::of(spec));
    }

    /// Adds the networks of a point that are not planned yet.
    fn plan(&mut self, number: usize, sweep: &Sweep, index: u32, resolved: &Resolved) {
        let limit = self.file.limit.unwrap_or(u64::MAX);
        if self.out.entries.len() as u64 >= limit {
            return;
        }
        let Text { configuration, hashed } = &mut self.text;
        configuration.clear();
        resolved.write_canonical(configuration, false);
        let (root, seeding) = (self.file.seed, self.file.seeding);
        let hash = identity::network_hash(configuration, root, 0, seeding, hashed);
        let first = match self.planned.entry(hash) {
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
        let bucket = self.buckets.of(&resolved.spec);
        for replicate in first..sweep.replicates {
            if self.out.entries.len() as u64 >= limit {
                break;
            }
            let hash = match replicate {
                0 => hash,
                _ => identity::network_hash(configuration, root, replicate, seeding, hashed),
            };
            self.out.entries.push(Entry {
                network: identity::short(hash),
                point: index,
                replicate,
                bucket,
                sweep: number as u16,
                depth: resolved.spec.depth as u16,
            });
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

fn add_fault(faults: &mut Vec<Fault>, fault: Fault) {
    if let Some(known) = faults.iter_mut().find(|known| known.message == fault.message) {
        known.points += 1;
    } else if faults.len() < 8 {
        // Faults with a number in their message may be many: the first few say enough.
        faults.push(fault);
    }
}

fn shown(setting: Setting) -> String {
    match setting.value() {
        crate::config::Value::Int(v) => v.to_string(),
        crate::config::Value::Float(v) => format!("{v:?}"),
        crate::config::Value::Bool(v) => v.to_string(),
        crate::config::Value::Word(word) => word,
    }
}
