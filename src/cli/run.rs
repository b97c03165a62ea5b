//! `gradsweep run`: a sweep file in, a directory of tables out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::console::{BOLD, Console, GREEN, NO_JSON, RED, YELLOW};
use super::exit::{Exit, Failure};
use super::options::{DeviceArgs, SweepArgs};
use super::{difference, memory, planning, table};
use crate::engine::Precision;
use crate::engine::select;
use crate::plan::Plan;
use crate::report;
use crate::run::progress::{Mode, Progress, Snapshot};
use crate::run::stream::Stream;
use crate::run::{Ending, Job, Station, Tables, check_memory, check_precision, execute, human, identity};
use crate::store::{Begin, Disk, MANIFEST, Manifest, Opened, RunDirectory, Tally};

/// Run a sweep and write its tables
///
/// Expands the sweep file, runs forward and backward passes of all its networks, and writes layers.csv (one row per
/// network and layer), networks.csv (one row per network), theory.csv (what theory predicts of every configuration),
/// datapackage.json (type, unit and meaning of every column), manifest.json and a copy of the sweep file.
///
/// At the end standard error has the verdict counts and a small plot of the gradients, in plain ASCII where it is no
/// terminal; -q leaves both out. With -o - there is neither, and standard output has rows alone.
///
/// A run that was interrupted or killed goes on where it stopped: run the same command again. The tables are the same,
/// byte for byte, as those of an undisturbed run.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep run sweep.toml                           into runs/<name of the sweep>
  gradsweep run sweep.toml -o runs/wide --set defaults.width=512
  gradsweep run sweep.toml --only phase --limit 50   the first 50 networks of one sweep
  gradsweep run sweep.toml --device cpu --jobs 4
  gradsweep run sweep.toml --report                  with a page of figures
  gradsweep run sweep.toml -o - | duckdb -c \"from read_csv('/dev/stdin')\"")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Output directory, or `-` to stream layers.csv to standard output [default: runs/<name>]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Draw the finished run as one page, report.html beside the tables
    #[arg(long)]
    report: bool,
    /// Go on with a run that another engine began, although last digits will differ between networks
    #[arg(long)]
    mixed: bool,
    /// Progress: auto (a bar on a terminal, plain lines elsewhere), plain, json or none
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    progress: ProgressArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProgressArg {
    Auto,
    Plain,
    Json,
    None,
}

impl ProgressArg {
    fn mode(self, console: &Console) -> Mode {
        match self {
            ProgressArg::Json => Mode::Json,
            _ if console.is_quiet() => Mode::None,
            ProgressArg::None => Mode::Notes,
            ProgressArg::Auto => Mode::auto(console.colored_stderr()),
            ProgressArg::Plain => Mode::Plain,
        }
    }
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    args.device.limit_threads();
    let stop = stop_on_signals();
    let (file, text) = args.sweep.parse()?;
    let plan = Arc::new(planning::plan(&file, console)?);
    memory::give_back();
    console.status("Planned", &describe(&plan));
    plan.notes.iter().for_each(|note| console.note(note));
    check_precision(&plan, args.device.precision.into()).map_err(Failure::usage)?;
    match &args.output {
        Some(path) if path.as_os_str() == "-" && args.report => {
            Err(Failure::usage("--report draws a directory of tables, and `-o -` writes none; name a directory"))
        }
        Some(path) if path.as_os_str() == "-" => stream(args, console, plan, stop),
        Some(path) => directory(args, console, plan, path, &text, stop),
        None => {
            let path = Path::new("runs").join(&plan.name);
            directory(args, console, plan, &path, &text, stop)
        }
    }
}

fn describe(plan: &Plan) -> String {
    let flops: f64 = plan.chunks.iter().map(|c| c.flops).sum();
    let rows: u64 = plan.chunks.iter().map(|c| c.rows).sum();
    format!(
        "{} in {}: {} of layers.csv, {}",
        human::plural(plan.bucket_order.len() as u64, "network"),
        human::plural(plan.sweeps.len() as u64, "sweep"),
        human::plural(rows, "row"),
        human::flops(flops)
    )
}

/// Engines of the selection, each with the way to open it again.
pub(super) fn stations(args: &DeviceArgs) -> Result<Vec<Station>, Failure> {
    let precision = Precision::from(args.precision);
    let selection = select::for_precision(&args.device, precision);
    let devices = select::choose(&selection, &select::devices_for(&selection))?;
    if let Some(device) = devices.iter().find(|d| precision == Precision::F64 && d.index.is_some()) {
        return Err(Failure::usage(format!(
            "{} computes in f32 alone; --precision f64 needs --device cpu",
            device.name
        )));
    }
    let jobs = args.jobs;
    let open = |device: select::DeviceInfo| {
        let engine = select::open_device(&device, precision, jobs)?;
        Ok(Station { engine, reopen: Box::new(move || select::open_device(&device, precision, jobs)) })
    };
    devices.into_iter().map(open).collect()
}

fn directory(
    args: &Args,
    console: &Console,
    plan: Arc<Plan>,
    path: &Path,
    text: &str,
    stop: Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let identity = identity(&plan, args.device.precision.into());
    let opened = RunDirectory::open(path, Arc::new(Disk), identity);
    let mut directory = match opened.map_err(|error| difference::name_key(error, path, &plan))? {
        Opened::Complete(manifest) => {
            console.status("Complete", &format!("{} is already complete", path.display()));
            return finish(args, console, path, &manifest, None);
        }
        Opened::Ready(directory) => directory,
    };
    let begun = Instant::now();
    let stations = stations(&args.device)?;
    let engines: Vec<(String, String)> =
        stations.iter().map(|s| (s.engine.info().label.clone(), s.engine.info().fingerprint.clone())).collect();
    engines.iter().for_each(|(label, fingerprint)| console.detail(&format!("{label}: {fingerprint}")));
    stations.iter().try_for_each(|s| check_memory(&plan, &*s.engine))?;
    let differ = engines.iter().any(|(_, fingerprint)| *fingerprint != engines[0].1);
    if differ && !args.mixed {
        let labels: Vec<&str> = engines.iter().map(|(label, _)| label.as_str()).collect();
        return Err(Failure::usage(format!(
            "the numbers of these devices differ in their last digits: {}; choose one, or mix them with --mixed",
            labels.join(", ")
        )));
    }
    let tables = Tables::new(&plan);
    let (settings, headers) = (&args.sweep.settings(), &tables.headers());
    let begin = Begin { engines: &engines, mixed: args.mixed, sweep_file: text.as_bytes(), settings, headers };
    let done = directory.prepare(plan.chunks.len(), begin)?;
    directory.take_notes().iter().for_each(|note| console.warning(note));
    warn_of_little_space(console, &plan, path);
    let before = directory.tally().clone();
    let networks = plan.bucket_order.len() as u64;
    let so_far = if before.networks > 0 {
        format!(", {} of {} networks are done", human::count(before.networks), human::count(networks))
    } else {
        String::new()
    };
    let labels: Vec<&str> = engines.iter().map(|(label, _)| label.as_str()).collect();
    console.status("Running", &format!("on {} into {}{so_far}", labels.join(", "), path.display()));

    let extra = tables.extra(&plan);
    let job = Job { plan: Arc::clone(&plan), tables, stations, done, before, in_plan_order: false, stop };
    let mut progress = Progress::new(args.progress.mode(console), networks);
    let outcome = execute(job, &mut *directory, &mut progress);
    let (ending, snapshot) = match outcome {
        Ok(pair) => pair,
        Err(error) => {
            progress.finish(&Snapshot::default(), "failed");
            let _ = directory.pause();
            return Err(error.into());
        }
    };
    if ending != Ending::Finished {
        progress.finish(&snapshot, "interrupted");
        directory.pause()?;
        console.warning(&format!(
            "interrupted: {} of {} networks are done and safe; run the same command again to go on",
            human::count(snapshot.done),
            human::count(networks)
        ));
        return Ok(Exit::Interrupted);
    }
    progress.finish(&snapshot, "finished");
    memory::give_back();
    let (manifest, notes) = directory.finish(extra)?;
    notes.iter().for_each(|note| console.warning(note));
    finish(args, console, path, &manifest, Some(&pace(&snapshot, begun.elapsed())))
}

fn stream(args: &Args, console: &Console, plan: Arc<Plan>, stop: Arc<AtomicBool>) -> Result<Exit, Failure> {
    if console.json {
        console.warning(NO_JSON);
    }
    let begun = Instant::now();
    let stations = stations(&args.device)?;
    stations.iter().try_for_each(|s| check_memory(&plan, &*s.engine))?;
    let networks = plan.bucket_order.len() as u64;
    let tables = Tables::new(&plan);
    let header = tables.headers().layers;
    let (done, before) = (vec![false; plan.chunks.len()], Tally::default());
    let job = Job { plan: Arc::clone(&plan), tables, stations, done, before, in_plan_order: true, stop };
    let mut progress = Progress::new(args.progress.mode(console), networks);
    // Not through `Console::out`: data is never coloured, and the lock would keep the pipe's errors from us.
    let mut sink = match Stream::new(std::io::stdout(), networks, &header) {
        Ok(sink) => sink,
        Err(error) if error.is_closed_pipe() => return Ok(Exit::Done),
        Err(error) => return Err(error.into()),
    };
    let (ending, snapshot) = match execute(job, &mut sink, &mut progress) {
        Ok(pair) => pair,
        Err(error) => {
            progress.finish(&Snapshot::default(), "failed");
            return Err(error.into());
        }
    };
    let (event, exit) = match ending {
        Ending::Finished if snapshot.verdicts.contains_key("failed") => ("finished", Exit::Incomplete),
        Ending::Finished => ("finished", Exit::Done),
        Ending::Interrupted => ("interrupted", Exit::Interrupted),
        Ending::Closed => ("closed", Exit::Done),
    };
    progress.finish(&snapshot, event);
    if ending == Ending::Finished {
        console.status("Finished", &pace(&snapshot, begun.elapsed()));
    }
    if ending == Ending::Interrupted {
        console.warning(&format!(
            "interrupted: the rows of {} of {} networks are written, and a stream has no resume; name a directory with -o for \
             a run that goes on where it stopped",
            human::count(snapshot.done),
            human::count(networks)
        ));
    }
    Ok(exit)
}

/// What this sitting did and how long it took, with the engines' start and the tables.
fn pace(snapshot: &Snapshot, took: Duration) -> String {
    let (networks, seconds) = (snapshot.done - snapshot.before, took.as_secs_f64().max(1e-9));
    let all = match snapshot.before {
        0 => human::plural(networks, "network"),
        _ => format!("{}, {} of them now,", human::plural(snapshot.networks, "network"), human::count(networks)),
    };
    format!(
        "{all} in {} ({}, {})",
        human::seconds(seconds),
        human::rate(networks as f64 / seconds),
        human::gflops((snapshot.flops_done - snapshot.flops_before) / seconds)
    )
}

/// The end: what became of the networks, a look at their gradients, which files there are, and the page if wished.
fn finish(
    args: &Args,
    console: &Console,
    path: &Path,
    manifest: &Manifest,
    pace: Option<&str>,
) -> Result<Exit, Failure> {
    let counts = &manifest.counts;
    if let Some(pace) = pace {
        let engines = manifest.engines.join(", ");
        console.status("Finished", &format!("{pace} on {engines}"));
    }
    let share = |n: u64| format!("{:.1} %", 100.0 * n as f64 / counts.networks.max(1) as f64);
    let mut rows = Vec::new();
    let statuses = counts.status.iter().filter(|(word, _)| *word != "ok");
    for (word, &n) in counts.verdict.iter().chain(statuses) {
        let style = match word.as_str() {
            "stable" => GREEN,
            "failed" => RED,
            "vanishing" | "exploding" => YELLOW,
            _ => BOLD,
        };
        rows.push(vec![table::left(word).style(style), table::right(human::count(n)), table::right(share(n))]);
    }
    let mut lines = table::lines(&rows, 4);
    lines.extend(glance(console, path));
    let line = |name: &str, rows: Option<u64>, bytes: u64| {
        let rows = rows.map_or(String::new(), |n| human::plural(n, "row"));
        let name = path.join(name).display().to_string();
        vec![table::left(name), table::right(rows), table::right(human::bytes(bytes as f64))]
    };
    let mut files: Vec<_> = manifest.files.iter().map(|file| line(&file.name, file.rows, file.bytes)).collect();
    let own = path.join(MANIFEST).metadata();
    files.extend(own.ok().map(|metadata| line(MANIFEST, None, metadata.len())));
    lines.extend(table::lines(&files, 4));
    lines.iter().for_each(|line| console.line(line));
    if console.json {
        use std::io::Write;
        let mut value = serde_json::to_value(manifest).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        value["directory"] = path.display().to_string().into();
        writeln!(console.out(), "{value:#}")?;
    }
    if args.report {
        super::report::write(path, &path.join("report.html"), console)?;
    }
    let failed = counts.failed();
    if failed > 0 {
        console.warning(&format!(
            "{} failed: see `status` and `error` in {}",
            human::plural(failed, "network"),
            path.join("networks.csv").display()
        ));
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Done)
}

/// A small plot for people, of plain characters where they read it later, in a file or a log.
fn glance(console: &Console, path: &Path) -> Vec<String> {
    if console.is_quiet() || console.json {
        return Vec::new();
    }
    let style = if console.is_terminal() { report::Style::Blocks } else { report::Style::Ascii };
    // What cannot be drawn is no reason to fail: the tables are there.
    let lines = report::glance(path, style).unwrap_or_default();
    lines.into_iter().map(|line| format!("    {line}")).collect()
}

/// Parts and tables lie side by side for a moment, so a run needs about twice its output.
fn warn_of_little_space(console: &Console, plan: &Plan, path: &Path) {
    let needed = 2.0 * plan.total_bytes() as f64;
    if let Ok(free) = fs4::available_space(path)
        && (free as f64) < needed
    {
        console.warning(&format!(
            "this run needs about {} of disk while it works, and {} has {} left",
            human::bytes(needed),
            path.display(),
            human::bytes(free as f64)
        ));
    }
}

/// Whether whoever started the process has it ignore a signal, as `nohup` does; known on Linux alone.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// The first signal asks the run to stop in order; the second one ends the process at once. A hangup that
/// is ignored stays so; an interrupt counts also in a shell's background job, which begins with it ignored.
pub(super) fn stop_on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        if signal == signal_hook::consts::SIGHUP && is_ignored(signal) {
            continue;
        }
        let second = signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, stop.clone());
        let first = signal_hook::flag::register(signal, stop.clone());
        // Without a handler a signal kills the process, which is safe as well.
        let _ = (second, first);
    }
    stop
}
