//! Names, requests, masks and which rows can fill which column.

use super::*;
use crate::network::*;
use crate::stats::{Count, Moments, Scaled, Sum};

pub(crate) fn spec() -> NetworkSpec {
    NetworkSpec {
        output_size: 3,
        init: Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w: 1.0, sigma_b: Some(0.1) },
        seed: 1,
        ..NetworkSpec::plain(6, 8, 4)
    }
}

/// Layers of `spec` to which a column applies.
fn layers(name: &str, spec: &NetworkSpec) -> Vec<u32> {
    let row = find(name).unwrap_or_else(|| panic!("{name} is in the catalog"));
    (0..spec.rows() + 2).filter(|&l| row.applies(spec, l)).collect()
}

/// Networks of many structures.
fn structures() -> Vec<NetworkSpec> {
    let mut all = Vec::new();
    for depth in [1, 2, 3, 4, 9] {
        for input_size in [5, 8] {
            for norm in [Norm::None, Norm::Batch] {
                for (residual, residual_every) in
                    [(Residual::None, 1), (Residual::PostAct, 1), (Residual::PostAct, 3), (Residual::PreAct, 1)]
                {
                    for loss in [Loss::Mse, Loss::Cotangent] {
                        for (bias, batch_size) in [(true, 4), (false, 4), (true, 1)] {
                            let final_norm = norm == Norm::Batch && residual == Residual::PreAct;
                            let base = spec();
                            all.push(NetworkSpec {
                                depth,
                                input_size,
                                norm,
                                residual,
                                residual_every,
                                loss,
                                bias,
                                batch_size,
                                final_norm,
                                ..base
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn names_are_unique_and_plain_for_every_reader() {
    let mut seen = std::collections::HashSet::new();
    for row in CATALOG.iter() {
        assert!(seen.insert(&row.name), "{} stands twice", row.name);
        let mut bytes = row.name.bytes();
        assert!(bytes.next().is_some_and(|b| b.is_ascii_lowercase()), "{}", row.name);
        assert!(bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{}", row.name);
        assert!(row.doc.len() > 10 && !row.unit.is_empty() && !row.rows.is_empty(), "{} is documented", row.name);
        assert!(!row.doc.contains("{}") && !row.doc.contains("  ") && !row.doc.ends_with('.'), "{}", row.doc);
        assert_ne!(row.mask, RecordMask(0), "{} needs something recorded", row.name);
        assert!(row.level != Level::Basic || RecordMask::BASIC.contains(row.mask), "{} is cheap", row.name);
    }
}

#[test]
fn the_interface_names_every_column() {
    let quantities = ["preact", "act", "preact_grad", "act_grad", "weight", "weight_grad", "bias_grad"];
    let basic = ["mean", "std", "rms", "l2", "log10_l2", "abs_max", "log10_abs_max", "zero_frac", "nonfinite"];
    let full = ["abs_p05", "abs_p25", "abs_p50", "abs_p75", "abs_p95", "kurtosis"];
    let mut expected: Vec<(String, Level)> = Vec::new();
    for q in quantities {
        expected.extend(basic.map(|s| (format!("{q}_{s}"), Level::Basic)));
        expected.extend(full.map(|s| (format!("{q}_{s}"), Level::Full)));
    }
    let derived = "log10_grad_ratio chi path_factor_abs_mean path_factor_rms path_factor_abs_max path_gain phi_grad_mean \
        phi_grad_rms saturated_frac dead_frac active_frac preact_cos act_cos grad_cos preact_cos_gap \
        sample_log10_grad_std weight_dot_grad branch_ratio";
    expected.extend(derived.split_whitespace().map(|name| (name.to_string(), Level::Basic)));
    expected.push(("path_factor_gt1_frac".into(), Level::Full));
    let jacobian = ["sv_min", "sv_mean_sq", "sv_max", "sv_m4_ratio"];
    expected.extend(jacobian.map(|name| (format!("jacobian_{name}"), Level::Request)));
    let mut found: Vec<(String, Level)> = CATALOG.iter().map(|row| (row.name.clone(), row.level)).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn requests_expand_in_catalog_order() {
    assert!(words().all(|word| columns(&[word]).is_ok()), "every word that is offered names a column");
    let names = |request: &[&str]| -> Vec<&str> {
        columns(request).unwrap().into_iter().map(|row| row.name.as_str()).collect()
    };
    assert_eq!(names(&["full"]).len(), CATALOG.len() - 4);
    assert_eq!(names(&["jacobian"]).len(), 4, "what is in no set has to be named");
    assert!(names(&["basic"]).iter().all(|name| find(name).unwrap().level == Level::Basic));
    assert_eq!(names(&["chi", "act_mean", "chi"]), ["act_mean", "chi"]);
    assert_eq!(names(&["bias_grad"]).len(), 9);
    assert_eq!(names(&["kurtosis", "bias_grad_kurtosis"]).len(), 7);
    assert_eq!(names(&["flow"]), ["log10_grad_ratio", "chi", "weight_dot_grad", "branch_ratio"]);
    assert_eq!(names(&["basic", "weight_kurtosis"]).len(), names(&["basic"]).len() + 1);
    assert!(names(&[]).is_empty());
}

#[test]
fn an_unknown_word_is_refused_with_a_way_out() {
    let error = |word: &str| columns(&["basic", word]).unwrap_err().to_string();
    assert_eq!(
        error("preact_gard"),
        "unknown statistic `preact_gard`; did you mean `preact_grad`? (gradsweep list statistics)"
    );
    assert!(error("act_kurtosys").contains("did you mean `act_kurtosis`?"));
    assert!(error("ful").contains("did you mean `full`?"));
    assert_eq!(error("zzzzzzzz"), "unknown statistic `zzzzzzzz` (gradsweep list statistics)");
    assert!(error("update_ratio").contains("optimiser"));
    assert!(error("weight_update_rms").contains("optimiser"));
}

#[test]
fn columns_apply_to_the_rows_that_the_interface_says() {
    let base = spec();
    let plain = &base;
    assert_eq!(layers("preact_mean", plain), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(layers("act_mean", plain), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(layers("act_grad_l2", plain), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(layers("weight_grad_l2", plain), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(layers("bias_grad_l2", plain), [1, 2, 3, 4, 5, 6, 7]);
    for name in ["log10_grad_ratio", "chi", "path_gain", "phi_grad_rms", "dead_frac"] {
        assert_eq!(layers(name, plain), [1, 2, 3, 4, 5, 6], "{name}");
    }
    assert!(layers("branch_ratio", plain).is_empty());
    assert_eq!(layers("act_cos", plain), [0, 1, 2, 3, 4, 5, 6]);

    let cotangent = NetworkSpec { loss: Loss::Cotangent, ..spec() };
    assert_eq!(layers("preact_grad_l2", &cotangent), [1, 2, 3, 4, 5, 6]);
    for name in ["log10_grad_ratio", "chi", "path_factor_rms", "path_gain"] {
        assert_eq!(layers(name, &cotangent), [1, 2, 3, 4, 5], "{name}");
    }
    assert_eq!(layers("phi_grad_rms", &cotangent), [1, 2, 3, 4, 5, 6]);

    let batch_norm = NetworkSpec { norm: Norm::Batch, ..spec() };
    assert_eq!(layers("bias_grad_l2", &batch_norm), [7], "only the readout keeps a bias");
    assert!(layers("chi", &batch_norm).is_empty());
    assert_eq!(layers("path_gain", &batch_norm), [1, 2, 3, 4, 5, 6]);
    assert!(layers("bias_grad_l2", &NetworkSpec { bias: false, ..spec() }).is_empty());
    // Every reader of the stream normalises over the batch: a bias reaches nothing. Without one of the conditions it does.
    let unread = NetworkSpec { residual: Residual::PreAct, final_norm: true, ..batch_norm.clone() };
    assert_eq!(layers("bias_grad_l2", &unread), [7]);
    for read in [
        NetworkSpec { final_norm: false, ..unread.clone() },
        NetworkSpec { norm: Norm::Layer, ..unread.clone() },
        NetworkSpec { loss: Loss::Cotangent, final_norm: false, ..unread.clone() },
    ] {
        assert_eq!(layers("bias_grad_l2", &read)[..6], [1, 2, 3, 4, 5, 6]);
    }

    let pre = NetworkSpec { residual: Residual::PreAct, input_size: 5, loss: Loss::Cotangent, ..spec() };
    for name in ["phi_grad_mean", "saturated_frac", "path_gain", "branch_ratio"] {
        assert_eq!(layers(name, &pre), [2, 3, 4, 5, 6], "{name} is empty in the stem");
    }
    assert_eq!(layers("log10_grad_ratio", &pre), [1, 2, 3, 4, 5]);
    assert!(layers("chi", &pre).is_empty());
    let square = NetworkSpec { input_size: 8, ..pre };
    assert_eq!(layers("path_gain", &square), [1, 2, 3, 4, 5, 6]);

    let post = NetworkSpec { residual: Residual::PostAct, residual_every: 2, input_size: 5, ..spec() };
    assert_eq!(layers("branch_ratio", &post), [4, 6]);
    assert_eq!(layers("phi_grad_mean", &post), [1, 2, 3, 4, 5, 6]);

    let single = NetworkSpec { batch_size: 1, ..spec() };
    for name in ["preact_cos", "preact_cos_gap", "act_cos", "grad_cos", "sample_log10_grad_std"] {
        assert!(layers(name, &single).is_empty(), "{name} needs two samples");
    }
    let normed_end = NetworkSpec { final_norm: true, ..spec() };
    assert_eq!(layers("chi", &normed_end), [1, 2, 3, 4, 5]);
}

#[test]
fn a_column_can_be_filled_exactly_if_some_row_has_it() {
    for spec in structures() {
        for row in CATALOG.iter() {
            let any = (0..spec.rows()).any(|l| row.applies(&spec, l));
            assert_eq!(can_fill(row, &spec), any, "{} in {spec:?}", row.name);
        }
    }
    let filled = |row: &StatisticRow| structures().iter().any(|spec| can_fill(row, spec));
    assert!(CATALOG.iter().all(filled), "every column has a network");
}

#[test]
fn nothing_recorded_means_empty_everywhere() {
    for spec in structures() {
        for layer in 0..spec.rows() {
            let next = Some(&Record::EMPTY);
            let context = RowContext { spec: &spec, layer, this: &Record::EMPTY, next };
            for row in CATALOG.iter() {
                assert_eq!(row.cell(&context), Cell::Empty, "{}", row.name);
            }
        }
    }
}

#[test]
fn a_column_that_does_not_apply_is_empty_whatever_was_recorded() {
    let (this, next) = super::formula_tests::records(0);
    for spec in structures() {
        for layer in 0..spec.rows() {
            let context = RowContext { spec: &spec, layer, this: &this, next: Some(&next) };
            for row in CATALOG.iter() {
                assert_eq!(
                    row.cell(&context) == Cell::Empty,
                    !row.applies(&spec, layer),
                    "{} in row {layer}",
                    row.name
                );
            }
        }
    }
}

/// Blanks the parts of a record that a mask does not name.
fn masked(record: &Record, mask: RecordMask) -> Record {
    let mut out = *record;
    for quantity in Quantity::ALL {
        let moments = &mut out.moments[quantity as usize];
        if !mask.contains(RecordMask::quantity(quantity)) {
            *moments = Moments::NONE;
        }
        if !mask.contains(RecordMask::KURTOSIS) {
            (moments.m3, moments.m4) = (f64::NAN, f64::NAN);
        }
        if !mask.contains(RecordMask::QUANTILES) {
            moments.abs_quantiles = [f64::NAN; 5];
        }
    }
    let parts: [(RecordMask, &[Sum], &[Count]); 7] = [
        (
            RecordMask::PHI_GRAD,
            &[Sum::PhiGrad, Sum::PhiGradSquare],
            &[Count::PhiElements, Count::Saturated, Count::Active, Count::Units, Count::DeadUnits],
        ),
        (RecordMask::PATH, &[Sum::PathAbs, Sum::PathSquare, Sum::PathMax], &[Count::Paths]),
        (RecordMask::PATH_ABOVE_ONE, &[], &[Count::PathsAboveOne]),
        (
            RecordMask::COS,
            &[Sum::PreactCos, Sum::PreactCosGap, Sum::ActCos, Sum::GradCos],
            &[Count::PreactPairs, Count::ActPairs, Count::GradPairs],
        ),
        (RecordMask::SAMPLE_SPREAD, &[Sum::SampleLogGradDeviation], &[Count::GradSamples]),
        (RecordMask::WEIGHT_DOT_GRAD, &[Sum::WeightDotGrad], &[]),
        (RecordMask::BRANCH, &[Sum::BranchSquare, Sum::SkipSquare], &[]),
    ];
    for (_, sums, counts) in parts.iter().filter(|(bit, _, _)| !mask.contains(*bit)) {
        sums.iter().for_each(|&s| out.sums[s as usize] = Scaled::ABSENT);
        counts.iter().for_each(|&c| out.counts[c as usize] = 0);
    }
    out
}

#[test]
fn the_mask_of_a_column_is_enough_and_none_of_it_is_idle() {
    let spec = NetworkSpec { depth: 4, ..spec() };
    let residual = NetworkSpec { residual: Residual::PostAct, ..spec.clone() };
    let (this, next) = super::formula_tests::records(0);
    for row in CATALOG.iter().filter(|row| row.level != Level::Request) {
        let spec = if row.name == "branch_ratio" { &residual } else { &spec };
        let cell = |mask: RecordMask| {
            let (this, next) = (masked(&this, mask), masked(&next, mask));
            row.cell(&RowContext { spec, layer: 2, this: &this, next: Some(&next) })
        };
        let whole = cell(RecordMask::FULL);
        assert_ne!(whole, Cell::Empty, "{}", row.name);
        assert_eq!(cell(mask_for(&[row])), whole, "{}", row.name);
        for bit in (0..32).map(|i| RecordMask(1 << i)).filter(|&bit| row.mask.contains(bit)) {
            assert_ne!(cell(RecordMask(row.mask.0 & !bit.0)), whole, "{} without bit {:#x}", row.name, bit.0);
        }
    }
}

#[test]
fn engines_record_the_next_row_only_where_a_formula_looks_at_it() {
    let wanted = LayerSelection::Only(vec![0, 5, 6]);
    let flow = columns(&["chi"]).unwrap();
    assert_eq!(layers_for(&flow, &wanted), LayerSelection::Only(vec![0, 1, 5, 6, 7]));
    assert_eq!(layers_for(&columns(&["act"]).unwrap(), &wanted), wanted);
    assert_eq!(layers_for(&flow, &LayerSelection::All), LayerSelection::All);
}
