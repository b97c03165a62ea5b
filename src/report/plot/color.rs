//! Colours of the static figures, the page's on white: Okabe and Ito's for words, viridis for numbers, blue to orange
//! around zero.

use plotters::style::RGBColor;

use super::super::choice::CHOICES;
use super::super::data::Run;
use super::select::distinct;
use super::symbol::SYMBOLS;

const WORDS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x8C, 0x6D, 0x31),
    RGBColor(0x7F, 0x7F, 0x7F),
];
const VIRIDIS: [RGBColor; 9] = [
    RGBColor(0x44, 0x01, 0x54),
    RGBColor(0x48, 0x28, 0x78),
    RGBColor(0x3e, 0x49, 0x89),
    RGBColor(0x31, 0x68, 0x8e),
    RGBColor(0x26, 0x82, 0x8e),
    RGBColor(0x1f, 0x9e, 0x89),
    RGBColor(0x35, 0xb7, 0x79),
    RGBColor(0x6e, 0xce, 0x58),
    RGBColor(0xb5, 0xde, 0x2b),
];
/// Most values of a number that stand in a legend; more take a colour bar.
const LEGEND: usize = 12;

fn between(stops: &[RGBColor], t: f64) -> RGBColor {
    let place = t.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let i = (place as usize).min(stops.len() - 2);
    let (a, b, part) = (stops[i], stops[i + 1], place - i as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// `t` from 0 to 1, without the end that vanishes on white.
pub fn sequential(t: f64) -> RGBColor {
    between(&VIRIDIS, 0.95 * t)
}

/// `t` from 0 (blue) over 1/2 to 1 (orange).
pub fn diverging(t: f64) -> RGBColor {
    let stop = |color: &str| {
        let part = |i: usize| u8::from_str_radix(&color[i..i + 2], 16).expect("the table's colours are hexadecimal");
        RGBColor(part(1), part(3), part(5))
    };
    between(&CHOICES.diverging.light.map(stop), t)
}

/// Colours of the values of a key.
pub struct Coloring {
    values: Vec<u32>,
    ordered: bool,
}

impl Coloring {
    pub fn new(run: &Run, shown: &[usize], key: Option<usize>) -> Self {
        let values = key.map_or(Vec::new(), |k| distinct(run, shown, k));
        let ordered = values.len() > 2 && key.is_some_and(|k| run.keys[k].numbers.is_some());
        Coloring { values, ordered }
    }

    /// One colour for each of some lines.
    pub fn each(lines: usize) -> Self {
        Coloring { values: (0..lines as u32).collect(), ordered: false }
    }

    pub fn of(&self, value: Option<u32>) -> RGBColor {
        match value.and_then(|v| self.values.iter().position(|w| *w == v)) {
            Some(i) if self.ordered => sequential(i as f64 / (self.values.len() - 1) as f64),
            Some(i) => WORDS[i % WORDS.len()],
            None if self.values.is_empty() => WORDS[0],
            None => WORDS[7],
        }
    }

    /// The symbol beside the colour: words differ in it, numbers do not.
    pub fn symbol(&self, value: Option<u32>) -> usize {
        match value.and_then(|v| self.values.iter().position(|w| *w == v)) {
            // Where colours begin again symbols do not.
            Some(i) if !self.ordered => i + i / SYMBOLS,
            _ => 0,
        }
    }

    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// Whether the values are too many for a legend.
    pub fn needs_bar(&self) -> bool {
        self.ordered && self.values.len() > LEGEND
    }
}
