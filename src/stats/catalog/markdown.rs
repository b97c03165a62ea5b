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
The numbers are those of infinite width, with what width adds to the mean gradient where that is known: the part of the
gradient that is aligned with the activations (under a readout about output_size / width of its square at the top) in
networks without norm, and all of the first order in depth / width under layer and rms norm without skips. A cell is empty
where width is too small for it. In plain networks ln q_l has a variance of order l / width over seeds, and theory says what
the second order in it adds: sizes and cosines are left out from the layer on where that is more than 0.1 decades of the
root mean square, or the variance more than 4; gradients where it is more than 0.15 decades, or the scatter over seeds where
that is known and larger, where q_l is left out and the slope depends on it, or where so few units of a layer are not
saturated that the squared slope's mean over them scatters by more than itself (tanh with sigma_w = 100 at width 64; in
residual sums where such branches would add to the gradient). Where the scatter over seeds is not known, gradients end where
the slopes and weights of the layers above make a variance of ln |delta_l|^2 of more than 4 (ReLU: 0.8 width layers below the
last one). So deep networks of GELU, SiLU and softplus with `he_normal`, whose infinite-width orbit is unstable, have
predictions for their first layers alone. Under layer and rms norm they end 1.5 width layers below the last one, and without
skips also where width adds more than 1.1 decades. Under batch norm the samples of a layer must be few against its width:
gradients are left out where batch_size ((layers to the last one) / width + 2 / input_size) is above 4, with a third of the
first term for ReLU, (1 + 2 a) / 3 of it for leaky ReLU of slope a, all layers for linear ones (and from a = 0.5 on), and
none with skips, and cosines likewise by the layers below. Also empty: batch norm where eps matters
(hard_sigmoid with `pytorch_default`, whose units hardly differ between samples), sizes below 1e-150 and numbers outside
float64 (residual sums with `normal(1e20)`). Inputs of up to 24 gaussian features, which differ in size from sample to
sample, are averaged over their sizes and angles.
Predictions start from the mean square of the actual kind of input, and cosines from the actual
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
