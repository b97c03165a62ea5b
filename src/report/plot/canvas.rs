//! A drawing with one pair of axes: frame, ticks, legend outside the data, colour bar, and marks in data coordinates.
//! Everything is drawn four times as large as it is shown, because plotters places points on whole pixels.

use plotters::coord::Shift;
use plotters::element::{DashedPathElement, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, RGBColor, TextStyle, WHITE};

use super::super::ReportError;
use super::axis::Axis;
use super::layout::{Below, Layout, Lines, ROW, ROWS_TEXT, SMALL, thinned, wide};
use super::symbol::outline;

const SCALE: i32 = 4;
const INK: RGBColor = RGBColor(0x1b, 0x1f, 0x24);
const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
const HATCH: RGBColor = RGBColor(0x8c, 0x95, 0x9f);

fn failed<E: std::error::Error + Send + Sync>(error: plotters::drawing::DrawingAreaErrorKind<E>) -> ReportError {
    ReportError::Draw(error.to_string())
}

/// How a legend entry looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    Line,
    /// A line with a symbol on it.
    Marked(usize),
    Symbol(usize),
    Dashes,
    Cross,
    /// None: a sentence.
    Nothing,
    /// A square hatched like the cells without a value.
    Hatch,
}

/// A line of the legend.
#[derive(Clone, Debug)]
pub struct Entry {
    pub text: String,
    pub color: RGBColor,
    pub mark: Mark,
}

/// A colour bar beside the data.
#[derive(Clone)]
pub struct Bar {
    pub label: String,
    /// From 0 at the bottom to 1 at the top.
    pub ticks: Vec<(f64, String)>,
    pub color: fn(f64) -> RGBColor,
}

/// What stands around the data.
#[derive(Clone, Default)]
pub struct Around {
    pub title: Option<String>,
    /// Above the first entry of the legend.
    pub heading: Option<String>,
    pub legend: Vec<Entry>,
    pub bar: Option<Bar>,
}

/// The drawing of one figure.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    /// Left, top, right, bottom of the data, in drawn pixels.
    frame: [i32; 4],
    layout: Layout,
    x: Axis,
    y: Axis,
}

/// Draws a figure of this size: axes, then what `marks` draws, then frame and legend.
pub fn figure(
    size: (u32, u32),
    (mut x, mut y): (Axis, Axis),
    around: Around,
    marks: impl FnOnce(&Canvas) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    let mut text = String::new();
    let drawn = (size.0 * SCALE as u32, size.1 * SCALE as u32);
    {
        let area = SVGBackend::with_string(&mut text, drawn).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let layout = Layout::new(size, &x, &y, &around)?;
        let [left, top, right, bottom] = layout.frame;
        if let Below::Upright(_) = layout.below {
            x.ticks = thinned(x.ticks, right - left);
        }
        y.ticks = thinned(y.ticks, bottom - top);
        let canvas = Canvas { area, frame: layout.frame.map(|p| p * SCALE), layout, x, y };
        canvas.grid()?;
        marks(&canvas)?;
        canvas.axes()?;
        canvas.around(&around)?;
        canvas.area.present().map_err(failed)?;
    }
    let inner = format!("width=\"{}\" height=\"{}\" viewBox", drawn.0, drawn.1);
    Ok(text.replacen(&inner, &format!("width=\"{}\" height=\"{}\" viewBox", size.0, size.1), 1))
}

impl Canvas<'_> {
    /// Drawn pixels of a point, clipped to the surroundings of the frame.
    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let [left, top, right, bottom] = self.frame;
        let part = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(-0.5, 1.5);
        let across = part(x, self.x.range) * f64::from(right - left);
        let up = part(y, self.y.range) * f64::from(bottom - top);
        (left + across.round() as i32, bottom - up.round() as i32)
    }

    /// A line in data coordinates; gaps where there is no number.
    pub fn line(
        &self,
        points: &[(f64, Option<f64>)],
        color: RGBColor,
        width: f64,
        dashed: bool,
    ) -> Result<(), ReportError> {
        for run in points.split(|(_, y)| y.is_none()) {
            let places: Vec<(i32, i32)> = run.iter().filter_map(|(x, y)| Some(self.place((*x, (*y)?)))).collect();
            self.path(places, color, width, dashed)?;
        }
        Ok(())
    }

    fn path(&self, places: Vec<(i32, i32)>, color: RGBColor, width: f64, dashed: bool) -> Result<(), ReportError> {
        if places.len() < 2 {
            return Ok(());
        }
        let style = color.stroke_width((width * f64::from(SCALE)).round() as u32);
        if dashed {
            let (dash, gap) = (7 * SCALE, 5 * SCALE);
            return self.area.draw(&DashedPathElement::new(places, dash, gap, style)).map_err(failed);
        }
        self.area.draw(&PathElement::new(places, style)).map_err(failed)
    }

    /// The band between two lines where both have numbers.
    pub fn band(&self, points: &[(f64, Option<f64>, Option<f64>)], color: RGBColor) -> Result<(), ReportError> {
        for run in points.split(|(_, low, high)| low.is_none() || high.is_none()) {
            let low = run.iter().filter_map(|(x, low, _)| Some(self.place((*x, (*low)?))));
            let high = run.iter().rev().filter_map(|(x, _, high)| Some(self.place((*x, (*high)?))));
            let places: Vec<(i32, i32)> = low.chain(high).collect();
            if places.len() >= 4 {
                self.area.draw(&Polygon::new(places, color.mix(0.18))).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// A symbol of this radius.
    pub fn symbol(
        &self,
        point: (f64, f64),
        symbol: usize,
        radius: f64,
        (color, opacity): (RGBColor, f64),
    ) -> Result<(), ReportError> {
        self.symbol_at(self.place(point), symbol, radius, (color, opacity))
    }

    fn symbol_at(
        &self,
        (x, y): (i32, i32),
        symbol: usize,
        radius: f64,
        (color, opacity): (RGBColor, f64),
    ) -> Result<(), ReportError> {
        let size = radius * f64::from(SCALE);
        let corner = |(dx, dy): (f64, f64)| (x + (size * dx).round() as i32, y + (size * dy).round() as i32);
        let corners: Vec<(i32, i32)> = outline(symbol).into_iter().map(corner).collect();
        self.area.draw(&Polygon::new(corners, color.mix(opacity))).map_err(failed)
    }

    pub fn cross(&self, point: (f64, f64), color: RGBColor) -> Result<(), ReportError> {
        self.cross_at(self.place(point), 4 * SCALE, color, 1.6)
    }

    /// A cross that is seen on any ground: with a white outline.
    pub fn outlined_cross(&self, point: (f64, f64), color: RGBColor) -> Result<(), ReportError> {
        let place = self.place(point);
        self.cross_at(place, 5 * SCALE, WHITE, 4.2)?;
        self.cross_at(place, 4 * SCALE, color, 1.6)
    }

    fn cross_at(&self, (x, y): (i32, i32), r: i32, color: RGBColor, width: f64) -> Result<(), ReportError> {
        self.path(vec![(x - r, y - r), (x + r, y + r)], color, width, false)?;
        self.path(vec![(x - r, y + r), (x + r, y - r)], color, width, false)
    }

    /// A filled rectangle between two corners in data coordinates.
    pub fn cell(&self, low: (f64, f64), high: (f64, f64), color: RGBColor) -> Result<(), ReportError> {
        // One pixel over the border, so that no seam shows between neighbours.
        let (a, b) = (self.place(low), self.place(high));
        let [_, top, right, _] = self.frame;
        let b = ((b.0 + 1).min(right), (b.1 - 1).max(top));
        self.area.draw(&Rectangle::new([(a.0, b.1), (b.0, a.1)], color.filled())).map_err(failed)
    }

    /// A rectangle between two corners in data coordinates where there is no value: hatched, as no colour of a map is.
    pub fn hatched(&self, low: (f64, f64), high: (f64, f64)) -> Result<(), ReportError> {
        let (a, b) = (self.place(low), self.place(high));
        self.hatch_at([a.0, b.1, b.0, a.1])
    }

    /// Strokes on lines of the whole drawing, so that those of neighbours meet.
    fn hatch_at(&self, [left, top, right, bottom]: [i32; 4]) -> Result<(), ReportError> {
        const APART: i32 = 7 * SCALE;
        self.area.draw(&Rectangle::new([(left, top), (right, bottom)], WHITE.filled())).map_err(failed)?;
        for line in (left + top).div_euclid(APART) + 1..=(right + bottom).div_euclid(APART) {
            let sum = line * APART;
            let (from, to) = (left.max(sum - bottom), right.min(sum - top));
            self.path(vec![(from, sum - from), (to, sum - to)], HATCH, 1.0, false)?;
        }
        Ok(())
    }

    /// Of some places for a tag the one with the most room around it, which `others` and the frame leave; `None` where
    /// a tag would cover them. All in data coordinates.
    pub fn roomiest(&self, places: &[(f64, f64)], others: &[(f64, f64)]) -> Option<(f64, f64)> {
        let [left, top, right, bottom] = self.frame;
        let others: Vec<(i32, i32)> = others.iter().map(|other| self.place(*other)).collect();
        let room = |place: &(f64, f64)| {
            let (x, y) = self.place(*place);
            let apart = |other: &(i32, i32)| f64::from(other.0 - x).hypot(f64::from(other.1 - y)) as i32;
            let nearest = others.iter().map(apart).min().unwrap_or(i32::MAX);
            // Anything beyond the size of a few tags is as good.
            nearest.min(x - left).min(right - x).min(y - top).min(bottom - y).min(60 * SCALE)
        };
        // The first of the roomiest.
        let best = places.iter().rev().max_by_key(|place| room(place)).copied();
        best.filter(|place| room(place) > 10 * SCALE)
    }

    /// How far these points reach, in shown pixels.
    pub fn span(&self, points: &[(f64, f64)]) -> f64 {
        let places: Vec<(i32, i32)> = points.iter().map(|point| self.place(*point)).collect();
        let reach = |side: fn(&(i32, i32)) -> i32| {
            let (least, most) = (places.iter().map(side).min(), places.iter().map(side).max());
            f64::from(most.unwrap_or(0) - least.unwrap_or(0)) / f64::from(SCALE)
        };
        reach(|p| p.0).hypot(reach(|p| p.1))
    }

    /// Small text in the middle of a point, on white.
    pub fn tag(&self, point: (f64, f64), text: &str) -> Result<(), ReportError> {
        let (x, y) = self.place(point);
        let half = (text.chars().count() as f64 * 3.4 * f64::from(SCALE)) as i32 + SCALE;
        let ground = Rectangle::new([(x - half, y - 7 * SCALE), (x + half, y + 7 * SCALE)], WHITE.mix(0.8).filled());
        self.area.draw(&ground).map_err(failed)?;
        self.text(text, (x, y), SMALL - 2, HPos::Center, VPos::Center)
    }

    fn text(&self, text: &str, place: (i32, i32), size: i32, h: HPos, v: VPos) -> Result<(), ReportError> {
        // plotters writes sizes divided by 1.24.
        let font = ("sans-serif", f64::from(size * SCALE) * 1.24).into_font();
        let style = TextStyle::from(font).pos(Pos::new(h, v)).color(&INK);
        self.area.draw(&Text::new(text.to_string(), place, style)).map_err(failed)
    }

    /// From the bottom to the top; `h` says which part of the text is at its place.
    fn upright(&self, text: &str, place: (i32, i32), size: i32, h: HPos) -> Result<(), ReportError> {
        let font = ("sans-serif", f64::from(size * SCALE) * 1.24).into_font().transform(FontTransform::Rotate270);
        let style = TextStyle::from(font).pos(Pos::new(h, VPos::Center)).color(&INK);
        self.area.draw(&Text::new(text.to_string(), place, style)).map_err(failed)
    }

    fn grid(&self) -> Result<(), ReportError> {
        let [left, top, right, bottom] = self.frame;
        for (x, _) in self.x.ticks.iter().filter(|_| self.x.grid) {
            let x = self.place((*x, self.y.range.0)).0;
            self.path(vec![(x, top), (x, bottom)], GRID, 1.0, false)?;
        }
        for (y, _) in self.y.ticks.iter().filter(|_| self.y.grid) {
            let y = self.place((self.x.range.0, *y)).1;
            self.path(vec![(left, y), (right, y)], GRID, 1.0, false)?;
        }
        Ok(())
    }

    fn axes(&self) -> Result<(), ReportError> {
        let [left, top, right, bottom] = self.frame;
        self.path(vec![(left, top), (left, bottom), (right, bottom)], INK, 1.2, false)?;
        let mark = 5 * SCALE;
        for (i, (x, text)) in self.x.ticks.iter().enumerate() {
            let x = self.place((*x, self.y.range.0)).0;
            let row = if let Below::Rows(rows) = self.layout.below { i as i32 % rows } else { 0 };
            let below = mark + ROW * SCALE * row;
            self.path(vec![(x, bottom), (x, bottom + below)], INK, 1.2, false)?;
            let place = (x, bottom + below + 3 * SCALE);
            match self.layout.below {
                Below::Rows(_) => self.text(text, place, SMALL, HPos::Center, VPos::Top)?,
                Below::Upright(_) => self.upright(text, place, SMALL, HPos::Right)?,
            }
        }
        for (y, text) in &self.y.ticks {
            let y = self.place((self.x.range.0, *y)).1;
            self.path(vec![(left - mark, y), (left, y)], INK, 1.2, false)?;
            self.text(text, (left - mark - 3 * SCALE, y), SMALL, HPos::Right, VPos::Center)?;
        }
        if let Some(floor) = self.y.floor {
            let y = self.place((self.x.range.0, floor)).1;
            self.path(vec![(left, y), (right, y)], HATCH, 1.0, false)?;
            self.text(ROWS_TEXT, (left - mark - 3 * SCALE, (y + bottom) / 2), SMALL, HPos::Right, VPos::Center)?;
        }
        let below = bottom + (14 + self.layout.below.height()) * SCALE;
        self.lines(&self.layout.x_label, ((left + right) / 2, below))?;
        self.upright_lines(&self.layout.y_label, (8 * SCALE, (top + bottom) / 2))
    }

    /// Lines of text below each other, the middle of each at a place across, the first one's top at its height.
    fn lines(&self, text: &Lines, (x, y): (i32, i32)) -> Result<(), ReportError> {
        let x = Layout::inside(x / SCALE, text.width(), self.layout.size.0) * SCALE;
        let place = |i: usize| (x, y + SCALE * text.step() * i as i32);
        let mut lines = text.lines.iter().enumerate();
        lines.try_for_each(|(i, line)| self.text(line, place(i), text.size, HPos::Center, VPos::Top))
    }

    /// Lines of text that read upwards, the first one's left side at a place.
    fn upright_lines(&self, text: &Lines, (x, y): (i32, i32)) -> Result<(), ReportError> {
        let y = Layout::inside(y / SCALE, text.width(), self.layout.size.1) * SCALE;
        let place = |i: usize| (x + SCALE * (text.step() * i as i32 + text.size / 2), y);
        let mut lines = text.lines.iter().enumerate();
        lines.try_for_each(|(i, line)| self.upright(line, place(i), text.size, HPos::Center))
    }

    fn around(&self, around: &Around) -> Result<(), ReportError> {
        let [left, top, right, bottom] = self.frame;
        self.lines(&self.layout.title, ((left + right) / 2, 9 * SCALE))?;
        let legend = &self.layout.legend;
        let small = |text: &str, room: i32, (x, y): (i32, i32)| {
            let text = Lines::fitted(text, SMALL, room, 1);
            self.text(&text.lines.concat(), (x, y), text.size, HPos::Left, VPos::Center)
        };
        if let Some(heading) = around.heading.as_ref().filter(|_| !around.legend.is_empty()) {
            small(heading, legend.room + 30, (legend.heading.0 * SCALE, legend.heading.1 * SCALE))?;
        }
        for (entry, (x, y)) in around.legend.iter().zip(&legend.entries) {
            let (x, y) = (x * SCALE, y * SCALE);
            let line = vec![(x, y), (x + 24 * SCALE, y)];
            match entry.mark {
                Mark::Nothing => {}
                Mark::Line => self.path(line, entry.color, 2.4, false)?,
                Mark::Dashes => self.path(line, entry.color, 1.8, true)?,
                Mark::Marked(symbol) => {
                    self.path(line, entry.color, 2.4, false)?;
                    self.symbol_at((x + 12 * SCALE, y), symbol, 4.0, (entry.color, 1.0))?;
                }
                Mark::Symbol(symbol) => self.symbol_at((x + 12 * SCALE, y), symbol, 4.0, (entry.color, 1.0))?,
                Mark::Cross => self.cross_at((x + 12 * SCALE, y), 4 * SCALE, entry.color, 1.6)?,
                Mark::Hatch => self.hatch_at([x + 4 * SCALE, y - 8 * SCALE, x + 20 * SCALE, y + 8 * SCALE])?,
            }
            let gap = if entry.mark == Mark::Nothing { 0 } else { 30 };
            small(&entry.text, legend.room + 30 - gap, (x + gap * SCALE, y))?;
        }
        if let Some(bar) = &around.bar {
            self.bar(bar, (right + 18 * SCALE, top, bottom))?;
        }
        Ok(())
    }

    fn bar(&self, bar: &Bar, (left, top, bottom): (i32, i32, i32)) -> Result<(), ReportError> {
        const STEPS: i32 = 100;
        let right = left + 16 * SCALE;
        let height = |t: f64| bottom - (t * f64::from(bottom - top)).round() as i32;
        for i in 0..STEPS {
            let (low, high) = (f64::from(i) / f64::from(STEPS), f64::from(i + 1) / f64::from(STEPS));
            let rectangle =
                Rectangle::new([(left, top), (right, height(low))], (bar.color)((low + high) / 2.0).filled());
            self.area.draw(&rectangle).map_err(failed)?;
        }
        let mut widest = 0;
        for (t, text) in &bar.ticks {
            let y = height(*t);
            self.path(vec![(right, y), (right + 4 * SCALE, y)], INK, 1.2, false)?;
            self.text(text, (right + 7 * SCALE, y), SMALL, HPos::Left, VPos::Center)?;
            widest = widest.max(wide(text, SMALL) * SCALE);
        }
        self.upright_lines(&self.layout.bar_label, (right + 14 * SCALE + widest, (top + bottom) / 2))
    }
}

#[cfg(test)]
mod tests;
