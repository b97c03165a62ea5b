//! `docs/columns.md`, written from the catalog, the columns of the summary and those of the theory.

use std::fmt::Write;

use super::{CATALOG, derived, moments};
use crate::stats::summary;
use crate::theory::columns::{LAYER_COLUMNS, NETWORK_COLUMNS};

const HEAD: &str = "\
# Columns of `layers.csv`

One row per network, recorded step and layer. Row 0 is the input, rows 1 to `depth` are the hidden layers (layer 1
nearest the input), row `depth + 1` is the linear readout, where the loss has one. This file is generated from the
catalog of statistics (`src/stats/catalog.rs`): `gradsweep list statistics --markdown > docs/columns.md`.

An empty cell is an undefined or missing value, never zero. An exact zero has `l2 = 0.0` and an empty `log10_l2`; a value
outside float64 has an empty `l2` and a `log10_l2`. A column exists if some network of the sweep can fill it.

Every sample of a gradient has a power of two of its own; inside a sample elements more than 2^-126 (float64: 2^-1022)
below the largest count as zero. So do samples that far below the layer's largest where samples are summed, but not in the
layers below, where they may be the largest; and a sample all of whose slopes in one layer lie below 2^(-10^9 / depth). An
activation has a power of two per sample on the CPU, and one per layer on the GPU.

## Keys of a row

`network, configuration, sweep, replicate, step, layer, layer_kind, fan_in, fan_out`, then every key that takes two
values or more over the sweep file, empty where it does not apply. `layer_kind` is `input`, `hidden` or `readout`;
`fan_in` and `fan_out` are the sizes of W_l, empty in row 0.
";

const NETWORKS: &str = "
# Columns of `networks.csv`

One row per network: `network, configuration, index, sweep, replicate, seed`, then every key of the sweep file, empty
where it does not apply, then the columns below. The key `loss` stands in the column `loss_function`, because `loss` is
the value of the loss here. L is the number of hidden layers.

| column | unit | definition |
|---|---|---|
";

const PREDICTED: &str = "
Then what theory says of the network's configuration. A column exists if theory is known for some network of the sweep
file, and a cell is empty where it is not known for this one. `plain` networks have neither norm nor residual sums.

| column | unit | definition |
|---|---|---|
";

const THEORY: &str = "
# Columns of `theory.csv`

What theory predicts before anything is run: one row per configuration and layer, in plan order, with the layers of
`layers.csv`. It starts with `configuration, sweep, layer, layer_kind` and the varying keys, then come the columns below;
it joins `layers.csv` on `configuration` and `layer`. A column exists if theory is known for some network of the sweep
file, and a cell is empty where it is not known for this one: weights that are no random matrix (`constant`, `identity`
but for plain linear networks, `zeros`), batch norm below 6 samples (the gradient's squares are divided by a variance over the
batch, and below that so few units make up their mean that no width is large) or with samples that are not independent.
Width is taken to be infinite: where that limit is unstable, as with GELU, SiLU and softplus in deep networks, measured
gradients of plain networks lie up to decades from it, and the finite-width shift and the deviation are empty. The gradient
is taken to be independent of the forward pass but in residual sums without norm: there the part of it that is aligned with
the activations (under mse about output_size / width of its square at the top, 1 / width of a gradient drawn at random, in
the mean over units) outgrows the rest, is followed layer by layer, and is part of the prediction. Inputs of fewer than
some ten gaussian features differ in size from sample to sample by more than predictions take in. Predictions start from the mean square of the actual kind of input, and cosines from the actual
pairs.

| column | unit | rows | definition |
|---|---|---|---|
";

/// The text of `docs/columns.md`.
pub fn markdown() -> String {
    let mut out = HEAD.to_string();
    out += "\n## Quantities\n\n| quantity | what | rows |\n|---|---|---|\n";
    for (name, doc, rows) in moments::quantities() {
        let _ = writeln!(out, "| `{name}` | {doc} | {rows} |");
    }
    out += "\n## Statistics of a quantity\n\nColumns are named `<quantity>_<statistic>`: `preact_grad_log10_l2`.\n";
    out += "\n| statistic | level | unit | definition |\n|---|---|---|---|\n";
    for (name, level, unit, doc) in moments::statistics() {
        let _ = writeln!(out, "| `{name}` | {} | {unit} | {} |", level.name(), escape(&doc));
    }
    out += "\n## Other columns\n";
    for (group, about) in derived::GROUPS {
        let _ = writeln!(out, "\n### `{group}`: {about}\n");
        out += "| column | level | unit | rows | definition |\n|---|---|---|---|---|\n";
        for row in CATALOG.iter().filter(|row| row.group == group) {
            let (name, level, doc) = (&row.name, row.level.name(), escape(&row.doc));
            let _ = writeln!(out, "| `{name}` | {level} | {} | {} | {doc} |", row.unit, row.rows);
        }
    }
    out += NETWORKS;
    for (name, unit, doc) in summary::COLUMNS {
        let _ = writeln!(out, "| `{name}` | {unit} | {} |", escape(doc));
    }
    out += PREDICTED;
    for column in &NETWORK_COLUMNS {
        let _ = writeln!(out, "| `{}` | {} | {} |", column.name, column.unit, escape(column.doc));
    }
    out += THEORY;
    for column in &LAYER_COLUMNS {
        let (name, unit, rows, doc) = (column.name, column.unit, column.rows, escape(column.doc));
        let _ = writeln!(out, "| `{name}` | {unit} | {rows} | {doc} |");
    }
    out
}

/// A bar would end the cell.
fn escape(doc: &str) -> String {
    doc.replace('|', "\\|")
}
