//! PNG of a static figure, by resvg from its SVG. The font comes with the program (DejaVu Sans), so a machine without
//! fonts draws the same picture.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::super::ReportError;

/// Pixels of the picture per pixel of the SVG: 300 per inch at a width of 9 inches for 900 pixels.
const SCALE: f32 = 3.0;

/// The picture as PNG.
pub fn png(svg: &str) -> Result<Vec<u8>, ReportError> {
    let failed = |error: &dyn std::fmt::Display| ReportError::Draw(error.to_string());
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options { fontdb: Arc::new(fonts), font_family: "DejaVu Sans".to_string(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| failed(&e))?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| failed(&"the picture has no size"))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| failed(&"the picture is too large"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dark pixels of a picture.
    fn ink(svg: &str) -> usize {
        let pixels = Pixmap::decode_png(&png(svg).unwrap()).unwrap();
        pixels.pixels().iter().filter(|p| p.alpha() > 128 && p.red() < 128).count()
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        let text = |t: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" height=\"20\">\
                 <text x=\"2\" y=\"15\" font-family=\"sans-serif\" font-size=\"14\">{t}</text></svg>"
            )
        };
        assert_eq!(ink(&text("")), 0);
        assert!(ink(&text("log₁₀ |δ|² χ₁")) > 500);
        // A glyph that the font lacks would be the same box for both.
        assert_ne!(ink(&text("δ")), ink(&text("χ")));
        assert_ne!(ink(&text("₁")), ink(&text("²")));
    }

    #[test]
    fn a_picture_is_three_times_as_large_as_its_drawing() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"90\" height=\"50\"/>";
        let pixels = Pixmap::decode_png(&png(svg).unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (270, 150));
    }
}
