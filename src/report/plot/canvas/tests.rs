//! Ticks, labels and marks: what may not meet does not.

use super::*;

/// Place and text of every text of a drawing, in shown pixels, with whether it is upright.
fn texts(svg: &str) -> Vec<(f64, f64, String, bool)> {
    let mut found = Vec::new();
    for part in svg.split("<text ").skip(1) {
        let (tag, rest) = part.split_once('>').unwrap();
        let number = |name: &str| -> f64 {
            let (_, after) = tag.split_once(&format!("{name}=\"")).unwrap();
            after.split_once('"').unwrap().0.parse::<f64>().unwrap() / f64::from(SCALE)
        };
        let text = rest.split('<').next().unwrap().trim().to_string();
        found.push((number("x"), number("y"), text, tag.contains("rotate")));
    }
    found
}

/// Texts of ticks across, on a drawing of 900 pixels: no two of a row may meet.
fn across(words: &[String]) -> Vec<(f64, f64, String, bool)> {
    let axes = (Axis::words("key", words), Axis::linear("", [0.0, 1.0]));
    let svg = figure((900, 540), axes, Around::default(), |_| Ok(())).unwrap();
    let ticks: Vec<_> = texts(&svg).into_iter().filter(|text| words.contains(&text.2)).collect();
    for (i, a) in ticks.iter().enumerate() {
        for b in ticks[i + 1..].iter().filter(|b| (b.1 - a.1).abs() < f64::from(ROW) - 1.0) {
            let wide = |text: &str| text.chars().count() as f64 * CHARACTER;
            let needed = if a.3 { f64::from(SMALL) } else { (wide(&a.2) + wide(&b.2)) / 2.0 };
            assert!((a.0 - b.0).abs() > needed, "{a:?} {b:?}");
        }
    }
    ticks
}

#[test]
fn texts_of_ticks_do_not_meet() {
    let words = |n: usize, word: &str| (0..n).map(|i| format!("{word}{i:02}")).collect::<Vec<_>>();
    let shapes = |n, word| {
        let ticks = across(&words(n, word));
        (ticks.len(), ticks.iter().any(|tick| tick.3))
    };
    assert_eq!(shapes(4, "tanh"), (4, false));
    assert_eq!(shapes(16, "1.14"), (16, false));
    assert_eq!(shapes(16, "1.1486983549"), (16, true), "as wide as twelve digits");
    let (many, upright) = shapes(99, "1.14");
    assert!(upright && (20..60).contains(&many), "{many}");
}

#[test]
fn a_tag_stands_where_others_leave_room_or_nowhere() {
    let axes = (Axis::linear("", [0.0, 10.0]), Axis::linear("", [0.0, 10.0]));
    figure((900, 540), axes, Around::default(), |canvas| {
        let places = [(1.0, 5.0), (5.0, 5.0), (9.0, 5.0)];
        assert_eq!(canvas.roomiest(&places, &[(1.1, 5.0), (5.2, 5.0)]), Some((9.0, 5.0)));
        assert_eq!(canvas.roomiest(&places, &[(1.0, 5.1), (5.0, 5.1), (9.0, 5.1)]), None);
        Ok(())
    })
    .unwrap();
}

#[test]
fn beside_rows_of_marks_stands_what_they_mean() {
    let mut y = Axis::linear("", [0.0, 1.0]);
    y.below(3);
    let svg = figure((600, 400), (Axis::linear("", [0.0, 1.0]), y), Around::default(), |_| Ok(())).unwrap();
    let found = texts(&svg);
    let dead = found.iter().find(|text| text.2 == ROWS_TEXT).expect("the text of the rows");
    let numbers = found.iter().filter(|text| (text.0 - dead.0).abs() < 0.5 && text.2 != ROWS_TEXT);
    assert!(numbers.clone().count() > 4 && numbers.clone().all(|text| text.1 < dead.1), "{found:?}");
}

#[test]
fn a_figure_has_the_size_asked_for_and_text_stays_text() {
    let axes = (Axis::linear("<script>", [0.0, 1.0]), Axis::words("up & down", &["a<b".to_string()]));
    let svg =
        figure((300, 200), axes, Around::default(), |canvas| canvas.symbol((0.5, 0.0), 0, 3.0, (INK, 1.0))).unwrap();
    assert!(svg.starts_with("<svg width=\"300\" height=\"200\" viewBox=\"0 0 1200 800\""), "{}", &svg[..80]);
    assert!(svg.contains("&lt;script&gt;") && svg.contains("up &amp; down") && svg.contains("a&lt;b"));
    assert!(!svg.contains("<script"));
}
