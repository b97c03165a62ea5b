//! Sweep files, good and bad.

mod bad;
mod filters;
mod fuzz;
mod overrides;

use super::*;

pub const EXAMPLE: &str = r#"schema_version = 1
name = "phase-and-depth"        # names: [A-Za-z0-9][A-Za-z0-9_.-]{0,63}
seed = 20261123                 # root seed
replicates = 4                  # independent draws per configuration
seeding = "configuration"

[defaults]
width = 128
batch_size = 64
input = "gaussian"

[[sweep]]                       # a bare array is an axis; axes multiply
name = "phase"
depth = 50
activation = ["tanh", "erf", "relu", "leaky_relu(0.2)"]
init = "mean_field"
sigma_w = { linspace = [0.5, 3.5], num = 31 }
sigma_b = { linspace = [0.0, 1.0], num = 21 }

[[sweep]]
name = "depth"
depth = { logspace = [2, 128], num = 7 }
norm = ["none", "layer", "batch"]
residual = ["none", "post_act", "pre_act"]
zip = { activation = ["tanh", "relu"], init = ["xavier_normal", "he_normal"] }
where = ["depth * width * width <= 4000000"]

[record]
steps = [0]
statistics = "basic"
layers = "all"

[verdict]
decades = 2.0
"#;

fn parse(text: &str) -> Result<SweepFile, SweepError> {
    SweepFile::parse(text, "sweep.toml", &Overrides::default())
}

fn good(text: &str) -> SweepFile {
    parse(text).unwrap_or_else(|e| panic!("{e}"))
}

/// A file with one sweep that has this body, from line 4 on.
fn body(body: &str) -> String {
    format!("name = \"t\"\n[[sweep]]\nname = \"s\"\n{body}\n")
}

/// Values of `key` in the only sweep of a file with this body.
fn values(text: &str, key: Key) -> Vec<Value> {
    let file = good(&body(text));
    let columns = file.sweeps[0].axes.iter().flat_map(|axis| &axis.columns);
    columns.filter(|c| c.key == key).flat_map(|c| c.settings.iter().map(Setting::value)).collect()
}

#[test]
fn the_example_parses() {
    let file = good(EXAMPLE);
    assert_eq!((file.name.as_str(), file.seed, file.sweeps.len()), ("phase-and-depth", 20261123, 2));
    assert_eq!(file.seeding, Seeding::Configuration);
    let phase = &file.sweeps[0];
    let axes: Vec<_> = phase.axes.iter().map(|axis| (axis.name(), axis.length())).collect();
    let expected = [
        ("width", 1),
        ("batch_size", 1),
        ("input", 1),
        ("depth", 1),
        ("activation", 4),
        ("init", 1),
        ("sigma_w", 31),
        ("sigma_b", 21),
    ];
    assert_eq!(axes, expected.map(|(name, n)| (name.to_string(), n)));
    assert_eq!((phase.points(), phase.replicates), (4 * 31 * 21, 4));
    assert_eq!(file.sweeps[1].points(), 7 * 3 * 3 * 2);
    assert_eq!(file.sweeps[1].filters.len(), 1);
    assert_eq!(file.verdict_decades, 2.0);
}

#[test]
fn axes_stand_in_file_order_and_a_sweep_overrides_the_defaults() {
    let text = "[defaults]\ngain = [1.0, 2.0]\nwidth = 8\n[[sweep]]\nname = \"s\"\nwidth = [4, 5, 6]\nbias = [true, false]\n\
                zip = { depth = [1, 2], batch_size = [3, 4] }\nactivation = [\"relu\", \"tanh\"]";
    let names: Vec<_> = good(text).sweeps[0].axes.iter().map(|a| (a.name(), a.length())).collect();
    let expected = [("gain", 2), ("width", 3), ("bias", 2), ("depth+batch_size", 2), ("activation", 2)];
    assert_eq!(names, expected.map(|(name, n)| (name.to_string(), n)));
}

#[test]
fn integer_ranges_are_rounded_and_deduplicated_and_that_is_reported() {
    let text = "depth = { logspace = [1, 8], num = 10 }";
    assert_eq!(values(text, Key::Depth), [1, 2, 3, 4, 5, 6, 8].map(Value::Int));
    let notes = good(&body(text)).notes;
    let expected = "sweep `s`: `depth`: 6 of 10 values of a range were rounded to integers, 7 distinct values remain";
    assert_eq!(notes, [expected]);
    assert!(good(&body("depth = { range = [2, 8], step = 2 }")).notes.is_empty());
    // Also where values move together, and where layers are chosen.
    let zip = "zip = { depth = { logspace = [2, 64], num = 4 }, width = { linspace = [8, 64], num = 4 } }";
    let notes = good(&body(zip)).notes;
    let expected = ["depth", "width"].map(|key| {
        format!("sweep `s`: `{key}`: 2 of 4 values of a range were rounded to integers, 4 distinct values remain")
    });
    assert_eq!(notes, expected);
    let zip = "zip = { depth = { linspace = [1, 2], num = 3 }, gain = [1, 2, 3] }";
    let expected = "sweep `s`: `depth`: 1 of 3 values of a range were rounded to integers, 2 distinct values remain";
    assert_eq!(good(&body(zip)).notes, [expected]);
    assert!(good(&body("zip = { depth = { linspace = [2, 8], num = 4 }, gain = [1, 2, 3, 4] }")).notes.is_empty());
    let layers = |range: &str| good(&format!("{}\n[record]\nlayers = {range}", body("depth = 3"))).notes;
    let expected = "`layers` of [record]: 1 of 3 values of a range were rounded to integers, 3 distinct values remain";
    assert_eq!(layers("{ linspace = [0, 3], num = 3 }"), [expected]);
    assert!(layers("{ range = [0, 3], step = 1 }").is_empty());
    assert_eq!(values("width = { range = [8, 2], step = -3 }", Key::Width), [8, 5, 2].map(Value::Int));
}

#[test]
fn aliases_and_numbers_take_their_canonical_form() {
    let words = values("activation = [\"swish\", \"lrelu\", \"leaky_relu( 0.20 )\", \"identity\"]", Key::Activation);
    let expected = ["silu", "leaky_relu(0.01)", "leaky_relu(0.2)", "linear"];
    assert_eq!(words, expected.map(|w| Value::Word(w.to_string())));
    let words = values("init = [\"kaiming_normal\", \"glorot_uniform\", \"normal(2e-2)\"]", Key::Init);
    assert_eq!(words, ["he_normal", "xavier_uniform", "normal(0.02)"].map(|w| Value::Word(w.to_string())));
    assert_eq!(values("gain = [1, -0.0, 0.5]", Key::Gain), [1.0, 0.0, 0.5].map(Value::Float));
    let scales = values("residual_scale = [2, \"1/sqrt(depth)\", \"1 / depth\"]", Key::ResidualScale);
    let word = |w: &str| Value::Word(w.to_string());
    assert_eq!(scales, [Value::Float(2.0), word("1/sqrt(depth)"), word("1/depth")]);
    assert_eq!(values("depth = { choice = [3, 1] }", Key::Depth), [3, 1].map(Value::Int));
}

#[test]
fn names_default_to_the_file_and_to_sweep() {
    let parse = |file: &str| SweepFile::parse("[[sweep]]", file, &Overrides::default()).unwrap();
    assert_eq!(parse("configs/phase.v2.toml").name, "phase.v2");
    assert_eq!(parse("-").name, "sweep");
    assert_eq!(parse("a b.toml").name, "sweep");
    assert_eq!(parse("x.toml").sweeps[0].name, "sweep");
}

#[test]
fn a_file_without_a_version_is_of_version_1() {
    let (without, with) = (good("[[sweep]]\ndepth = [1, 2]"), good("schema_version = 1\n[[sweep]]\ndepth = [1, 2]"));
    assert_eq!((without.name, without.sweeps[0].points()), (with.name, with.sweeps[0].points()));
    let error = parse("schema_version = 2\n[[sweep]]").unwrap_err().to_string();
    assert!(error.contains("sweep.toml:1:18: schema_version 2 is unknown: this gradsweep reads 1"), "{error}");
}

#[test]
fn replicates_come_from_the_nearest_place() {
    let text = "replicates = 2\n[[sweep]]\nname = \"a\"\n[[sweep]]\nname = \"b\"\nreplicates = 5";
    let replicates = |text: &str| good(text).sweeps.iter().map(|s| s.replicates).collect::<Vec<_>>();
    assert_eq!(replicates(text), [2, 5]);
    assert_eq!(
        replicates(&text.replace("[[sweep]]\nname = \"a\"", "[defaults]\nreplicates = 3\n[[sweep]]\nname = \"a\"")),
        [3, 5]
    );
    assert_eq!(replicates("[[sweep]]"), [1]);
}

#[test]
fn layers_are_a_list_or_a_range() {
    let layers = |text: &str| good(&format!("[[sweep]]\n[record]\nlayers = {text}")).record.layers;
    assert_eq!(layers("\"all\""), LayersRequest::All);
    assert_eq!(layers("[3, 0, 3]"), LayersRequest::Only(vec![0, 3]));
    assert_eq!(layers("{ range = [0, 10], step = 5 }"), LayersRequest::Only(vec![0, 5, 10]));
    assert_eq!(layers("{ logspace = [1, 16], num = 5 }"), LayersRequest::Only(vec![1, 2, 4, 8, 16]));
}
