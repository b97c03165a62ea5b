//! Which colour a line or a point of a figure has, and what the legend or the colour bar says of it.

use std::collections::BTreeMap;

use plotters::style::RGBColor;

use super::super::data::Run;
use super::canvas::{Around, Bar, Entry, Mark};
use super::color::{Coloring, sequential};
use super::select::{label, preferred, taken, telling};

/// Ink of what has no colour of its own.
pub const GREY: RGBColor = RGBColor(0x57, 0x60, 0x6a);

/// Lines of one colour, where colours do not go by one key.
struct Groups {
    /// What tells groups apart.
    keys: Vec<usize>,
    /// Of every line.
    of: Vec<u32>,
    /// The first line of every group.
    heads: Vec<usize>,
}

impl Groups {
    /// Lines with the same values of `keys` are a group.
    fn new(run: &Run, lines: &[usize], keys: Vec<usize>) -> Self {
        let (mut known, mut heads, mut of) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (i, c) in lines.iter().enumerate() {
            let values: Vec<Option<u32>> = keys.iter().map(|k| run.configurations[*c].values[*k]).collect();
            let group = *known.entry(values).or_insert(heads.len() as u32);
            if group as usize == heads.len() {
                heads.push(i);
            }
            of.push(group);
        }
        Groups { keys, of, heads }
    }
}

/// Colours of the lines or points of one figure.
pub struct Palette<'a> {
    run: &'a Run,
    /// The configurations that stand for the lines.
    lines: &'a [usize],
    key: Option<usize>,
    groups: Option<Groups>,
    coloring: Coloring,
    /// Whether these are lines, of which the legend says what it does not tell apart.
    told: bool,
}

impl<'a> Palette<'a> {
    /// By a key; but lines of one colour could not be told apart, so unless that key was asked for, each of a few gets its
    /// own, or those that differ in nothing but a key that is `seen` without colours share one; up to `most` do.
    pub fn of_lines(
        run: &'a Run,
        lines: &'a [usize],
        key: Option<usize>,
        asked: bool,
        seen: Option<usize>,
        most: usize,
    ) -> Self {
        let groups = key.filter(|_| !asked).and_then(|k| {
            let colors = taken(run, lines, k).len();
            let each = Groups::new(run, lines, telling(run, lines));
            let alike = || {
                let keys = each.keys.iter().copied().filter(|k| Some(*k) != seen).collect();
                Groups::new(run, lines, keys)
            };
            let groups = if lines.len() <= most { each } else { alike() };
            (colors < groups.heads.len() && groups.heads.len() <= most).then_some(groups)
        });
        let coloring = match &groups {
            Some(groups) => Coloring::each(groups.heads.len()),
            None => Coloring::new(run, lines, key),
        };
        Palette { run, lines, key, groups, coloring, told: true }
    }

    /// By a key.
    pub fn of_points(run: &'a Run, shown: &'a [usize], key: Option<usize>) -> Self {
        Palette { run, lines: shown, key, groups: None, coloring: Coloring::new(run, shown, key), told: false }
    }

    /// The keys in which lines of one colour differ, which no entry of the legend names.
    fn unnamed(&self) -> Vec<usize> {
        let mut keys = Vec::new();
        for i in 0..self.lines.len() {
            let alike: Vec<usize> =
                (0..self.lines.len()).filter(|j| self.value(*j) == self.value(i)).map(|j| self.lines[j]).collect();
            keys.extend(telling(self.run, &alike));
        }
        let unnamed = |k: &usize| keys.contains(k);
        if self.told { preferred(self.run).into_iter().filter(unnamed).collect() } else { Vec::new() }
    }

    fn value(&self, i: usize) -> Option<u32> {
        match (&self.groups, self.key) {
            (Some(groups), _) => Some(groups.of[i]),
            (None, Some(k)) => self.run.configurations[self.lines[i]].values[k],
            (None, None) => None,
        }
    }

    /// The colour of the `i`-th line.
    pub fn of(&self, i: usize) -> RGBColor {
        self.coloring.of(self.value(i))
    }

    /// The symbol of the `i`-th line.
    pub fn symbol(&self, i: usize) -> usize {
        if self.key.is_some() { self.coloring.symbol(self.value(i)) } else { 0 }
    }

    /// Title, legend and colour bar; `mark` makes an entry's mark of its symbol.
    pub fn around(&self, title: &Option<String>, mark: fn(usize) -> Mark) -> Around {
        let mut around = self.entries(title, mark);
        let names: Vec<&str> = self.unnamed().into_iter().map(|k| self.run.keys[k].name.as_str()).collect();
        if !names.is_empty() {
            let text = format!("one colour, several {}", names.join(", "));
            around.legend.push(Entry { text, color: GREY, mark: Mark::Nothing });
        }
        around
    }

    fn entries(&self, title: &Option<String>, mark: fn(usize) -> Mark) -> Around {
        let mut around = Around { title: title.clone(), ..Around::default() };
        if let Some(groups) = &self.groups {
            around.heading = words(self.run, &groups.keys);
            let text = |i: usize| label(self.run, self.lines[i], &groups.keys);
            let entry = |i: &usize| Entry { text: text(*i), color: self.of(*i), mark: mark(self.symbol(*i)) };
            around.legend.extend(groups.heads.iter().map(entry));
            return around;
        }
        let Some(k) = self.key else {
            let entry = Entry { text: "measured".to_string(), color: self.of(0), mark: mark(0) };
            around.legend.push(entry);
            return around;
        };
        let (key, values) = (&self.run.keys[k], self.coloring.values());
        if self.coloring.needs_bar() {
            around.bar = Some(key_bar(self.run, k, values));
            return around;
        }
        around.heading = Some(key.name.clone());
        let entry = |v: &u32| Entry {
            text: key.text(*v).to_string(),
            color: self.coloring.of(Some(*v)),
            mark: mark(self.coloring.symbol(Some(*v))),
        };
        around.legend.extend(values.iter().map(entry));
        around
    }
}

/// The names of the keys whose values are words; numbers stand beside theirs.
fn words(run: &Run, keys: &[usize]) -> Option<String> {
    let words = keys.iter().map(|k| &run.keys[*k]).filter(|key| key.numbers.is_none());
    let names: Vec<&str> = words.map(|key| key.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// A colour bar of the values of a key, which are coloured by rank.
fn key_bar(run: &Run, k: usize, values: &[u32]) -> Bar {
    let last = values.len() - 1;
    let mut places: Vec<usize> = (0..=4).map(|i| i * last / 4).collect();
    places.dedup();
    let tick = |i: usize| (i as f64 / last.max(1) as f64, run.keys[k].text(values[i]).to_string());
    Bar { label: run.keys[k].name.clone(), ticks: places.into_iter().map(tick).collect(), color: sequential }
}

#[cfg(test)]
mod tests {
    use super::super::super::data::{Configuration, Key};
    use super::*;

    /// Two activations over `depths` depths, one with a second init.
    fn run(depths: u32) -> Run {
        let key = |name: &str, values: &[&str]| Key {
            name: name.into(),
            values: values.iter().map(|v| v.to_string()).collect(),
            numbers: values.iter().map(|v| v.parse().ok()).collect(),
            ..Key::default()
        };
        let numbers = ["4", "5", "6", "7", "8", "9"];
        let keys = vec![
            key("depth", &numbers[..depths as usize]),
            key("activation", &["relu", "tanh"]),
            key("init", &["a", "b"]),
        ];
        let values = [[0, 0], [1, 0], [1, 1]].into_iter().flat_map(|[a, i]| (0..depths).map(move |d| [d, a, i]));
        let configuration = |v: [u32; 3]| Configuration { values: v.map(Some).to_vec(), ..Configuration::default() };
        Run { keys, varying: vec![0, 1, 2], configurations: values.map(configuration).collect(), ..Run::default() }
    }

    fn legend(run: &Run, asked: bool, seen: Option<usize>) -> (Option<String>, Vec<String>) {
        let lines: Vec<usize> = (0..run.configurations.len()).collect();
        let around = Palette::of_lines(run, &lines, Some(1), asked, seen, 8).around(&None, Mark::Marked);
        (around.heading, around.legend.into_iter().map(|entry| entry.text).collect())
    }

    #[test]
    fn many_lines_are_coloured_by_all_that_tells_them_apart_but_what_is_seen() {
        let many = run(6);
        let heading = Some("activation, init".to_string());
        let with = |entries: &[&str], keys: &str| -> Vec<String> {
            let note = format!("one colour, several {keys}");
            entries.iter().map(|e| e.to_string()).chain([note]).collect()
        };
        let groups = with(&["relu, a", "tanh, a", "tanh, b"], "depth");
        assert_eq!(legend(&many, false, Some(0)), (heading, groups));
        // Where nothing is seen, or a key was asked for, by the key alone.
        let key = (Some("activation".to_string()), with(&["relu", "tanh"], "init, depth"));
        assert_eq!(legend(&many, false, None), key);
        assert_eq!(legend(&many, true, Some(0)), key);
    }

    #[test]
    fn the_only_network_is_what_was_measured() {
        let around = Palette::of_lines(&run(1), &[0], None, false, None, 8).around(&None, Mark::Marked);
        assert_eq!(around.legend.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(), ["measured"]);
    }

    #[test]
    fn a_legend_by_configuration_names_its_keys() {
        let (heading, entries) = legend(&run(2), false, Some(0));
        assert_eq!(heading.as_deref(), Some("activation, init"));
        assert_eq!((entries.len(), entries[0].as_str()), (6, "relu, a, depth 4"));
    }
}
