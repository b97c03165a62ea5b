//! The table of kernels: name (also of file and entry point), the files it is joined from, its storage bindings and, for
//! matrix products, the order in which the operands are stored.

use super::compose::{Composed, compose};
use super::device::AdapterDescription;
use super::layout::BINS;

/// How a matrix product runs. Depends on shape and adapter only, so that a network's numbers do not depend on its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// Straight from storage: for adapters that emulate workgroups on a processor.
    Flat,
    /// Tiles of this size in workgroup memory.
    Square(u32),
    /// A whole network of at most so many units in a workgroup.
    Columns(u32),
}

/// Which product kernels an engine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    Flat,
    Tiled,
    /// Tiles of at most 64, for adapters with little memory in a workgroup.
    TiledBy64,
}

impl Products {
    /// The products that suit an adapter.
    pub fn of(adapter: &AdapterDescription) -> Products {
        if adapter.software { Products::Flat } else { Products::Tiled }
    }

    /// The same, where a workgroup has so many bytes of memory: the largest tiles hold two slices of both operands, the lanes'
    /// parts of a sum and the bins.
    pub fn within(self, workgroup_memory: u32) -> Products {
        const LARGEST: u32 = 2 * 2 * 8 * 128 * 4 + 256 * 16 + 4 * BINS + 256;
        if self == Products::Tiled && workgroup_memory < LARGEST { Products::TiledBy64 } else { self }
    }

    /// The tile of a product of `rows x columns` (padded).
    pub fn tile(self, rows: u32, columns: u32) -> Tile {
        match self {
            Products::Flat => Tile::Flat,
            Products::Tiled if rows.min(columns) >= 128 => Tile::Square(128),
            Products::Tiled | Products::TiledBy64 => Tile::Square(64),
        }
    }
}

impl Tile {
    /// Workgroups of a product of `rows x columns` (padded).
    pub fn groups(self, rows: u32, columns: u32) -> u32 {
        match self {
            Tile::Flat => ((rows / 8) * (columns / 8)).div_ceil(32),
            Tile::Square(n) => rows.div_ceil(n) * columns.div_ceil(n),
            Tile::Columns(_) => 1,
        }
    }
}

macro_rules! kernels {
    ($($kernel:ident $name:literal $storage:literal [$($file:literal),*] $inner:expr;)+) => {
        /// A kernel. Its name is its file, its entry point and its constant here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kernel { $($kernel),+ }
        impl Kernel {
            pub const ALL: &'static [Kernel] = &[$(Kernel::$kernel),+];
            pub fn row(self) -> &'static KernelRow {
                &TABLE[self as usize]
            }
        }
        static TABLE: &[KernelRow] = &[$(KernelRow {
            name: $name,
            storage: $storage,
            files: &[$($file),*],
            inner_contiguous: $inner,
        }),+];
    };
}

/// One row of the table.
#[derive(Debug)]
pub struct KernelRow {
    pub name: &'static str,
    /// Storage bindings 1..=n (0 is the uniform `Params`).
    pub storage: u32,
    /// Files below `shaders/common` or `shaders/table`, before the kernel's own; `types` and `float` always come first.
    files: &'static [&'static str],
    /// Matrix products: whether the summed index is the fast one of the left and of the right operand.
    pub inner_contiguous: Option<[bool; 2]>,
}

kernels! {
    Activation "activation" 6
        ["scale", "math", "activation", "regime", "phi", "records", "strip", "column", "bins", "counting", "moments",
         "strip_moments"] None;
    ActivationBack "activation_back" 8
        ["scale", "row_scale", "math", "activation", "regime", "slope", "records", "strip", "column", "bins",
         "counting", "moments", "phi_record"] None;
    ActivationRewrite "activation_rewrite" 6
        ["scale", "math", "activation", "regime", "phi", "records", "strip", "column", "bins", "counting",
         "moments"] None;
    ActivationTable "activation_table" 2 ["math", "activation"] None;
    Add "add" 7 ["scale", "records", "strip", "column", "bins", "counting", "moments", "strip_moments"] None;
    AddBack "add_back" 7 ["scale", "row_scale", "records", "row", "lanes", "bins", "counting", "moments"] None;
    BackwardSmall "backward_small" 8
        ["scale", "row_scale", "math", "activation", "regime", "slope", "records", "whole", "column", "uncounted",
         "moments", "phi_record", "directions", "unit_vectors"] None;
    Centre "centre" 4 ["scale", "math", "activation", "regime", "norm", "strip", "column"] None;
    Copy "copy" 5 ["scale", "row_scale", "records", "lanes", "bins", "counting", "moments"] None;
    Cosines "cosines" 4 ["strip", "column", "unit_vectors"] None;
    CrossEntropy "cross_entropy" 7
        ["scale", "row_scale", "math", "regime", "records", "lanes", "bins", "counting", "moments"] None;
    CrossEntropyRows "cross_entropy_rows" 6 ["scale", "row_scale", "math", "regime"] None;
    Draw "draw" 7 ["scale", "row_scale", "rng", "drawing", "records", "lanes", "bins", "counting", "moments"] None;
    DrawWeights "draw_weights" 8
        ["scale", "rng", "drawing", "records", "strip", "column", "bins", "counting", "moments"] None;
    ForwardSmall "forward_small" 5
        ["scale", "math", "activation", "regime", "phi", "affine", "records", "whole", "column", "uncounted", "moments",
         "directions", "unit_vectors"] None;
    Linear "linear" 7
        ["scale", "row_scale", "affine", "records", "block", "lanes", "bins", "counting", "moments",
         "tile_moments"] Some([true, true]);
    LinearBack "linear_back" 6
        ["scale", "row_scale", "records", "block", "lanes", "bins", "counting", "moments",
         "tile_moments"] Some([true, false]);
    LoopProbe "loop_probe" 1 [] None;
    Mse "mse" 6
        ["scale", "row_scale", "records", "strip", "column", "bins", "counting", "moments", "strip_moments"] None;
    MultiplyAddRate "multiply_add_rate" 1 [] None;
    NormColumns "norm_columns" 5 ["scale", "norm", "strip", "column"] None;
    NormColumnsBack "norm_columns_back" 8
        ["scale", "row_scale", "norm", "records", "strip", "column", "bins", "counting", "moments"] None;
    NormRows "norm_rows" 5 ["scale", "norm", "row"] None;
    NormRowsBack "norm_rows_back" 8
        ["scale", "row_scale", "norm", "records", "row", "lanes", "bins", "counting", "moments"] None;
    PathsAboveOne "paths_above_one" 6 ["scale", "math", "activation", "regime", "records"] None;
    Quantiles "quantiles" 2 ["bins"] None;
    RowPowers "row_powers" 5 ["scale", "row_scale", "math", "activation", "regime", "slope"] None;
    SampleDirections "sample_directions" 5 ["scale", "row_scale", "math", "records", "directions"] None;
    WeightGrad "weight_grad" 6
        ["scale", "row_scale", "records", "block", "lanes", "bins", "counting", "moments"] Some([false, false]);
}

impl Kernel {
    /// The joined source. `tile` is used by products only.
    pub fn source(self, tile: Tile) -> Composed {
        let row = self.row();
        let place = |name: &str| match name {
            "activation" => "table/activation.wgsl".to_string(),
            name => format!("common/{name}.wgsl"),
        };
        let mut paths = vec![place("types"), place("float")];
        paths.extend(row.files.iter().map(|name| place(name)));
        if row.inner_contiguous.is_some() {
            paths.push(place(if tile == Tile::Flat { "multiply_flat" } else { "multiply_tiled" }));
        }
        paths.push(format!("kernels/{}.wgsl", row.name));
        compose(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Values of the overrides. `counts`: the kernel also fills histograms, which takes memory of the workgroup.
    pub fn overrides(self, tile: Tile, counts: bool) -> Vec<(&'static str, f64)> {
        let mut list = if counts { vec![("BIN_SPACE", f64::from(BINS))] } else { Vec::new() };
        if let Tile::Columns(n) = tile {
            list.push(("LANES", f64::from(n)));
            if self == Kernel::BackwardSmall {
                list.push(("OWNED", f64::from((n * n / 1024).max(1))));
            }
        }
        let Some([left, right]) = self.row().inner_contiguous else { return list };
        list.extend([("LEFT_INNER", f64::from(u8::from(left))), ("RIGHT_INNER", f64::from(u8::from(right)))]);
        // The samples of delta, which the product sums over, have exponents of their own.
        list.push(("LEFT_ROWS", f64::from(u8::from(self == Kernel::WeightGrad))));
        if let Tile::Square(n) = tile {
            list.push(("TILE", f64::from(n)));
        }
        list
    }

    /// The tiles to build: products have three variants, whole networks two, everything else one.
    pub fn tiles(self) -> &'static [Tile] {
        if matches!(self, Kernel::ForwardSmall | Kernel::BackwardSmall) {
            return &[Tile::Columns(32), Tile::Columns(64)];
        }
        match self.row().inner_contiguous {
            Some(_) => &[Tile::Flat, Tile::Square(64), Tile::Square(128)],
            None => &[Tile::Flat],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::compose::{SOURCES, parse};

    #[test]
    fn every_composed_shader_validates() {
        for &kernel in Kernel::ALL {
            for &tile in kernel.tiles() {
                let module = parse(&kernel.source(tile)).unwrap_or_else(|e| panic!("{kernel:?} {tile:?}: {e}"));
                let all = naga::valid::ValidationFlags::all();
                let mut validator = naga::valid::Validator::new(all, naga::valid::Capabilities::empty());
                validator.validate(&module).unwrap_or_else(|e| panic!("{kernel:?} {tile:?}: {e:?}"));
                let entries: Vec<&str> = module.entry_points.iter().map(|e| e.name.as_str()).collect();
                assert_eq!(entries, [kernel.row().name], "one entry point, named like the file");
            }
        }
    }

    #[test]
    fn bindings_are_the_uniform_and_then_storage_without_gaps() {
        for &kernel in Kernel::ALL {
            let module = parse(&kernel.source(Tile::Flat)).unwrap();
            let mut bindings: Vec<u32> =
                module.global_variables.iter().filter_map(|(_, v)| v.binding.map(|b| b.binding)).collect();
            bindings.sort_unstable();
            let want: Vec<u32> = (0..=kernel.row().storage).collect();
            assert_eq!(bindings, want, "{kernel:?}");
            assert!(kernel.row().storage <= 8, "{kernel:?}: portable adapters guarantee eight storage buffers");
        }
    }

    #[test]
    fn every_shader_file_is_used() {
        let all: String =
            Kernel::ALL.iter().flat_map(|k| k.tiles().iter().map(|&t| k.source(t).text)).collect::<Vec<_>>().join("\n");
        for (path, text) in SOURCES {
            assert!(all.contains(text), "{path} is part of no kernel");
        }
    }
}
