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
};

/// The place of a name in a list of the likeliest first; the others come last.
pub fn rank(list: &[&str], name: &str) -> usize {
    list.iter().position(|listed| *listed == name).unwrap_or(list.len())
}
