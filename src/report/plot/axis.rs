//! An axis of a static figure: what it spans, and where it is marked.

/// One axis: what it spans, and where it is marked.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub label: String,
    /// In the axis' own coordinate: the logarithm where it is logarithmic.
    pub range: (f64, f64),
    pub ticks: Vec<(f64, String)>,
    pub grid: bool,
}

impl Axis {
    /// Spans these values with a little room, ticks at round numbers.
    pub fn linear(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = spanned(values);
        let room = 0.03 * (high - low);
        Axis {
            label: label.into(),
            range: (low - room, high + room),
            ticks: round_ticks(low - room, high + room),
            grid: true,
        }
    }

    /// Spans the decimal logarithms `values` of positive numbers, ticks at 1, 2 and 5 times powers of ten, or, where these
    /// are too few, at round numbers.
    pub fn logarithmic(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = spanned(values);
        let room = 0.04 * (high - low);
        let (low, high) = (low - room, high + room);
        let factors: &[f64] = if high - low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = low.floor() as i32..=high.ceil() as i32;
        let step = (powers.clone().count() / 9 + 1) as i32;
        let powers = powers.filter(|p| p.rem_euclid(step) == 0);
        let ticks = powers.flat_map(|p| factors.iter().map(move |f| (f64::from(p) + f.log10(), power_text(*f, p))));
        let mut ticks: Vec<(f64, String)> = ticks.filter(|(place, _)| (low..=high).contains(place)).collect();
        if ticks.len() < 2 {
            let numbers = round_ticks(10f64.powf(low), 10f64.powf(high)).into_iter();
            ticks = numbers.filter_map(|(_, text)| Some((text.parse::<f64>().ok()?.log10(), text))).collect();
        }
        Axis { label: label.into(), range: (low, high), ticks, grid: true }
    }

    /// Makes room for rows of marks below everything; returns where that begins, and how far apart rows are.
    pub fn below(&mut self, rows: usize) -> (f64, f64) {
        // More rows than these share their room.
        const ROWS: f64 = 12.0;
        let closer = (ROWS / rows.max(1) as f64).min(1.0);
        let (floor, step) = (self.range.0, 0.04 * closer * (self.range.1 - self.range.0));
        if rows > 0 {
            self.range.0 -= step * (rows as f64 + 0.5);
        }
        (floor, step)
    }

    /// One place after the other for these words.
    pub fn words(label: impl Into<String>, words: &[String]) -> Self {
        // Not more labels than there is room for.
        let every = words.len().div_ceil(16).max(1);
        let ticks = words.iter().enumerate().step_by(every).map(|(i, word)| (i as f64, word.clone())).collect();
        Axis { label: label.into(), range: (-0.5, words.len() as f64 - 0.5), ticks, grid: false }
    }
}

/// Lowest and highest of the finite values; at least a small span around a lone one.
fn spanned(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    match (low <= high, low < high) {
        (false, _) => (0.0, 1.0),
        (true, false) => (low - 0.5, high + 0.5),
        (true, true) => (low, high),
    }
}

fn power_text(factor: f64, power: i32) -> String {
    if (0..=5).contains(&power) {
        return format!("{}", factor * 10f64.powi(power));
    }
    let power = power.to_string();
    let digits = power.chars().map(|c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(u32::from(digit) - u32::from('0') + 0x2070).unwrap_or(digit),
    });
    let power: String = digits.collect();
    if factor == 1.0 { format!("10{power}") } else { format!("{factor}·10{power}") }
}

/// At most nine multiples of 1, 2 or 5 times a power of ten.
fn round_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|f| f * power).find(|s| *s >= rough).unwrap_or(rough);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let ticks = (low / step).ceil() as i64..=(high / step).floor() as i64;
    ticks.map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step).replace('-', "−"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_marks_stand_below_everything_in_a_room_of_their_own() {
        for (rows, room) in [(0, 0.0), (1, 0.06), (12, 0.5), (60, 0.484)] {
            let mut axis = Axis { label: String::new(), range: (-3.0, 7.0), ticks: Vec::new(), grid: true };
            let (floor, step) = axis.below(rows);
            assert_eq!((floor, axis.range.1), (-3.0, 7.0));
            assert!((-3.0 - axis.range.0 - 10.0 * room).abs() < 1e-9, "{rows}: {:?}", axis.range);
            assert!(floor - step * rows as f64 >= axis.range.0, "{rows}: the last row is inside");
        }
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        let texts = |axis: Axis| axis.ticks.into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(texts(Axis::linear("", [0.5, 3.5])), ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5"]);
        assert_eq!(texts(Axis::linear("", [-31.0, 2.0])), ["−30", "−25", "−20", "−15", "−10", "−5", "0"]);
        assert_eq!(texts(Axis::linear("", [7.0])), ["6.6", "6.8", "7.0", "7.2", "7.4"]);
        assert_eq!(texts(Axis::logarithmic("", [0.0, 1.0])), ["1", "2", "5", "10"]);
        assert_eq!(texts(Axis::logarithmic("", [-9.0, 1.0])), ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]);
        assert_eq!(texts(Axis::logarithmic("", [1.2, 2.4])), ["20", "50", "100", "200"]);
        let narrow = Axis::logarithmic("", [22f64.log10(), 48f64.log10()]);
        assert!(
            narrow.ticks.iter().all(|(place, text)| (10f64.powf(*place) - text.parse::<f64>().unwrap()).abs() < 1e-9)
        );
        assert_eq!(texts(narrow), ["25", "30", "35", "40", "45"]);
        assert_eq!(Axis::linear("", []).range, (-0.03, 1.03));
    }
}
