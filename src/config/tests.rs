//! Sweep files, good and bad.

use super::*;

const SEED_FILE: &str = r#"schema_version = 1
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

fn error(text: &str) -> String {
    parse(text).expect_err("the file is wrong").to_string()
}

/// Parses a file with one sweep that has this body.
fn body(body: &str) -> String {
    format!("name = \"t\"\n[[sweep]]\nname = \"s\"\n{body}\n")
}

#[test]
fn the_example_of_the_interface_parses() {
    let file = parse(SEED_FILE).unwrap();
    assert_eq!((file.name.as_str(), file.seed, file.sweeps.len()), ("phase-and-depth", 20261123, 2));
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
}

#[test]
fn an_unknown_value_is_shown_with_its_place_and_the_nearest_word() {
    let text = body("depth = 4\nactivation = [\"tanh\", \"rleu\"]");
    let expected = "sweep.toml:5:23: unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)\n  \
                    activation = [\"tanh\", \"rleu\"]\n                        ^^^^^^";
    assert_eq!(error(&text), expected);
}
