//! A look at a run on the terminal: one line per configuration of figure (a), its gradient from the first layer to the
//! last as a row of bars on a common scale.

use super::data::Run;
use super::plot::select::{distinct, label, preferred, slice, telling};

/// Most lines shown.
const LINES: usize = 8;
/// Bars of a line.
const BARS: usize = 32;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Where the gradient is exactly zero in more than half of the networks.
const DEAD: char = '×';

/// Lines of text; empty where there is nothing to see.
pub fn glance(run: &Run) -> Vec<String> {
    let has_curve = |c: &usize| run.configurations[*c].profile.as_ref().is_some_and(|p| p.gradient.median.len() > 2);
    let pool: Vec<usize> = (0..run.configurations.len()).filter(has_curve).collect();
    if pool.is_empty() {
        return Vec::new();
    }
    let color = preferred(run).first().copied();
    let free: Vec<usize> = color.into_iter().collect();
    let Ok(chosen) = slice(run, pool, &free, &[], |shown| shown.len() <= LINES) else { return Vec::new() };
    // Where one key alone has more values than there are lines, some of them, evenly spread.
    let count = chosen.shown.len().min(LINES);
    let last = chosen.shown.len() - 1;
    let shown: Vec<usize> =
        (0..count).map(|i| chosen.shown[if count > 1 { i * last / (count - 1) } else { 0 }]).collect();

    let curves: Vec<Vec<Option<f64>>> = shown.iter().map(|c| curve(run, *c)).collect();
    let known = || curves.iter().flatten().copied().flatten();
    let (low, high) = known().fold((0f64, 0f64), |(low, high), y| (low.min(y), high.max(y)));
    let span = (high - low).max(0.5);
    let bar = |y: &Option<f64>| y.map_or(DEAD, |y| LEVELS[(((y - low) / span) * 7.0).round().clamp(0.0, 7.0) as usize]);
    let keys = telling(run, &shown);
    let labels: Vec<String> = shown.iter().map(|c| label(run, *c, &keys)).collect();
    let width = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);

    let mut lines = vec![format!("log10 |dLoss/dz| from the first layer to the last{}:", chosen.held_text(run))];
    for ((c, label), curve) in shown.iter().zip(&labels).zip(&curves) {
        let bars: String = curve.iter().map(bar).collect();
        let change = curve[0].map_or("dead".to_string(), |y| format!("{y:+.1}"));
        let gap = " ".repeat(width - label.chars().count());
        let dead = run.configurations[*c].outcomes[3];
        let dead =
            if dead > 0 { format!("  {dead} of {} dead", run.configurations[*c].networks) } else { String::new() };
        lines.push(format!("  {}{gap}  {bars}  {change}{dead}", printable(label)));
    }
    let hidden = chosen.shown.len() - count;
    let spread_out = if color.is_some_and(|k| distinct(run, &chosen.shown, k).len() > 1) && hidden > 0 {
        format!("; {hidden} more lie between")
    } else {
        String::new()
    };
    lines.push(format!("  decades against the last hidden layer, medians over seeds{spread_out}"));
    lines
}

/// log10 |delta_l| / |delta_L| at evenly spread layers.
fn curve(run: &Run, c: usize) -> Vec<Option<f64>> {
    let Some(profile) = &run.configurations[c].profile else { return Vec::new() };
    let last = profile.layers.len() - 1;
    let end = profile.gradient.median(last);
    let bars = BARS.min(profile.layers.len());
    let at = |i: usize| Some(profile.gradient.median(i * last / (bars - 1))? - end?);
    (0..bars).map(at).collect()
}

/// Names without control characters, which a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::{Band, Configuration, Key, Profile};
    use super::super::spread::Number;
    use super::*;

    fn run(curves: &[&[Option<f64>]]) -> Run {
        let values = (0..curves.len()).map(|i| format!("a{i}\u{1b}")).collect();
        let configuration = |(i, curve): (usize, &&[Option<f64>])| Configuration {
            values: vec![Some(i as u32)],
            networks: 2,
            profile: Some(Profile {
                layers: (1..=curve.len() as u32).collect(),
                gradient: Band { median: curve.iter().map(|y| Number(*y)).collect(), ..Band::default() },
                ..Profile::default()
            }),
            ..Configuration::default()
        };
        Run {
            keys: vec![Key { name: "activation".into(), values, numbers: None }],
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
    fn a_run_without_curves_has_nothing_to_show() {
        assert!(glance(&Run::default()).is_empty());
        assert!(glance(&run(&[&[Some(1.0)]])).is_empty());
    }
}
