//! Which configurations a static figure shows, by the page's rule: those with the wished values, and of these as few as
//! the figure can carry, by holding one key after the other. Configurations are never merged.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ReportError;
use super::super::choice::{CHOICES, rank};
use super::super::data::Run;
use crate::config::did_you_mean;
use crate::run::human;

/// Varying keys, the likeliest to colour by first.
pub fn preferred(run: &Run) -> Vec<usize> {
    let mut keys = run.varying.clone();
    keys.sort_by_key(|k| rank(&CHOICES.colored, &run.keys[*k].name));
    keys
}

/// The column of a key: the sweep file's `loss` is `loss_function` in tables, where `loss` is the number.
fn column(name: &str) -> &str {
    if name == "loss" { "loss_function" } else { name }
}

/// The varying key `name`.
pub fn key(run: &Run, name: &str) -> Result<usize, ReportError> {
    let found = run.varying.iter().copied().find(|k| run.keys[*k].name == column(name));
    found.ok_or_else(|| {
        if run.varying.is_empty() {
            return ReportError::Usage(format!(
                "no key varies in this run, so `{name}` cannot span a figure; leave it out"
            ));
        }
        let names: Vec<&str> = run.varying.iter().map(|k| run.keys[*k].name.as_str()).collect();
        let hint = did_you_mean(name, names.iter().copied());
        let hint = if hint.is_empty() { format!("; these do: {}", names.join(", ")) } else { hint };
        match run.key(column(name)) {
            Some(_) => {
                ReportError::Usage(format!("key `{name}` has one value in this run and cannot span a figure{hint}"))
            }
            None => ReportError::Usage(format!("no key `{name}` varies in this run{hint}")),
        }
    })
}

/// The key `name`, whether it varies or not.
fn any_key(run: &Run, name: &str) -> Result<usize, ReportError> {
    run.key(column(name)).ok_or_else(|| {
        let names: Vec<&str> = run.keys.iter().map(|key| key.name.as_str()).collect();
        let hint = did_you_mean(name, names.iter().copied());
        let hint = if hint.is_empty() { format!("; these do: {}", names.join(", ")) } else { hint };
        ReportError::Usage(format!("no network of this run has a key `{name}`{hint}"))
    })
}

/// The configurations shown, and the keys that were held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    pub shown: Vec<usize>,
    /// Key and value.
    pub held: BTreeMap<usize, Option<u32>>,
}

impl Slice {
    /// ` at depth = 64, init = he_normal`; empty if nothing is held.
    pub fn held_text(&self, run: &Run) -> String {
        let text = |k: usize, v: u32| format!("{} = {}", run.keys[k].name, run.keys[k].values[v as usize]);
        let parts: Vec<String> = self.held.iter().filter_map(|(k, v)| Some(text(*k, (*v)?))).collect();
        if parts.is_empty() { String::new() } else { format!(" at {}", parts.join(", ")) }
    }
}

/// Chooses among `pool`: keys of `hold` first, then until the rest `fits` the keys that leave the most to see of the free
/// ones, that apply everywhere, that have the most values.
pub fn slice(
    run: &Run,
    pool: Vec<usize>,
    free: &[usize],
    hold: &[(String, String)],
    fits: impl Fn(&[usize]) -> bool,
) -> Result<Slice, ReportError> {
    slice_valued(run, pool, free, hold, fits, |_| true)
}

/// The same, where what there is to see is above all what has a value to show, which `valued` knows of a configuration.
pub fn slice_valued(
    run: &Run,
    pool: Vec<usize>,
    free: &[usize],
    hold: &[(String, String)],
    fits: impl Fn(&[usize]) -> bool,
    valued: impl Fn(usize) -> bool,
) -> Result<Slice, ReportError> {
    let mut slice = Slice { shown: pool, held: BTreeMap::new() };
    for (name, value) in hold {
        let k = any_key(run, name)?;
        let same = |text: &String| text == value || text.parse::<f64>().ok().is_some_and(|x| value.parse() == Ok(x));
        let Some(v) = run.keys[k].values.iter().position(same) else {
            let hint = format!("; it has {}", run.keys[k].values.join(", "));
            return Err(ReportError::Usage(format!("`{name}` is never `{value}` in this run{hint}")));
        };
        // Of a key that has this value everywhere there is nothing to say.
        if run.configurations.iter().any(|c| c.values[k] != Some(v as u32)) {
            slice.hold(run, k, Some(v as u32));
        }
    }
    if slice.shown.is_empty() {
        return Err(ReportError::Usage("no configuration of this run has all the values given".to_string()));
    }
    while !fits(&slice.shown) {
        let values = |k: usize| taken(run, &slice.shown, k);
        let open = |k: &&usize| !free.contains(k) && !slice.held.contains_key(k);
        let choices = run.varying.iter().filter(open).map(|k| (*k, values(*k))).filter(|(_, v)| v.len() > 1);
        let worth = |(k, values): (usize, Vec<Option<u32>>)| {
            let (applies, count) = (!values.contains(&None), values.len());
            let (best, left) = widest(run, &slice.shown, k, values, free, &valued);
            ((left, applies, count), k, best)
        };
        // The first of the best.
        let best = choices.map(worth).reduce(|best, next| if next.0 > best.0 { next } else { best });
        let Some((_, k, values)) = best else { break };
        let v = usual(run, &slice.shown, k, &values);
        slice.hold(run, k, v);
    }
    Ok(slice)
}

impl Slice {
    fn hold(&mut self, run: &Run, k: usize, v: Option<u32>) {
        self.shown.retain(|c| run.configurations[*c].values[k] == v);
        self.held.insert(k, v);
    }
}

/// Positions of the values that key `k` takes.
pub fn distinct(run: &Run, configurations: &[usize], k: usize) -> Vec<u32> {
    let mut values: Vec<u32> = configurations.iter().filter_map(|c| run.configurations[*c].values[k]).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The same with `None` at the end, if the key does not apply to some.
pub fn taken(run: &Run, configurations: &[usize], k: usize) -> Vec<Option<u32>> {
    let mut values: Vec<Option<u32>> = distinct(run, configurations, k).into_iter().map(Some).collect();
    if configurations.iter().any(|c| run.configurations[*c].values[k].is_none()) {
        values.push(None);
    }
    values
}

/// Those of the values of key `k` that leave the most to see of the free keys, and how much that is: with a value, and at
/// all.
fn widest(
    run: &Run,
    configurations: &[usize],
    k: usize,
    values: Vec<Option<u32>>,
    free: &[usize],
    valued: &dyn Fn(usize) -> bool,
) -> (Vec<Option<u32>>, (usize, usize)) {
    let left = |v: &Option<u32>| {
        let those = || configurations.iter().copied().filter(|c| run.configurations[*c].values[k] == *v);
        let place = |c: usize| free.iter().map(|f| run.configurations[c].values[*f]).collect::<Vec<_>>();
        let [shown, all] = [those().filter(|c| valued(*c)).map(place).collect(), those().map(place).collect()];
        (BTreeSet::len(&shown), BTreeSet::len(&all))
    };
    let most = values.iter().map(left).max().unwrap_or((0, 0));
    (values.into_iter().filter(|v| left(v) == most).collect(), most)
}

/// Of depths the largest, of other numbers the middle one, of words the most frequent.
fn usual(run: &Run, configurations: &[usize], k: usize, values: &[Option<u32>]) -> Option<u32> {
    let proper: Vec<u32> = values.iter().copied().flatten().collect();
    if run.keys[k].numbers.is_some() && !proper.is_empty() {
        let place = if run.keys[k].name == "depth" { proper.len() - 1 } else { (proper.len() - 1) / 2 };
        return Some(proper[place]);
    }
    let frequency = |v: Option<u32>| configurations.iter().filter(|c| run.configurations[**c].values[k] == v).count();
    values.iter().copied().rev().max_by_key(|v| frequency(*v)).flatten()
}

/// The keys that tell these configurations apart: no more than it takes, the likeliest first.
pub fn telling(run: &Run, shown: &[usize]) -> Vec<usize> {
    let mut keys = Vec::new();
    let groups = |keys: &[usize]| {
        let tuple = |c: &usize| keys.iter().map(|k| run.configurations[*c].values[*k]).collect::<Vec<_>>();
        shown.iter().map(tuple).collect::<BTreeSet<_>>().len()
    };
    for k in preferred(run) {
        let with: Vec<usize> = keys.iter().copied().chain([k]).collect();
        if groups(&with) > groups(&keys) {
            keys = with;
        }
    }
    keys
}

/// The values of `keys` of a configuration.
pub fn label(run: &Run, c: usize, keys: &[usize]) -> String {
    let configuration = &run.configurations[c];
    let text = |k: &usize| {
        let key = &run.keys[*k];
        let value = configuration.values[*k].map_or("", |v| key.text(v));
        if key.numbers.is_some() { format!("{} {value}", key.name) } else { value.to_string() }
    };
    let parts: Vec<String> = keys.iter().filter(|k| configuration.values[**k].is_some()).map(text).collect();
    parts.join(", ")
}

/// `3 of 64 networks`: how many of those shown are dead; `None` where none is.
pub fn dead(run: &Run, shown: &[usize]) -> Option<String> {
    let (dead, all) = run.deaths(shown);
    (dead > 0).then(|| format!("{dead} of {}", human::plural(u64::from(all), "network")))
}

/// The same at the end of a sentence.
pub fn dead_text(run: &Run, shown: &[usize]) -> String {
    match (dead(run, shown), run.deaths(shown)) {
        (None, _) => ", no network is dead".to_string(),
        (Some(text), (1, _)) => format!(", {text} is dead"),
        (Some(text), _) => format!(", {text} are dead"),
    }
}

/// Why there is no figure where every network is dead; `None` where one is not.
pub fn all_dead(run: &Run, shown: &[usize]) -> Option<String> {
    let (dead, all) = run.deaths(shown);
    (dead == all && all > 0).then(|| {
        let subject = if all == 1 { "the one network here is".to_string() } else { format!("all {all} networks here are") };
        format!(
            "{subject} dead: the gradient is exactly zero, which has neither a depth nor a factor; `--kind gradient` shows \
             where it is zero"
        )
    })
}

/// The same where some are, in brackets.
pub fn some_dead(run: &Run, shown: &[usize]) -> String {
    let are = if run.deaths(shown).0 == 1 { "is" } else { "are" };
    dead(run, shown).map_or(String::new(), |text| format!(" ({text} {are} dead)"))
}

#[cfg(test)]
mod tests {
    use super::super::super::data::{Configuration, Key};
    use super::*;

    /// Two activations, three inits, four depths.
    fn run() -> Run {
        let key = |name: &str, values: &[&str]| Key {
            name: name.into(),
            values: values.iter().map(|v| v.to_string()).collect(),
            numbers: values.iter().map(|v| v.parse().ok()).collect(),
            ..Key::default()
        };
        let keys = vec![
            key("depth", &["2", "4", "8", "16"]),
            key("activation", &["relu", "tanh"]),
            key("init", &["a", "b", "c"]),
            key("width", &["128"]),
        ];
        let mut configurations = Vec::new();
        for i in 0..24u32 {
            let values = vec![Some(i % 4), Some(i / 4 % 2), Some(i / 8), Some(0)];
            configurations.push(Configuration { values, ..Configuration::default() });
        }
        Run { keys, varying: vec![0, 1, 2], configurations, ..Run::default() }
    }

    #[test]
    fn keys_are_held_until_the_lines_fit() {
        let run = run();
        let slice = slice(&run, (0..24).collect(), &[1], &[], |shown| shown.len() <= 6).unwrap();
        assert_eq!((slice.shown.len(), slice.held.clone()), (6, BTreeMap::from([(0, Some(3))])));
        assert_eq!(slice.held_text(&run), " at depth = 16");
        assert_eq!(label(&run, slice.shown[0], &telling(&run, &slice.shown)), "relu, a");
        assert_eq!(preferred(&run), [1, 2, 0]);
    }

    #[test]
    fn wishes_come_first_and_numbers_may_be_spelled_otherwise() {
        let run = run();
        let hold = [("depth".to_string(), "4.0".to_string())];
        let chosen = slice(&run, (0..24).collect(), &[1], &hold, |shown| shown.len() <= 2).unwrap();
        assert_eq!(chosen.held, BTreeMap::from([(0, Some(1)), (2, Some(0))]));
        let refused = |name: &str, value: &str| {
            let hold = [(name.to_string(), value.to_string())];
            slice(&run, (0..24).collect(), &[], &hold, |_| true).unwrap_err().to_string()
        };
        assert_eq!(refused("depth", "5"), "`depth` is never `5` in this run; it has 2, 4, 8, 16");
        assert!(refused("actvation", "relu").contains("did you mean `activation`"), "{}", refused("actvation", "relu"));
        assert_eq!(refused("width", "64"), "`width` is never `64` in this run; it has 128");
        // What all have says nothing, and holds nothing.
        let width = slice(&run, (0..24).collect(), &[], &[("width".to_string(), "128".to_string())], |_| true).unwrap();
        assert_eq!((width.shown.len(), width.held.len()), (24, 0));
        assert!(key(&run, "width").unwrap_err().to_string().starts_with("key `width` has one value"));
    }

    #[test]
    fn what_has_a_value_is_preferred_to_what_is_deep() {
        let run = run();
        let depth_4_or_less = |c: usize| run.configurations[c].values[0].is_some_and(|d| d < 2);
        let few = |shown: &[usize]| shown.len() <= 6;
        let slice = slice_valued(&run, (0..24).collect(), &[1, 2], &[], few, depth_4_or_less).unwrap();
        assert_eq!(slice.held, BTreeMap::from([(0, Some(1))]));
    }
}
