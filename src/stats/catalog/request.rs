//! From the words of a sweep file (`basic`, `full`, quantities, groups, statistics, column names) to columns.

use super::{CATALOG, Level, StatisticRow, derived, moments};

/// A word that names no statistic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown statistic `{name}`{hint} (gradsweep list statistics)")]
pub struct UnknownStatistic {
    pub name: String,
    /// The way out: `; did you mean ...?`, or why the name has no column, or nothing.
    pub hint: String,
}

/// The columns that a request names, in catalog order, each once. A word is `basic`, `full`, a column, a quantity or
/// group (its basic columns, or those on request), or a statistic (`rms`: that of every quantity).
pub fn columns<S: AsRef<str>>(request: &[S]) -> Result<Vec<&'static StatisticRow>, UnknownStatistic> {
    let mut wanted = vec![false; CATALOG.len()];
    for word in request {
        let word = word.as_ref();
        let mut known = false;
        for (row, wanted) in CATALOG.iter().zip(&mut wanted) {
            let hit = names(word, row);
            *wanted |= hit;
            known |= hit;
        }
        if !known {
            return Err(unknown(word));
        }
    }
    Ok(CATALOG.iter().zip(wanted).filter_map(|(row, wanted)| wanted.then_some(row)).collect())
}

fn names(word: &str, row: &StatisticRow) -> bool {
    match word {
        "full" => row.level != Level::Request,
        "basic" => row.level == Level::Basic,
        _ => row.name == word || row.statistic == word || (row.group == word && row.level != Level::Full),
    }
}

/// Every word that a request may name: columns, `basic` and `full`, quantities, groups, statistics.
pub fn words() -> impl Iterator<Item = &'static str> {
    let words = CATALOG.iter().map(|row| row.name.as_str());
    let words = words.chain(["basic", "full"]).chain(moments::quantities().map(|(name, _, _)| name));
    let words = words.chain(derived::GROUPS.iter().map(|(name, _)| *name));
    words.chain(moments::statistics().map(|(name, _, _, _)| name))
}

fn unknown(name: &str) -> UnknownStatistic {
    let training = name.starts_with("weight_update") || name == "update_ratio";
    let hint = if training {
        " at initialisation: it describes an optimiser's step".to_string()
    } else {
        let nearest = words()
            .map(|word| (strsim::damerau_levenshtein(word, name), word))
            .min_by_key(|&(distance, _)| distance)
            .filter(|&(distance, word)| distance <= 1 + word.len() / 4);
        nearest.map_or(String::new(), |(_, word)| format!("; did you mean `{word}`?"))
    };
    UnknownStatistic { name: name.to_string(), hint }
}
