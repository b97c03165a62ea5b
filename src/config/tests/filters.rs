//! Filters: what they may say, and what they keep.

use super::{body, good, parse};
use crate::config::{FILTER_WORDS, Filter, Key, Operand, Variable};

fn filter(text: &str) -> Filter {
    let file = good(&body(&format!("where = ['{text}']")));
    file.sweeps[0].filters[0].clone()
}

fn keeps(text: &str) -> bool {
    let operand = |variable| match variable {
        Variable::Key(Key::Depth) => Operand::Number(7.0),
        Variable::Key(Key::Width) => Operand::Number(16.0),
        Variable::Key(Key::Bias) => Operand::Bool(true),
        Variable::Key(Key::Activation) => Operand::Word("tanh".to_string()),
        Variable::Key(Key::Init) => Operand::Word("normal(0.02)".to_string()),
        Variable::Params => Operand::Number(1e15),
        _ => Operand::Number(0.5),
    };
    filter(text).keeps(operand).unwrap()
}

#[test]
fn every_function_is_documented_and_every_documented_word_works() {
    for (word, _) in FILTER_WORDS {
        let calls = match word {
            "KEY" => vec!["depth > 0".to_string()],
            "( )" => vec!["(depth) > 0".to_string()],
            "in, !in" => vec!["depth in [7]".to_string(), "depth !in [8]".to_string()],
            "&& || !" => vec!["depth > 1 && depth > 2".to_string(), "!bias || depth > 0".to_string()],
            _ if word.contains('(') => vec![format!("{} > -1e9", word.replace('x', "depth").replace("edepthp", "exp"))],
            _ if word.starts_with(char::is_alphabetic) => vec![format!("{word} > 0")],
            _ => word
                .split(' ')
                .map(|sign| {
                    format!("(depth {sign} width) {}", if "+-*/%**".contains(sign) { "> -1e9" } else { "|| bias" })
                })
                .collect(),
        };
        calls.iter().for_each(|text| {
            assert!(keeps(&text.replace(", y", ", width").replace("madepth", "max")), "{word}: {text}")
        });
    }
}

#[test]
fn expressions_mean_what_they_say() {
    for text in [
        "depth == 7",
        "depth / 2 == 3.5",
        "1/2 == sigma_w * 1",
        "depth % 2 == 1 && width > 15",
        "!(depth < 7) || width == 0",
        "bias",
        "!bias == false",
        "activation == \"tanh\"",
        "activation != \"relu\"",
        "activation in [\"relu\", \"tanh\"]",
        "depth in [1, 7]",
        "!(activation in [\"relu\"])",
        "activation !in [\"relu\"]",
        "init == \"normal(0.02)\"",
        "params > 2 ** 49",
        "sqrt(width) == 4 && max(depth, width) == 16 && abs(-depth) == 7",
        "floor(depth / 2) == 3 && round(sigma_w + 0.1) == 1",
        "depth * width * width <= 4000000",
        "params * params * params > 1",
        "depth ** 1000 > 1 && 1 < depth ** 1000 && depth ** 1000 == width ** 1000 && -(depth ** 1000) < 1",
        "1e-20 > 0 * depth && 0 * depth < 1e-300 && sigma_w * 1e-30 != 0 && !(sigma_w * 1e-30 <= 0)",
        "-depth < -sigma_w && -depth <= -7 && -depth >= -7 && 0.6 * sigma_w == 0.3 && 0.1 * 3 <= 0.6 * sigma_w",
        "log(1000) * depth > 20.9 && log(1000) * depth < 21.1 && ln(exp(2)) * depth == 14",
        "ceiling(sigma_w) == 1 && min(depth, width) == 7 && exp(0 * depth) == 1",
    ] {
        assert!(keeps(text), "{text}");
    }
    for text in ["depth != 7", "bias == false", "activation in [\"relu\"]", "depth / 0 < 1", "depth > 1e300 * 1e300"] {
        assert!(!keeps(text), "{text}");
    }
}

#[test]
fn a_comparison_with_no_number_is_an_error() {
    for text in ["sqrt(2 - depth) > 1", "0 / (depth - 7) == 0", "ln(-depth) != 3", "(0 * depth) / 0 in [1, 2]"] {
        let operand = |_| Operand::Number(7.0);
        let error = filter(text).keeps(operand).unwrap_err();
        assert!(error.contains("not a number"), "{text}: {error}");
    }
    assert!(!keeps("depth < 2 && sqrt(2 - depth) > 1"));
}

#[test]
fn a_filter_knows_what_it_reads() {
    let variables = filter("depth * width > 3 && depth < 2 || flops < 1e9").variables;
    assert_eq!(variables, [Variable::Key(Key::Depth), Variable::Key(Key::Width), Variable::Flops]);
}

#[test]
fn every_mistake_in_a_filter_is_named_where_it_stands() {
    const USE: &str =
        "a filter cannot use this (numbers, words in quotes, keys, + - * / % **, < <= > >= == !=, in [...], && || !)";
    const FUNCTIONS: &str = "(sqrt, exp, ln, log, abs, floor, ceiling, round, min, max)";
    let cases = [
        ("depht > 3", "12: unknown key `depht` in a filter; did you mean `depth`? (gradsweep list keys)".to_string()),
        (
            "depth > 3 && parms > 2",
            "25: unknown key `parms` in a filter; did you mean `params`? (gradsweep list keys)".into(),
        ),
        ("replicates > 3", "12: unknown key `replicates` in a filter (gradsweep list keys)".into()),
        ("depth", "11: a filter must be true or false, and this is a number".into()),
        ("activation", "11: a filter must be true or false, and this is a word".into()),
        ("true", "11: this filter reads no key: it is the same for every point".into()),
        ("depth > ", "11: not an expression: it is incomplete".into()),
        ("depth > 3 and width > 2", "22: not an expression: unexpected 'and'; use `&&` for `and`".into()),
        ("not depth > 3", "16: not an expression: unexpected 'depth'; use `!` for `not`".into()),
        ("depth = 4", "18: not an expression: unexpected '='; use `==` for `=`".into()),
        ("width == 2 && (activation = \"tanh\")", "38: not an expression: unexpected '='; use `==` for `=`".into()),
        ("while true {}", "12: not an expression: unexpected 'while'".into()),
        ("let x = 3; depth > x", "12: not an expression: unexpected 'let'".into()),
        ("activation == 3", "23: a word cannot equal a number".into()),
        ("activation > 3", "12: `>` takes numbers, and this is a word".into()),
        ("bias > 1", "12: `>` takes numbers, and this is true or false".into()),
        ("depth && bias", "12: `&&` and `||` join conditions, and this is a number".into()),
        ("!depth", "13: `!` negates a condition, and this is a number".into()),
        (
            "activation == \"rleu\"",
            "26: unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)".into(),
        ),
        (
            "\"rleu\" == activation",
            "12: unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)".into(),
        ),
        ("init == \"kaiming_normal\"", "20: in filters `init` has its canonical spelling: write `he_normal`".into()),
        ("activation == \"elu\"", "26: in filters `activation` has its canonical spelling: write `elu(1)`".into()),
        (
            "activation in [\"tanh\", \"rlu\"]",
            "35: unknown activation `rlu`; did you mean `relu`? (gradsweep list activations)".into(),
        ),
        ("activation in \"tanh\"", "23: `in` needs a list such as [\"tanh\", \"relu\"], not a word".into()),
        ("activation == norm", "23: a word cannot equal a word".into()),
        ("sqrt(width, 3) > 2", "12: `sqrt` takes 1 arguments, not 2".into()),
        ("foo(depth) > 3", format!("12: unknown function `foo` in a filter {FUNCTIONS}")),
        ("eval(\"1\") == depth", format!("12: unknown function `eval` in a filter {FUNCTIONS}")),
        ("depth.to_string() == \"3\"", format!("12: {USE}")),
        ("`${depth}` == activation", format!("12: {USE}")),
    ];
    for (text, expected) in cases {
        let error = parse(&body(&format!("where = [ '{text}' ]"))).err().unwrap_or_else(|| panic!("{text}"));
        let shown: Vec<_> = error
            .errors
            .iter()
            .map(|e| {
                (
                    e.place.as_ref().map_or(0, |p| p.line),
                    format!("{}: {}", e.place.as_ref().map_or(0, |p| p.column), e.message),
                )
            })
            .collect();
        assert_eq!(shown, [(4, expected)], "{text}");
    }
}

#[test]
fn where_takes_a_string_or_a_list_of_strings() {
    assert_eq!(good(&body("where = \"depth > 3\"")).sweeps[0].filters.len(), 1);
    assert_eq!(good(&body("where = []")).sweeps[0].filters.len(), 0);
    for text in ["where = 3", "where = [3]", "where = { a = 1 }"] {
        assert!(parse(&body(text)).is_err(), "{text}");
    }
}

#[test]
fn deep_and_long_expressions_end_in_an_error_or_a_value() {
    let nested = format!("{}depth{} > 1", "(".repeat(5000), ")".repeat(5000));
    assert!(parse(&body(&format!("where = [\"{nested}\"]"))).is_err());
    let long = vec!["depth > 0"; 3000].join(" && ");
    let _ = parse(&body(&format!("where = [\"{long}\"]")));
}
