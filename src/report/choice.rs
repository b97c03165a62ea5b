//! What figures choose when nobody says: which keys colour and span them, how much one of them can carry, and which columns
//! fill a plane. One table for the page, which receives it with its data, and for the static figures.

use serde::Serialize;

/// How a column is coloured: around zero, by its logarithm, or as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    Diverging,
    Log,
    Linear,
}

/// A column of `networks.csv` that can fill a plane.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PlaneColumn {
    pub column: &'static str,
    /// For people.
    pub name: &'static str,
    pub scale: Scale,
}

/// Colours from far below zero (blue) over zero to far above it (orange), on light and on dark ground.
#[derive(Debug, Serialize)]
pub struct Diverging {
    pub light: [&'static str; 9],
    pub dark: [&'static str; 9],
}

/// The table.
#[derive(Debug, Serialize)]
pub struct Choices {
    /// Keys to colour by, the likeliest first.
    pub colored: [&'static str; 12],
    /// Keys that are scales, across which depth is drawn, the likeliest first.
    pub scales: [&'static str; 8],
    pub plane: [PlaneColumn; 6],
    /// Depth scales with a contour, in layers.
    pub contours: [f64; 5],
    /// Lines that can be told apart: keys are held until no more are left.
    pub lines: usize,
    /// Most lines with bands over seeds.
    pub bands: usize,
    /// Most lines that get a colour each.
    pub each: usize,
    /// Most points drawn.
    pub points: usize,
    pub diverging: Diverging,
}

const fn plane(column: &'static str, name: &'static str, scale: Scale) -> PlaneColumn {
    PlaneColumn { column, name, scale }
}

pub static CHOICES: Choices = Choices {
    colored: [
        "activation",
        "init",
        "norm",
        "residual",
        "residual_scale",
        "sigma_w",
        "gain",
        "sigma_b",
        "depth",
        "width",
        "batch_size",
        "loss_function",
    ],
    scales: ["sigma_w", "gain", "sigma_b", "residual_scale", "width", "batch_size", "init", "depth"],
    plane: [
        plane("log10_grad_ratio_total", "log₁₀ |δ(1)|² / |δ(L)|²", Scale::Diverging),
        plane("grad_decades_per_layer", "decades of |δ| per layer", Scale::Diverging),
        plane("depth_scale", "depth scale (layers)", Scale::Log),
        plane("max_trainable_depth", "trainable depth (layers)", Scale::Log),
        plane("log10_loss", "log₁₀ loss", Scale::Linear),
        plane("grad_ratio_deviation", "measured − predicted, in seed scatters", Scale::Diverging),
    ],
    contours: [3.0, 10.0, 30.0, 100.0, 300.0],
    lines: 16,
    bands: 12,
    each: 8,
    points: 4000,
    // Each arm is a curve in CIELAB, cut into four pieces of equal length.
    diverging: Diverging {
        light: ["#00569e", "#4c85c7", "#89b2e6", "#c3d9f6", "#f7f7f7", "#f4d1ba", "#e1a37d", "#be7042", "#913a08"],
        dark: ["#85d6ff", "#5ba2d6", "#3c709f", "#2e4766", "#262b33", "#543e33", "#875b3d", "#c18858", "#fbc186"],
    },
};

/// The place of a name in a list of the likeliest first; the others come last.
pub fn rank(list: &[&str], name: &str) -> usize {
    list.iter().position(|listed| *listed == name).unwrap_or(list.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red, green and blue of an sRGB colour as shares of light.
    fn light(color: &str) -> [f64; 3] {
        [1, 3, 5].map(|i| {
            let part = f64::from(u8::from_str_radix(&color[i..i + 2], 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        })
    }

    /// L*, a*, b* (CIE 1976, white D65) of shares of light.
    fn lab([r, g, b]: [f64; 3]) -> [f64; 3] {
        let x = (0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.950_47;
        let y = 0.212_672_9 * r + 0.715_152_2 * g + 0.072_175_0 * b;
        let z = (0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b) / 1.088_83;
        let root = |t: f64| if t > 216.0 / 24389.0 { t.cbrt() } else { t * 841.0 / 108.0 + 4.0 / 29.0 };
        let [x, y, z] = [x, y, z].map(root);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// Both scales, and the sign of the change of lightness from the middle outwards.
    fn scales() -> [([&'static str; 9], f64); 2] {
        [(CHOICES.diverging.light, -1.0), (CHOICES.diverging.dark, 1.0)]
    }

    #[test]
    fn lightness_is_that_of_the_standard() {
        // sRGB's white, and its red: L* 53.24, a* 80.09, b* 67.20.
        assert!(distance(lab(light("#ffffff")), [100.0, 0.0, 0.0]) < 0.02);
        assert!(distance(lab(light("#ff0000")), [53.24, 80.09, 67.20]) < 0.02);
    }

    #[test]
    fn colours_around_zero_change_their_lightness_evenly_from_the_middle_to_both_ends() {
        for (scale, sign) in scales() {
            let colors = scale.map(|color| lab(light(color)));
            for arm in [[4, 3, 2, 1, 0], [4, 5, 6, 7, 8]] {
                for pair in arm.windows(2) {
                    let (inner, outer) = (colors[pair[0]], colors[pair[1]]);
                    assert!(sign * (outer[0] - inner[0]) > 10.0, "{scale:?}: {inner:?} {outer:?}");
                    // Equal steps of a number are equal steps to the eye.
                    assert!((distance(inner, outer) - 20.2).abs() < 1.5, "{scale:?}: {}", distance(inner, outer));
                }
            }
            // Neither side is darker.
            for i in 0..4 {
                assert!((colors[i][0] - colors[8 - i][0]).abs() < 3.5, "{scale:?}: {i}");
            }
        }
    }

    #[test]
    fn colour_blind_readers_tell_below_zero_from_above() {
        // Machado, Oliveira and Fernandes 2009, table 1, severity 1: protan, deutan and tritan.
        let sights = [
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ];
        for (scale, sign) in scales() {
            for sight in sights {
                let seen = |color: &str| {
                    let light = light(color);
                    let part = |row: [f64; 3]| row.iter().zip(light).map(|(a, b)| a * b).sum::<f64>();
                    lab(sight.map(|row| part(row).clamp(0.0, 1.0)))
                };
                let colors = scale.map(seen);
                for i in 0..4 {
                    // 2.3 is a difference that is just noticed.
                    assert!(distance(colors[i], colors[8 - i]) > 25.0, "{scale:?}: {i}");
                    assert!(sign * (colors[i][0] - colors[i + 1][0]) > 5.0, "{scale:?}: {i}");
                    assert!(sign * (colors[8 - i][0] - colors[7 - i][0]) > 5.0, "{scale:?}: {i}");
                }
            }
        }
    }
}
