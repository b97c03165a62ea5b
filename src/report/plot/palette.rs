//! Which colour a line or a point of a figure has, and what the legend or the colour bar says of it.

use plotters::style::RGBColor;

use super::super::choice::CHOICES;
use super::super::data::Run;
use super::canvas::{Around, Bar, Entry, Mark};
use super::color::{Coloring, sequential};
use super::select::{distinct, label, telling};

/// Ink of what has no colour of its own.
pub const GREY: RGBColor = RGBColor(0x57, 0x60, 0x6a);

/// Colours of the lines or points of one figure.
pub struct Palette<'a> {
    run: &'a Run,
    /// The configurations that stand for the lines.
    lines: &'a [usize],
    key: Option<usize>,
    each: bool,
    coloring: Coloring,
}

impl<'a> Palette<'a> {
    /// By a key; but a few lines of one colour could not be told apart, so unless that key was asked for, each of a few
    /// gets its own.
    pub fn of_lines(run: &'a Run, lines: &'a [usize], key: Option<usize>, asked: bool) -> Self {
        let few = !asked && lines.len() <= CHOICES.each;
        let each = few && key.is_some_and(|k| distinct(run, lines, k).len() < lines.len());
        let coloring = if each { Coloring::each(lines.len()) } else { Coloring::new(run, lines, key) };
        Palette { run, lines, key, each, coloring }
    }

    /// By a key.
    pub fn of_points(run: &'a Run, shown: &'a [usize], key: Option<usize>) -> Self {
        Palette { run, lines: shown, key, each: false, coloring: Coloring::new(run, shown, key) }
    }

    /// The colour of the `i`-th line.
    pub fn of(&self, i: usize) -> RGBColor {
        match self.key {
            _ if self.each => self.coloring.of(Some(i as u32)),
            Some(k) => self.coloring.of(self.run.configurations[self.lines[i]].values[k]),
            None => self.coloring.of(None),
        }
    }

    /// The symbol of the `i`-th line.
    pub fn symbol(&self, i: usize) -> usize {
        match self.key {
            _ if self.each => self.coloring.symbol(Some(i as u32)),
            Some(k) => self.coloring.symbol(self.run.configurations[self.lines[i]].values[k]),
            None => 0,
        }
    }

    /// Title, legend and colour bar; `mark` makes an entry's mark of its symbol.
    pub fn around(&self, title: &Option<String>, mark: fn(usize) -> Mark) -> Around {
        let mut around = Around { title: title.clone(), ..Around::default() };
        if self.each {
            let keys = telling(self.run, self.lines);
            let text = |i: usize| label(self.run, self.lines[i], &keys);
            let entry = |i: usize| Entry { text: text(i), color: self.of(i), mark: mark(self.symbol(i)) };
            around.legend.extend((0..self.lines.len()).map(entry));
            return around;
        }
        let Some(k) = self.key else { return around };
        let (key, values) = (&self.run.keys[k], self.coloring.values());
        if self.coloring.needs_bar() {
            around.bar = Some(key_bar(self.run, k, values));
            return around;
        }
        around.heading = Some(key.name.clone());
        let entry = |v: &u32| Entry {
            text: key.values[*v as usize].clone(),
            color: self.coloring.of(Some(*v)),
            mark: mark(self.coloring.symbol(Some(*v))),
        };
        around.legend.extend(values.iter().map(entry));
        around
    }
}

/// A colour bar of the values of a key, which are coloured by rank.
fn key_bar(run: &Run, k: usize, values: &[u32]) -> Bar {
    let last = values.len() - 1;
    let mut places: Vec<usize> = (0..=4).map(|i| i * last / 4).collect();
    places.dedup();
    let tick = |i: usize| (i as f64 / last.max(1) as f64, run.keys[k].values[values[i] as usize].clone());
    Bar { label: run.keys[k].name.clone(), ticks: places.into_iter().map(tick).collect(), color: sequential }
}
