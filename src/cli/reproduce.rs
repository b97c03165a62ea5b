//! `gradsweep reproduce`: runs the sweep files of published results and says which statements hold.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use serde_json::{Value, json};

use super::console::{BOLD, Console, GREEN, RED, YELLOW};
use super::exit::{Exit, Failure};
use super::options::{DeviceArgs, PrecisionArg};
use super::run::{stations, stop_on_signals};
use super::table::{self, left, right};
use crate::config::{Overrides, SweepFile, did_you_mean};
use crate::engine::Precision;
use crate::plan::Plan;
use crate::reproduce::{
    Finding, Group, Outcome, PAPERS, Paper, PaperFile, Statement, evaluate, markdown, read_run, shown,
};
use crate::run::progress::{Mode, Progress};
use crate::run::{Ending, Job, Tables, check_memory, execute, human, identity};
use crate::store::{Begin, Disk, Opened, RunDirectory};

/// Reproduce published results
///
/// Runs the sweep files of configs/papers, which are part of the program, smaller than published unless --full is given,
/// and compares means over seeds with what each paper states. A statement that is known not to hold says why. Exit code 1
/// if any statement fails.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep reproduce                    every paper, in less than a minute on two cores
  gradsweep reproduce hanin_2018 --full  one paper at the published size
  gradsweep reproduce --list             what there is
  gradsweep reproduce -o runs/papers     keep the runs, and use those that are there")]
pub struct Args {
    /// Papers, by the names of their files [default: all]
    #[arg(value_name = "NAME", value_parser = PaperName, hide_possible_values = true)]
    names: Vec<String>,
    /// Run the published size
    #[arg(long)]
    full: bool,
    /// List the papers and their statements, and run nothing
    #[arg(long)]
    list: bool,
    /// Keep the runs in this directory, one below it for each paper
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the page docs/reproductions.md
    #[arg(long, conflicts_with = "list")]
    markdown: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Any text: the names are for shells to complete. [`chosen`] says what is wrong with another one.
#[derive(Clone)]
struct PaperName;

impl TypedValueParser for PaperName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(PAPERS.iter().map(|paper| PossibleValue::new(paper.name))))
    }
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    args.device.limit_threads();
    let chosen = chosen(&args.names)?;
    let mut papers = Vec::new();
    for file in chosen {
        papers.push((file, file.parse().map_err(|e| Failure::new(Exit::Failed, e))?));
    }
    if args.list {
        return list(&papers, console);
    }
    let folder = tempfile::tempdir().map_err(|e| {
        Failure::new(Exit::Disk, format!("cannot create a directory in {}: {e}", std::env::temp_dir().display()))
    })?;
    let root = args.output.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(root)
        .map_err(|e| Failure::new(Exit::Disk, format!("cannot create {}: {e}", root.display())))?;
    let stop = stop_on_signals();
    let mut found: Vec<(&str, Paper, Vec<Finding>)> = Vec::new();
    let mut seconds = Vec::new();
    for (file, paper) in papers {
        console.status("Running", &paper.paper);
        let begun = Instant::now();
        let directory = root.join(file.name);
        if !run_paper(args, file, &paper, &directory, Arc::clone(&stop))? {
            return Err(Failure::new(Exit::Interrupted, "interrupted"));
        }
        let tables = read_run(&directory).map_err(|e| Failure::new(Exit::Disk, e.to_string()))?;
        let findings = evaluate(tables, &paper.statements);
        seconds.push(begun.elapsed().as_secs_f64());
        if !console.json && !args.markdown {
            print(file, &paper, &findings, begun.elapsed().as_secs_f64(), console)?;
        }
        found.push((file.name, paper, findings));
    }
    let mut out = console.out();
    if args.markdown {
        out.write_all(markdown(&found).as_bytes())?;
    } else if console.json {
        let papers: Vec<Value> = found.iter().zip(&seconds).map(|(paper, s)| to_json(paper, *s)).collect();
        writeln!(out, "{:#}", json!({ "full": args.full, "papers": papers }))?;
    }
    out.flush()?;
    let all: Vec<Outcome> = found.iter().flat_map(|(_, _, f)| f.iter().map(|finding| finding.outcome)).collect();
    let count = |outcome| all.iter().filter(|o| **o == outcome).count() as u64;
    let failed = count(Outcome::Fail);
    console.status(
        "Finished",
        &format!(
            "{} of {}: {} hold, {} do not and the reason is known, {failed} failed",
            human::plural(all.len() as u64, "statement"),
            human::plural(found.len() as u64, "paper"),
            count(Outcome::Pass),
            count(Outcome::DoesNotHold),
        ),
    );
    if failed > 0 { Err(Failure::new(Exit::Failed, "a published result was not reproduced")) } else { Ok(Exit::Done) }
}

fn chosen(names: &[String]) -> Result<Vec<&'static PaperFile>, Failure> {
    let find = |name: &String| {
        PAPERS.iter().find(|paper| paper.name == *name).ok_or_else(|| {
            let hint = did_you_mean(name, PAPERS.iter().map(|paper| paper.name));
            Failure::usage(format!("unknown paper `{name}`{hint} (gradsweep reproduce --list)"))
        })
    };
    if names.is_empty() { Ok(PAPERS.iter().collect()) } else { names.iter().map(find).collect() }
}

/// Runs one paper's sweep into `directory`, or finds it complete. False if it was interrupted.
fn run_paper(
    args: &Args,
    file: &PaperFile,
    paper: &Paper,
    directory: &Path,
    stop: Arc<AtomicBool>,
) -> Result<bool, Failure> {
    let set = if args.full { paper.full.clone() } else { Vec::new() };
    let name = format!("configs/papers/{}.toml", file.name);
    let sweep = SweepFile::parse(file.sweep, &name, &Overrides { set: set.clone(), ..Overrides::default() })?;
    let plan = Arc::new(Plan::new(&sweep)?);
    let mut device = args.device.clone();
    if paper.float64 {
        device.precision = PrecisionArg::F64;
    }
    let identity = identity(&plan, Precision::from(device.precision));
    let mut directory = match RunDirectory::open(directory, Arc::new(Disk), identity)? {
        Opened::Complete(_) => return Ok(true),
        Opened::Ready(directory) => directory,
    };
    let stations = stations(&device)?;
    stations.iter().try_for_each(|s| check_memory(&plan, &*s.engine))?;
    let engines: Vec<(String, String)> =
        stations.iter().map(|s| (s.engine.info().label.clone(), s.engine.info().fingerprint.clone())).collect();
    let settings: Vec<String> = set.iter().map(|s| format!("--set {s}")).collect();
    let tables = Tables::new(&plan);
    let (sweep_file, headers) = (file.sweep.as_bytes(), &tables.headers());
    let begin = Begin { engines: &engines, mixed: false, sweep_file, settings: &settings, headers };
    let done = directory.begin(plan.chunks.len(), begin)?;
    let before = directory.tally().clone();
    let extra = tables.extra(&plan);
    let job = Job { plan: Arc::clone(&plan), tables, stations, done, before, in_plan_order: false, stop };
    let mut progress = Progress::new(Mode::None, plan.len());
    let (ending, _) = execute(job, &mut *directory, &mut progress)?;
    if ending != Ending::Finished {
        directory.pause()?;
        return Ok(false);
    }
    directory.finish(extra)?;
    Ok(true)
}

/// Predicted and measured, for people.
fn numbers(statement: &Statement, group: &Group) -> (String, String) {
    let predicted = format!("{}{}", statement.test.sign(), shown(group.predicted));
    (predicted, format!("{} ± {}", shown(group.measured), shown(group.standard_error)))
}

fn print(
    file: &PaperFile,
    paper: &Paper,
    findings: &[Finding],
    seconds: f64,
    console: &Console,
) -> Result<(), Failure> {
    let mut out = console.out();
    writeln!(out, "{BOLD}{}{BOLD:#}  {}, {}", paper.paper, file.name, human::seconds(seconds))?;
    let mut rows = vec![
        [left(""), right("predicted"), right("measured"), right("seeds"), left("statement")]
            .map(|cell| cell.style(BOLD))
            .to_vec(),
    ];
    for (statement, finding) in paper.statements.iter().zip(findings) {
        let style = match finding.outcome {
            Outcome::Pass => GREEN,
            Outcome::Fail => RED,
            Outcome::DoesNotHold => YELLOW,
        };
        let (mut predicted, mut measured, mut seeds) = (String::new(), String::new(), String::new());
        if let Some(group) = finding.worst() {
            (predicted, measured) = numbers(statement, group);
            seeds = group.seeds.to_string();
        }
        let outcome = left(finding.outcome.name()).style(style);
        rows.push(vec![outcome, right(predicted), right(measured), right(seeds), left(&statement.says)]);
    }
    table::lines(&rows, 2).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    for (statement, finding) in paper.statements.iter().zip(findings) {
        if finding.outcome == Outcome::DoesNotHold {
            writeln!(out, "  {YELLOW}does not hold{YELLOW:#}: {}", statement.because)?;
        }
        if finding.outcome == Outcome::Fail {
            let why = finding.error.clone().or_else(|| finding.worst().map(|group| group.keys.clone()));
            writeln!(out, "  {RED}FAIL{RED:#}: {} ({})", statement.says, why.unwrap_or_default())?;
        }
        if console.verbose > 0 {
            for group in &finding.groups {
                let (predicted, measured) = numbers(statement, group);
                writeln!(out, "    {predicted}  {measured}  {}: {}", group.keys, statement.measured)?;
            }
        }
    }
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

fn list(papers: &[(&PaperFile, Paper)], console: &Console) -> Result<Exit, Failure> {
    let mut out = console.out();
    if console.json {
        let says = |paper: &Paper| paper.statements.iter().map(|s| s.says.clone()).collect::<Vec<_>>();
        let list: Vec<Value> = papers
            .iter()
            .map(|(file, paper)| json!({"name": file.name, "paper": paper.paper, "statements": says(paper)}))
            .collect();
        writeln!(out, "{:#}", Value::Array(list))?;
        return Ok(Exit::Done);
    }
    for (file, paper) in papers {
        writeln!(out, "{BOLD}{}{BOLD:#}  {}", file.name, paper.paper)?;
        paper.statements.iter().try_for_each(|s| writeln!(out, "  {}", s.says))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn to_json((name, paper, findings): &(&str, Paper, Vec<Finding>), seconds: f64) -> Value {
    let group = |g: &Group| {
        json!({
            "keys": g.keys, "predicted": g.predicted, "measured": g.measured, "standard_error": g.standard_error,
            "seeds": g.seeds,
        })
    };
    let statement = |(statement, finding): (&Statement, &Finding)| {
        json!({
            "says": statement.says, "outcome": finding.outcome.name(), "because": statement.because,
            "worst": finding.worst().map(group), "configurations": finding.groups.iter().map(group).collect::<Vec<_>>(),
            "error": finding.error,
        })
    };
    let statements: Vec<Value> = paper.statements.iter().zip(findings).map(statement).collect();
    json!({"name": name, "paper": paper.paper, "seconds": seconds, "statements": statements})
}
