//! Figure (c): the depth to which a gradient survives, against a scale of the weights or another key.

use std::collections::BTreeMap;

use super::super::ReportError;
use super::super::choice::{CHOICES, rank};
use super::super::data::{Configuration, DEAD, Run, metric, prediction};
use super::Wish;
use super::axis::Axis;
use super::canvas::{Entry, Mark, figure};
use super::palette::{GREY, Palette};
use super::select::{all_dead, dead, dead_text, distinct, key, preferred, slice_valued, some_dead};
use crate::run::human;

/// How far a figure reaches for predictions beyond what was measured.
const BEYOND: f64 = 3.0;
/// Symbols of predictions that leave it.
const UP: usize = 3;
const DOWN: usize = 4;

/// The first of them along which there are lines, with two points or more on average.
fn scale(run: &Run) -> Option<usize> {
    let worth = |k: &usize| {
        let applies = |c: &usize| run.configurations[*c].values[*k].is_some();
        let with: Vec<usize> = (0..run.configurations.len()).filter(applies).collect();
        let points = with.len() < 2 * lines(run, &with, *k).len();
        (points, rank(&CHOICES.scales, &run.keys[*k].name))
    };
    run.varying.iter().copied().min_by_key(worth)
}

/// Configurations that differ in nothing but key `x`, in its order. Keys that apply to some alone follow from the others
/// where one configuration is left per value of `x`: then they do not cut a line.
fn lines(run: &Run, shown: &[usize], x: usize) -> Vec<Vec<usize>> {
    let others: Vec<usize> = run.varying.iter().copied().filter(|k| *k != x).collect();
    let applies = |k: &usize| shown.iter().all(|c| run.configurations[*c].values[*k].is_some());
    let everywhere: Vec<usize> = others.iter().copied().filter(applies).collect();
    let mut lines = grouped(run, shown, &everywhere);
    if lines.iter().any(|line| distinct(run, line, x).len() < line.len()) {
        lines = grouped(run, shown, &others);
    }
    lines.iter_mut().for_each(|line| line.sort_by_key(|c| run.configurations[*c].values[x]));
    lines
}

fn grouped(run: &Run, shown: &[usize], keys: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<Vec<Option<u32>>, Vec<usize>> = BTreeMap::new();
    for c in shown {
        let group = keys.iter().map(|k| run.configurations[*c].values[*k]).collect();
        groups.entry(group).or_default().push(*c);
    }
    groups.into_values().collect()
}

/// log10 of the predicted depth: |delta| changes by a decade in 2 xi ln 10 layers.
fn predicted(run: &Run, configuration: &Configuration) -> Option<f64> {
    let xi = configuration.predicted[prediction("xi_grad")].get()?;
    Some((1.0 + 2.0 * std::f64::consts::LN_10 * xi * run.threshold?).log10())
}

pub fn draw(run: &Run, wish: &Wish) -> Result<(String, String), ReportError> {
    let asked = wish.x.as_deref().map(|name| key(run, name)).transpose()?;
    let Some(x) = asked.or_else(|| scale(run)) else {
        return Err(ReportError::Usage("this figure takes a key that varies, and this run has none".to_string()));
    };
    let asked = wish.color.as_deref().map(|name| key(run, name)).transpose()?;
    let color = asked.or(preferred(run).into_iter().find(|k| *k != x));
    let free: Vec<usize> = [Some(x), color].into_iter().flatten().collect();
    let m = metric("max_trainable_depth");
    let applies = |c: &usize| run.configurations[*c].values[x].is_some();
    let pool: Vec<usize> = (0..run.configurations.len()).filter(applies).collect();
    let few = |shown: &[usize]| lines(run, shown, x).len() <= CHOICES.lines;
    let valued = |c: usize| run.configurations[c].metrics[m].median.get().is_some();
    let chosen = slice_valued(run, pool, &free, &wish.hold, few, valued)?;
    if chosen.shown.iter().all(|c| run.configurations[*c].metrics[m].median.get().is_none()) {
        let what = match all_dead(run, &chosen.shown) {
            Some(text) => text,
            None => format!(
                "no configuration here has a median max_trainable_depth: it takes three hidden layers with a gradient in \
                 more than half of the networks{}",
                some_dead(run, &chosen.shown)
            ),
        };
        return Err(ReportError::Usage(what));
    }
    let lines = lines(run, &chosen.shown, x);
    let heads: Vec<usize> = lines.iter().map(|line| line[0]).collect();
    let palette = Palette::of_lines(run, &heads, color, asked.is_some(), None, CHOICES.lines);

    let values = distinct(run, &chosen.shown, x);
    let numbers = run.keys[x].numbers.as_ref();
    let place = |c: &Configuration| match numbers {
        Some(_) => run.number(c, x).unwrap_or(f64::NAN),
        None => values.iter().position(|v| Some(*v) == c.values[x]).map_or(f64::NAN, |i| i as f64),
    };
    let words: Vec<String> = values.iter().map(|v| run.keys[x].text(*v).to_string()).collect();
    let name = run.keys[x].name.clone();
    let x_axis = match numbers {
        Some(numbers) => Axis::linear(name.clone(), values.iter().map(|v| numbers[*v as usize])),
        None => Axis::words(name.clone(), &words),
    };
    let bands = lines.len() <= CHOICES.bands;
    let log = |x: Option<f64>| x.filter(|x| *x > 0.0).map(f64::log10);
    let heights = chosen.shown.iter().flat_map(|c| {
        let configuration = &run.configurations[*c];
        let spread = &configuration.metrics[m];
        let band = if bands { [spread.low, spread.high] } else { [spread.median; 2] };
        [log(band[0].get()), log(spread.median.get()), log(band[1].get())]
    });
    let mut heights: Vec<f64> = heights.flatten().collect();
    // Predictions close to the edge of chaos go to infinity: the figure ends somewhat beyond what was measured.
    let measured = heights.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(*y), h.max(*y)));
    let ends = (measured.0 - BEYOND.log10(), measured.1 + BEYOND.log10());
    let forecasts = || chosen.shown.iter().filter_map(|c| predicted(run, &run.configurations[*c]));
    let beyond = forecasts().filter(|y| !(ends.0..=ends.1).contains(y)).count();
    let highest = forecasts().fold(f64::NEG_INFINITY, f64::max);
    heights.extend(forecasts().map(|y| y.clamp(ends.0, ends.1)));
    let threshold = run.threshold.map_or("the threshold".to_string(), |t| format!("{t} decades"));
    let mut y_axis = Axis::logarithmic(format!("layers until |δ| changes by {threshold}"), heights);
    // Crosses stand below the lines, a row for every line that has some.
    let has_dead = |c: &usize| run.configurations[*c].outcomes[DEAD] > 0;
    let (floor, step) = y_axis.below(lines.iter().filter(|line| line.iter().any(has_dead)).count());

    let mut around = palette.around(&wish.title, Mark::Marked);
    if chosen.shown.iter().any(|c| predicted(run, &run.configurations[*c]).is_some()) {
        around.legend.push(Entry { text: "predicted".to_string(), color: GREY, mark: Mark::Dashes });
    }
    if beyond > 0 {
        let text = "prediction beyond the figure".to_string();
        around.legend.push(Entry { text, color: GREY, mark: Mark::Symbol(UP) });
    }
    if let Some(text) = dead(run, &chosen.shown) {
        around.legend.push(Entry { text: format!("dead ({text})"), color: GREY, mark: Mark::Cross });
    }
    let mut row = 0.0;
    let svg = figure(wish.size, (x_axis, y_axis), around, |canvas| {
        for (i, line) in lines.iter().enumerate() {
            let at = |i: &usize| &run.configurations[*i];
            let paint = palette.of(i);
            let spread = |c: &Configuration| c.metrics[m];
            if bands {
                // A quantile that falls on a dead network lies below everything.
                let lowest = |c: &Configuration| (spread(c).zeros > 0).then_some(floor);
                let low = |c: &Configuration| log(spread(c).low.get()).or(lowest(c));
                let band = |c: &Configuration| (place(c), low(c), log(spread(c).high.get()));
                canvas.band(&line.iter().map(|c| band(at(c))).collect::<Vec<_>>(), paint)?;
            }
            let median = |c: &Configuration| (place(c), log(spread(c).median.get()));
            let points: Vec<_> = line.iter().map(|c| median(at(c))).collect();
            canvas.line(&points, paint, 2.0, false)?;
            for (x, y) in &points {
                if let Some(y) = y {
                    canvas.symbol((*x, *y), palette.symbol(i), 3.4, (paint, 1.0))?;
                }
            }
            let dashes: Vec<_> = line.iter().map(|c| (place(at(c)), predicted(run, at(c)))).collect();
            canvas.line(&within(&dashes, ends), paint, 1.6, true)?;
            for (x, y) in dashes.iter().filter_map(|(x, y)| Some((*x, (*y)?))) {
                if y > ends.1 {
                    canvas.symbol((x, ends.1), UP, 4.0, (paint, 1.0))?;
                } else if y < ends.0 {
                    canvas.symbol((x, ends.0), DOWN, 4.0, (paint, 1.0))?;
                }
            }
            row += if line.iter().any(has_dead) { step } else { 0.0 };
            for c in line.iter().filter(|c| has_dead(c)) {
                canvas.cross((place(at(c)), floor - row), paint)?;
            }
        }
        Ok(())
    })?;
    let text = format!(
        "median max_trainable_depth of {} over {name}{}{}{}",
        human::plural(lines.len() as u64, "line"),
        chosen.held_text(run),
        dead_text(run, &chosen.shown),
        left(beyond, highest)
    );
    Ok((svg, text))
}

/// How many predictions leave the figure, at the end of a sentence.
fn left(beyond: usize, highest: f64) -> String {
    let far = format!("the highest at depth {:.3e}", 10f64.powf(highest));
    match beyond {
        0 => String::new(),
        1 => format!(", 1 prediction lies beyond the figure, {far}"),
        n => format!(", {n} predictions lie beyond the figure, {far}"),
    }
}

/// A line as far as it lies between two heights, with a gap wherever it leaves them.
fn within(points: &[(f64, Option<f64>)], (low, high): (f64, f64)) -> Vec<(f64, Option<f64>)> {
    let inside = |y: f64| (low..=high).contains(&y);
    let mut cut = Vec::new();
    for (i, (x, y)) in points.iter().enumerate() {
        if let Some((before, was, y)) = i.checked_sub(1).and_then(|i| Some((points[i].0, points[i].1?, (*y)?)))
            && inside(was) != inside(y)
        {
            let border = if was.min(y) < low { low } else { high };
            cut.push((before + (x - before) * (border - was) / (y - was), Some(border)));
        }
        cut.push((*x, y.filter(|y| inside(*y))));
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::super::super::data::Key;
    use super::*;

    #[test]
    fn a_prediction_ends_where_it_leaves_the_figure() {
        let line =
            [(0.0, Some(1.0)), (1.0, Some(9.0)), (2.0, Some(2.0)), (3.0, None), (4.0, Some(-2.0)), (5.0, Some(2.0))];
        let middle = 1.0 + 5.0 / 7.0;
        let want = [
            (0.0, Some(1.0)),
            (0.375, Some(4.0)),
            (1.0, None),
            (middle, Some(4.0)),
            (2.0, Some(2.0)),
            (3.0, None),
            (4.0, None),
            (4.5, Some(0.0)),
            (5.0, Some(2.0)),
        ];
        let cut = within(&line, (0.0, 4.0));
        assert_eq!(cut.len(), want.len());
        assert!(cut.iter().zip(want).all(|(a, b)| (a.0 - b.0).abs() < 1e-12 && a.1 == b.1), "{cut:?}");
        assert_eq!(left(2, 9.0), ", 2 predictions lie beyond the figure, the highest at depth 1.000e9");
    }

    #[test]
    fn keys_that_follow_from_others_do_not_cut_a_line() {
        let key = |name: &str| Key { name: name.into(), ..Key::default() };
        let configuration =
            |values: [Option<u32>; 3]| Configuration { values: values.to_vec(), ..Configuration::default() };
        // init, activation, sigma_w: the last one only where init = 2, where it follows from the activation.
        let mut configurations = Vec::new();
        for activation in 0..2 {
            for init in 0..3 {
                let sigma_w = (init == 2).then_some(activation);
                configurations.push(configuration([Some(init), Some(activation), sigma_w]));
            }
        }
        let keys = ["init", "activation", "sigma_w"].map(key).to_vec();
        let mut run = Run { keys, varying: vec![0, 1, 2], configurations, ..Run::default() };
        assert_eq!(lines(&run, &[0, 1, 2, 3, 4, 5], 0), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(scale(&run), Some(0));
        // A second sigma_w for one init and activation: now it is a key of its own.
        run.configurations.push(configuration([Some(2), Some(0), Some(5)]));
        assert_eq!(lines(&run, &[0, 1, 2, 6], 0).len(), 3);
    }
}
