//! A look at a run as lines of text: a few configurations, chosen as figure (a) does, and of each its gradient from the
//! first layer to the last as a row of bars on a common scale. Where curves were not recorded, one bar for all layers.

use super::data::{DEAD, Run, metric};
use super::plot::select::{Slice, label, preferred, slice, telling};

/// Most lines shown.
const LINES: usize = 8;
/// Bars of a line.
const BARS: usize = 32;

/// The characters of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bars of block characters, for a terminal.
    Blocks,
    /// ASCII alone, for files and logs, whatever reads them.
    Ascii,
}

impl Style {
    /// From the lowest to the highest.
    fn levels(self) -> [char; 8] {
        match self {
            Style::Blocks => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Style::Ascii => ['.', ':', '-', '=', '+', '*', '#', '@'],
        }
    }

    /// Where the gradient is exactly zero in half of the networks or more.
    fn extinct(self) -> char {
        if self == Style::Blocks { '×' } else { 'x' }
    }
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// A line each.
    pub lines: Vec<usize>,
    slice: Slice,
    /// Most networks of a line whose layers are read; `None`: all.
    pub seeds: Option<u32>,
}

/// Chooses by `networks.csv` alone; `None` where no network has a gradient to speak of.
pub fn choose(run: &Run) -> Option<Chosen> {
    let ratio = metric("log10_grad_ratio_total");
    let has_gradient = |c: &usize| {
        let spread = run.configurations[*c].metrics[ratio];
        spread.known + spread.zeros > 0
    };
    let pool: Vec<usize> = (0..run.configurations.len()).filter(has_gradient).collect();
    let free: Vec<usize> = preferred(run).first().copied().into_iter().collect();
    let slice = slice(run, pool, &free, &[], |shown| shown.len() <= LINES).ok()?;
    // Where one key alone has more values than there are lines, some of them, evenly spread.
    let count = slice.shown.len().min(LINES);
    let last = slice.shown.len() - 1;
    let lines = (0..count).map(|i| slice.shown[i * last / (count - 1).max(1)]).collect();
    Some(Chosen { lines, slice, seeds: None })
}

/// Lines of text, from the profiles of the chosen configurations as far as they are there.
pub fn draw(run: &Run, chosen: &Chosen, style: Style) -> Vec<String> {
    let levels = style.levels();
    let curves: Vec<Vec<Option<f64>>> = chosen.lines.iter().map(|c| curve(run, *c)).collect();
    let recorded = curves.iter().any(|curve| !curve.is_empty());
    let pictures: Vec<(String, Option<f64>)> = if recorded {
        let known = || curves.iter().flatten().copied().flatten();
        let (low, high) = known().fold((0f64, 0f64), |(low, high), y| (low.min(y), high.max(y)));
        let span = (high - low).max(0.5);
        let level = |y: f64| levels[(((y - low) / span) * 7.0).round().clamp(0.0, 7.0) as usize];
        let bars = |curve: &[Option<f64>]| curve.iter().map(|y| y.map_or(style.extinct(), level)).collect();
        curves.iter().map(|curve| (bars(curve), curve.first().copied().flatten())).collect()
    } else {
        let changes: Vec<Option<f64>> = chosen.lines.iter().map(|c| change(run, *c)).collect();
        let most = changes.iter().flatten().fold(0.5f64, |most, y| most.max(y.abs()));
        let bar = |y: f64| levels[7].to_string().repeat((BARS as f64 * y.abs() / most).round() as usize);
        changes.iter().map(|y| (y.map_or(style.extinct().to_string(), bar), *y)).collect()
    };
    let mut keys = telling(run, &chosen.lines);
    if chosen.lines.len() == 1 {
        // Nothing tells one network apart: what it is called by then.
        keys = ["activation", "init", "depth"].into_iter().filter_map(|name| run.key(name)).collect();
    }
    let labels: Vec<String> = chosen.lines.iter().map(|c| label(run, *c, &keys)).collect();
    let longest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|t| t.chars().count()).max().unwrap_or(0);
    let (wide, long) = (longest(&mut labels.iter()), longest(&mut pictures.iter().map(|p| &p.0)));

    let held = chosen.slice.held_text(run);
    let mut lines = vec![match recorded {
        true => format!("log10 |dLoss/dz| from the first layer to the last{held}:"),
        false => format!("log10 |dLoss/dz| of the first layer against the last{held}:"),
    }];
    for ((c, label), (picture, change)) in chosen.lines.iter().zip(&labels).zip(&pictures) {
        let change = change.map_or("dead".to_string(), |y| format!("{y:+.1}"));
        let gap = |text: &str, width: usize| " ".repeat(width - text.chars().count());
        let configuration = &run.configurations[*c];
        let dead = match configuration.outcomes[DEAD] {
            0 => String::new(),
            dead => format!("  {dead} of {} dead", configuration.networks),
        };
        let (after, behind) = (gap(label, wide), gap(picture, long));
        lines.push(format!("  {}{after}  {picture}{behind}  {change}{dead}", printable(label)));
    }
    let seeds = match chosen.seeds {
        Some(n) if recorded && chosen.lines.iter().any(|c| run.configurations[*c].networks > n) => {
            if n == 1 {
                "the first seed".to_string()
            } else {
                format!("the first {n} seeds")
            }
        }
        _ => "seeds".to_string(),
    };
    let between = match chosen.slice.shown.len() - chosen.lines.len() {
        0 => String::new(),
        hidden => format!("; {hidden} more lie between"),
    };
    let many = chosen.lines.iter().any(|c| run.configurations[*c].networks > 1);
    let medians = if many { format!(", medians over {seeds}") } else { String::new() };
    let scale = match style {
        Style::Ascii if recorded => format!(" ({} lowest, {} highest)", levels[0], levels[7]),
        _ => String::new(),
    };
    lines.push(format!("  decades against the last hidden layer{medians}{between}{scale}"));
    lines
}

/// log10 |delta_l| / |delta_L| at evenly spread layers; empty where they are not known.
fn curve(run: &Run, c: usize) -> Vec<Option<f64>> {
    let profile = run.configurations[c].profile.as_ref().filter(|p| !p.gradient.median.is_empty());
    let Some(profile) = profile else { return Vec::new() };
    let last = profile.layers.len() - 1;
    let end = profile.gradient.median(last);
    let bars = BARS.min(profile.layers.len());
    let at = |i: usize| Some(profile.gradient.median(i * last / (bars - 1).max(1))? - end?);
    (0..bars).map(at).collect()
}

/// The same at the first layer, from `networks.csv`.
fn change(run: &Run, c: usize) -> Option<f64> {
    Some(run.configurations[c].metrics[metric("log10_grad_ratio_total")].median.get()? / 2.0)
}

/// Names without control characters, which a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::{Band, Configuration, Key, METRICS, Profile};
    use super::super::spread::{Number, Spread};
    use super::*;

    fn metrics(ratio: Option<f64>) -> Vec<Spread> {
        let (known, zeros) = if ratio.is_some() { (2, 0) } else { (0, 2) };
        let mut metrics = vec![Spread::default(); METRICS.len()];
        metrics[metric("log10_grad_ratio_total")] = Spread { median: Number(ratio), known, zeros, ..Spread::default() };
        metrics
    }

    fn glance(run: &Run) -> Vec<String> {
        choose(run).map_or(Vec::new(), |chosen| draw(run, &chosen, Style::Blocks))
    }

    fn run(curves: &[&[Option<f64>]]) -> Run {
        let values = (0..curves.len()).map(|i| format!("a{i}\u{1b}")).collect();
        let configuration = |(i, curve): (usize, &&[Option<f64>])| Configuration {
            values: vec![Some(i as u32)],
            networks: 2,
            metrics: metrics(curve.first().copied().flatten().map(|y| 2.0 * y)),
            profile: Some(Profile {
                layers: (1..=curve.len() as u32).collect(),
                gradient: Band { median: curve.iter().map(|y| Number(*y)).collect(), ..Band::default() },
                ..Profile::default()
            }),
            ..Configuration::default()
        };
        Run {
            keys: vec![Key { name: "activation".into(), values, ..Key::default() }],
            varying: vec![0],
            configurations: curves.iter().enumerate().map(configuration).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn bars_fall_with_the_gradient_on_a_common_scale() {
        let run = run(&[
            &[Some(-7.0), Some(-3.5), Some(0.0)],
            &[Some(2.0), Some(2.0), Some(2.0)],
            &[None, Some(1.0), Some(1.0)],
        ]);
        let lines = glance(&run);
        assert_eq!(lines[1], "  a0?  ▁▅█  -7.0");
        assert_eq!(lines[2], "  a1?  ███  +0.0");
        assert_eq!(lines[3], "  a2?  ×██  dead");
    }

    #[test]
    fn without_curves_one_bar_stands_for_all_layers() {
        let mut run = run(&[&[Some(-7.0)], &[Some(0.0)], &[Some(3.5)], &[None]]);
        run.configurations.iter_mut().for_each(|c| c.profile = None);
        run.configurations[3].outcomes[DEAD] = 2;
        let lines = glance(&run);
        assert_eq!(lines[1], format!("  a0?  {}  -7.0", "█".repeat(32)));
        assert_eq!(lines[2], format!("  a1?  {}  +0.0", " ".repeat(32)));
        assert_eq!(lines[3], format!("  a2?  {}{}  +3.5", "█".repeat(16), " ".repeat(16)));
        assert_eq!(lines[4], format!("  a3?  ×{}  dead  2 of 2 dead", " ".repeat(31)));
    }

    #[test]
    fn a_network_of_one_layer_is_its_own_measure() {
        let mut run = run(&[&[Some(1.0)]]);
        run.varying.clear();
        run.configurations[0].networks = 1;
        let lines = glance(&run);
        assert_eq!(lines[1], "  a0?  ▁  +0.0", "a network alone is called by what it is");
        assert!(lines[2].ends_with("against the last hidden layer"), "{}", lines[2]);
    }

    #[test]
    fn off_a_terminal_a_look_is_plain_ascii() {
        let run = run(&[&[Some(-7.0), Some(-3.5), Some(0.0)], &[None, Some(0.0), Some(0.0)]]);
        let lines = draw(&run, &choose(&run).unwrap(), Style::Ascii);
        assert_eq!([&lines[1], &lines[2]], ["  a0?  .+@  -7.0", "  a1?  x@@  dead"]);
        assert!(lines.concat().is_ascii(), "{lines:?}");
    }

    #[test]
    fn where_seeds_are_too_many_to_be_read_the_first_are_named() {
        let run = run(&[&[Some(-7.0), Some(0.0)], &[Some(2.0), Some(2.0)]]);
        let chosen = choose(&run).unwrap();
        let last = |seeds| draw(&run, &Chosen { seeds, ..chosen.clone() }, Style::Blocks).pop().unwrap();
        assert!(last(Some(1)).ends_with("medians over the first seed"), "{}", last(Some(1)));
        assert_eq!(last(Some(2)), last(None));
    }

    #[test]
    fn without_networks_there_is_nothing_to_show() {
        assert!(glance(&Run::default()).is_empty());
    }
}
