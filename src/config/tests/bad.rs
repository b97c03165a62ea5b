//! Every kind of mistake: its place and what is said about it.

use super::{body, parse};

/// What is wrong with a sweep of this body: `line:column: message`, one per error.
fn errors(text: &str) -> Vec<String> {
    let error = parse(text).err().unwrap_or_else(|| panic!("this file is wrong:\n{text}"));
    error
        .errors
        .iter()
        .map(|e| match &e.place {
            Some(place) => format!("{}:{}: {}", place.line, place.column, e.message),
            None => e.message.clone(),
        })
        .collect()
}

#[test]
fn an_error_is_shown_with_its_line_and_a_caret() {
    let text = body("depth = 4\nactivation = [\"tanh\", \"rleu\"]");
    let expected = "sweep.toml:5:23: unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)\n  \
                    activation = [\"tanh\", \"rleu\"]\n                        ^^^^^^";
    assert_eq!(parse(&text).unwrap_err().to_string(), expected);
}

#[test]
fn every_mistake_in_a_sweep_is_named_where_it_stands() {
    let cases = [
        ("depht = 4", "4:1: unknown key `depht` in [[sweep]]; did you mean `depth`? (gradsweep list keys)"),
        ("activation = \"rleu\"", "4:14: unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)"),
        ("activation = [\"tanh\", 3]", "4:23: `activation` takes a word in quotes, not the integer 3"),
        ("activation = [[\"tanh\"]]", "4:15: `activation` takes a word in quotes, not a list"),
        ("activation = \"elu(0)\"", "4:14: alpha of `elu` must be between 1e-6 and 1e6, not 0.0"),
        ("activation = \"tanh(1)\"", "4:14: activation `tanh` takes no parameter"),
        ("activation = \"elu(1\"", "4:14: `elu(1` lacks its closing parenthesis"),
        ("depth = 0", "4:9: `depth` must be between 1 and 1024, not 0"),
        ("depth = 1025", "4:9: `depth` must be between 1 and 1024, not 1025"),
        ("width = -3", "4:9: `width` must be between 1 and 2048, not -3"),
        ("depth = 4.5", "4:9: `depth` takes an integer, not the number 4.5"),
        ("depth = \"4\"", "4:9: `depth` takes an integer, not the string \"4\""),
        ("depth = 1979-05-27", "4:9: `depth` takes an integer, not a date"),
        ("depth = 99999999999999999999", "4:9: `99999999999999999999` is outside the range of integers"),
        ("depth = []", "4:9: the axis `depth` is empty: give it one value or more, or leave it out"),
        ("depth = { choice = [] }", "4:9: the axis `depth` is empty: give it one value or more, or leave it out"),
        ("bias = 1", "4:8: `bias` takes true or false, not the integer 1"),
        ("bias = \"yes\"", "4:8: `bias` takes true or false, not the string \"yes\""),
        ("sigma_w = nan", "4:11: `sigma_w` must be a finite number, not NaN"),
        ("sigma_w = -1.0", "4:11: `sigma_w` must not be negative, but is -1.0"),
        ("sigma_b = true", "4:11: `sigma_b` takes a number, not `true`"),
        ("gain = inf", "4:8: `gain` must be a finite number, not inf"),
        ("gain = 1e200", "4:8: `gain` must be 0 or between 1e-100 and 1e100, not 1e200"),
        ("norm_eps = -1e-5", "4:12: `norm_eps` must not be negative, but is -1e-5"),
        ("activation = \"softplus(1e-100)\"", "4:14: beta of `softplus` must be between 1e-6 and 1e6, not 1e-100"),
        (
            "activation = \"leaky_relu(-1)\"",
            "4:14: negative_slope of `leaky_relu` must be between 0.0 and 1e6, not -1.0",
        ),
        ("residual_scale = -1", "4:18: `residual_scale` must not be negative, but is -1.0"),
        ("residual_scale = 1e39", "4:18: `residual_scale` must be 0 or between 1e-30 and 1e30, not 1e39"),
        (
            "residual_scale = \"1/dep\"",
            "4:18: `residual_scale` takes a number, \"1/sqrt(depth)\" or \"1/depth\", not \"1/dep\"",
        ),
        ("init = \"normal\"", "4:8: init `normal` needs its std: `normal(0.02)`"),
        ("init = \"normal(-1)\"", "4:8: std of `normal` must not be negative, but is -1"),
        ("init = \"uniform(nan)\"", "4:8: `nan` in `uniform(nan)` is not a finite number"),
        ("init = \"he_norml\"", "4:8: unknown init `he_norml`; did you mean `he_normal`? (gradsweep list inits)"),
        ("input = \"correlated_pairs(2)\"", "4:9: the correlation of `correlated_pairs` must lie in [-1, 1], not 2"),
        ("norm = \"bach\"", "4:8: unknown norm `bach`; did you mean `batch`? (gradsweep list norms)"),
        (
            "residual = \"postact\"",
            "4:12: unknown residual form `postact`; did you mean `post_act`? (gradsweep list residuals)",
        ),
        ("loss = \"msee\"", "4:8: unknown loss `msee`; did you mean `mse`? (gradsweep list losses)"),
        ("target = \"zeroes\"", "4:10: unknown target `zeroes`; did you mean `zeros`? (gradsweep list targets)"),
        ("architecture = \"lstm\"", "4:16: architecture `lstm` is not built yet; accepted: `mlp`"),
        ("steps = 3", "4:9: training is not built yet: `steps` must be 0 (networks at initialisation), not 3"),
        (
            "learning_rate = 0.1",
            "4:1: `learning_rate` is a key of training, which is not built yet: networks are measured at \
             initialisation (gradsweep list keys)",
        ),
        ("replicates = 0", "4:14: `replicates` must be between 1 and 10000000, not 0"),
        ("replicates = 2.5", "4:14: `replicates` takes an integer, not the number 2.5"),
        ("seed = 4", "4:1: `seed` stands once, above all sections"),
        ("name = \"x\"", "4:1: duplicate key"),
        ("depth = 1\ndepth = 2", "5:1: duplicate key"),
        ("depth = ", "4:9: a value is missing"),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&body(text)), [expected], "{text}");
    }
}

#[test]
fn every_mistake_in_a_range_is_named_where_it_stands() {
    const HELP: &str = "a range is { linspace = [a, b], num = n }, { logspace = [a, b], num = n }, \
                        { range = [a, b], step = s } or { choice = [...] }";
    let cases = [
        ("depth = { linspace = [1, 5] }", format!("4:9: `linspace` needs `num` ({HELP})")),
        ("depth = { linspce = [1, 5] }", format!("4:9: not a range; did you mean `linspace`? ({HELP})")),
        (
            "depth = { linspace = [1, 5], nun = 3 }",
            format!("4:30: `nun` does not belong in a `linspace`; did you mean `num`? ({HELP})"),
        ),
        ("depth = { linspace = [1, 5], range = [1, 5] }", format!("4:30: a range has one form only ({HELP})")),
        ("depth = { linspace = [1, 5, 6], num = 3 }", "4:22: `linspace` takes two numbers [a, b], not 3 values".into()),
        ("depth = { linspace = 1, num = 3 }", "4:22: `linspace` takes a list, not the integer 1".into()),
        ("depth = { linspace = [1, \"5\"], num = 3 }", "4:26: expected a finite number, not the string \"5\"".into()),
        ("gain = { linspace = [1, nan], num = 3 }", "4:25: expected a finite number, not the number NaN".into()),
        ("depth = { linspace = [1, 5], num = 0 }", "4:36: `num` must be at least 1, not 0".into()),
        ("depth = { linspace = [1, 5], num = 2.0 }", "4:36: `num` takes an integer, not the number 2.0".into()),
        ("depth = { range = [1, 5], step = -1 }", "4:34: a step of -1.0 does not lead from 1.0 to 5.0".into()),
        (
            "gain = { range = [1, 5], step = 1e-9 }",
            "4:33: a step of 1e-9 from 1.0 to 5.0 makes more than 10^7 values".into(),
        ),
        (
            "gain = { logspace = [0, 5], num = 3 }",
            "4:22: the ends of a `logspace` are values and must be above 0, not 0.0".into(),
        ),
        ("depth = { linspace = [0, 5], num = 3 }", "4:9: `depth` must be between 1 and 1024, not 0".into()),
        (
            "norm = { linspace = [0, 5], num = 3 }",
            "4:8: `norm` takes a word in quotes, and a range makes numbers".into(),
        ),
        ("depth = { choice = [1, [2]] }", "4:24: `depth` takes an integer, not a list".into()),
        (
            "gain = { linspace = [0.1, 1.0], num = 1000000000 }",
            "4:39: 1000000000 values are more than the 10^7 points that a plan may have".into(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&body(text)), [expected], "{text}");
    }
}

#[test]
fn every_mistake_in_a_zip_is_named_where_it_stands() {
    let cases = [
        (
            "zip = { activation = [\"tanh\", \"relu\"], init = [\"he_normal\"] }",
            "4:40: `zip` needs lists of equal length: `activation` has 2 and `init` has 1",
        ),
        ("zip = {}", "4:7: `zip` is empty: zip = { activation = [...], init = [...] }"),
        ("zip = 3", "4:7: `zip` takes lists by key: zip = { activation = [...], init = [...] }, not the integer 3"),
        ("zip = { depth = 3 }", "4:17: `zip` moves lists together, and this is the integer 3"),
        ("depth = 3\nzip = { depth = [3, 4] }", "5:9: `depth` stands both in `zip` and in the sweep itself"),
        ("zip = { dept = [1] }", "4:9: unknown key `dept` in zip; did you mean `depth`? (gradsweep list keys)"),
        ("zip = { replicates = [1] }", "4:1: `replicates` cannot move in a `zip`"),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&body(text)), [expected], "{text}");
    }
}

#[test]
fn every_mistake_around_the_sweeps_is_named_where_it_stands() {
    const TOP: &str = "schema_version, name, seed, replicates, seeding, defaults, sweep, record, verdict";
    let name_help = "a name starts with a letter or digit and has at most 64 letters, digits, `_`, `.`, `-`";
    let cases = [
        ("", "1:1: no [[sweep]] up to the end of the file: there is nothing to run".to_string()),
        ("[defaults]\ndepth = 3\n\n", "2:10: no [[sweep]] up to the end of the file: there is nothing to run".into()),
        ("sweep = []", "1:1: `sweep` takes tables: write [[sweep]]".into()),
        ("sweep = 3", "1:1: `sweep` takes tables: write [[sweep]]".into()),
        ("sweep = [3]", "1:10: a sweep is a table: write [[sweep]], not the integer 3".into()),
        ("[sweep]\ndepth = 3", "1:2: `sweep` is a list: write [[sweep]] with two brackets".into()),
        ("[[defaults]]\n[[sweep]]", "1:3: `defaults` stands once: write [defaults] with one bracket".into()),
        ("record = 3\n[[sweep]]", "1:1: `record` is a section: write [record]".into()),
        ("name = 3\n[[sweep]]", "1:8: `name` takes a string, not the integer 3".into()),
        ("name = \"a b\"\n[[sweep]]", format!("1:8: `a b` is not a name ({name_help})")),
        ("name = \"\"\n[[sweep]]", format!("1:8: `` is not a name ({name_help})")),
        ("[[sweep]]\nname = \"../x\"", format!("2:8: `../x` is not a name ({name_help})")),
        ("nam = \"x\"\n[[sweep]]", format!("1:1: unknown key `nam`; did you mean `name`? ({TOP})")),
        ("depth = 3\n[[sweep]]", "1:1: `depth` is a key of networks: put it below [defaults] or a [[sweep]]".into()),
        ("seed = -1\n[[sweep]]", "1:8: `seed` must be between 0 and 9007199254740992, not -1".into()),
        ("seed = \"a\"\n[[sweep]]", "1:8: `seed` takes an integer, not the string \"a\"".into()),
        (
            "seeding = \"replicat\"\n[[sweep]]",
            "1:11: `seeding` takes configuration or replicate, not the string \"replicat\"; did you mean `replicate`?"
                .into(),
        ),
        ("schema_version = 2\n[[sweep]]", "1:18: schema_version 2 is unknown: this gradsweep reads 1".into()),
        ("schema_version = \"1\"\n[[sweep]]", "1:18: `schema_version` takes an integer, not the string \"1\"".into()),
        (
            "[[sweep]]\nname = \"a\"\n[[sweep]]\nname = \"a\"",
            "4:8: there is another sweep `a`: names tell sweeps apart".into(),
        ),
        (
            "[[sweep]]\nname = \"a\"\n[[sweep]]",
            "3:1: this sweep has no name, and there are several: add name = \"...\"".into(),
        ),
        ("[defaults]\nzip = { depth = [1] }\n[[sweep]]", "2:1: `zip` belongs in a [[sweep]], not in [defaults]".into()),
        ("[defaults]\nwhere = []\n[[sweep]]", "2:1: `where` belongs in a [[sweep]], not in [defaults]".into()),
        ("[defaults]\ndepth = 0\n[[sweep]]\ndepth = 3", "2:9: `depth` must be between 1 and 1024, not 0".into()),
        (
            "[[sweep]]\n[record]\nsteps = [0, 10]",
            "3:13: training is not built yet: only step 0, the initialisation, can be recorded (steps = [0])".into(),
        ),
        ("[[sweep]]\n[record]\nsteps = []", "3:9: `steps` is empty: nothing would be recorded (steps = [0])".into()),
        (
            "[[sweep]]\n[record]\nstatistics = [\"act_rmss\"]",
            "3:15: unknown statistic `act_rmss`; did you mean `act_rms`? (gradsweep list statistics)".into(),
        ),
        ("[[sweep]]\n[record]\nlayers = [-1]", "3:11: there is no layer -1 (0 to 1025)".into()),
        ("[[sweep]]\n[record]\nlayers = [0.5]", "3:11: a layer is an integer, not the number 0.5".into()),
        (
            "[[sweep]]\n[record]\ntimes = [1]",
            "3:9: `times` thins recurrent networks, which are not built yet; leave it out".into(),
        ),
        (
            "[[sweep]]\n[record]\nlayer = [1]",
            "3:1: unknown key `layer` in [record]; did you mean `layers`? (steps, statistics, layers, times)".into(),
        ),
        ("[[sweep]]\n[verdict]\ndecades = -1", "3:11: `decades` must be a finite number above 0, not -1.0".into()),
        (
            "[[sweep]]\n[verdict]\ndecade = 1",
            "3:1: unknown key `decade` in [verdict]; did you mean `decades`? (decades)".into(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn too_deep_a_nest_is_named_where_it_stands() {
    let dotted = format!("name = \"n\"\n[[sweep]]\n{} = 1\nwidth = 3\n", ["a"; 200].join("."));
    let nested = format!("[[sweep]]\ndepth = 3\nwidth = {}{}\n", "[".repeat(200), "]".repeat(200));
    for text in [dotted, nested] {
        let found = errors(&text);
        assert!(
            found
                .iter()
                .any(|error| error.starts_with("3:")
                    && error.ends_with("this is nested deeper than a sweep file can be")),
            "{found:?}"
        );
    }
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = "seed = -1\n[defaults]\nfoo = 1\n[[sweep]]\nname = \"s\"\ndepth = 0\nactivation = [\"rleu\", \"tanhh\"]\nwhere = [\"dpth > 3\"]";
    let places: Vec<_> = errors(text).iter().map(|e| e.split(": ").next().unwrap_or("").to_string()).collect();
    assert_eq!(places, ["1:8", "3:1", "6:9", "7:15", "7:23", "8:11"]);
}

#[test]
fn too_many_points_are_refused_at_once_with_the_product_spelled_out() {
    let axis = |n: u32| format!("{{ linspace = [0.1, 1.0], num = {n} }}");
    let text = body(&format!("gain = {}\nsigma_w = {}\nsigma_b = {}", axis(1000), axis(1000), axis(1000)));
    let expected = "3:8: sweep `s`: gain 1000 x sigma_w 1000 x sigma_b 1000 = 1,000,000,000 points, more than the 10^7 \
                    that a plan may have";
    assert_eq!(errors(&text), [expected]);
    let text = body("replicates = 3000000\ndepth = [1, 2, 3, 4]");
    let expected =
        "3:8: sweep `s`: depth 4 x replicates 3000000 = 12,000,000 points, more than the 10^7 that a plan may have";
    assert_eq!(errors(&text), [expected]);
    let sweep = |name: &str| format!("[[sweep]]\nname = \"{name}\"\ngain = {}\nsigma_w = {}\n", axis(3000), axis(3000));
    let expected = "1:1: 18,000,000 points together, more than the 10^7 that a plan may have (sweep `a`: gain 3000 x \
                    sigma_w 3000 = 9,000,000; sweep `b`: gain 3000 x sigma_w 3000 = 9,000,000)";
    assert_eq!(errors(&format!("{}{}", sweep("a"), sweep("b"))), [expected]);
    // Rounded integers count once, so that this is small.
    assert!(
        parse(&body("depth = { linspace = [1, 4], num = 300000 }\ngain = { linspace = [1, 2], num = 40 }")).is_ok()
    );
}
