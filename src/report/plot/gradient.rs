//! Figure (a): the size of the gradient against the layer, one line per configuration.

use super::super::ReportError;
use super::super::choice::CHOICES;
use super::super::data::{Profile, Run};
use super::Wish;
use super::axis::Axis;
use super::canvas::{Entry, Mark, figure};
use super::palette::{GREY, Palette};
use super::select::{dead, dead_text, key, preferred, slice};
use crate::run::human;

/// Most symbols on a line.
const SYMBOLS: usize = 12;

/// Values of a curve with their layers, in log10 |delta|.
struct Curve {
    /// Layer, and median, 10 % and 90 % quantile.
    points: Vec<(f64, [Option<f64>; 3])>,
    predicted: Vec<(f64, Option<f64>)>,
    /// Layers at which some network's gradient is exactly zero.
    dead: Vec<f64>,
}

fn curve(profile: &Profile) -> Curve {
    let gradient = &profile.gradient;
    let layers = || profile.layers.iter().map(|l| f64::from(*l)).enumerate();
    let points = layers().map(|(i, l)| (l, [gradient.median(i), gradient.low(i), gradient.high(i)])).collect();
    // The prediction is a ratio: it starts at the last hidden layer as measured.
    let last = profile.layers.len().checked_sub(1).and_then(|i| gradient.median(i));
    let at = |i: usize| Some(last? + profile.predicted_to_last.get(i)?.get()? / 2.0);
    let predicted = layers().map(|(i, l)| (l, at(i))).collect();
    let dead = layers().filter(|(i, _)| gradient.zeros(*i) > 0).map(|(_, l)| l).collect();
    Curve { points, predicted, dead }
}

pub fn draw(run: &Run, wish: &Wish) -> Result<(String, String), ReportError> {
    if !run.recorded.gradient {
        let what =
            "layers.csv has no preact_grad_log10_l2, which this figure draws; record it under [record] statistics";
        return Err(ReportError::Usage(what.to_string()));
    }
    let asked = wish.color.as_deref().map(|name| key(run, name)).transpose()?;
    let color = asked.or(preferred(run).first().copied());
    let pool = (0..run.configurations.len()).filter(|c| run.configurations[*c].profile.is_some()).collect();
    let free: Vec<usize> = color.into_iter().collect();
    let chosen = slice(run, pool, &free, &wish.hold, |shown| shown.len() <= CHOICES.lines)?;
    let shown = &chosen.shown;
    // Lines of different depths end at different layers.
    let palette = Palette::of_lines(run, shown, color, asked.is_some(), run.key("depth"), CHOICES.each);

    let curves: Vec<Curve> = shown.iter().filter_map(|c| run.configurations[*c].profile.as_ref()).map(curve).collect();
    let bands = shown.len() <= CHOICES.bands;
    let across = curves.iter().flat_map(|c| c.points.iter().map(|p| p.0));
    let heights = curves.iter().flat_map(|c| {
        let measured = c.points.iter().flat_map(move |p| if bands { p.1 } else { [p.1[0], None, None] });
        measured.chain(c.predicted.iter().map(|p| p.1)).flatten()
    });
    let mut x = Axis::linear("layer (1 = nearest the input)", across);
    x.ticks.retain(|(layer, _)| *layer >= 1.0);
    let heights: Vec<f64> = heights.collect();
    let mut y = Axis::linear("log₁₀ |δ|,  δ = dLoss/dz", heights.iter().copied());
    // Crosses stand below the lines, a row for every configuration that has some.
    let rows = curves.iter().filter(|c| !c.dead.is_empty()).count();
    let (floor, step) = if heights.is_empty() && rows > 0 {
        // There is no logarithm to show.
        y = Axis::words("|δ|,  δ = dLoss/dz", &vec![String::new(); rows]);
        y.ticks = vec![((rows - 1) as f64 / 2.0, "0".to_string())];
        (rows as f64, 1.0)
    } else {
        y.below(rows)
    };

    let mut around = palette.around(&wish.title, Mark::Marked);
    if curves.iter().any(|c| c.predicted.iter().any(|p| p.1.is_some())) {
        around.legend.push(Entry { text: "predicted".to_string(), color: GREY, mark: Mark::Dashes });
    }
    if rows > 0 {
        let counted = dead(run, shown).map_or(String::new(), |text| format!(" ({text})"));
        around.legend.push(Entry { text: format!("exactly 0{counted}"), color: GREY, mark: Mark::Cross });
    }
    let mut row = 0.0;
    let svg = figure(wish.size, (x, y), around, |canvas| {
        for (i, curve) in curves.iter().enumerate() {
            let color = palette.of(i);
            if bands {
                // A quantile that is exactly zero lies below everything.
                let low = |p: &(f64, [Option<f64>; 3])| p.1[1].or(curve.dead.contains(&p.0).then_some(floor));
                let band: Vec<_> = curve.points.iter().map(|p| (p.0, low(p), p.1[2])).collect();
                canvas.band(&band, color)?;
            }
            let line: Vec<_> = curve.points.iter().map(|p| (p.0, p.1[0])).collect();
            canvas.line(&line, color, 2.0, false)?;
            let known: Vec<(f64, f64)> = line.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect();
            // Those of different lines stand at different layers, as far as there is room.
            let every = known.len().div_ceil(SYMBOLS).max(1);
            for point in known.iter().skip(i * every / curves.len()).step_by(every) {
                canvas.symbol(*point, palette.symbol(i), 3.4, (color, 1.0))?;
            }
            canvas.line(&curve.predicted, color, 1.6, true)?;
            row += if curve.dead.is_empty() { 0.0 } else { step };
            for layer in &curve.dead {
                canvas.cross((*layer, floor - row), color)?;
            }
        }
        Ok(())
    })?;
    let networks: u32 = shown.iter().map(|c| run.configurations[*c].networks).sum();
    let banded = shown.iter().any(|c| run.configurations[*c].networks > 1);
    let text = format!(
        "{}log10 |dLoss/dz| of {} ({}){}{}{}",
        if banded { "median " } else { "" },
        human::plural(shown.len() as u64, "line"),
        human::plural(networks.into(), "network"),
        chosen.held_text(run),
        dead_text(run, shown),
        if bands && banded { ", bands from the 10 % to the 90 % quantile over seeds" } else { "" }
    );
    Ok((svg, text))
}

#[cfg(test)]
mod tests {
    use super::super::super::data::{Band, Configuration, Key, Recorded};
    use super::super::super::spread::Number;
    use super::*;

    /// Points of the polylines of a colour, in drawn pixels.
    fn polylines(svg: &str, stroke: &str) -> Vec<Vec<(f64, f64)>> {
        let lines = svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(stroke));
        let point = |text: &str| {
            let (x, y) = text.split_once(',').expect("two coordinates");
            (x.parse().expect("a number"), y.parse().expect("a number"))
        };
        let points =
            |line: &str| line.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_string);
        lines.filter_map(points).map(|text| text.split_whitespace().map(point).collect()).collect()
    }

    /// log10 |delta_l| = l - 4, with a prediction that falls half as fast, and a gap at layer 3.
    fn run() -> Run {
        let numbers = |f: fn(u32) -> Option<f64>| (1..=5).map(|l| Number(f(l))).collect::<Vec<_>>();
        let median = numbers(|l| (l != 3).then_some(f64::from(l) - 4.0));
        let zeros = vec![0, 0, 2, 0, 0];
        let profile = Profile {
            layers: (1..=5).collect(),
            gradient: Band { median, zeros, ..Band::default() },
            predicted_to_last: numbers(|l| Some(f64::from(l) - 5.0)),
            ..Profile::default()
        };
        let key = Key { name: "init".into(), values: vec!["he_normal".into(), "other".into()], ..Key::default() };
        let configuration = |profile| Configuration {
            values: vec![Some(0)],
            networks: 3,
            outcomes: [1, 0, 0, 2, 0, 0],
            profile,
            ..Configuration::default()
        };
        Run {
            keys: vec![key],
            varying: vec![0],
            configurations: vec![configuration(Some(profile)), configuration(None)],
            recorded: Recorded { gradient: true, ..Recorded::default() },
            ..Run::default()
        }
    }

    #[test]
    fn lines_stand_where_their_numbers_are() {
        let wish = Wish { size: (600, 400), ..Wish::default() };
        let (svg, text) = draw(&run(), &wish).unwrap();
        assert_eq!(
            text,
            "median log10 |dLoss/dz| of 1 line (3 networks), 2 of 3 networks are dead, bands from the 10 % to the 90 % quantile over seeds"
        );
        let solid: Vec<_> = polylines(&svg, "#0072B2");
        // Measured: layers 1 to 2 and 4 to 5, a gap between; predicted: dashes on a line of half the slope that ends with it.
        let (left, right) = (&solid[0], &solid[1]);
        let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
        assert_eq!((left.len(), right.len()), (2, 2));
        assert!((slope(left[0], left[1]) - slope(left[0], right[1])).abs() < 0.01, "{left:?} {right:?}");
        assert!((right[0].0 - left[1].0 - 2.0 * (left[1].0 - left[0].0)).abs() < 3.0);
        let half = slope(left[0], right[1]) / 2.0;
        let on_it = |p: &(f64, f64)| (right[1].1 + half * (p.0 - right[1].0) - p.1).abs() < 2.0;
        let dashes: Vec<_> = solid[2..].iter().filter(|path| path.iter().all(on_it)).collect();
        assert!(dashes.len() > 5, "{solid:?}");
        let reach = dashes
            .iter()
            .flat_map(|path| path.iter().map(|p| p.0))
            .fold((f64::MAX, 0.0), |(a, b), x| (x.min(a), x.max(b)));
        assert!((reach.0 - left[0].0).abs() < 1.0 && (reach.1 - right[1].0).abs() < 50.0, "{reach:?}");
        for name in ["he_normal", "init", "predicted", "exactly 0 (2 of 3 networks)"] {
            assert!(svg.contains(name), "{name}");
        }
    }

    #[test]
    fn a_run_of_zeros_has_no_logarithmic_axis() {
        let mut run = run();
        let profile = run.configurations[0].profile.as_mut().unwrap();
        profile.gradient = Band { median: vec![Number(None); 5], zeros: vec![3; 5], ..Band::default() };
        run.configurations[0].outcomes = [0, 0, 0, 3, 0, 0];
        let (svg, text) = draw(&run, &Wish { size: (600, 400), ..Wish::default() }).unwrap();
        assert!(text.contains("3 of 3 networks are dead"), "{text}");
        assert!(!svg.contains("log₁₀") && svg.matches("\n0\n").count() == 1, "{svg}");
        // A cross of two strokes per layer, and the line in the legend.
        assert_eq!(polylines(&svg, "#0072B2").len(), 2 * 5 + 1);
    }

    #[test]
    fn without_the_column_the_figure_says_what_it_takes() {
        let run = Run { recorded: Recorded::default(), ..run() };
        let error = draw(&run, &Wish { size: (600, 400), ..Wish::default() }).unwrap_err();
        assert!(error.to_string().contains("has no preact_grad_log10_l2"));
    }
}
