//! An axis of a static figure: what it spans, and where it is marked.

/// One axis: what it spans, and where it is marked.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub label: String,
    /// In the axis' own coordinate: the logarithm where it is logarithmic.
    pub range: (f64, f64),
    pub ticks: Vec<(f64, String)>,
    pub grid: bool,
    /// Below this stand rows of marks, for which the axis has no numbers.
    pub floor: Option<f64>,
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
            floor: None,
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
        let places = powers.flat_map(|p| factors.iter().map(move |f| (f64::from(p) + f.log10(), *f, p)));
        let places: Vec<(f64, f64, i32)> = places.filter(|(place, ..)| (low..=high).contains(place)).collect();
        // One form for all of them.
        let plain = places.iter().all(|(_, _, p)| (-2..=5).contains(p));
        let mut ticks: Vec<(f64, String)> =
            places.into_iter().map(|(place, f, p)| (place, power_text(f, p, plain))).collect();
        if ticks.len() < 2 {
            let numbers = round_ticks(10f64.powf(low), 10f64.powf(high)).into_iter();
            ticks = numbers.filter_map(|(_, text)| Some((text.parse::<f64>().ok()?.log10(), text))).collect();
        }
        Axis { label: label.into(), range: (low, high), ticks, grid: true, floor: None }
    }

    /// Makes room for rows of marks below everything; returns where that begins, and how far apart rows are.
    pub fn below(&mut self, rows: usize) -> (f64, f64) {
        // More rows than these share their room.
        const ROWS: f64 = 12.0;
        let closer = (ROWS / rows.max(1) as f64).min(1.0);
        let (floor, step) = (self.range.0, 0.04 * closer * (self.range.1 - self.range.0));
        if rows > 0 {
            self.range.0 -= step * (rows as f64 + 0.5);
            self.ticks.retain(|(place, _)| *place >= floor);
            self.floor = Some(floor);
        }
        (floor, step)
    }

    /// One place after the other for these words.
    pub fn words(label: impl Into<String>, words: &[String]) -> Self {
        let ticks = words.iter().enumerate().map(|(i, word)| (i as f64, word.clone())).collect();
        Axis { label: label.into(), range: (-0.5, words.len() as f64 - 0.5), ticks, grid: false, floor: None }
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

/// Plain, or as a power of ten.
fn power_text(factor: f64, power: i32, plain: bool) -> String {
    if plain {
        let decimals = (-power).max(0) as usize;
        return format!("{:.decimals$}", factor * 10f64.powi(power));
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
            let mut axis =
                Axis { label: String::new(), range: (-3.0, 7.0), ticks: Vec::new(), grid: true, floor: None };
            let (floor, step) = axis.below(rows);
            assert_eq!((floor, axis.range.1), (-3.0, 7.0));
            assert!((-3.0 - axis.range.0 - 10.0 * room).abs() < 1e-9, "{rows}: {:?}", axis.range);
            assert!(floor - step * rows as f64 >= axis.range.0, "{rows}: the last row is inside");
            assert_eq!(axis.floor, (rows > 0).then_some(-3.0));
        }
    }

    #[test]
    fn no_number_stands_beside_rows_of_marks() {
        let mut axis = Axis::linear("", [-3.1, 7.0]);
        let before = axis.ticks.clone();
        axis.below(12);
        assert_eq!(axis.ticks, before, "ticks of what is above");
        let mut axis = Axis { ticks: vec![(-9.0, "-9".into()), (1.0, "1".into())], ..Axis::linear("", [0.0, 1.0]) };
        axis.below(1);
        assert_eq!(axis.ticks, [(1.0, "1".to_string())]);
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        let texts = |axis: Axis| axis.ticks.into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(texts(Axis::linear("", [0.5, 3.5])), ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5"]);
        assert_eq!(texts(Axis::linear("", [-31.0, 2.0])), ["−30", "−25", "−20", "−15", "−10", "−5", "0"]);
        assert_eq!(texts(Axis::linear("", [7.0])), ["6.6", "6.8", "7.0", "7.2", "7.4"]);
        assert_eq!(texts(Axis::logarithmic("", [0.0, 1.0])), ["1", "2", "5", "10"]);
        assert_eq!(texts(Axis::logarithmic("", [-9.0, 1.0])), ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]);
        assert_eq!(texts(Axis::logarithmic("", [-2.0, 0.2])), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(texts(Axis::logarithmic("", [0.7, 4.0])), ["10", "100", "1000", "10000"]);
        assert_eq!(texts(Axis::logarithmic("", [0.7, 7.0])).first().map(String::as_str), Some("10²"));
        assert_eq!(texts(Axis::logarithmic("", [1.2, 2.4])), ["20", "50", "100", "200"]);
        let narrow = Axis::logarithmic("", [22f64.log10(), 48f64.log10()]);
        assert!(
            narrow.ticks.iter().all(|(place, text)| (10f64.powf(*place) - text.parse::<f64>().unwrap()).abs() < 1e-9)
        );
        assert_eq!(texts(narrow), ["25", "30", "35", "40", "45"]);
        assert_eq!(Axis::linear("", []).range, (-0.03, 1.03));
    }
}
