//! Ids and seeds: written as documented, and untouched by the rest of the file.

use std::collections::{HashMap, HashSet};

use super::{networks, plan, with};
use crate::config::Overrides;
use crate::plan::Plan;

/// Seeds by network id.
fn seeds(plan: &Plan) -> HashMap<String, u64> {
    networks(plan).into_iter().map(|n| (n.network_id, n.spec.seed)).collect()
}

const BASE: &str =
    "seed = 7\nreplicates = 2\n[[sweep]]\nname = \"s\"\nactivation = [\"tanh\", \"relu\"]\ndepth = [2, 3]\n";

#[test]
fn adding_values_axes_sweeps_and_replicates_changes_no_other_network() {
    let before = seeds(&plan(BASE));
    assert_eq!(before.len(), 8);
    let changes = [
        ("activation = [\"tanh\", \"relu\"]", "activation = [\"erf\", \"tanh\", \"gelu\", \"relu\"]"),
        ("depth = [2, 3]", "depth = { range = [1, 5], step = 1 }"),
        ("depth = [2, 3]", "width = [128, 64]\ndepth = [2, 3]"),
        ("depth = [2, 3]", "depth = [2, 3]\nnorm = [\"none\", \"layer\"]\nnorm_eps = [1e-5, 1e-3]"),
        ("replicates = 2", "replicates = 5"),
        ("[[sweep]]\n", "[[sweep]]\nname = \"other\"\nwidth = 7\n[[sweep]]\n"),
        ("[[sweep]]\n", "[defaults]\nwidth = 128\nbatch_size = 64\n[[sweep]]\n"),
        ("depth = [2, 3]", "depth = [3, 2]"),
        ("name = \"s\"", "name = \"renamed\""),
        ("depth = [2, 3]", "depth = [2, 3]\ninput_size = [128, 32]"),
        ("depth = [2, 3]", "depth = [2, 3]\ninit = [\"he_normal\", \"mean_field\"]\nsigma_w = [1.0, 2.0]"),
        ("depth = [2, 3]", "zip = { depth = [2, 3], gain = [1.0, 1.0] }"),
    ];
    for (old, new) in changes {
        let text = BASE.replace(old, new);
        assert_ne!(text, BASE);
        let after = seeds(&plan(&text));
        for (id, seed) in &before {
            assert_eq!(after.get(id), Some(seed), "{new}");
        }
    }
}

#[test]
fn ids_and_seeds_are_distinct_and_depend_on_root_and_replicate() {
    let text =
        "replicates = 3\n[[sweep]]\ndepth = { range = [1, 40], step = 1 }\nwidth = { range = [1, 20], step = 1 }";
    let all = networks(&plan(text));
    assert_eq!(all.len(), 2400);
    assert_eq!(all.iter().map(|n| &n.network_id).collect::<HashSet<_>>().len(), 2400);
    assert_eq!(all.iter().map(|n| n.spec.seed).collect::<HashSet<_>>().len(), 2400);
    assert_eq!(all.iter().map(|n| &n.configuration_id).collect::<HashSet<_>>().len(), 800);
    assert!(all.iter().all(|n| n.spec.seed < 1 << 53));
    let other = networks(&with(text, &Overrides { set: vec!["seed=1".into()], ..Overrides::default() }));
    assert!(all.iter().zip(&other).all(|(a, b)| a.network_id != b.network_id && a.spec.seed != b.spec.seed));
    assert!(all.iter().zip(&other).all(|(a, b)| a.configuration_id == b.configuration_id));
}

#[test]
fn ids_are_hashes_of_the_canonical_configuration() {
    let plan = plan("seed = 7\n[[sweep]]\ninit = \"glorot_normal\"\ndepth = 50\ngain = 0.1\nwidth = 128\nbias = false");
    let n = plan.network(0);
    let canonical = r#"{"bias":false,"depth":50,"gain":0.1,"init":"xavier_normal"}"#;
    assert_eq!(plan.configuration(0), canonical);
    let hex = |text: &str| blake3::hash(text.as_bytes()).to_hex()[..16].to_string();
    assert_eq!(n.configuration_id[..], format!("c-{}", hex(canonical)));
    assert_eq!(n.network_id, format!("n-{}", hex(&format!("[{canonical},7,0]"))));
    assert_eq!(n.spec.seed, u64::from_str_radix(&hex(&format!("[7,{canonical},0]")), 16).unwrap() >> 11);
}

#[test]
fn paired_seeding_gives_every_configuration_the_same_draws() {
    let text = "seeding = \"replicate\"\nreplicates = 2\n[[sweep]]\nactivation = [\"tanh\", \"relu\"]";
    let paired = networks(&plan(text));
    let seeds: Vec<_> = paired.iter().map(|n| n.spec.seed).collect();
    assert_eq!((seeds[0], seeds[1]), (seeds[2], seeds[3]));
    assert_ne!(seeds[0], seeds[1]);
    let unpaired = networks(&plan(&text.replace("replicate\"", "configuration\"")));
    for (a, b) in paired.iter().zip(&unpaired) {
        assert!(a.network_id != b.network_id && a.configuration_id == b.configuration_id);
        assert_ne!(a.spec.seed, b.spec.seed);
    }
}

#[test]
fn the_identity_of_a_plan_covers_what_results_depend_on_and_nothing_else() {
    let text = format!("{BASE}[record]\nstatistics = \"basic\"\n");
    let identity = plan(&text).identity();
    assert_eq!((identity.len(), identity.clone()), (64, plan(&text).identity()));
    let same = [("seed = 7", "seed = 7 # a comment"), ("depth = [2, 3]", "depth = { range = [2, 3], step = 1 }")];
    for (old, new) in same {
        assert_eq!(plan(&text.replace(old, new)).identity(), identity, "{new}");
    }
    let different = [
        ("seed = 7", "seed = 8"),
        ("depth = [2, 3]", "depth = [3, 2]"),
        ("depth = [2, 3]", "depth = [2, 3, 4]"),
        ("replicates = 2", "replicates = 3"),
        ("\"basic\"", "\"full\""),
        ("\"basic\"", "\"basic\"\nlayers = [0]"),
        ("\"basic\"", "\"basic\"\n[verdict]\ndecades = 3"),
        ("name = \"s\"", "name = \"t\""),
        ("seed = 7", "seed = 7\nseeding = \"replicate\""),
    ];
    for (old, new) in different {
        assert_ne!(plan(&text.replace(old, new)).identity(), identity, "{new}");
    }
    let limited = with(&text, &Overrides { limit: Some(3), ..Overrides::default() });
    assert_ne!(limited.identity(), identity);
}
