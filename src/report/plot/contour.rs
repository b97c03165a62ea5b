//! Lines of a level over a grid of numbers, branch by branch, and where each branch says which level it is.

use super::canvas::Canvas;

/// A piece of a line.
pub type Segment = [(f64, f64); 2];

/// Points of a line.
pub type Path = Vec<(f64, f64)>;

/// A number per cell, rows upwards.
pub type Grid = Vec<Vec<Option<f64>>>;

/// Shown pixels from which on a branch of a level has a tag, as the longest one has in any case.
const TAGGED: f64 = 90.0;

/// Where the level of each contour is written: on every branch that is long enough, as far from the other lines and tags
/// as it can be.
pub fn tags(canvas: &Canvas, contours: &[(f64, Vec<Path>)], edge: &[Segment]) -> Vec<(f64, (f64, f64))> {
    let mut tags: Vec<(f64, (f64, f64))> = Vec::new();
    let branches: Vec<(f64, &Path)> =
        contours.iter().flat_map(|(level, paths)| paths.iter().map(|path| (*level, path))).collect();
    let longest = |level: f64| {
        let those = branches.iter().filter(|(other, _)| *other == level);
        those.map(|(_, path)| canvas.span(path)).fold(0.0, f64::max)
    };
    for (i, (level, path)) in branches.iter().enumerate() {
        let span = canvas.span(path);
        if span < TAGGED && span < longest(*level) {
            continue;
        }
        let others = branches.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, (_, path))| path.iter());
        let mut taken: Vec<(f64, f64)> = others.chain(edge.iter().flatten()).copied().collect();
        taken.extend(tags.iter().map(|(_, place)| *place));
        tags.extend(canvas.roomiest(path, &taken).map(|place| (*level, place)));
    }
    tags
}

/// Paths made of segments that share ends, so that dashes run on.
pub fn joined(segments: &[Segment]) -> Vec<Path> {
    let mut left: Vec<Segment> = segments.to_vec();
    let near = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() + (a.1 - b.1).abs() < 1e-9;
    let mut paths = Vec::new();
    while let Some([start, end]) = left.pop() {
        let mut path = vec![start, end];
        for _ in 0..2 {
            let mut last = path[path.len() - 1];
            while let Some(i) = left.iter().position(|s| near(s[0], last) || near(s[1], last)) {
                let [a, b] = left.swap_remove(i);
                last = if near(a, last) { b } else { a };
                path.push(last);
            }
            path.reverse();
        }
        paths.push(path);
    }
    paths
}

/// Segments along which a grid, linear between its points, has the value `level` (marching squares over triangles, which
/// leave no case open); `across` and `up` are the places of its columns and rows.
pub fn contour(grid: &Grid, [across, up]: [&[f64]; 2], level: f64) -> Vec<Segment> {
    let mut segments = Vec::new();
    for j in 1..grid.len() {
        for i in 1..grid[j].len() {
            let corner = |i: usize, j: usize| Some((across[i], up[j], grid[j][i]?));
            let corners = [corner(i - 1, j - 1), corner(i, j - 1), corner(i, j), corner(i - 1, j)];
            let [Some(a), Some(b), Some(c), Some(d)] = corners else { continue };
            for triangle in [[a, b, c], [a, c, d]] {
                let mut ends = Vec::new();
                for (p, q) in [(0, 1), (1, 2), (2, 0)] {
                    let (p, q) = (triangle[p], triangle[q]);
                    // One side is below and the other is not; the order of the two must not change the crossing.
                    if (p.2 < level) != (q.2 < level) {
                        let (p, q) = if p.2 < level { (p, q) } else { (q, p) };
                        let t = (level - p.2) / (q.2 - p.2);
                        ends.push((p.0 + t * (q.0 - p.0), p.1 + t * (q.1 - p.1)));
                    }
                }
                if let [a, b] = ends[..] {
                    segments.push([a, b]);
                }
            }
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::super::canvas::{Around, figure};
    use super::*;

    fn places(n: usize) -> Vec<f64> {
        (0..n).map(|i| i as f64).collect()
    }

    #[test]
    fn a_contour_of_a_plane_is_a_straight_line() {
        let grid: Grid = (0..5).map(|j| (0..6).map(|i| Some(f64::from(i) + 2.0 * f64::from(j))).collect()).collect();
        let segments = contour(&grid, [&places(6), &places(5)], 5.5);
        assert!(segments.len() > 4);
        assert!(segments.iter().flatten().all(|(x, y)| (x + 2.0 * y - 5.5).abs() < 1e-12));
        let paths = joined(&segments);
        assert_eq!(paths.len(), 1, "{paths:?}");
        assert_eq!(paths[0].len(), segments.len() + 1);
        assert!(contour(&grid, [&places(6), &places(5)], 100.0).is_empty());
    }

    #[test]
    fn every_long_branch_of_a_level_says_which_it_is() {
        // |x - 4|: a branch left and one right of the middle.
        let grid: Grid = (0..5).map(|_| (0..9).map(|i| Some(f64::from(i - 4i32).abs())).collect()).collect();
        let places = [places(9), places(5)];
        let paths = joined(&contour(&grid, [&places[0], &places[1]], 2.5));
        assert_eq!(paths.len(), 2);
        let axes = (Axis::linear("", places[0].iter().copied()), Axis::linear("", places[1].iter().copied()));
        figure((900, 540), axes, Around::default(), |canvas| {
            let found: Vec<f64> = tags(canvas, &[(2.5, paths.clone())], &[]).iter().map(|(_, place)| place.0).collect();
            assert!(found.len() == 2 && found.contains(&1.5) && found.contains(&6.5), "{found:?}");
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn no_contour_passes_a_cell_without_a_number() {
        let mut grid: Grid = (0..3).map(|_| (0..3).map(|i| Some(f64::from(i))).collect()).collect();
        assert_eq!(contour(&grid, [&places(3), &places(3)], 0.5).len(), 4);
        grid[0][0] = None;
        assert_eq!(contour(&grid, [&places(3), &places(3)], 0.5).len(), 2);
    }
}
