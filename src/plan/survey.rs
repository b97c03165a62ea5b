//! A stretch of a sweep's points, filtered, resolved and checked without regard to the rest of the plan: stretches may be
//! surveyed in any order, and on threads of the caller's.

use std::ops::Range;

use super::identity;
use super::point::Point;
use super::refuse::refuse;
use super::resolve::{KeySet, Resolved, Settings, resolve, solve_critical};
use crate::config::{Filter, Key, Mark, Setting, Sweep, SweepFile, Value, Variable};
use crate::network::{Loss, Norm, Residual};
use crate::program::ProgramKey;
use crate::stats::catalog::{StatisticRow, can_fill};
use crate::theory::Known;

/// Surveys the points of one stretch.
pub type Survey<'a> = dyn Fn(Range<u64>) -> Stretch + Sync + 'a;
/// Surveys several stretches and returns what it finds in their order.
pub type Spread<'a> = dyn Fn(&[Range<u64>], &Survey) -> Vec<Stretch> + 'a;

/// What a stretch of points comes to.
pub struct Stretch {
    /// Given keys that apply to some point.
    pub(super) used: KeySet,
    /// How often a given key did not apply.
    pub(super) dropped: [u64; Key::COUNT],
    pub(super) faults: Vec<Fault>,
    /// Points that passed every filter.
    pub(super) survivors: u64,
    /// The last filter that removed a point.
    pub(super) last_filter: usize,
    /// A filter that could not be evaluated, and why; the survey ends there.
    pub(super) filter_error: Option<(Mark, String)>,
    /// Batch norm meets a shared cotangent.
    pub(super) flat_shared: bool,
    /// A `post_act` network has no skip at all.
    pub(super) skipless: bool,
    pub(super) values: Values,
    /// Columns that no network so far can fill.
    pub(super) unfilled: Vec<&'static StatisticRow>,
    pub(super) most_rows: u32,
    pub(super) known: Known,
    pub(super) candidates: Vec<Candidate>,
    /// Ids of the candidates' replicates but the first, one candidate after the other.
    pub(super) replicates: Vec<u64>,
}

/// A point that makes networks, unless they are planned already.
pub(super) struct Candidate {
    /// Hash of the first replicate.
    pub hash: u128,
    pub point: u32,
    pub depth: u16,
    pub key: ProgramKey,
}

/// A fault that many points may share.
pub(super) struct Fault {
    pub mark: Mark,
    pub message: String,
    pub first: String,
    pub points: u64,
}

/// Which values the keys take.
#[derive(Clone, Copy)]
pub(super) struct Values {
    first: Settings,
    varies: KeySet,
}

impl Values {
    pub const NONE: Values = Values { first: [None; Key::COUNT], varies: KeySet(0) };

    fn add(&mut self, key: Key, value: Setting) {
        match self.first[key as usize] {
            None => self.first[key as usize] = Some(value),
            Some(first) if first != value => self.varies.insert(key),
            Some(_) => {}
        }
    }

    /// Adds the values of later points.
    pub fn join(&mut self, later: &Values) {
        self.varies.0 |= later.varies.0;
        Key::ALL
            .into_iter()
            .filter_map(|key| Some((key, later.first[key as usize]?)))
            .for_each(|(k, v)| self.add(k, v));
    }

    /// Whether a key has two values or more.
    pub fn vary(&self, key: Key) -> bool {
        self.varies.contains(key)
    }
}

/// Surveys the points `range` of a sweep. `unfilled`: the columns that nothing before can fill. Networks are told of only
/// if they are `wanted`.
pub(super) fn survey(
    file: &SweepFile,
    sweep: &Sweep,
    range: Range<u64>,
    unfilled: &[&'static StatisticRow],
    wanted: bool,
) -> Stretch {
    let mut found = Stretch {
        used: KeySet(0),
        dropped: [0; Key::COUNT],
        faults: Vec::new(),
        survivors: 0,
        last_filter: 0,
        filter_error: None,
        flat_shared: false,
        skipless: false,
        values: Values::NONE,
        unfilled: unfilled.to_vec(),
        most_rows: 0,
        known: Known::default(),
        candidates: Vec::new(),
        replicates: Vec::new(),
    };
    let (mut configuration, mut buffer) = (String::new(), String::new());
    let mut point = Point::new(sweep, range.start);
    // Solving costs much more than most filters: only where one reads what it finds.
    let reads_scales = sweep.filters.iter().any(reads_scale);
    for index in range.clone() {
        if index > range.start {
            point.advance();
        }
        let mut resolved = resolve(point.given());
        let critical = match reads_scales {
            false => Critical::Unasked,
            true => solve_critical(&mut resolved).map_or_else(Critical::None, |()| Critical::Settled),
        };
        match filtered(sweep, &resolved, matches!(critical, Critical::None(_))) {
            Err(error) => {
                found.filter_error = Some(error);
                return found;
            }
            Ok(Some(filter)) => {
                found.last_filter = found.last_filter.max(filter);
                continue;
            }
            Ok(None) => found.survivors += 1,
        }
        for key in Key::ALL {
            if resolved.dropped.contains(key) {
                found.dropped[key as usize] += 1;
            } else if point.given()[key as usize].is_some() {
                found.used.insert(key);
            }
        }
        if let Some(fault) = fault(&point, &mut resolved, critical) {
            add_fault(&mut found.faults, fault);
            continue;
        }
        found.observe(&resolved);
        if !wanted {
            continue;
        }
        configuration.clear();
        resolved.write_canonical(&mut configuration, false);
        let mut hash =
            |replicate| identity::network_hash(&configuration, file.seed, replicate, file.seeding, &mut buffer);
        let (depth, key) = (resolved.spec.depth as u16, ProgramKey::of(&resolved.spec));
        found.candidates.push(Candidate { hash: hash(0), point: index as u32, depth, key });
        found.replicates.extend((1..sweep.replicates).map(|replicate| identity::short(hash(replicate))));
    }
    found
}

impl Stretch {
    /// Takes note of a network's values and of the columns that it can fill.
    fn observe(&mut self, resolved: &Resolved) {
        let spec = &resolved.spec;
        for key in Key::ALL {
            if let Some(value) = resolved.stated(key) {
                self.values.add(key, value);
            }
        }
        self.flat_shared |= spec.loss == Loss::CotangentShared && spec.norm == Norm::Batch;
        self.skipless |= spec.residual == Residual::PostAct && spec.is_skipless();
        self.most_rows = self.most_rows.max(spec.rows());
        self.unfilled.retain(|row| !can_fill(row, spec));
        self.known = self.known.union(Known::of(spec));
    }
}

/// Whether a filter reads what [`solve_critical`] finds.
fn reads_scale(filter: &Filter) -> bool {
    filter.variables.iter().any(|v| matches!(v, Variable::Key(Key::SigmaW | Key::SigmaB)))
}

/// Whether the critical point of a network has been looked for.
enum Critical {
    Unasked,
    /// Found, or the init wants none.
    Settled,
    /// There is none, and why.
    None(String),
}

/// The first filter that removes a point. Without a critical point nothing is known of what reads its scales.
fn filtered(sweep: &Sweep, resolved: &Resolved, scales_unknown: bool) -> Result<Option<usize>, (Mark, String)> {
    for (i, filter) in sweep.filters.iter().enumerate() {
        if scales_unknown && reads_scale(filter) {
            continue;
        }
        if !filter.keeps(|variable| resolved.operand(variable)).map_err(|message| (filter.mark, message))? {
            return Ok(Some(i));
        }
    }
    Ok(None)
}

/// What makes this point impossible, if anything does. Solves for the critical point unless that is done.
fn fault(point: &Point, resolved: &mut Resolved, critical: Critical) -> Option<Fault> {
    let (keys, message): (&[Key], String) = match refuse(&resolved.spec) {
        Some(refusal) => (refusal.keys, refusal.reason),
        None => {
            let reason = match critical {
                Critical::Unasked => solve_critical(resolved).err()?,
                Critical::Settled => return None,
                Critical::None(reason) => reason,
            };
            (&[Key::Activation, Key::Init, Key::SigmaB], reason)
        }
    };
    let mark = keys.iter().find_map(|&key| point.mark(key)).unwrap_or_default();
    let first: Vec<String> = keys
        .iter()
        .filter_map(|&key| Some(format!("{} = {}", key.name(), shown(resolved.settings[key as usize]?))))
        .collect();
    Some(Fault { mark, message, first: first.join(", "), points: 1 })
}

/// Adds a fault, or its points to those of an equal one.
pub(super) fn add_fault(faults: &mut Vec<Fault>, fault: Fault) {
    match faults.iter_mut().find(|known| known.message == fault.message) {
        Some(known) => known.points += fault.points,
        None => faults.push(fault),
    }
}

fn shown(setting: Setting) -> String {
    match setting.value() {
        Value::Int(v) => v.to_string(),
        Value::Float(v) => format!("{v:?}"),
        Value::Bool(v) => v.to_string(),
        Value::Word(word) => word,
    }
}
