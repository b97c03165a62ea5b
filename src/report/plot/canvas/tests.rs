//! Ticks, labels and marks: what may not meet does not.

use resvg::tiny_skia::Pixmap;

use super::super::layout::CHARACTER;
use super::super::png::png;
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

/// Whether anything is drawn at the very border of a picture, as of a text that leaves it; white is not.
fn reaches_out(svg: &str) -> bool {
    let picture = Pixmap::decode_png(&png(svg).unwrap()).unwrap();
    let (w, h) = (picture.width(), picture.height());
    let ink = |x: u32, y: u32| picture.pixel(x, y).is_some_and(|p| p.alpha() > 0 && p.red() < 200);
    (0..w).any(|x| ink(x, 0) || ink(x, h - 1)) || (0..h).any(|y| ink(0, y) || ink(w - 1, y))
}

#[test]
fn whatever_the_size_no_text_leaves_the_figure_or_it_is_refused_with_a_size_that_will_do() {
    let entry = |i: usize| Entry { text: format!("relu, sigma_b 0.{i}"), color: INK, mark: Mark::Marked(i) };
    let bar = Bar {
        label: "measured − predicted, in seed scatters".to_string(),
        ticks: vec![(0.0, "−10".to_string()), (1.0, "10".to_string())],
        color: |_| INK,
    };
    let long = "a title of many words that does not fit into a line of a small figure";
    let draw = |size: (u32, u32), entries: usize, with_bar: bool| {
        let around = Around {
            title: Some(long.to_string()),
            heading: Some("activation, sigma_b".to_string()).filter(|_| !with_bar),
            legend: (0..entries).map(entry).collect(),
            bar: with_bar.then(|| bar.clone()),
        };
        let x = Axis::linear("log₁₀ |δ(l)|² / |δ(l+1)|², mean-field prediction", [-30.0, 2.0]);
        figure(size, (x, Axis::linear("layers until |δ| changes by 2 decades", [0.5, 30.0])), around, |_| Ok(()))
    };
    let mut refusals = 0;
    for size in [(200, 200), (300, 200), (400, 300), (2000, 300), (400, 1600), (900, 540), (4000, 200)] {
        for (entries, with_bar) in [(0, false), (3, false), (17, false), (3, true)] {
            let (size, svg) = match draw(size, entries, with_bar) {
                Ok(svg) => (size, svg),
                Err(error) => {
                    let message = error.to_string();
                    let (w, h) = message.rsplit(' ').next().unwrap().split_once('x').unwrap();
                    let size = (w.parse().unwrap(), h.parse().unwrap());
                    refusals += 1;
                    (size, draw(size, entries, with_bar).expect("the size that was named"))
                }
            };
            let words: Vec<String> = texts(&svg).into_iter().map(|text| text.2).collect();
            let all = words.join(" ");
            assert!(all.contains("a title of many") && all.contains("scatters") == with_bar, "{all}");
            assert!(!reaches_out(&svg), "{size:?}, {entries} entries, bar {with_bar}: {all}");
        }
    }
    assert!(refusals > 3, "{refusals}");
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
