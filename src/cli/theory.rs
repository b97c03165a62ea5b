//! `gradsweep theory`: what mean-field theory predicts, for every configuration of a sweep file or for one activation at
//! one scale, without running anything.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::console::{BOLD, Console};
use super::exit::{Exit, Failure};
use super::options::SweepArgs;
use super::table::{self, left, right};
use crate::config::parse_activation;
use crate::network::Activation;
use crate::output::TheoryWriter;
use crate::plan::Plan;
use crate::run::human;
use crate::theory::{critical, mean_field};

/// Predict gradients without running anything
///
/// With a sweep file: the table theory.csv that `run` writes beside its measurements, one row per configuration and
/// layer. With --activation: fixed point, phase and depth scales of plain layers at one weight and bias scale.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep theory sweep.toml -o theory.csv
  gradsweep theory sweep.toml --per configuration | column -s, -t
  gradsweep theory --activation tanh --sigma-w 1.5 --sigma-b 0.2
  gradsweep theory --activation tanh --line           the edge of chaos: sigma_w against sigma_b")]
pub struct Args {
    /// Sweep file (TOML); `-` reads standard input
    #[arg(value_name = "SWEEP")]
    sweep: Option<PathBuf>,
    /// File to write; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, requires = "sweep")]
    output: PathBuf,
    /// A row per `layer`, or the shorter table with a row per `configuration`
    #[arg(long, value_enum, value_name = "WHAT", default_value = "layer", hide_possible_values = true)]
    per: Per,
    /// Override a value: `seed=3`, `defaults.width=64`, `sweep.phase.depth=[10,20]` (repeatable)
    #[arg(long, value_name = "PATH=VALUE", help_heading = "Sweep", requires = "sweep")]
    set: Vec<String>,
    /// Predict only these sweeps (repeatable, or separated by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Sweep", requires = "sweep")]
    only: Vec<String>,
    /// Predict only the first N networks of the plan
    #[arg(long, value_name = "N", help_heading = "Sweep", requires = "sweep")]
    limit: Option<u64>,
    /// One activation instead of a sweep file: `tanh`, `leaky_relu(0.2)`
    #[arg(long, value_name = "NAME", conflicts_with = "sweep", help_heading = "One activation")]
    activation: Option<String>,
    /// Weight scale: weights have standard deviation sigma_w / sqrt(fan_in)
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = scale, allow_negative_numbers = true, conflicts_with_all = ["sweep", "line"], help_heading = "One activation")]
    sigma_w: f64,
    /// Standard deviation of the biases
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = scale, allow_negative_numbers = true, conflicts_with_all = ["sweep", "line"], help_heading = "One activation")]
    sigma_b: f64,
    /// Print the edge of chaos, where chi_1 = 1, for sigma_b from 0 to 1
    #[arg(long, requires = "activation", conflicts_with = "sweep", help_heading = "One activation")]
    line: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Per {
    Layer,
    Configuration,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if (0.0..=1e100).contains(&v) => Ok(v),
        _ => Err("a scale is a number from 0 to 1e100".to_string()),
    }
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    match (&args.activation, &args.sweep) {
        (Some(name), _) => {
            let activation = activation(name)?;
            if args.line { line(&activation, console) } else { point(&activation, args.sigma_w, args.sigma_b, console) }
        }
        (None, Some(sweep)) => table(args, sweep, console),
        (None, None) => Err(Failure::usage("give a sweep file, or one activation with --activation")),
    }
}

/// By the rules of the sweep file, so that messages and aliases are the same.
fn activation(name: &str) -> Result<Activation, Failure> {
    parse_activation(name).map_err(|message| Failure::usage(format!("--activation: {message}")))
}

fn table(args: &Args, sweep: &Path, console: &Console) -> Result<Exit, Failure> {
    let sweep =
        SweepArgs { sweep: sweep.to_path_buf(), set: args.set.clone(), only: args.only.clone(), limit: args.limit };
    let (file, _) = sweep.parse()?;
    let plan = Plan::new(&file)?;
    plan.notes.iter().for_each(|note| console.note(note));
    let writer = TheoryWriter::new(&plan);
    let write = |out: &mut dyn Write| {
        let rows = match args.per {
            Per::Layer => writer.write(&plan, |bytes| out.write_all(bytes)),
            Per::Configuration => writer.write_summary(&plan, |bytes| out.write_all(bytes)),
        }?;
        out.flush()?;
        Ok::<u64, std::io::Error>(rows)
    };
    if args.output.as_os_str() == "-" {
        write(&mut BufWriter::new(std::io::stdout()))?;
        return Ok(Exit::Done);
    }
    let path = &args.output;
    let failed = |e: std::io::Error| Failure::new(Exit::Disk, format!("cannot write {}: {e}", path.display()));
    let file = std::fs::File::create(path).map_err(failed)?;
    let rows = write(&mut BufWriter::new(file)).map_err(failed)?;
    console.status("Wrote", &format!("{}: {}", path.display(), human::plural(rows, "row")));
    Ok(Exit::Done)
}

/// A number as people read it; `none` says why there is none.
fn shown(value: Option<f64>, none: &str) -> String {
    value.map_or(none.to_string(), |v| format!("{v:.7}"))
}

fn point(activation: &Activation, sigma_w: f64, sigma_b: f64, console: &Console) -> Result<Exit, Failure> {
    let field = mean_field(activation, sigma_w, sigma_b);
    let edge = critical(activation, Some(sigma_b));
    let phase = field.phase.map(|phase| phase.name());
    let mut out = console.out();
    if console.json {
        let value = json!({
            "activation": activation.canonical(), "sigma_w": sigma_w, "sigma_b": sigma_b,
            "q_star": field.q_star, "chi_1": field.chi_1, "c_star": field.c_star,
            "xi_q": field.xi_q, "xi_c": field.xi_c, "xi_grad": field.xi_grad, "phase": phase,
            "critical_sigma_w": edge.as_ref().ok().map(|point| point.sigma_w),
            "critical_error": edge.as_ref().err(),
        });
        writeln!(out, "{value:#}")?;
        return Ok(Exit::Done);
    }
    writeln!(out, "{BOLD}{}{BOLD:#}  sigma_w {sigma_w}, sigma_b {sigma_b}", activation.canonical())?;
    writeln!(out)?;
    // Only factors of 1 (and of 0) have no scale.
    let endless = if field.chi_1.is_some() { "infinite" } else { "none" };
    let edge_text =
        edge.as_ref().map_or_else(String::clone, |_| format!("sigma_w with chi_1 = 1 at sigma_b {sigma_b}"));
    let facts = [
        ("q*", shown(field.q_star, "none"), "fixed point of the variance of z".to_string()),
        ("chi_1", shown(field.chi_1, "none"), "factor of the squared gradient per layer".to_string()),
        ("phase", phase.unwrap_or("none").to_string(), phase_text(phase).to_string()),
        ("c*", shown(field.c_star, "none"), "cosine that two samples approach".to_string()),
        ("xi_q", shown(field.xi_q, endless), "layers over which q approaches q*".to_string()),
        ("xi_c", shown(field.xi_c, endless), "layers over which the cosine approaches c*".to_string()),
        ("xi_grad", shown(field.xi_grad, endless), "layers over which the squared gradient changes by e".to_string()),
        ("critical", shown(edge.as_ref().ok().map(|point| point.sigma_w), "none"), edge_text),
    ];
    let rows: Vec<Vec<table::Cell>> =
        facts.into_iter().map(|(name, value, text)| vec![left(name), right(value), left(text)]).collect();
    table::lines(&rows, 2).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    Ok(Exit::Done)
}

fn phase_text(phase: Option<&str>) -> &'static str {
    match phase {
        Some("ordered") => "gradients vanish",
        Some("chaotic") => "gradients explode",
        Some(_) => "gradients keep their size",
        None => "the variance has no fixed point",
    }
}

fn line(activation: &Activation, console: &Console) -> Result<Exit, Failure> {
    let points: Vec<_> = (0..=20).map(|i| f64::from(i) / 20.0).map(|b| (b, critical(activation, Some(b)))).collect();
    let mut out = console.out();
    if console.json {
        let list: Vec<Value> = points
            .iter()
            .map(|(sigma_b, point)| match point {
                Ok(point) => json!({"sigma_b": sigma_b, "sigma_w": point.sigma_w, "q_star": point.q}),
                Err(error) => json!({"sigma_b": sigma_b, "sigma_w": null, "q_star": null, "error": error}),
            })
            .collect();
        writeln!(out, "{:#}", json!({"activation": activation.canonical(), "line": list}))?;
        return Ok(Exit::Done);
    }
    let mut rows = vec![["sigma_b", "sigma_w", "q*"].map(|head| right(head).style(BOLD)).to_vec()];
    let mut error = None;
    for (sigma_b, point) in points {
        let (sigma_w, q) = match point {
            Ok(point) => (format!("{:.7}", point.sigma_w), format!("{:.7}", point.q)),
            Err(message) => {
                error.get_or_insert(message);
                ("none".to_string(), String::new())
            }
        };
        rows.push(vec![right(format!("{sigma_b:.2}")), right(sigma_w), right(q)]);
    }
    table::lines(&rows, 2).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    if let Some(message) = error {
        console.note(&message);
    }
    Ok(Exit::Done)
}
