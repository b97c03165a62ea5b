//! `manifest.json`: what a directory's files are, what they depend on and how far the run has come. Two runs may share
//! a directory exactly when their [`Identity`] is equal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this file's layout.
pub const MANIFEST_VERSION: u32 = 1;

/// What the rows depend on, in comparable pieces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub name: String,
    pub seed: u64,
    pub networks: u64,
    pub sweeps: Vec<SweepIdentity>,
    /// Keys that `layers.csv` repeats.
    pub varying: Vec<String>,
    /// Statistic columns.
    pub columns: Vec<String>,
    /// Recorded layers and anything else that decides rows and cells.
    pub record: BTreeMap<String, String>,
    /// Hash of the resolved plan: every network with its configuration and seed.
    pub plan: String,
    pub precision: String,
    /// Version of the tool's arithmetic.
    pub numerics: u32,
}

/// One sweep of an [`Identity`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepIdentity {
    pub name: String,
    pub networks: u64,
}

impl Identity {
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("strings and numbers always serialise");
        blake3::hash(&bytes).to_hex()[..32].to_string()
    }

    /// What differs, one line each: `self` is the directory's, `other` the new run's.
    pub fn differences(&self, other: &Identity) -> Vec<String> {
        let mut lines = Vec::new();
        let mut scalar = |what: &str, there: String, here: String| {
            if there != here {
                lines.push(format!("{what}: {there} there, {here} now"));
            }
        };
        scalar("name", self.name.clone(), other.name.clone());
        scalar("seed", self.seed.to_string(), other.seed.to_string());
        scalar("precision", self.precision.clone(), other.precision.clone());
        scalar("numerics version", self.numerics.to_string(), other.numerics.to_string());
        scalar("networks", self.networks.to_string(), other.networks.to_string());
        let keys: std::collections::BTreeSet<&String> = self.record.keys().chain(other.record.keys()).collect();
        let value = |map: &BTreeMap<String, String>, key| map.get(key).cloned().unwrap_or_else(|| "absent".to_string());
        for key in keys {
            scalar(key, value(&self.record, key), value(&other.record, key));
        }
        lines.extend(list_difference("varying key", &self.varying, &other.varying));
        lines.extend(list_difference("statistic", &self.columns, &other.columns));
        let names = |identity: &Identity| identity.sweeps.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        lines.extend(list_difference("sweep", &names(self), &names(other)));
        for there in &self.sweeps {
            match other.sweeps.iter().find(|s| s.name == there.name) {
                Some(here) if here.networks != there.networks => lines
                    .push(format!("sweep `{}`: {} networks there, {} now", there.name, there.networks, here.networks)),
                _ => {}
            }
        }
        if lines.is_empty() && self.plan != other.plan {
            lines.push("configurations: its networks have other values of their keys".to_string());
        }
        lines
    }
}

fn list_difference(what: &str, there: &[String], here: &[String]) -> Option<String> {
    if there == here {
        return None;
    }
    let minus = |a: &[String], b: &[String]| a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>();
    let (gone, added) = (minus(there, here), minus(here, there));
    Some(match (gone.is_empty(), added.is_empty()) {
        (true, true) => format!("{what}s: in another order"),
        (false, true) => format!("{what}s: {} only there", gone.join(", ")),
        (true, false) => format!("{what}s: {} only now", added.join(", ")),
        (false, false) => format!("{what}s: {} only there, {} only now", gone.join(", "), added.join(", ")),
    })
}

/// Counts over finished networks, by the words of `networks.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub networks: u64,
    /// Rows of `layers.csv`.
    pub rows: u64,
    pub flops: f64,
    pub status: BTreeMap<String, u64>,
    pub verdict: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.networks += other.networks;
        self.rows += other.rows;
        self.flops += other.flops;
        for (mine, theirs) in [(&mut self.status, &other.status), (&mut self.verdict, &other.verdict)] {
            for (word, count) in theirs {
                *mine.entry(word.clone()).or_default() += count;
            }
        }
    }

    /// Adds one network with its rows of `layers.csv`.
    pub fn add_network(&mut self, rows: u64, flops: f64, status: &str, verdict: Option<&str>) {
        self.networks += 1;
        self.rows += rows;
        self.flops += flops;
        for (counts, word) in [(&mut self.status, Some(status)), (&mut self.verdict, verdict)] {
            let Some(word) = word else { continue };
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.to_string(), 1);
                }
            }
        }
    }

    pub fn failed(&self) -> u64 {
        self.status.get("failed").copied().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Running,
    Complete,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    pub name: String,
    pub bytes: u64,
    /// Lines without the header; absent for files that are no tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    pub blake3: String,
}

/// The content of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema_version: u32,
    /// Name and version of the tool.
    pub tool: String,
    pub state: State,
    /// Hash of `identity`.
    pub identity_hash: String,
    pub identity: Identity,
    /// Settings beside the sweep file, as given on the command line.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Engines that worked on this run, for people.
    pub engines: Vec<String>,
    /// What their numbers depend on; more than one only after `--mixed`.
    pub fingerprints: Vec<String>,
    /// RFC 3339, UTC.
    pub started: String,
    pub finished: Option<String>,
    /// Seconds of work over all sittings that ended in order.
    pub seconds: f64,
    pub counts: Tally,
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// How every manifest begins on disk.
    pub const START: &[u8] = b"{\n  \"schema_version\"";
}

/// Seconds since 1970 as RFC 3339 in UTC (days to date: Howard Hinnant's `civil_from_days`).
pub fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        // `date -u -d @N +%FT%TZ`
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_407_760), "2026-11-23T04:22:40Z");
    }

    #[test]
    fn a_manifest_begins_as_it_is_recognised() {
        let manifest = Manifest {
            schema_version: MANIFEST_VERSION,
            tool: String::new(),
            state: State::Running,
            identity_hash: String::new(),
            identity: Identity::default(),
            settings: Vec::new(),
            engines: Vec::new(),
            fingerprints: Vec::new(),
            started: String::new(),
            finished: None,
            seconds: 0.0,
            counts: Tally::default(),
            files: Vec::new(),
        };
        assert!(serde_json::to_vec_pretty(&manifest).unwrap().starts_with(Manifest::START));
    }

    #[test]
    fn differences_name_what_changed() {
        let sweep = |networks| SweepIdentity { name: "a".into(), networks };
        let there = Identity { seed: 1, sweeps: vec![sweep(3)], columns: vec!["chi".into()], ..Identity::default() };
        let here = Identity { seed: 2, sweeps: vec![sweep(4)], columns: vec!["preact_l2".into()], ..there.clone() };
        assert_eq!(
            there.differences(&here),
            [
                "seed: 1 there, 2 now",
                "statistics: chi only there, preact_l2 only now",
                "sweep `a`: 3 networks there, 4 now"
            ]
        );
        assert_ne!(there.hash(), here.hash());
        assert!(there.differences(&there).is_empty());
        let values = Identity { plan: "other".into(), ..there.clone() };
        assert_eq!(there.differences(&values).len(), 1);
    }
}
