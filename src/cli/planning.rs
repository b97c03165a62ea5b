//! Makes the plan on all cores, and tells of it on a terminal when it takes long.

use std::io::IsTerminal;
use std::ops::Range;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;

use super::console::Console;
use crate::config::{SweepError, SweepFile};
use crate::plan::{Plan, Stretch, Survey};

/// Planning is silent for this long.
const SILENT: Duration = Duration::from_secs(1);

pub fn plan(file: &SweepFile, console: &Console) -> Result<Plan, SweepError> {
    let seen = !console.is_quiet() && std::io::stderr().is_terminal();
    let start = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    let plan = Plan::spread(file, &on_all_cores, &mut |done, points| {
        if seen && start.elapsed() > SILENT {
            bar.get_or_insert_with(|| new_bar(points)).set_position(done);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    plan
}

fn on_all_cores(stretches: &[Range<u64>], survey: &Survey) -> Vec<Stretch> {
    match stretches {
        // Small sweeps are done before threads have started.
        [one] => vec![survey(one.clone())],
        several => several.par_iter().cloned().map(survey).collect(),
    }
}

fn new_bar(points: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("    Planning {human_pos} of {human_len} points")
        .expect("the template is constant and valid");
    ProgressBar::with_draw_target(Some(points), ProgressDrawTarget::stderr()).with_style(style)
}
