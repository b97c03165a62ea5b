//! Makes the plan, and tells of it on a terminal when it takes long.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;
use crate::config::{SweepError, SweepFile};
use crate::plan::Plan;

/// Planning is silent for this long.
const SILENT: Duration = Duration::from_secs(1);

pub fn plan(file: &SweepFile, console: &Console) -> Result<Plan, SweepError> {
    if console.is_quiet() || !std::io::stderr().is_terminal() {
        return Plan::new(file);
    }
    let start = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    let plan = Plan::watched(file, &mut |done, points| {
        if start.elapsed() > SILENT {
            bar.get_or_insert_with(|| new_bar(points)).set_position(done);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    plan
}

fn new_bar(points: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("    Planning {human_pos} of {human_len} points")
        .expect("the template is constant and valid");
    ProgressBar::with_draw_target(Some(points), ProgressDrawTarget::stderr()).with_style(style)
}
