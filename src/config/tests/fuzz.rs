//! Mutated sweep files end in an error or in a file, never in a panic.

use super::EXAMPLE;
use crate::config::{Overrides, SweepFile};
use crate::plan::Plan;
use crate::sampler::philox4x32;

/// Pieces that a mutation may insert.
const PIECES: [&str; 36] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    ".",
    ",",
    "#",
    "\\",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "99999999999999999999",
    "\u{0}",
    "é",
    "\u{1f600}",
    "\r",
    "\t",
    "depth",
    "zip",
    "where",
    "[[sweep]]",
    "[sweep]",
    "name",
    "\"tanh\"",
    "true",
    "1979-05-27",
    "digits",
    "critical",
    "\"\"\"",
    "()",
];

struct Draws {
    counter: u32,
    case: u32,
}

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.counter += 1;
        philox4x32([self.counter, self.case, 7, 7], [1, 2])[0] as usize % n.max(1)
    }
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
    fn mutate(&mut self, text: &mut String) {
        let (a, b) = (self.place(text), self.place(text));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 12));
        let to = (to..=text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len());
        match self.below(4) {
            0 => text.replace_range(from..to, ""),
            1 => text.insert_str(from, PIECES[self.below(PIECES.len())]),
            2 => text.replace_range(from..to, PIECES[self.below(PIECES.len())]),
            _ => {
                let piece = text[from..to].to_string();
                let at = self.place(text);
                text.insert_str(at, &piece);
            }
        }
    }
}

#[test]
fn mutated_files_never_panic() {
    let (mut refused, mut planned) = (0, 0);
    for case in 0..3000 {
        let mut draws = Draws { counter: 0, case };
        let mut text = EXAMPLE.replace("num = 31", "num = 3").replace("num = 21", "num = 2");
        for _ in 0..1 + draws.below(2) {
            draws.mutate(&mut text);
        }
        let mut set = "sweep.phase.depth=[1, 2]".to_string();
        let mut overrides = Overrides::default();
        if draws.below(4) == 0 {
            draws.mutate(&mut set);
            overrides.set.push(set);
        }
        match SweepFile::parse(&text, "fuzz.toml", &overrides) {
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty() && !error.errors.is_empty());
            }
            Ok(file) if file.sweeps.iter().map(|s| s.points() * u64::from(s.replicates)).sum::<u64>() < 5_000 => {
                planned += 1;
                if let Ok(plan) = Plan::new(&file) {
                    plan.network(plan.len() - 1);
                    plan.identity();
                }
            }
            Ok(_) => {}
        }
    }
    assert!(refused > 500 && planned > 150, "{refused} refused and {planned} planned of 3000");
}

#[test]
fn arbitrary_text_never_panics() {
    for case in 0..500 {
        let mut draws = Draws { counter: 0, case: case + 1_000_000 };
        let text: String = (0..draws.below(60)).map(|_| PIECES[draws.below(PIECES.len())]).collect();
        let overrides = Overrides { set: vec![text.clone()], only: vec![text.clone()], limit: Some(1) };
        let _ = SweepFile::parse(&text, &text, &overrides).map_err(|e| e.to_string());
    }
}
