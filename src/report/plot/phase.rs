//! Figure (b): a number of the networks over the plane of two keys, with the edge of chaos and contours of depth scale.

use plotters::style::RGBColor;

use super::super::ReportError;
use super::super::choice::{CHOICES, PlaneColumn, Scale};
use super::super::data::{DEAD, METRICS, Run, metric, prediction};
use super::Wish;
use super::axis::Axis;
use super::canvas::{Around, Bar, Canvas, Entry, Mark, figure};
use super::color::{diverging, sequential};
use super::contour::{Grid, Path, Segment, contour, joined, tags};
use super::select::{Slice, dead, dead_text, distinct, key, slice_valued, some_dead, taken};
use crate::run::human;

const INK: RGBColor = RGBColor(0x1b, 0x1f, 0x24);
/// Around what is drawn over cells.
const HALO: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// The two keys: those asked for, and the best of the rest.
fn plane(run: &Run, wish: &Wish) -> Result<[usize; 2], ReportError> {
    let asked = |name: &Option<String>| name.as_deref().map(|name| key(run, name)).transpose();
    let (x, y) = (asked(&wish.x)?, asked(&wish.y)?);
    let of = |wish: Option<usize>| wish.map_or(run.varying.clone(), |k| vec![k]);
    let pairs = of(x).into_iter().flat_map(|x| of(y).into_iter().map(move |y| [x, y])).filter(|[x, y]| x != y);
    // The first of the best.
    let pairs = pairs.map(|pair| (worth(run, pair), pair));
    let best = pairs.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, pair)| pair);
    best.ok_or_else(|| {
        let has = match &run.varying[..] {
            [] => "none does".to_string(),
            [only] => format!("only `{}` does", run.keys[*only].name),
            _ => return ReportError::Usage("--x and --y are the same key; name two that differ".to_string()),
        };
        let networks = human::plural(run.networks.id.len() as u64, "network");
        ReportError::Usage(format!(
            "a phase diagram takes two keys that vary, and {has} in this run of {networks}; give two keys several values in \
             the sweep file (sigma_w and sigma_b, say), or draw `--kind gradient`"
        ))
    })
}

/// How well two keys span a plane: it must have a value somewhere and be filled at least by half, the scales of weights and biases come first, then
/// the number of cells; numbers go across, and more values go across.
fn worth(run: &Run, [x, y]: [usize; 2]) -> (bool, bool, bool, usize, bool, usize) {
    let (across, up) = (run.keys[x].values.len(), run.keys[y].values.len());
    let (mut filled, mut shows) = (vec![false; across * up], false);
    let columns = CHOICES.plane.map(|c| metric(c.column));
    for configuration in &run.configurations {
        if let (Some(i), Some(j)) = (configuration.values[x], configuration.values[y]) {
            filled[j as usize * across + i as usize] = true;
            shows = shows || columns.iter().any(|m| configuration.metrics[*m].median.get().is_some());
        }
    }
    let cells = filled.iter().filter(|f| **f).count();
    let scales = run.keys[x].name == "sigma_w" && run.keys[y].name == "sigma_b";
    (shows, 2 * cells >= across * up, scales, cells, run.keys[x].numbers.is_some(), across)
}

/// Values of a key along an axis: as numbers where they are evenly spaced, else one after the other.
struct Side {
    values: Vec<u32>,
    places: Vec<f64>,
    numbers: Option<Vec<f64>>,
    even: bool,
    axis: Axis,
}

impl Side {
    fn new(run: &Run, shown: &[usize], k: usize) -> Self {
        let values = distinct(run, shown, k);
        let numbers: Option<Vec<f64>> =
            run.keys[k].numbers.as_ref().map(|n| values.iter().map(|v| n[*v as usize]).collect());
        let even = numbers.as_ref().is_some_and(|n| {
            let step = (n[n.len() - 1] - n[0]) / (n.len() - 1).max(1) as f64;
            n.len() > 2 && n.windows(2).all(|pair| ((pair[1] - pair[0]) / step - 1.0).abs() < 0.01)
        });
        let name = run.keys[k].name.clone();
        let places: Vec<f64> = match &numbers {
            Some(numbers) if even => numbers.clone(),
            _ => (0..values.len()).map(|i| i as f64).collect(),
        };
        let axis = if even {
            let half = (places[1] - places[0]) / 2.0;
            let range = (places[0] - half, places[places.len() - 1] + half);
            Axis { range, grid: false, ..Axis::linear(name, places.iter().copied()) }
        } else {
            let words: Vec<String> = values.iter().map(|v| run.keys[k].text(*v).to_string()).collect();
            Axis::words(name, &words)
        };
        Side { values, places, numbers, even, axis }
    }

    /// Half the size of a cell.
    fn half(&self) -> f64 {
        if self.even { (self.places[1] - self.places[0]) / 2.0 } else { 0.5 }
    }

    /// Where a number lies, between the values if need be; `None` outside them.
    fn between(&self, x: f64) -> Option<f64> {
        if self.even {
            return (self.axis.range.0..=self.axis.range.1).contains(&x).then_some(x);
        }
        let numbers = self.numbers.as_ref()?;
        let i = numbers.windows(2).position(|pair| (pair[0]..=pair[1]).contains(&x))?;
        Some(i as f64 + (x - numbers[i]) / (numbers[i + 1] - numbers[i]))
    }
}

pub fn draw(run: &Run, wish: &Wish) -> Result<(String, String), ReportError> {
    let [x, y] = plane(run, wish)?;
    // The first that any network has.
    let has = |m: usize| run.configurations.iter().any(|c| c.metrics[m].median.get().is_some());
    let first = CHOICES.plane.iter().map(|c| c.column).find(|column| has(metric(column)));
    let wanted = wish.color.as_deref().or(first).unwrap_or(METRICS[0]);
    let Some(&PlaneColumn { column, name, scale }) = CHOICES.plane.iter().find(|c| c.column == wanted) else {
        let names: Vec<&str> = CHOICES.plane.iter().map(|c| c.column).collect();
        let hint = format!("; it may be {}", names.join(", "));
        return Err(ReportError::Usage(format!("--color-by of a phase diagram is no `{wanted}`{hint}")));
    };
    let has_both = |c: &usize| [x, y].iter().all(|k| run.configurations[*c].values[*k].is_some());
    let pool: Vec<usize> = (0..run.configurations.len()).filter(has_both).collect();
    // One configuration a cell, and one kind of network: lines and contours mean nothing across kinds.
    let kind = |k: &&usize| ["activation", "norm", "residual"].contains(&run.keys[**k].name.as_str());
    let kinds: Vec<usize> = run.varying.iter().filter(kind).copied().filter(|k| ![x, y].contains(k)).collect();
    let single = |shown: &[usize]| {
        let alike = kinds.iter().all(|k| taken(run, shown, *k).len() < 2);
        let mut cells: Vec<_> = shown.iter().map(|c| [x, y].map(|k| run.configurations[*c].values[k])).collect();
        cells.sort_unstable();
        alike && cells.windows(2).all(|pair| pair[0] != pair[1])
    };
    let valued = |c: usize| run.configurations[c].metrics[metric(column)].median.get().is_some();
    let chosen = slice_valued(run, pool.clone(), &[x, y], &wish.hold, single, valued)?;
    let (across, up) = (Side::new(run, &chosen.shown, x), Side::new(run, &chosen.shown, y));
    let mut cells: Vec<Vec<Option<usize>>> = vec![vec![None; across.values.len()]; up.values.len()];
    for c in &chosen.shown {
        let at = |side: &Side, k: usize| side.values.iter().position(|v| Some(*v) == run.configurations[*c].values[k]);
        if let (Some(i), Some(j)) = (at(&across, x), at(&up, y)) {
            cells[j][i] = Some(*c);
        }
    }
    let grid = |f: &dyn Fn(usize) -> Option<f64>| -> Grid {
        cells.iter().map(|row| row.iter().map(|c| c.and_then(f)).collect()).collect()
    };
    let median = |name: &str| {
        let m = metric(name);
        grid(&|c| run.configurations[c].metrics[m].median.get())
    };
    let values: Grid = match scale {
        Scale::Log => median(column)
            .iter()
            .map(|row| row.iter().map(|z| z.filter(|z| *z > 0.0).map(f64::log10)).collect())
            .collect(),
        _ => median(column),
    };
    let flat = || values.iter().flatten().copied().flatten();
    let (mut low, mut high) = flat().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), z| (l.min(z), h.max(z)));
    if low > high {
        return Err(ReportError::Usage(nothing(run, column, &pool, &chosen)));
    }
    if scale == Scale::Diverging {
        high = high.abs().max(low.abs()).max(1e-9);
        low = -high;
    } else if low == high {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let color = if scale == Scale::Diverging { diverging } else { sequential };
    let part = |z: f64| (z - low) / (high - low);
    let ticks = match scale {
        Scale::Log => Axis::logarithmic("", [low, high]).ticks,
        _ => Axis::linear("", [low, high]).ticks,
    };
    let ticks = ticks.into_iter().filter(|(z, _)| (low..=high).contains(z)).map(|(z, text)| (part(z), text)).collect();

    let scales = median("depth_scale");
    // Between words there is nothing that a contour could pass.
    let contours = across.numbers.is_some() && up.numbers.is_some();
    let places = [&across.places[..], &up.places];
    let edge = edge(run, &chosen.shown, [x, y], &across, &up).unwrap_or_else(|| match contours {
        true => contour(&grid(&|c| run.configurations[c].predicted[prediction("chi_1")].get()), places, 1.0),
        false => Vec::new(),
    });
    let has_dead = |c: &usize| run.configurations[*c].outcomes[DEAD] > 0;
    let missing = values.iter().flatten().filter(|z| z.is_none()).count();
    let mut legend = Vec::new();
    let mut entry = |wanted: bool, text: &str, mark: Mark| {
        if wanted {
            legend.push(Entry { text: text.to_string(), color: INK, mark });
        }
    };
    let lines: Vec<(f64, Vec<Segment>)> = if contours {
        CHOICES.contours.iter().map(|level| (*level, contour(&scales, places, *level))).collect()
    } else {
        Vec::new()
    };
    entry(!edge.is_empty(), "edge of chaos (theory, χ₁ = 1)", Mark::Dashes);
    entry(lines.iter().any(|l| !l.1.is_empty()), "measured depth scale (layers)", Mark::Line);
    if let Some(text) = dead(run, &chosen.shown) {
        entry(true, &format!("has dead networks ({text})"), Mark::Cross);
    }
    entry(missing > 0, "no value", Mark::Hatch);
    let bar = Bar { label: name.to_string(), ticks, color };
    let around = Around { title: wish.title.clone(), legend, bar: Some(bar), ..Around::default() };
    let svg = figure(wish.size, (across.axis.clone(), up.axis.clone()), around, |canvas| {
        for (j, row) in values.iter().enumerate() {
            for (i, z) in row.iter().enumerate() {
                let (cx, cy, hx, hy) = (across.places[i], up.places[j], across.half(), up.half());
                let corners = ((cx - hx, cy - hy), (cx + hx, cy + hy));
                match z {
                    Some(z) => canvas.cell(corners.0, corners.1, color(part(*z)))?,
                    None => canvas.hatched(corners.0, corners.1)?,
                }
            }
        }
        let paths = lines.iter().map(|(level, segments)| (*level, joined(segments)));
        let paths: Vec<(f64, Vec<Path>)> = paths.filter(|(_, paths)| !paths.is_empty()).collect();
        paths.iter().flat_map(|(_, paths)| paths).try_for_each(|path| stroke(canvas, path, 1.0, false))?;
        joined(&edge).iter().try_for_each(|path| stroke(canvas, path, 2.6, true))?;
        for (level, place) in tags(canvas, &paths, &edge) {
            canvas.tag(place, &format!("{level}"))?;
        }
        // On top of everything, each in the middle of its cell.
        let dead_cells = cells.iter().zip(&up.places).flat_map(|(row, y)| {
            let dead = row.iter().zip(&across.places).filter(|(c, _)| c.is_some_and(|c| has_dead(&c)));
            dead.map(move |(_, x)| (*x, *y))
        });
        dead_cells.into_iter().try_for_each(|place| canvas.outlined_cross(place, INK))
    })?;
    let names = (&run.keys[x].name, &run.keys[y].name);
    let text = format!(
        "median {column} of {} over {} and {}{}{}{}",
        human::plural(chosen.shown.len() as u64, "configuration"),
        names.0,
        names.1,
        chosen.held_text(run),
        dead_text(run, &chosen.shown),
        without(missing)
    );
    Ok((svg, text))
}

/// Why there is no figure where no cell has a value, and what has one.
fn nothing(run: &Run, column: &str, pool: &[usize], chosen: &Slice) -> String {
    let has = |c: &&usize, column: &str| run.configurations[**c].metrics[metric(column)].median.get().is_some();
    let held = chosen.held_text(run);
    let what = format!("no cell here has a median `{column}`{held}{}", some_dead(run, &chosen.shown));
    if let Some(c) = pool.iter().find(|c| has(c, column)) {
        let value = |k: usize| run.configurations[*c].values[k].map(|v| &run.keys[k].values[v as usize]);
        let differs = chosen.held.iter().filter(|(k, v)| run.configurations[*c].values[**k] != **v);
        let pairs = differs.filter_map(|(k, _)| Some(format!("--where {}={}", run.keys[*k].name, value(*k)?)));
        return format!("{what}; there are some with {}", pairs.collect::<Vec<_>>().join(" "));
    }
    let others = CHOICES.plane.iter().map(|c| c.column).filter(|other| chosen.shown.iter().any(|c| has(&c, other)));
    match others.collect::<Vec<_>>()[..] {
        [] => format!("{what}; `--kind gradient` shows in which layers gradients are zero"),
        ref others => format!("{what}; --color-by may be {}", others.join(", ")),
    }
}

/// How many cells have no value, at the end of a sentence.
fn without(missing: usize) -> String {
    match missing {
        0 => String::new(),
        1 => ", 1 cell without a value is hatched".to_string(),
        n => format!(", {n} cells without a value are hatched"),
    }
}

fn stroke(canvas: &Canvas, path: &[(f64, f64)], width: f64, dashed: bool) -> Result<(), ReportError> {
    let points: Vec<(f64, Option<f64>)> = path.iter().map(|(x, y)| (*x, Some(*y))).collect();
    // Dark cells would swallow a dark line.
    canvas.line(&points, HALO, width + 2.0, false)?;
    canvas.line(&points, INK, width, dashed)
}

/// The line of theory in the plane of sigma_w and sigma_b, for plain layers of one activation.
fn edge(run: &Run, shown: &[usize], [x, y]: [usize; 2], across: &Side, up: &Side) -> Option<Vec<Segment>> {
    let (w, b) = (run.key("sigma_w")?, run.key("sigma_b")?);
    if [x, y] != [w, b] && [x, y] != [b, w] {
        return None;
    }
    let plain = |name: &str| {
        run.key(name)
            .is_none_or(|k| shown.iter().all(|c| ["", "none"].contains(&run.value(&run.configurations[*c], k))))
    };
    let activation = run.key("activation")?;
    let [only] = distinct(run, shown, activation)[..] else { return None };
    if !plain("norm") || !plain("residual") {
        return None;
    }
    let edge = run.edges.iter().find(|e| e.activation == run.keys[activation].values[only as usize])?;
    let pairs = edge.sigma_w.iter().zip(&edge.sigma_b);
    let points: Vec<Option<(f64, f64)>> = pairs
        .map(|(sw, sb)| {
            let (x_value, y_value) = if x == w { (*sw, *sb) } else { (*sb, *sw) };
            Some((across.between(x_value)?, up.between(y_value)?))
        })
        .collect();
    Some(points.windows(2).filter_map(|pair| Some([pair[0]?, pair[1]?])).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::data::{Configuration, Key};
    use super::super::super::spread::{Number, Spread};
    use super::*;

    #[test]
    fn cells_without_a_value_are_hatched_and_counted() {
        let key = |name: &str| Key {
            name: name.into(),
            values: ["1", "2", "3"].map(String::from).to_vec(),
            numbers: Some(vec![1.0, 2.0, 3.0]),
            ..Key::default()
        };
        // Nine places, one without a configuration, one whose networks are dead.
        let mut configurations = Vec::new();
        for i in 0..8u32 {
            let mut metrics = vec![Spread::default(); METRICS.len()];
            metrics[0].median = Number((i != 5).then_some(f64::from(i) - 3.0));
            let outcomes = if i == 5 { [0, 0, 0, 4, 0, 0] } else { [4, 0, 0, 0, 0, 0] };
            let values = vec![Some(i % 3), Some(i / 3)];
            let predicted = vec![Number(None); 2];
            configurations.push(Configuration {
                values,
                networks: 4,
                outcomes,
                metrics,
                predicted,
                ..Configuration::default()
            });
        }
        let mut run = Run { keys: vec![key("a"), key("b")], varying: vec![0, 1], configurations, ..Run::default() };
        let wish = Wish { size: (600, 400), ..Wish::default() };
        let (svg, text) = draw(&run, &wish).unwrap();
        assert!(text.ends_with(", 4 of 32 networks are dead, 2 cells without a value are hatched"), "{text}");
        assert!(svg.contains("no value") && svg.contains("has dead networks (4 of 32 networks)"));
        // No colour of the map stands in their places: 7 cells, 100 steps of the bar, the ground, and 3 hatched squares.
        let rectangles = svg.lines().filter(|line| line.starts_with("<rect"));
        assert_eq!(rectangles.count(), 7 + 100 + 1 + 3);
        run.configurations.retain(|c| c.outcomes[DEAD] == 0 && c.values[1] != Some(2));
        run.configurations[4].metrics[0].median = Number(Some(0.0));
        run.configurations.push(Configuration { values: vec![Some(2), Some(1)], ..run.configurations[4].clone() });
        let (svg, text) = draw(&run, &wish).unwrap();
        assert!(text.ends_with(", no network is dead") && !svg.contains("no value"), "{text}");
    }
}
