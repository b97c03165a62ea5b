//! Published results: every paper's statements hold as the files say, `docs/reproductions.md` lists them, and the evaluator
//! can fail.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use gradsweep::config::{Overrides, SweepFile};
use gradsweep::plan::Plan;
use gradsweep::reproduce::{Outcome, PAPERS, Paper, ReadNetwork, ReadRun, Statement, Test, evaluate, markdown};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.env_remove("GRADSWEEP_DEVICE");
    command
}

#[test]
fn published_results_are_reproduced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = program()
        .args(["reproduce", "--json", "-q", "--device", "cpu", "-o"])
        .arg(folder.path())
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&out.stdout);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let papers = report["papers"].as_array().expect("papers");
    assert_eq!(papers.len(), PAPERS.len());
    for paper in papers {
        for statement in paper["statements"].as_array().expect("statements") {
            let outcome = statement["outcome"].as_str().expect("a word");
            assert_ne!(outcome, "FAIL", "{}: {statement:#}", paper["name"]);
            println!("{}: {}: {outcome}", paper["name"], statement["says"]);
        }
    }
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    // The runs are kept, and used again: this takes no time and needs no engine.
    let again = program()
        .args(["reproduce", "he_2015", "hanin_2018", "--device", "no such device", "-o"])
        .arg(folder.path())
        .output()
        .expect("it starts");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(text.contains("pass") && text.contains("sum 1/n_l"), "{text}");
}

#[test]
fn every_paper_plans_at_both_sizes_cites_its_source_and_says_what_to_expect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/papers");
    let files = fs::read_dir(&folder).expect("the folder is part of the repository").count();
    assert_eq!(files, 2 * PAPERS.len(), "every file belongs to a paper");
    for file in PAPERS {
        let paper = file.parse().unwrap_or_else(|e| panic!("{e}"));
        assert!(!paper.statements.is_empty(), "{}", file.name);
        for part in ["# Shows: ", "# Expect: "] {
            assert!(file.sweep.contains(part), "{}: {part}", file.name);
        }
        for set in [Vec::new(), paper.full.clone()] {
            let overrides = Overrides { set, ..Overrides::default() };
            let sweep = SweepFile::parse(file.sweep, file.name, &overrides).unwrap_or_else(|e| panic!("{e}"));
            let plan = Plan::new(&sweep).unwrap_or_else(|e| panic!("{e}"));
            assert!(plan.notes.is_empty(), "{}: {:?}", file.name, plan.notes);
            assert_eq!(plan.name, file.name.replace('_', "-"));
        }
        for statement in &paper.statements {
            let reason = statement.tolerance > 0.0 || !statement.holds;
            assert_eq!(reason, !statement.because.is_empty(), "{}: {}", file.name, statement.says);
        }
    }
}

/// The items of a header's list: what a paper states, and what is expected with the allowance in parentheses.
fn expectations(header: &str) -> Vec<(String, String, String)> {
    let mut items: Vec<[String; 2]> = Vec::new();
    for line in header.lines().take_while(|line| line.starts_with('#')) {
        let (text, last) = (line[1..].trim(), items.last_mut());
        match (line.strip_prefix("# - "), line.strip_prefix("#   "), last) {
            (Some(says), _, _) => items.push([says.to_string(), String::new()]),
            (None, Some(_), Some([says, expected])) => {
                let expects = text.starts_with("expect: ") || !expected.is_empty();
                let part = if expects { expected } else { says };
                *part = format!("{part} {text}").trim().to_string();
            }
            _ => {}
        }
    }
    let split = |[says, expected]: [String; 2]| {
        let (what, allowance) = expected.rsplit_once(" (").unwrap_or_else(|| panic!("{says}: {expected}"));
        let what = what.strip_prefix("expect: ").unwrap_or_else(|| panic!("{says}: {expected}"));
        (says, what.to_string(), allowance.to_string())
    };
    items.into_iter().map(split).collect()
}

/// How a header says what a statement allows.
fn allowance(statement: &Statement) -> String {
    let tolerance = match statement.tolerance {
        0.0 => String::new(),
        tolerance => format!(" + {tolerance:?}"),
    };
    let side = if statement.test == Test::Equal { "within 4 s" } else { "by more than 4 s" };
    format!("{side}{tolerance}{})", if statement.holds { "" } else { "; does not hold" })
}

#[test]
fn every_header_says_of_each_statement_what_to_expect_and_its_tolerance() {
    for file in PAPERS {
        let paper = file.parse().unwrap_or_else(|e| panic!("{e}"));
        let items = expectations(file.sweep);
        let says: Vec<&str> = items.iter().map(|(says, _, _)| says.as_str()).collect();
        let stated: Vec<&str> = paper.statements.iter().map(|statement| statement.says.as_str()).collect();
        assert_eq!(says, stated, "{}", file.name);
        for (statement, (says, expected, allowed)) in paper.statements.iter().zip(&items) {
            assert_eq!(*allowed, allowance(statement), "{}: {says}", file.name);
            // A prediction that is a plain number stands there, too.
            let number: Option<f64> = statement.predicted.parse().ok();
            let mut words = expected.split(|c: char| !(c.is_ascii_digit() || c == '.')).filter_map(|w| w.parse().ok());
            assert!(
                number.is_none_or(|number| words.any(|word: f64| word == number.abs())),
                "{}: {says}: {expected}",
                file.name
            );
        }
        // Citation, and how the sizes here and with --full compare with those of the paper.
        let header: String = file.sweep.lines().take_while(|line| line.starts_with('#')).collect();
        for part in ["\"", "--full"] {
            assert!(header.contains(part), "{}: {part}", file.name);
        }
        let year = file.name.rsplit('_').next().expect("names end in the year");
        assert!(header.contains(year), "{}", file.name);
    }
    let changed = "# - a b\n#   c\n#   expect: x is 1\n#   or so (within 4 s + 0.02)\n\nname = \"x\"\n# - no\n";
    let item = ["a b c", "x is 1 or so", "within 4 s + 0.02)"].map(str::to_string);
    assert_eq!(expectations(changed), [item.into()]);
}

#[test]
fn the_page_of_reproductions_lists_every_statement_and_its_outcome() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reproductions.md"))
        .expect("docs/reproductions.md is part of the repository");
    let mut rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| statement"));
    for file in PAPERS {
        let paper = file.parse().unwrap_or_else(|e| panic!("{e}"));
        assert!(page.contains(&format!("\n## {}\n\n`configs/papers/{}.toml`\n", paper.paper, file.name)));
        for statement in &paper.statements {
            let row = rows.next().unwrap_or_else(|| panic!("{}: {} is missing", file.name, statement.says));
            let outcome = match (statement.holds, statement.tolerance > 0.0) {
                (true, false) => "| pass |".to_string(),
                (true, true) => format!(" allowed: {} |", statement.because),
                (false, _) => format!("| does not hold: {} |", statement.because),
            };
            let start = format!("| {} | ", statement.says.replace('|', "\\|"));
            assert!(
                row.starts_with(&start) && row.ends_with(&outcome),
                "{row}\nis out of date: gradsweep reproduce --markdown > docs/reproductions.md"
            );
        }
    }
    assert_eq!(rows.next(), None);
}

/// A run of two configurations with four seeds each, whose `loss` is given.
fn run(losses: [[f64; 4]; 2]) -> ReadRun {
    let networks = losses.iter().enumerate().flat_map(|(i, losses)| {
        losses.iter().map(move |loss| {
            let cells = [
                ("configuration", format!("c-{i}")),
                ("depth", format!("{}", 10 * (i + 1))),
                ("activation", "tanh".to_string()),
                ("loss", loss.to_string()),
            ];
            let cells = cells.map(|(name, cell)| (name.to_string(), cell)).into_iter().collect();
            ReadNetwork { cells, layers: [(3, vec![7.5, f64::NAN])].into_iter().collect() }
        })
    });
    ReadRun {
        networks: networks.collect(),
        layer_columns: vec!["chi".to_string(), "act_mean".to_string()],
        ..ReadRun::default()
    }
}

/// The outcome of one statement on a run with means 2 and 5.
fn judged(statement: &str) -> (Outcome, String) {
    let statement: Statement = toml::from_str(&format!("says = \"x\"\n{statement}")).expect("a statement");
    let run = run([[1.9, 2.1, 1.95, 2.05], [4.9, 5.1, 4.95, 5.05]]);
    let finding = evaluate(run, &[statement]).remove(0);
    (finding.outcome, finding.error.unwrap_or_default())
}

#[test]
fn a_statement_passes_or_fails_by_its_numbers() {
    use Outcome::{DoesNotHold, Fail, Pass};
    // The standard error of the mean is 0.0456.
    for (statement, outcome) in [
        ("measured = \"loss\"\npredicted = \"2.1\"\nselect = \"depth == 10\"\ntest = \"equal\"", Pass),
        ("measured = \"loss\"\npredicted = \"2.25\"\nselect = \"depth == 10\"\ntest = \"equal\"", Fail),
        (
            "measured = \"loss\"\npredicted = \"2.25\"\nselect = \"depth == 10\"\ntest = \"equal\"\ntolerance = 0.1",
            Pass,
        ),
        ("measured = \"loss\"\npredicted = \"2.1\"\ntest = \"equal\"", Fail),
        ("measured = \"loss / depth\"\npredicted = \"0.3\"\ntest = \"below\"", Pass),
        ("measured = \"loss\"\npredicted = \"4.0\"\ntest = \"below\"", Fail),
        ("measured = \"loss\"\npredicted = \"1.9\"\nselect = \"depth == 10\"\ntest = \"above\"", Fail),
        ("measured = \"loss\"\npredicted = \"1.5\"\nselect = \"depth == 10\"\ntest = \"above\"", Pass),
        (
            "measured = \"loss\"\npredicted = \"3.0\"\nselect = \"depth == 20\"\nversus = { depth = \"10\" }\ntest = \"equal\"",
            Pass,
        ),
        ("measured = \"loss\"\npredicted = \"9.0\"\ntest = \"equal\"\nholds = false", DoesNotHold),
        ("measured = \"loss\"\npredicted = \"2.0\"\nselect = \"depth == 10\"\ntest = \"equal\"\nholds = false", Fail),
        ("measured = \"loss\"\npredicted = \"2.0\"\nselect = \"depth == 10\"\ntest = \"equal\"\neffect = 0.4", Fail),
        // The unbiased variance is 0.00833.
        (
            "measured = \"loss\"\nstatistic = \"variance\"\npredicted = \"0.00833\"\nselect = \"depth == 10\"\ntest = \"equal\"",
            Pass,
        ),
        ("measured = \"row(3.0, \\\"chi\\\")\"\npredicted = \"7.5\"\ntest = \"equal\"", Pass),
    ] {
        let (found, error) = judged(statement);
        assert_eq!(found, outcome, "{statement}: {error}");
    }
}

#[test]
fn a_statement_that_cannot_be_judged_fails_with_the_reason() {
    for (statement, reason) in [
        ("measured = \"row(3.0, \\\"act_mean\\\")\"\ntest = \"equal\"", "no act_mean in row 3"),
        ("measured = \"row(4.0, \\\"chi\\\")\"\ntest = \"equal\"", "no chi in row 4"),
        ("measured = \"loss +\"\ntest = \"equal\"", "loss +"),
        ("measured = \"lss\"\ntest = \"equal\"", "lss"),
        ("measured = \"loss\"\nselect = \"depth == 11\"\ntest = \"equal\"", "no network is selected"),
        ("measured = \"loss\"\nversus = { depth = \"11\" }\ntest = \"equal\"", "counterpart"),
    ] {
        let (found, error) = judged(statement);
        assert_eq!(found, Outcome::Fail);
        assert!(error.contains(reason), "{statement}: {error}");
    }
}

#[test]
fn an_unknown_paper_is_a_usage_error_and_the_list_names_all() {
    let out = program().args(["reproduce", "hannin_2018"]).output().expect("it starts");
    assert_eq!(out.status.code(), Some(2));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains("unknown paper `hannin_2018`; did you mean `hanin_2018`?"), "{text}");
    let out = program().args(["reproduce", "--list"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(PAPERS.iter().all(|paper| text.contains(paper.name)), "{text}");
}

#[test]
fn shells_complete_the_names_of_papers() {
    for shell in ["bash", "zsh", "fish"] {
        let out = program().args(["completions", shell]).output().expect("it starts");
        let script = String::from_utf8_lossy(&out.stdout).into_owned();
        let missing: Vec<&str> = PAPERS.iter().map(|paper| paper.name).filter(|name| !script.contains(name)).collect();
        // The generator for fish completes no positional argument.
        assert_eq!(missing.is_empty(), shell != "fish", "{shell}: {missing:?}");
    }
}

#[test]
fn a_bound_is_not_shown_as_a_prediction() {
    let statement = |test: &str| -> Statement {
        let text = format!("says = \"{test}\"\nmeasured = \"loss\"\npredicted = \"3.211\"\ntest = \"{test}\"");
        toml::from_str(&text).expect("a statement")
    };
    let statements: Vec<Statement> = ["above", "below", "equal"].map(statement).into();
    let findings = evaluate(run([[1.9, 2.1, 1.95, 2.05], [4.9, 5.1, 4.95, 5.05]]), &statements);
    let paper = Paper { paper: "A".to_string(), full: Vec::new(), float64: false, statements };
    let page = markdown(&[("a", paper, findings)]);
    for row in ["| above | > 3.211 | ", "| below | < 3.211 | ", "| equal | 3.211 | "] {
        assert!(page.contains(row), "{page}");
    }
    // The table for the terminal says the same.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = program()
        .args(["reproduce", "balduzzi_2017", "--device", "cpu", "-q", "-o"])
        .arg(folder.path())
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let paper =
        PAPERS.iter().find(|paper| paper.name == "balduzzi_2017").expect("it is there").parse().expect("it parses");
    for statement in &paper.statements {
        let row = text.lines().find(|line| line.contains(&statement.says)).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(row.contains(" > "), statement.test == Test::Above, "{row}");
        assert_eq!(row.contains(" < "), statement.test == Test::Below, "{row}");
    }
}
