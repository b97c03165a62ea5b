//! Where the parts of a static figure stand: how long texts are, how they are wrapped, and what is left for the data. A
//! figure that is too small for its parts is refused, with the size that it takes.

use super::super::ReportError;
use super::axis::Axis;
use super::canvas::{Around, Bar};

/// Sizes of text in shown pixels.
pub const SMALL: i32 = 13;
pub const LARGE: i32 = 15;
/// Text is not written smaller than this.
const SMALLEST: i32 = 10;
/// Height of a row of tick texts.
pub const ROW: i32 = 16;
/// Height of a row of the legend.
pub const LEGEND_ROW: i32 = 20;
/// Shown pixels per character of small text, on average.
pub const CHARACTER: f64 = 7.7;
/// What stands beside rows of marks below the numbers.
pub const ROWS_TEXT: &str = "dead";
/// A legend entry's mark, and the room around it.
const MARK: i32 = 42;
/// The smallest room for data.
const LEAST: (i32, i32) = (120, 90);
/// Beside a legend there is this much room for data, or the legend goes below.
const BESIDE: i32 = 200;
/// Between texts and the border of the drawing.
const MARGIN: i32 = 6;

/// Shown pixels of a text of this size in DejaVu Sans, which is wider than most.
pub fn wide(text: &str, size: i32) -> i32 {
    let em = |c: char| match c {
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '(' | ')' | '[' | ']' | 'f' | 't'
        | 'r' => 0.41,
        '⁻' | '¹' | '²' | '³' | '₀' | '₁' | '₂' => 0.42,
        c if c.is_ascii_uppercase() || !c.is_ascii() => 0.75,
        _ => 0.64,
    };
    (text.chars().map(em).sum::<f64>() * f64::from(size)).ceil() as i32
}

/// A text in lines, with their size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    pub lines: Vec<String>,
    pub size: i32,
}

impl Lines {
    /// In at most `most` lines of `room` shown pixels: broken between words, then smaller, then cut off.
    pub fn fitted(text: &str, size: i32, room: i32, most: usize) -> Self {
        for size in (SMALLEST..=size).rev() {
            if let Some(lines) = broken(text, size, room).filter(|lines| lines.len() <= most) {
                return Lines { lines, size };
            }
        }
        let mut cut = text.to_string();
        while !cut.is_empty() && wide(&cut, SMALLEST) + SMALLEST > room * most as i32 {
            cut.pop();
        }
        let cut = format!("{}…", cut.trim_end());
        let lines = broken(&cut, SMALLEST, room).filter(|lines| lines.len() <= most).unwrap_or_else(|| {
            let mut line = cut;
            while line.chars().count() > 1 && wide(&line, SMALLEST) > room {
                line.pop();
                line.pop();
                line.push('…');
            }
            vec![line]
        });
        Lines { lines, size: SMALLEST }
    }

    /// From one line to the next.
    pub fn step(&self) -> i32 {
        self.size + 3
    }

    pub fn height(&self) -> i32 {
        self.step() * self.lines.len() as i32
    }

    pub fn width(&self) -> i32 {
        self.lines.iter().map(|line| wide(line, self.size)).max().unwrap_or(0)
    }
}

/// Words in as few lines as this room takes; `None` where one word is too long.
fn broken(text: &str, size: i32, room: i32) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|line| format!("{line} {word}")).filter(|line| wide(line, size) <= room);
        match (longer, lines.last_mut()) {
            (Some(longer), Some(line)) => *line = longer,
            _ if wide(word, size) > room => return None,
            _ => lines.push(word.to_string()),
        }
    }
    Some(lines)
}

/// How the texts of ticks stand below the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Below {
    /// In so many rows, in turns.
    Rows(i32),
    /// Upright, where they are too long to stand side by side: so many shown pixels.
    Upright(i32),
}

impl Below {
    /// For `ticks` texts of up to `longest` shown pixels, with `room` for all of them.
    fn new(ticks: usize, longest: i32, room: i32) -> Self {
        let room = room / ticks.max(1) as i32;
        match longest + 8 {
            wide if wide <= room => Below::Rows(1),
            wide if wide <= 2 * room => Below::Rows(2),
            _ => Below::Upright(longest),
        }
    }

    pub fn height(self) -> i32 {
        match self {
            Below::Rows(rows) => ROW * rows,
            Below::Upright(longest) => longest,
        }
    }
}

/// Leaves out texts of evenly spread ticks that have less than `ROW` shown pixels of `room`.
pub fn thinned(ticks: Vec<(f64, String)>, room: i32) -> Vec<(f64, String)> {
    let every = (ticks.len() as i32 * ROW).div_euclid(room.max(1)) as usize + 1;
    if ticks.len() as i32 * ROW <= room { ticks } else { ticks.into_iter().step_by(every).collect() }
}

/// Where the entries of a legend stand, in shown pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Legend {
    /// Of the heading, if there is one, and of every entry: its left end and its middle.
    pub heading: (i32, i32),
    pub entries: Vec<(i32, i32)>,
    /// Room for the text of one.
    pub room: i32,
}

/// The parts of a figure, in shown pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Left, top, right, bottom of the data.
    pub frame: [i32; 4],
    pub below: Below,
    pub legend: Legend,
    pub title: Lines,
    pub x_label: Lines,
    pub y_label: Lines,
    pub bar_label: Lines,
    /// The size of the drawing, without what stands below everything.
    pub size: (i32, i32),
}

/// What a legend takes where it is not beside the data: columns, rows.
fn columns(entries: usize, entry: i32, room: i32) -> (i32, i32) {
    let columns = (room / entry.max(1)).clamp(1, entries.max(1) as i32);
    (columns, (entries as i32 + columns - 1) / columns)
}

impl Layout {
    /// For a figure with these axes and surroundings; an error where there is no room for data beside them.
    pub fn new(size: (u32, u32), x: &Axis, y: &Axis, around: &Around) -> Result<Self, ReportError> {
        let mut takes = match Self::of_size(size, x, y, around) {
            Ok(layout) => return Ok(layout),
            Err(takes) => takes,
        };
        // Texts grow with their room, so the first guess may be too small as well.
        while let Err(more) = Self::of_size(takes, x, y, around) {
            takes = more;
        }
        Err(ReportError::Usage(format!(
            "a figure of {}x{} pixels is too small for its axes, legend and texts; this one takes at least --size {}x{}",
            size.0, size.1, takes.0, takes.1
        )))
    }

    /// The same, with a size that is closer where this one is too small: one side at least is larger.
    fn of_size(size: (u32, u32), x: &Axis, y: &Axis, around: &Around) -> Result<Self, (u32, u32)> {
        let (width, height) = (size.0 as i32, size.1 as i32);
        let ticks = |texts: &mut dyn Iterator<Item = &String>| {
            (texts.map(|t| t.chars().count()).max().unwrap_or(0) as f64 * CHARACTER) as i32
        };
        let title = around
            .title
            .as_ref()
            .map_or(Lines::default(), |title| Lines::fitted(title, LARGE + 1, width - 2 * MARGIN, 3));
        let x_label = Lines::fitted(&x.label, LARGE, width - 2 * MARGIN, 2);
        let bar_text = around.bar.as_ref().map_or("", |bar: &Bar| &bar.label);
        let bar_label = Lines::fitted(bar_text, LARGE, height - 2 * MARGIN, 2);

        let beside = y.floor.map(|_| ROWS_TEXT.to_string());
        let numbers = ticks(&mut y.ticks.iter().map(|t| &t.1).chain(&beside)).max(14);
        let bar = around.bar.as_ref().map_or(0, |b| 58 + bar_label.height() + ticks(&mut b.ticks.iter().map(|t| &t.1)));
        // The legend: above where there is a colour bar, else beside the data or, where that is narrow, below.
        let entries = around.legend.len();
        let longest = ticks(&mut around.legend.iter().map(|e| &e.text).chain(&around.heading));
        let heading = i32::from(around.heading.is_some());
        let above = around.bar.is_some();
        let entry = (MARK + longest).min(width - 2 * MARGIN);
        let (many, rows) = columns(entries, entry, width - 2 * MARGIN);
        let flowing = if entries == 0 { 0 } else { LEGEND_ROW * (rows + heading) };

        let top_alone = 18 + if title.lines.is_empty() { 0 } else { title.height() + 7 };
        let top = top_alone + if above { flowing } else { 0 };
        let label = 26 + x_label.height() - 15;
        // With what stands below the axis' label the label of the other must not meet.
        let arrange = |right: i32, under: i32| {
            let y_label = Lines::fitted(&y.label, LARGE, height - under - 2 * MARGIN, 2);
            let left = 26 + y_label.height() + numbers;
            let below = Below::new(x.ticks.len(), ticks(&mut x.ticks.iter().map(|t| &t.1)), width - right - left);
            let bottom = height - 13 - label - below.height() - under;
            ([left, top, width - right, bottom], below, y_label)
        };
        let (mut frame, mut below, mut y_label) = arrange(if above { bar } else { 24 }, 0);
        let mut under = 0;
        let mut legend = Legend { room: entry - 30, ..Legend::default() };
        let flow = |start: (i32, i32)| -> Vec<(i32, i32)> {
            let place = |i: i32| (start.0 + entry * (i % many), start.1 + LEGEND_ROW * (i / many + heading));
            (0..entries as i32).map(place).collect()
        };
        if entries > 0 && above {
            legend.heading = (MARGIN + 4, top_alone + 2);
            legend.entries = flow(legend.heading);
        } else if entries > 0 {
            let per = ((frame[3] - top) / LEGEND_ROW - heading).max(1);
            let stacks = (entries as i32 + per - 1) / per;
            let beside = arrange(6 + entry * stacks, 0);
            if beside.0[2] - beside.0[0] >= BESIDE {
                (frame, below, y_label) = beside;
                let start = (frame[2] + 14, top + 10);
                let place = |i: i32| (start.0 + entry * (i / per), start.1 + LEGEND_ROW * (i % per + heading));
                (legend.heading, legend.entries) = (start, (0..entries as i32).map(place).collect());
            } else {
                under = flowing;
                (frame, below, y_label) = arrange(24, under);
                legend.heading = (MARGIN + 4, height - flowing + 2);
                legend.entries = flow(legend.heading);
            }
        }
        let (across, up) = (frame[2] - frame[0], frame[3] - top);
        if across < LEAST.0 || up < LEAST.1 {
            let takes = |side: i32, least: i32, has: i32| (side + (least - has).max(0)) as u32;
            return Err((takes(width, LEAST.0, across), takes(height, LEAST.1, up)));
        }
        Ok(Layout { frame, below, legend, title, x_label, y_label, bar_label, size: (width, height - under) })
    }

    /// The middle of a text this long, as close to `place` as it stays inside `side` pixels.
    pub fn inside(place: i32, long: i32, side: i32) -> i32 {
        let half = long / 2 + 2;
        place.min(side - half).max(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_then_smaller_then_cut_off() {
        let text = "measured minus predicted, in seed scatters";
        let one = Lines::fitted(text, LARGE, 900, 2);
        assert_eq!((one.lines.len(), one.size), (1, LARGE));
        let two = Lines::fitted(text, LARGE, 240, 2);
        assert_eq!((two.lines.len(), two.size, two.lines.join(" ")), (2, LARGE, text.to_string()));
        let small = Lines::fitted(text, LARGE, 170, 2);
        assert_eq!((small.lines.len(), small.lines.join(" ")), (2, text.to_string()));
        assert!((SMALLEST..LARGE).contains(&small.size));
        for (text, room) in [(text, 60), ("oneverylongwordwithoutanyplacetobreak", 80)] {
            let cut = Lines::fitted(text, LARGE, room, 2);
            assert!(cut.lines.len() <= 2 && cut.lines.iter().all(|line| wide(line, cut.size) <= room), "{cut:?}");
            assert!(cut.lines.last().is_some_and(|line| line.ends_with('…')), "{cut:?}");
        }
    }
}
