//! Joins plain WGSL files in order into one module and keeps, for every line, the file and line it came from, so that
//! errors point at the source. No templates: sizes are `override`s, choices are switches.

use std::fmt::Write;

macro_rules! sources {
    ($($path:literal),+ $(,)?) => {
        /// Every shader file: path below `shaders/` and text.
        pub static SOURCES: &[(&str, &str)] =
            &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)))),+];
    };
}

sources!(
    "common/types.wgsl",
    "common/float.wgsl",
    "common/scale.wgsl",
    "common/row_scale.wgsl",
    "common/rng.wgsl",
    "common/drawing.wgsl",
    "common/math.wgsl",
    "common/regime.wgsl",
    "common/phi.wgsl",
    "common/slope.wgsl",
    "common/affine.wgsl",
    "common/records.wgsl",
    "common/bins.wgsl",
    "common/counting.wgsl",
    "common/uncounted.wgsl",
    "common/strip.wgsl",
    "common/column.wgsl",
    "common/row.wgsl",
    "common/norm.wgsl",
    "common/block.wgsl",
    "common/lanes.wgsl",
    "common/moments.wgsl",
    "common/phi_record.wgsl",
    "common/directions.wgsl",
    "common/unit_vectors.wgsl",
    "common/whole.wgsl",
    "common/strip_moments.wgsl",
    "common/tile_moments.wgsl",
    "common/multiply_flat.wgsl",
    "common/multiply_tiled.wgsl",
    "table/activation.wgsl",
    "kernels/activation.wgsl",
    "kernels/activation_back.wgsl",
    "kernels/activation_rewrite.wgsl",
    "kernels/activation_table.wgsl",
    "kernels/add.wgsl",
    "kernels/add_back.wgsl",
    "kernels/backward_small.wgsl",
    "kernels/centre.wgsl",
    "kernels/copy.wgsl",
    "kernels/cosines.wgsl",
    "kernels/cross_entropy.wgsl",
    "kernels/cross_entropy_rows.wgsl",
    "kernels/draw.wgsl",
    "kernels/draw_weights.wgsl",
    "kernels/forward_small.wgsl",
    "kernels/linear.wgsl",
    "kernels/linear_back.wgsl",
    "kernels/loop_probe.wgsl",
    "kernels/mse.wgsl",
    "kernels/multiply_add_rate.wgsl",
    "kernels/norm_columns.wgsl",
    "kernels/norm_columns_back.wgsl",
    "kernels/norm_rows.wgsl",
    "kernels/norm_rows_back.wgsl",
    "kernels/paths_above_one.wgsl",
    "kernels/quantiles.wgsl",
    "kernels/row_powers.wgsl",
    "kernels/sample_directions.wgsl",
    "kernels/weight_grad.wgsl",
);

/// A joined module.
#[derive(Clone, Debug)]
pub struct Composed {
    pub text: String,
    /// (path, first line of the joined text, 1-based), in order.
    starts: Vec<(&'static str, usize)>,
}

/// Joins files by their paths below `shaders/`.
pub fn compose(paths: &[&str]) -> Composed {
    let mut composed = Composed { text: String::new(), starts: Vec::new() };
    for path in paths {
        let (name, text) = SOURCES
            .iter()
            .find(|(name, _)| name == path)
            .expect("every path in the table of kernels is a source: a test composes each");
        composed.starts.push((name, composed.text.lines().count() + 1));
        composed.text.push_str(text);
        if !text.ends_with('\n') {
            composed.text.push('\n');
        }
    }
    composed
}

impl Composed {
    /// `shaders/FILE:LINE` of a line of the joined text.
    pub fn place(&self, line: usize) -> String {
        match self.starts.iter().rev().find(|(_, start)| *start <= line) {
            Some((path, start)) => format!("shaders/{path}:{}", line - start + 1),
            None => format!("line {line}"),
        }
    }
}

/// Parses the joined text; the error names file and line.
pub fn parse(composed: &Composed) -> Result<naga::Module, String> {
    naga::front::wgsl::parse_str(&composed.text).map_err(|error| {
        let mut message = match error.location(&composed.text) {
            Some(at) => format!("{}:{}: ", composed.place(at.line_number as usize), at.line_position),
            None => String::new(),
        };
        let _ = write!(message, "{}", error.message());
        message
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_in_its_file() {
        let composed = compose(&["common/types.wgsl", "common/float.wgsl"]);
        let line = composed.text.lines().position(|l| l.starts_with("fn pow2")).unwrap() + 1;
        let (_, float) = SOURCES.iter().find(|(name, _)| *name == "common/float.wgsl").unwrap();
        let own = float.lines().position(|l| l.starts_with("fn pow2")).unwrap() + 1;
        assert_eq!(composed.place(line), format!("shaders/common/float.wgsl:{own}"));
    }

    #[test]
    fn an_error_names_file_and_line() {
        let mut composed = compose(&["common/types.wgsl", "common/float.wgsl"]);
        composed.text = composed.text.replace("fn pow2(k: i32)", "fn pow2(k: nothing)");
        let error = parse(&composed).unwrap_err();
        assert!(error.starts_with("shaders/common/float.wgsl:"), "{error}");
    }
}
