//! Static figures for papers: the page's figures (a), (b), (c) and (f) as SVG through plotters, and as PNG from that SVG.
//! They read the same aggregated run as the page does, and always stand on white.

mod axis;
mod canvas;
mod color;
mod contour;
mod depth;
mod factor;
mod gradient;
mod layout;
mod palette;
mod phase;
mod png;
pub(super) mod select;
mod symbol;

use super::ReportError;
use super::data::Run;

pub use png::png;

/// Which figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Gradient norm against layer.
    Gradient,
    /// A heat map over two keys, with the edge of chaos.
    Phase,
    /// Trainable depth against scale.
    Depth,
    /// Factor per layer, measured against predicted.
    Factor,
}

/// A figure as asked for; what is not named is chosen.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Key across; for `phase` and `depth`.
    pub x: Option<String>,
    /// Key up, for `phase`.
    pub y: Option<String>,
    /// Key that colours lines and points; for `phase` the column of `networks.csv` that colours the cells.
    pub color: Option<String>,
    /// Keys held at a value.
    pub hold: Vec<(String, String)>,
    pub title: Option<String>,
    /// Pixels of the SVG.
    pub size: (u32, u32),
}

/// The figure as SVG, and a sentence on what it shows.
pub fn svg(run: &Run, kind: Kind, wish: &Wish) -> Result<(String, String), ReportError> {
    match kind {
        Kind::Gradient => gradient::draw(run, wish),
        Kind::Phase => phase::draw(run, wish),
        Kind::Depth => depth::draw(run, wish),
        Kind::Factor => factor::draw(run, wish),
    }
}
