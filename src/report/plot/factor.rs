//! Figure (f): the factor of the squared gradient per layer, measured against predicted.

use plotters::style::RGBColor;

use super::super::ReportError;
use super::super::choice::CHOICES;
use super::super::data::{Profile, Run};
use super::super::spread::Number;
use super::Wish;
use super::axis::Axis;
use super::canvas::{Entry, Mark, figure};
use super::palette::{GREY, Palette};
use super::select::{all_dead, dead, dead_text, key, preferred, slice, some_dead};
use crate::run::human;

pub fn draw(run: &Run, wish: &Wish) -> Result<(String, String), ReportError> {
    let theory = run.recorded.theory;
    let source = |profile: &Profile| -> Vec<Number> {
        if theory { profile.predicted_factor.clone() } else { profile.chi.clone() }
    };
    let has_both = |c: &usize| {
        let profile = run.configurations[*c].profile.as_ref();
        // A configuration of dead networks has no factor, but a mark.
        let measured = |p: &Profile| !p.factor.is_empty() || !p.gradient.zeros.is_empty();
        profile.is_some_and(|p| measured(p) && !source(p).is_empty())
    };
    let pool: Vec<usize> = (0..run.configurations.len()).filter(has_both).collect();
    if pool.is_empty() {
        let all: Vec<usize> = (0..run.configurations.len()).collect();
        let what =
            "this figure takes log10_grad_ratio and either theory.csv or chi, which plain networks without norm have";
        return Err(ReportError::Usage(all_dead(run, &all).unwrap_or(what.to_string())));
    }
    let asked = wish.color.as_deref().map(|name| key(run, name)).transpose()?;
    let color = asked.or(preferred(run).first().copied());
    let chosen = slice(run, pool, &[], &wish.hold, |_| true)?;
    let palette = Palette::of_points(run, &chosen.shown, color);

    let mut points: Vec<(f64, f64, (RGBColor, usize))> = Vec::new();
    let mut crosses: Vec<(f64, RGBColor)> = Vec::new();
    for (line, c) in chosen.shown.iter().enumerate() {
        let configuration = &run.configurations[*c];
        let Some(profile) = &configuration.profile else { continue };
        let paint = (palette.of(line), palette.symbol(line));
        for (i, predicted) in source(profile).iter().enumerate() {
            if let (Some(x), Some(y)) = (predicted.get(), profile.factor.get(i).and_then(|n| n.get())) {
                points.push((x, y, paint));
            }
            if let Some(x) = predicted.get().filter(|_| profile.gradient.zeros(i) > 0) {
                crosses.push((x, paint.0));
            }
        }
    }
    if points.is_empty() {
        let what = "no configuration here has both a prediction and a factor in more than half of its networks";
        let what = format!("{what}{}", some_dead(run, &chosen.shown));
        return Err(ReportError::Usage(all_dead(run, &chosen.shown).unwrap_or(what)));
    }
    let every = points.len().div_ceil(CHOICES.points).max(1);
    let all = || points.iter().flat_map(|p| [p.0, p.1]);
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let name = if theory { "mean-field prediction" } else { "chi, estimated forwards" };
    let x = Axis::linear(format!("log₁₀ |δ(l)|² / |δ(l+1)|², {name}"), all());
    let mut y = Axis::linear("log₁₀ |δ(l)|² / |δ(l+1)|², measured", all());
    let (floor, step) = y.below(usize::from(!crosses.is_empty()));
    let mut around = palette.around(&wish.title, Mark::Symbol);
    around.legend.push(Entry { text: "measured = predicted".to_string(), color: GREY, mark: Mark::Dashes });
    if let Some(text) = dead(run, &chosen.shown) {
        around.legend.push(Entry { text: format!("dead ({text})"), color: GREY, mark: Mark::Cross });
    }
    let svg = figure(wish.size, (x, y), around, |canvas| {
        for (x, y, (color, symbol)) in points.iter().step_by(every) {
            canvas.symbol((*x, *y), *symbol, 2.8, (*color, 0.6))?;
        }
        crosses.iter().step_by(every).try_for_each(|(x, color)| canvas.cross((*x, floor - step), *color))?;
        canvas.line(&[(low, Some(low)), (high, Some(high))], GREY, 1.6, true)
    })?;
    let thinned = if every > 1 { format!(", one point in {every} drawn") } else { String::new() };
    let seeds = chosen.shown.iter().any(|c| run.configurations[*c].networks > 1);
    let medians = if seeds { ", medians over seeds" } else { "" };
    let text = format!(
        "{} of {}{}{medians}{thinned}{}",
        human::plural(points.len() as u64, "layer"),
        human::plural(chosen.shown.len() as u64, "configuration"),
        chosen.held_text(run),
        dead_text(run, &chosen.shown)
    );
    Ok((svg, text))
}
