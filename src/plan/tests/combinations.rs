//! Which keys apply where, and which combinations are refused.

use super::{error, networks, plan};
use crate::config::{KEYS, Key, Kind, Value};
use crate::network::{Loss, NetworkSpec, Norm};
use crate::theory;

#[test]
fn impossible_combinations_are_refused_with_the_reason() {
    let cases = [
        (
            "norm = \"batch\"\nbatch_size = 2",
            "3:14: batch norm needs a batch_size of 3 or more: below, its exact gradient is 0 up to eps",
        ),
        (
            "norm = \"layer\"\nwidth = 2",
            "3:9: layer norm needs a width of 3 or more: below, its exact gradient is 0 up to eps",
        ),
        (
            "norm = \"rms\"\nwidth = 1",
            "3:9: rms norm needs a width of 2 or more: below, its exact gradient is 0 up to eps",
        ),
        (
            "input = \"correlated_pairs(0.5)\"\nbatch_size = 3",
            "3:14: input `correlated_pairs` needs an even batch_size: samples come in pairs",
        ),
        (
            "loss = \"cross_entropy\"\ntarget = \"gaussian\"",
            "3:10: cross_entropy compares with classes, and target `gaussian` has none: use classes or teacher",
        ),
        (
            "loss = \"cross_entropy\"\ntarget = \"zeros\"",
            "3:10: cross_entropy compares with classes, and target `zeros` has none: use classes or teacher",
        ),
        (
            "loss = \"cross_entropy\"\noutput_size = 1",
            "3:15: cross_entropy needs an output_size of 2 or more: with one class its gradient is exactly 0",
        ),
        (
            "input = \"digits\"\nbatch_size = 1798",
            "3:14: data set `digits` has 1797 rows, fewer than the batch_size: use 1797 or less",
        ),
        ("activation = \"softplus\"\ninit = \"critical\"", "2:14: softplus(1) has no critical point"),
        ("init = \"critical\"\nactivation = \"gelu\"\nsigma_b = 0.0", "3:14: gelu has no stable critical point"),
    ];
    for (body, expected) in cases {
        let message = error(&format!("[[sweep]]\n{body}"));
        assert!(message.starts_with(&format!("sweep.toml:{expected}")), "{message}");
    }
    for body in [
        "norm = \"batch\"\nbatch_size = 3",
        "norm = \"layer\"\nwidth = 3",
        "norm = \"rms\"\nwidth = 2",
        "norm = \"batch\"\nwidth = 1",
        "input = \"digits\"\nbatch_size = 1797",
        "loss = \"cross_entropy\"\ntarget = \"teacher\"",
        "loss = \"mse\"\ntarget = \"classes\"",
        "width = 1\ndepth = 1\nbatch_size = 1\ninput_size = 1\noutput_size = 1",
        "width = 2048\ndepth = 1024\nbatch_size = 4096",
    ] {
        assert_eq!(plan(&format!("[[sweep]]\n{body}")).len(), 1, "{body}");
    }
}

#[test]
fn a_refusal_says_how_many_points_it_hits_and_a_filter_can_leave_them_out() {
    let text = "[[sweep]]\nname = \"s\"\nnorm = [\"none\", \"batch\"]\nbatch_size = [4, 1, 2]";
    let message = error(text);
    let expected = "sweep.toml:4:18: batch norm needs a batch_size of 3 or more: below, its exact gradient is 0 up to eps \
                    (sweep `s`: 2 of 6 points, the first with batch_size = 1, norm = batch; leave them out by `where`)";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(plan(&format!("{text}\nwhere = ['norm == \"none\" || batch_size > 2']")).len(), 4);
}

#[test]
fn a_key_that_applies_to_no_network_of_its_sweep_is_an_error() {
    let cases = [
        ("sigma_w = 2.0", "`init = \"mean_field\"`"),
        ("sigma_w = 2.0\ninit = \"critical\"", "`init = \"mean_field\"`"),
        ("gain = 2.0\ninit = \"zeros\"", "every init but `zeros`"),
        ("sigma_b = 0.1\nbias = false", "networks with a bias"),
        ("sigma_b = 0.1\nnorm = \"batch\"\nloss = \"cotangent\"", "networks with a bias"),
        (
            "bias = false\nnorm = \"batch\"\nloss = \"cotangent\"",
            "networks with a layer that is not directly before batch norm",
        ),
        ("norm_eps = 0.1", "networks with a norm"),
        ("norm_affine = true", "networks with a norm"),
        ("final_norm = true", "networks with a norm and a readout"),
        ("final_norm = true\nnorm = \"rms\"\nloss = \"cotangent\"", "networks with a norm and a readout"),
        ("residual_scale = 0.5", "residual networks"),
        ("residual_every = 2\nresidual = \"pre_act\"", "`residual = \"post_act\"`"),
        ("target = \"zeros\"\nloss = \"cotangent\"", "networks with a readout (loss `mse` or `cross_entropy`)"),
        ("input_size = 3\ninput = \"digits\"", "inputs that are not a data set"),
    ];
    for (body, place) in cases {
        let name = body.split(' ').next().unwrap_or("");
        let expected = format!("sweep.toml:3:1: `{name}` applies to no network of sweep `s`: it is for {place}\n");
        let message = error(&format!("[[sweep]]\nname = \"s\"\n{body}"));
        assert!(message.starts_with(&expected), "{message}");
    }
    // In the defaults it is a note, and a note only where no sweep can use it.
    let text = "[defaults]\nsigma_w = 2.0\n[[sweep]]\nname = \"a\"\n[[sweep]]\nname = \"b\"\ndepth = 3\n";
    let note = "`sigma_w` of [defaults] applies to no network: it is for `init = \"mean_field\"`";
    assert_eq!(plan(text).notes, [note]);
    assert!(plan(&format!("{text}init = \"mean_field\"")).notes.is_empty());
}

#[test]
fn what_does_not_apply_reaches_no_engine() {
    let text = "[defaults]\ngain = 3.0\nsigma_w = 2.0\nsigma_b = 0.5\nnorm_eps = 0.1\nnorm_affine = true\nfinal_norm = true\n\
                residual_scale = 0.5\nresidual_every = 3\noutput_size = 7\ntarget = \"zeros\"\nbias = false\n\
                [[sweep]]\ninit = \"zeros\"\nloss = \"cotangent\"";
    let bare = "[[sweep]]\ninit = \"zeros\"\nloss = \"cotangent\"\nbias = false";
    let (full, bare) = (plan(text), plan(bare));
    assert_eq!(full.network(0), bare.network(0));
}

#[test]
fn every_key_can_be_set_and_shows_what_was_set() {
    for row in &KEYS {
        let (text, shown) = match row.kind {
            Kind::Int { max: 0, .. } => ("0".to_string(), Value::Int(0)),
            Kind::Int { .. } => ("3".to_string(), Value::Int(3)),
            Kind::Float { .. } | Kind::ResidualScale => ("0.25".to_string(), Value::Float(0.25)),
            Kind::Bool => ("true".to_string(), Value::Bool(true)),
            Kind::Word(vocabulary) => {
                let word = vocabulary.words().pop().unwrap_or_default();
                // A word with a parameter shows it by name.
                let word = word.replace("(std)", "(0.5)").replace("(bound)", "(0.5)").replace("(c)", "(0.5)");
                (format!("\"{word}\""), Value::Word(word))
            }
        };
        // A network to which everything else applies.
        let context =
            [("norm", "\"layer\""), ("residual", "\"post_act\""), ("init", "\"mean_field\""), ("loss", "\"mse\"")];
        let context: String = context
            .iter()
            .filter(|(name, _)| *name != row.name)
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        let plan = plan(&format!("[[sweep]]\n{context}{} = {text}", row.name));
        assert_eq!(plan.network(0).value(row.key), Some(&shown), "{}", row.name);
    }
}

#[test]
fn every_word_of_every_vocabulary_makes_a_network() {
    for row in &KEYS {
        let Kind::Word(vocabulary) = row.kind else { continue };
        let words: Vec<String> = vocabulary
            .words()
            .iter()
            .map(|word| word.replace("(std)", "(0.5)").replace("(bound)", "(0.5)").replace("(c)", "(0.5)"))
            .collect();
        let list: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let plan = plan(&format!("[[sweep]]\n{} = [{}]", row.name, list.join(", ")));
        let shown: Vec<_> = networks(&plan).iter().map(|n| n.value(row.key).cloned()).collect();
        assert_eq!(shown, words.into_iter().map(|word| Some(Value::Word(word))).collect::<Vec<_>>());
    }
}

#[test]
fn the_critical_init_takes_its_scales_from_theory() {
    let plan = plan("[[sweep]]\ninit = \"critical\"\nactivation = [\"tanh\", \"gelu\"]\n[defaults]\ndepth = 3");
    for n in networks(&plan) {
        let point = theory::critical(&n.spec.activation, None).unwrap();
        assert_eq!((n.spec.init.sigma_w, n.spec.init.sigma_b), (point.sigma_w, Some(point.sigma_b)));
        assert_eq!(n.value(Key::SigmaW), Some(&Value::Float(point.sigma_w)));
        assert_eq!(n.value(Key::SigmaB), Some(&Value::Float(point.sigma_b)));
    }
    assert!(plan.varying.contains(&Key::SigmaW));
    // Roberts, Yaida & Hanin: the pair of GELU.
    let gelu = plan.network(1).spec.init;
    assert!((gelu.sigma_w * gelu.sigma_w - 1.983058).abs() < 1e-6);
    // Schoenholz et al.: tanh at sigma_b^2 = 0.05.
    let tanh =
        super::plan(&format!("[[sweep]]\ninit = \"critical\"\nsigma_b = {}", 0.05_f64.sqrt())).network(0).spec.init;
    assert!((tanh.sigma_w * tanh.sigma_w - 1.760955).abs() < 1e-6);
    // The given sigma_b is part of the configuration, the solution is not.
    assert_eq!(plan.configuration(0), r#"{"depth":3,"init":"critical"}"#);
}

#[test]
fn filters_read_the_critical_point_that_rows_show() {
    let text = |filter: &str| {
        format!(
            "[[sweep]]\nname = \"s\"\ninit = [\"critical\", \"he_normal\"]\nactivation = [\"sigmoid\", \"tanh\", \"gelu\"]\n\
             where = [{filter}]"
        )
    };
    let kept = |filter: &str| {
        let plan = plan(&text(filter));
        networks(&plan)
            .into_iter()
            .map(|n| (n.spec.init.kind, n.spec.activation.row().name, n.spec.init.sigma_w))
            .collect::<Vec<_>>()
    };
    // sigmoid's critical point is sigma_w = 10.149, that of GELU a pair with sigma_b^2 = 0.172922.
    let critical = "'init == \"critical\"'";
    let small = kept(&format!("{critical}, 'sigma_w < 5'"));
    assert_eq!(small.iter().map(|n| n.1).collect::<Vec<_>>(), ["tanh", "gelu"]);
    let large = kept(&format!("'sigma_w > 10.1 && sigma_w < 10.2', {critical}"));
    assert_eq!(large.len(), 1);
    assert!((large[0].2 - 10.149).abs() < 1e-3 && large[0].1 == "sigmoid");
    let biased = kept("'sigma_b * sigma_b > 0.1729 && sigma_b * sigma_b < 0.1730'");
    assert_eq!(biased.iter().map(|n| n.1).collect::<Vec<_>>(), ["gelu"]);
    // The pair is solved once: with its sigma_b as if given there would be no solution.
    assert!((biased[0].2 * biased[0].2 - 1.983058).abs() < 1e-4);
    assert_eq!(plan(&text("'sigma_b > 0.1'")).configuration(0), r#"{"activation":"gelu","init":"critical"}"#);
}

#[test]
fn a_filter_on_scales_says_nothing_of_networks_without_a_critical_point() {
    let text = |filters: &str| {
        format!(
            "[[sweep]]\nname = \"s\"\ninit = \"critical\"\nactivation = [\"tanh\", \"softplus\"]\nwhere = [{filters}]"
        )
    };
    assert!(error(&text("'sigma_w < 5'")).contains("softplus"), "it is not silently removed");
    assert_eq!(plan(&text("'sigma_w < 5', 'activation != \"softplus(1)\"'")).len(), 1);
}

#[test]
fn a_residual_network_without_any_skip_is_told_of() {
    let text = |depth: u32, more: &str| {
        format!("[[sweep]]\nname = \"s\"\nresidual = \"post_act\"\nresidual_every = 4\ndepth = {depth}\n{more}")
    };
    let notes = |depth, more| plan(&text(depth, more)).notes;
    assert_eq!(notes(3, "").len(), 1);
    assert!(notes(3, "")[0].contains("have no skip at all and are plain"), "{:?}", notes(3, ""));
    assert!(notes(4, "").is_empty());
    // The skip from the input falls away where the sizes differ.
    assert_eq!(notes(7, "input_size = 3").len(), 1);
    assert!(notes(8, "input_size = 3").is_empty());
}

#[test]
fn a_shared_cotangent_under_batch_norm_is_warned_of() {
    let text = "[[sweep]]\nname = \"s\"\nloss = \"cotangent_shared\"\nnorm = [\"batch\", \"layer\"]";
    let note = "sweep `s`: batch norm removes from gradients what samples share: under `cotangent_shared` all of them where \
                the activation is linear, and a part elsewhere";
    assert_eq!(plan(text).notes, [note]);
    assert!(plan(&text.replace("\"batch\", ", "")).notes.is_empty());
}

#[test]
fn a_critical_point_that_needs_biases_is_not_advised_by_leaving_out_what_is_not_there() {
    for more in ["bias = false", "norm = \"batch\"\nloss = \"cotangent\""] {
        let text = format!("[[sweep]]\nactivation = \"gelu\"\ninit = \"critical\"\n{more}");
        let error = error(&text);
        assert!(error.contains("gelu has no critical point without biases, and this network has none"), "{error}");
        assert!(error.contains("sigma_b = 0.41") && !error.contains("leave sigma_b out"), "{error}");
    }
    let text = "[[sweep]]\nactivation = \"gelu\"\ninit = \"critical\"\nsigma_b = 0.0";
    assert!(error(text).contains("leave sigma_b out for the half-stable pair"));
}

/// Every combination of the small vocabularies is either refused or a network that agrees with itself.
#[test]
fn planned_networks_obey_the_table_of_keys() {
    let text = "[[sweep]]\nnorm = [\"none\", \"batch\", \"layer\", \"rms\"]\nresidual = [\"none\", \"post_act\", \"pre_act\"]\n\
                loss = [\"mse\", \"cross_entropy\", \"cotangent\", \"cotangent_shared\"]\nbias = [true, false]\n\
                final_norm = [true, false]\ninput = [\"gaussian\", \"digits\", \"correlated_pairs(0.5)\"]\nsigma_b = [0.0, 0.3]\n\
                init = [\"he_normal\", \"mean_field\", \"pytorch_default\", \"critical\", \"zeros\"]\nsigma_w = [1.0, 2.0]\n\
                residual_every = [1, 2]\ntarget = \"classes\"\ndepth = 4";
    let plan = plan(text);
    let mut seen = std::collections::HashSet::new();
    for n in networks(&plan) {
        let neutral = NetworkSpec { seed: 0, ..n.spec.clone() };
        assert!(seen.insert(format!("{neutral:?}")), "two configurations make one network: {neutral:?}");
        assert!(n.spec.norm != Norm::None || !n.spec.final_norm);
        assert_eq!(n.value(Key::Target).is_some(), n.spec.loss.has_readout());
        assert!(n.spec.loss == Loss::Mse || n.spec.loss == Loss::CrossEntropy || !n.spec.final_norm);
        for row in &KEYS {
            let applies = (row.applies)(&n.spec) != crate::config::Applies::No;
            let unset = row.key == Key::SigmaB && n.spec.init.sigma_b.is_none();
            assert_eq!(n.value(row.key).is_some(), applies && !unset, "{}", row.name);
        }
    }
    assert!(seen.len() > 500);
}
