//! Plans of small sweep files.

mod combinations;
mod identities;

use super::*;
use crate::config::Overrides;
use crate::network::{InitKind, Loss, Norm, Residual, Target};

fn file(text: &str) -> SweepFile {
    SweepFile::parse(text, "sweep.toml", &Overrides::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn plan(text: &str) -> Plan {
    Plan::new(&file(text)).unwrap_or_else(|e| panic!("{e}"))
}

fn networks(plan: &Plan) -> Vec<PlannedNetwork> {
    (0..plan.len()).map(|i| plan.network(i)).collect()
}

fn error(text: &str) -> String {
    Plan::new(&file(text)).expect_err("the file is wrong").to_string()
}

fn with(text: &str, overrides: &Overrides) -> Plan {
    let file = SweepFile::parse(text, "sweep.toml", overrides).unwrap_or_else(|e| panic!("{e}"));
    Plan::new(&file).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_last_axis_moves_fastest_and_the_replicate_faster_still() {
    let plan = plan("replicates = 2\n[[sweep]]\ndepth = [3, 1]\nwidth = [8, 4]");
    let order: Vec<_> = networks(&plan).iter().map(|n| (n.spec.depth, n.spec.width, n.replicate)).collect();
    assert_eq!(order, [(3, 8, 0), (3, 8, 1), (3, 4, 0), (3, 4, 1), (1, 8, 0), (1, 8, 1), (1, 4, 0), (1, 4, 1)]);
    assert_eq!(plan.varying, [Key::Depth, Key::Width]);
}

#[test]
fn a_plan_does_not_depend_on_how_its_points_are_spread() {
    // Several stretches, networks that stand in both sweeps, a filter, dropped keys, and replicates that grow.
    let text = "[[sweep]]\nname = \"a\"\nreplicates = 300\ndepth = { range = [1, 300], step = 1 }\nwidth = [4, 8]\n\
                where = [\"depth * width < 2000\"]\n\
                [[sweep]]\nname = \"b\"\nreplicates = 301\ndepth = { range = [290, 310], step = 1 }\nwidth = [4, 6]\n\
                init = [\"he_normal\", \"mean_field\"]\nsigma_w = [1, 2]";
    let plain = plan(text);
    assert!(plain.len() > 8 * 8192 && plain.notes.iter().any(|note| note.contains("merged")));
    let mut calls = Vec::new();
    let backwards = |stretches: &[std::ops::Range<u64>], survey: &Survey| {
        let mut found: Vec<Stretch> = stretches.iter().rev().cloned().map(survey).collect();
        found.reverse();
        found
    };
    let other = Plan::spread(&file(text), &backwards, &mut |done, of| calls.push((done, of))).unwrap();
    assert_eq!((plain.identity(), &plain.notes, &plain.varying), (other.identity(), &other.notes, &other.varying));
    assert!(plain.entries == other.entries && plain.chunks == other.chunks && plain.record == other.record);
    assert!(calls.len() > 1 && calls.is_sorted() && calls.iter().all(|(done, of)| done < of && *of == 600 + 168));
    let error = |spread: &Spread| {
        let bad =
            text.replace("width = [4, 6]", "width = [4, 6]\nnorm = [\"none\", \"batch\"]\nbatch_size = [1, 2, 8]");
        Plan::spread(&file(&bad), spread, &mut |_, _| {}).unwrap_err().to_string()
    };
    let forwards =
        |stretches: &[std::ops::Range<u64>], survey: &Survey| stretches.iter().cloned().map(survey).collect();
    assert!(
        error(&backwards) == error(&forwards) && error(&forwards).contains("336 of 1008 points"),
        "{}",
        error(&forwards)
    );
}

#[test]
fn a_configuration_takes_20_bytes_however_many_replicates_it_has() {
    assert_eq!(size_of::<Entry>(), 20);
    let text = "replicates = 1000\n[[sweep]]\nname = \"a\"\ndepth = [1, 2, 3]";
    assert_eq!((plan(text).len(), plan(text).entries.len()), (3000, 3));
}

#[test]
fn networks_are_found_by_what_they_are() {
    // The second sweep has more replicates of what the first has already.
    let text = "[[sweep]]\nname = \"a\"\ndepth = [3, 1]\nreplicates = 2\n[[sweep]]\nname = \"b\"\ndepth = [1, 2]\nreplicates = 5";
    let plan = plan(text);
    let (mut decoder, mut seen) = (plan.decoder(), Vec::new());
    for index in 0..plan.len() {
        let network = plan.network(index);
        assert_eq!(network, decoder.network(index));
        assert_eq!(plan.find(&network.network_id), Some(index));
        assert_eq!(u64::from(network.spec.depth), u64::from(plan.depth(index)));
        seen.push((network.sweep, network.spec.depth, network.replicate));
    }
    let later = (2..5).map(|r| (1, 1, r)).chain((0..5).map(|r| (1, 2, r)));
    let want: Vec<_> = [(0, 3, 0), (0, 3, 1), (0, 1, 0), (0, 1, 1)].into_iter().chain(later).collect();
    assert_eq!(seen, want);
    assert_eq!([plan.networks_of_sweep(0), plan.networks_of_sweep(1)], [4, 8]);
    assert_eq!(plan.configurations().collect::<Vec<_>>(), [0, 2, 7]);
    assert_eq!(plan.find("n-0000000000000000"), None);
    assert_eq!((plan.find("11"), plan.find("12")), (Some(11), None));
}

#[test]
fn defaults_follow_the_interface() {
    let n = plan("[[sweep]]").network(0).spec;
    assert_eq!((n.depth, n.width, n.batch_size, n.input_size, n.output_size), (16, 128, 64, 128, 10));
    assert_eq!((n.loss, n.target, n.norm, n.residual), (Loss::Mse, Target::Gaussian, Norm::None, Residual::None));
    assert_eq!((n.init.kind, n.init.gain, n.init.sigma_b), (InitKind::HeNormal, 1.0, Some(0.0)));
    assert_eq!((n.norm_eps, n.residual_scale, n.residual_every, n.bias), (1e-5, 1.0, 1, true));
    let digits = plan("[[sweep]]\ninput = \"digits\"").network(0);
    assert_eq!((digits.spec.input_size, digits.spec.output_size), (64, 10));
    assert_eq!((digits.spec.loss, digits.spec.target), (Loss::CrossEntropy, Target::Classes));
    assert_eq!(digits.value(Key::InputSize), Some(&Value::Int(64)));
    let wide = plan("[[sweep]]\nwidth = 32\nloss = \"cross_entropy\"").network(0);
    assert_eq!((wide.spec.input_size, wide.spec.target), (32, Target::Classes));
    let torch = plan("[[sweep]]\ninit = [\"pytorch_default\"]\nsigma_b = [0.0, 0.5]");
    let biases: Vec<_> = networks(&torch).iter().map(|n| n.spec.init.sigma_b).collect();
    assert_eq!(biases, [Some(0.0), Some(0.5)]);
    assert_eq!(plan("[[sweep]]\ninit = \"pytorch_default\"").network(0).spec.init.sigma_b, None);
}

#[test]
fn a_residual_scale_in_words_follows_the_depth() {
    let plan =
        plan("[[sweep]]\nresidual = \"pre_act\"\nresidual_scale = [\"1/sqrt(depth)\", \"1/depth\"]\ndepth = [4, 16]");
    let scales: Vec<_> = networks(&plan).iter().map(|n| n.spec.residual_scale).collect();
    assert_eq!(scales, [0.5, 0.25, 0.25, 0.0625]);
    assert_eq!(plan.varying, [Key::Depth, Key::ResidualScale]);
    assert_eq!(plan.network(0).value(Key::ResidualScale), Some(&Value::Word("1/sqrt(depth)".into())));
}

#[test]
fn keys_that_do_not_apply_are_dropped_and_equal_networks_merged_and_counted() {
    let plan = plan("[[sweep]]\nname = \"s\"\ninit = [\"he_normal\", \"mean_field\"]\nsigma_w = [0.5, 1.0, 2.0]");
    let shown: Vec<_> = networks(&plan).iter().map(|n| n.value(Key::SigmaW).cloned()).collect();
    assert_eq!(shown, [None, Some(Value::Float(0.5)), Some(Value::Float(1.0)), Some(Value::Float(2.0))]);
    assert_eq!(
        plan.notes,
        [
            "sweep `s`: `sigma_w` is for `init = \"mean_field\"`; it was left out of 3 of 6 points",
            "2 networks equal an earlier one and were merged with it"
        ]
    );
    assert_eq!(plan.configuration(0), "{}");
    assert_eq!(plan.configuration(1), r#"{"init":"mean_field","sigma_w":0.5}"#);
    assert_eq!(plan.configuration(2), r#"{"init":"mean_field"}"#);
}

#[test]
fn equal_networks_of_two_sweeps_are_merged_replicate_by_replicate() {
    let text = "[[sweep]]\nname = \"a\"\ndepth = [2, 3]\nreplicates = 2\n[[sweep]]\nname = \"b\"\ndepth = [3, 4]\nreplicates = 3";
    let plan = plan(text);
    let order: Vec<_> = networks(&plan).iter().map(|n| (n.sweep, n.spec.depth, n.replicate)).collect();
    let expected = [(0, 2, 0), (0, 2, 1), (0, 3, 0), (0, 3, 1), (1, 3, 2), (1, 4, 0), (1, 4, 1), (1, 4, 2)];
    assert_eq!(order, expected);
    assert_eq!(plan.notes, ["2 networks equal an earlier one and were merged with it"]);
    let one = self::plan("[[sweep]]\ninit = [\"he_normal\", \"kaiming_normal\"]");
    assert_eq!(one.notes, ["1 network equals an earlier one and was merged with it"]);
    // Alone, the second sweep has all its networks.
    let only = with(text, &Overrides { only: vec!["b".into()], ..Overrides::default() });
    assert_eq!((only.len(), only.networks_of_sweep(0), only.networks_of_sweep(1)), (6, 0, 6));
    assert_eq!(only.network(0).sweep, 1);
}

#[test]
fn varying_keys_are_those_of_all_sweeps_whatever_is_selected() {
    let text =
        "[[sweep]]\nname = \"a\"\ndepth = [2, 3]\n[[sweep]]\nname = \"b\"\ndepth = 2\nwidth = 64\ninput = \"digits\"";
    let expected = [Key::Depth, Key::Width, Key::InputSize, Key::Loss, Key::Input, Key::Target];
    assert_eq!(plan(text).varying, expected);
    let only = Overrides { only: vec!["a".into()], ..Overrides::default() };
    assert_eq!(with(text, &only).varying, expected);
    assert_eq!(with(text, &only).record.columns, plan(text).record.columns);
    let limit = Overrides { limit: Some(1), ..Overrides::default() };
    let limited = with(text, &limit);
    assert_eq!((limited.len(), &limited.varying), (1, &expected.to_vec()));
    let set = Overrides { set: vec!["sweep.a.depth=2".into()], ..Overrides::default() };
    assert!(!with(text, &set).varying.contains(&Key::Depth));
}

#[test]
fn a_limit_keeps_the_first_networks_with_their_ids() {
    let text = "replicates = 3\n[[sweep]]\ndepth = [2, 3, 4]\nwidth = [8, 16]";
    let all = plan(text);
    for limit in 1..=18 {
        let some = with(text, &Overrides { limit: Some(limit), ..Overrides::default() });
        assert_eq!(networks(&some), networks(&all)[..limit as usize]);
    }
}

#[test]
fn filters_keep_what_they_say() {
    let text = "[[sweep]]\ndepth = [2, 8]\nwidth = [8, 16, 32]\nresidual = \"pre_act\"\nresidual_scale = \"1/depth\"\n\
                where = ['depth * width <= 128', 'residual_scale > 0.2 || width == 8']";
    let kept: Vec<_> = networks(&plan(text)).iter().map(|n| (n.spec.depth, n.spec.width)).collect();
    assert_eq!(kept, [(2, 8), (2, 16), (2, 32), (8, 8)]);
    let sized = plan("[[sweep]]\nwidth = [8, 16]\ndepth = [1, 2]\noutput_size = 4\nwhere = ['params <= 108']");
    // One hidden layer: 8*8 + 8 weights and biases, then 8*4 + 4.
    assert_eq!(networks(&sized).iter().map(|n| (n.spec.width, n.spec.depth)).collect::<Vec<_>>(), [(8, 1)]);
    let work = plan("[[sweep]]\nwidth = [8, 16]\nbatch_size = 2\ndepth = 2\noutput_size = 4\nwhere = ['flops < 1921']");
    // 6 * 2 * (8*8 + 8*8 + 8*4) = 1920.
    assert_eq!(work.network(0).spec.width, 8);
    assert_eq!((work.len(), work.total_flops()), (1, 1920.0));
}

#[test]
fn a_filter_that_removes_the_last_point_is_named() {
    let text = "[[sweep]]\nname = \"s\"\ndepth = [1, 2, 3]\nwhere = [\"depth > 1\", \"width < 3\", \"depth > 2\"]";
    let expected = "sweep.toml:4:23: `width < 3` removes the last of the 3 points of sweep `s`: nothing is left to run";
    assert!(error(text).starts_with(expected), "{}", error(text));
}

#[test]
fn rows_and_columns_follow_the_record_section() {
    let all = plan("[[sweep]]\ndepth = [2, 4]");
    assert_eq!(all.total_rows(), 4 + 6);
    let cotangent = plan("[[sweep]]\ndepth = [2, 4]\nloss = \"cotangent\"\n[record]\nlayers = [0, 3, 9]");
    assert_eq!(cotangent.total_rows(), 1 + 2);
    assert!(all.record.columns.iter().any(|c| c == "preact_grad_log10_l2"));
    assert!(!all.record.columns.iter().any(|c| c == "branch_ratio"), "no network is residual");
    let mixed = plan("[[sweep]]\nresidual = [\"none\", \"post_act\"]");
    assert!(mixed.record.columns.iter().any(|c| c == "branch_ratio"));
    let listed = plan("[[sweep]]\n[record]\nstatistics = [\"act_rms\", \"branch_ratio\"]");
    assert_eq!(listed.record.columns, ["act_rms"]);
    assert_eq!(listed.notes, ["column `branch_ratio` is left out: no network can fill it"]);
    let nothing = error("[[sweep]]\n[record]\nstatistics = [\"branch_ratio\"]");
    assert!(nothing.starts_with("sweep.toml:3:14: no network of this file can fill any of these columns"), "{nothing}");
    let deep = error("[[sweep]]\n[record]\nlayers = [18, 900]");
    assert!(deep.starts_with("sweep.toml:3:10: no network has any of these layers (the last is 17)"), "{deep}");
}

#[test]
fn chunks_cover_the_bucket_order_and_stay_small() {
    let text = "replicates = 7\n[[sweep]]\ndepth = [3, 40, 1024]\nwidth = [8, 512]\nnorm = [\"none\", \"batch\"]\nbatch_size = 512";
    let plan = plan(text);
    let mut order = plan.bucket_order.clone();
    order.sort_unstable();
    assert_eq!(order, (0..plan.len() as u32).collect::<Vec<_>>());
    let mut end = 0;
    let bytes = chunk::row_bytes(plan.varying.len(), &plan.record);
    for chunk in &plan.chunks {
        assert_eq!(chunk.members.start, end);
        end = chunk.members.end;
        let members: Vec<_> =
            plan.bucket_order[chunk.members.clone()].iter().map(|&i| plan.network(i.into())).collect();
        assert!(members.iter().all(|n| ProgramKey::of(&n.spec) == chunk.key));
        assert!(members.is_sorted_by_key(|n| std::cmp::Reverse(n.spec.depth)));
        assert_eq!(chunk.flops, members.iter().map(|n| n.spec.flops()).sum::<f64>());
        assert_eq!(chunk.rows, members.iter().map(|n| u64::from(n.spec.rows())).sum::<u64>());
        let small = chunk.flops <= chunk::CHUNK_FLOPS && chunk.rows * bytes <= chunk::CHUNK_BYTES;
        assert!(small && chunk.rows <= chunk::CHUNK_ROWS || members.len() == 1);
    }
    assert_eq!(end, plan.bucket_order.len());
    assert_eq!(plan.buckets().len(), 4);
    assert_eq!(plan.buckets().iter().map(|b| b.1).sum::<u64>(), plan.len());
    assert!(plan.buckets().iter().all(|b| b.2 == 1024));
}

#[test]
fn rows_of_a_chunk_are_bounded_however_few_columns_are_written() {
    let plan = plan("replicates = 9000\n[[sweep]]\ndepth = 1\n[record]\nstatistics = [\"act_mean\"]");
    assert!(plan.chunks.len() > 1 && plan.chunks.iter().all(|c| c.rows <= chunk::CHUNK_ROWS));
}

#[test]
fn networks_are_found_by_id_and_by_index() {
    let plan = plan("[[sweep]]\ndepth = [2, 3, 4]");
    for n in networks(&plan) {
        assert_eq!(plan.find(&n.network_id), Some(n.index));
        assert_eq!(plan.find(&n.index.to_string()), Some(n.index));
    }
    for unknown in ["3", "-1", "n-00", "n-zzzzzzzzzzzzzzzz", "c-0000000000000000", ""] {
        assert_eq!(plan.find(unknown), None, "{unknown}");
    }
}

#[test]
fn a_large_grid_keeps_exactly_the_points_of_its_filter() {
    let text = "[[sweep]]\ninit = \"mean_field\"\nsigma_w = { linspace = [0.5, 3.5], num = 500 }\n\
                sigma_b = { linspace = [0.0, 1.0], num = 500 }\nwhere = ['sigma_w > sigma_b']";
    let plan = plan(text);
    // Brute force over the same grid, in integers: 0.5 + 3 i/499 > j/499.
    let expected = (0..500).flat_map(|i| (0..500).map(move |j| (i, j))).filter(|(i, j)| 499 + 6 * i > 2 * j).count();
    assert_eq!(plan.len(), expected as u64);
    assert_eq!(plan.network(plan.len() - 1).spec.init.sigma_w, 3.5);
}
