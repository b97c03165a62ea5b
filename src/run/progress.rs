//! Progress on standard error: a bar on a terminal, plain lines elsewhere, JSON lines on request, or nothing.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;

/// How progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A bar that redraws itself, with or without colour.
    Bar {
        color: bool,
    },
    Plain,
    Json,
    /// Notes alone.
    Notes,
    None,
}

impl Mode {
    /// A bar where somebody watches, plain lines elsewhere.
    pub fn auto(color: bool) -> Mode {
        if std::io::stderr().is_terminal() { Mode::Bar { color } } else { Mode::Plain }
    }
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub networks: u64,
    /// Networks that the engines have finished.
    pub done: u64,
    /// Of `done`, those that were there when this sitting began.
    pub before: u64,
    pub flops: f64,
    pub flops_done: f64,
    pub flops_before: f64,
    /// Seconds of this sitting.
    pub seconds: f64,
    /// Committed networks by verdict and, where they have none, by status.
    pub verdicts: BTreeMap<String, u64>,
}

impl Snapshot {
    pub fn networks_per_second(&self) -> f64 {
        (self.done - self.before) as f64 / self.seconds.max(1e-9)
    }

    pub fn flops_per_second(&self) -> f64 {
        (self.flops_done - self.flops_before) / self.seconds.max(1e-9)
    }

    /// Seconds left at the pace so far, by work where there is any and by networks else; `None` before the first result.
    pub fn seconds_left(&self) -> Option<f64> {
        let (done, left) = if self.flops > 0.0 {
            (self.flops_done - self.flops_before, self.flops - self.flops_done)
        } else {
            ((self.done - self.before) as f64, (self.networks - self.done) as f64)
        };
        (done > 0.0).then(|| left.max(0.0) * self.seconds / done)
    }

    fn verdict_text(&self) -> String {
        let parts: Vec<String> = self.verdicts.iter().map(|(word, n)| format!("{} {word}", human::count(*n))).collect();
        parts.join(", ")
    }

    fn pace_text(&self) -> String {
        let left = self.seconds_left().map_or("?".to_string(), human::seconds);
        format!("{}, {}, {left} left", human::rate(self.networks_per_second()), human::gflops(self.flops_per_second()))
    }

    fn json(&self, event: &str) -> String {
        serde_json::json!({
            "event": event,
            "networks": self.networks,
            "done": self.done,
            "seconds": round(self.seconds),
            "networks_per_second": round(self.networks_per_second()),
            "gflops": round(self.flops_per_second() / 1e9),
            "seconds_left": self.seconds_left().map(round),
            "verdicts": self.verdicts,
        })
        .to_string()
    }
}

fn round(x: f64) -> f64 {
    (x * 1e3).round() / 1e3
}

/// Tells the progress of one sitting.
pub struct Progress {
    mode: Mode,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// Seconds between two plain lines, and between two JSON lines.
    const PLAIN: Duration = Duration::from_secs(10);
    const JSON: Duration = Duration::from_secs(1);

    pub fn new(mode: Mode, networks: u64) -> Self {
        let bar = match mode {
            Mode::Bar { color } => {
                let paint = if color { ".green/dim" } else { "" };
                let template = format!("{{bar:24{paint}}} {{pos}}/{{len}} {{wide_msg}}");
                let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = ProgressBar::with_draw_target(Some(networks), ProgressDrawTarget::stderr_with_hz(10));
                bar.set_style(style.progress_chars("━╸─"));
                Some(bar)
            }
            _ => None,
        };
        Progress { mode, bar, told: Instant::now() }
    }

    pub fn update(&mut self, snapshot: &Snapshot) {
        if let Some(bar) = &self.bar {
            let verdicts = snapshot.verdict_text();
            let dash = if verdicts.is_empty() { "" } else { "  " };
            bar.set_message(format!("{}{dash}{verdicts}", snapshot.pace_text()));
            bar.set_position(snapshot.done);
            return;
        }
        let (pause, line) = match self.mode {
            Mode::Plain => (Self::PLAIN, plain as fn(&Snapshot) -> String),
            Mode::Json => (Self::JSON, (|s| s.json("progress")) as fn(&Snapshot) -> String),
            _ => return,
        };
        if self.told.elapsed() >= pause {
            self.told = Instant::now();
            say(&line(snapshot));
        }
    }

    /// A line for the user that does not disturb the bar.
    pub fn note(&self, text: &str) {
        match (&self.bar, self.mode) {
            (Some(bar), _) => bar.suspend(|| say(text)),
            (None, Mode::Json) => say(&serde_json::json!({ "event": "note", "text": text }).to_string()),
            (None, Mode::None) => {}
            (None, _) => say(text),
        }
    }

    /// The last word of the sitting.
    pub fn finish(&mut self, snapshot: &Snapshot, event: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.mode == Mode::Json {
            say(&snapshot.json(event));
        }
    }
}

fn plain(snapshot: &Snapshot) -> String {
    let verdicts = snapshot.verdict_text();
    let colon = if verdicts.is_empty() { "" } else { ": " };
    format!(
        "{} of {} networks, {}{colon}{verdicts}",
        human::count(snapshot.done),
        human::count(snapshot.networks),
        snapshot.pace_text()
    )
}

/// One line on standard error; nobody listening is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_counts_this_sitting_alone() {
        let snapshot = Snapshot {
            networks: 100,
            done: 60,
            before: 40,
            flops: 10e9,
            flops_done: 6e9,
            flops_before: 4e9,
            seconds: 2.0,
            verdicts: BTreeMap::from([("stable".to_string(), 60)]),
        };
        assert_eq!(snapshot.networks_per_second(), 10.0);
        assert_eq!(snapshot.seconds_left(), Some(4.0));
        assert_eq!(plain(&snapshot), "60 of 100 networks, 10/s, 1.00 GFLOP/s, 4.0 s left: 60 stable");
        assert_eq!(Snapshot::default().seconds_left(), None);
    }
}
