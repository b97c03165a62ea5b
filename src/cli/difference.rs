//! What a refused run directory has otherwise, key by key: its sweep file lies in it, and what the command line changed
//! stands in its manifest, so that its plan can be made again.

use std::fs;
use std::path::Path;

use super::dump::json_value;
use crate::config::{Key, Overrides, SweepFile, Value};
use crate::plan::Plan;
use crate::store::{MANIFEST, Manifest, SWEEP, StoreError};

/// Adds to the refusal of `path` the first key that differs between its networks and those of `plan`, if that can be told.
pub fn name_key(error: StoreError, path: &Path, plan: &Plan) -> StoreError {
    match error {
        StoreError::OtherRun { path: directory, mut differences } => {
            differences.extend(stored_plan(path).and_then(|there| first_difference(&there, plan)));
            StoreError::OtherRun { path: directory, differences }
        }
        other => other,
    }
}

/// The plan of the run that a directory holds; `None` where its files do not make it again.
fn stored_plan(path: &Path) -> Option<Plan> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST)).ok()?).ok()?;
    let text = fs::read_to_string(path.join(SWEEP)).ok()?;
    let mut overrides = Overrides::default();
    for setting in &manifest.settings {
        let (option, value) = setting.split_once(' ')?;
        match option {
            "--set" => overrides.set.push(value.to_string()),
            "--only" => overrides.only.push(value.to_string()),
            "--limit" => overrides.limit = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    let plan = Plan::new(&SweepFile::parse(&text, SWEEP, &overrides).ok()?).ok()?;
    (plan.identity() == manifest.identity.plan).then_some(plan)
}

/// The first key of the first network with another value.
fn first_difference(there: &Plan, here: &Plan) -> Option<String> {
    if there.len() != here.len() {
        return None;
    }
    (0..here.len()).find_map(|index| {
        let (a, b) = (there.network(index), here.network(index));
        let key = Key::ALL.into_iter().find(|&key| a.value(key) != b.value(key))?;
        let text = |value: Option<&Value>| value.map_or("absent".to_string(), |v| json_value(v).to_string());
        Some(format!("{} of network {index}: {} there, {} now", key.name(), text(a.value(key)), text(b.value(key))))
    })
}
