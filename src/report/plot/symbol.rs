//! Symbols that tell lines apart without their colours: the page's, as outlines.

use std::f64::consts::PI;

/// A corner of an outline, in radii from its middle, y downwards.
type Corner = (f64, f64);

/// How many there are.
pub const SYMBOLS: usize = 8;

/// The outline of the `i`-th symbol: circle, square, diamond, triangle up, triangle down, star, hexagon, pentagon.
pub fn outline(i: usize) -> Vec<Corner> {
    match i % SYMBOLS {
        0 => regular(24, 0.0, 1.0),
        1 => regular(4, 0.5, 1.25),
        2 => regular(4, 0.0, 1.25),
        3 => regular(3, 0.0, 1.3),
        4 => regular(3, 0.5, 1.3),
        5 => (0..10).map(|k| corner(k, 10, 0.0, if k % 2 == 0 { 1.4 } else { 0.6 })).collect(),
        6 => regular(6, 0.0, 1.1),
        _ => regular(5, 0.0, 1.1),
    }
}

/// A regular polygon whose first corner is at the top, turned by `turn` sides.
fn regular(sides: usize, turn: f64, radius: f64) -> Vec<Corner> {
    (0..sides).map(|k| corner(k, sides, turn, radius)).collect()
}

fn corner(k: usize, sides: usize, turn: f64, radius: f64) -> Corner {
    let angle = 2.0 * PI * (k as f64 + turn) / sides as f64;
    (radius * libm::sin(angle), -radius * libm::cos(angle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_differ_and_stand_around_their_middle() {
        for i in 0..SYMBOLS {
            let corners = outline(i);
            let (x, y) = corners.iter().fold((0.0, 0.0), |(x, y), c| (x + c.0, y + c.1));
            assert!(x.abs() < 1e-9 && y.abs() < 1e-9, "{i}");
            assert!((0..i).all(|j| outline(j) != corners));
        }
        let square = outline(1);
        assert!((square[0].1 - square[3].1).abs() < 1e-9, "it stands on a side: {square:?}");
        assert_eq!(outline(SYMBOLS + 2), outline(2));
    }
}
