//! Errors of a sweep file: where it is wrong, what is wrong and the way out, with the source line and a caret. Several
//! are collected, so that one run of the tool shows everything that has to be mended.

use std::fmt;
use std::sync::Arc;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A piece of text that values came from: the sweep file, or one `--set`.
#[derive(Clone, Debug)]
pub struct Source {
    /// What stands before the line number: a file name or `--set`.
    pub label: String,
    pub text: String,
}

/// A span of bytes of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub source: u32,
    pub start: u32,
    pub end: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub message: String,
    /// `None` where the fault has no place in a text (a command line option).
    pub place: Option<Place>,
}

/// A place in a source, ready to print.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub label: String,
    /// From 1; columns count characters.
    pub line: usize,
    pub column: usize,
    /// The whole source line.
    pub text: String,
    /// Characters under the caret, at least 1.
    pub length: usize,
}

/// Everything that is wrong with a sweep file, in the order of the file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct SweepError {
    pub errors: Vec<Diagnostic>,
}

/// At most this many errors are printed.
const PRINTED: usize = 20;
/// At most this many are kept: more say nothing new.
const KEPT: usize = 1000;
/// Longest stretch of a source line that is printed.
const LINE_WINDOW: usize = 120;

impl fmt::Display for SweepError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, error) in self.errors.iter().take(PRINTED).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        match self.errors.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Some(place) = &self.place else {
            return write!(f, "{}", printable(&self.message));
        };
        let prefix = format!("{}:{}:{}: ", place.label, place.line, place.column);
        writeln!(f, "{prefix}{}", printable(&self.message))?;
        // A very long line is shown around the caret only.
        let skip = (place.column - 1).saturating_sub(LINE_WINDOW / 2);
        let shown: String = place.text.chars().skip(skip).take(LINE_WINDOW).collect();
        let shown = printable(&shown);
        writeln!(f, "  {shown}")?;
        let before = place.column - 1 - skip;
        // Characters of East Asian scripts take two cells of a terminal, combining marks none.
        let cells = |c: char| if c == '\t' { "\t".to_string() } else { " ".repeat(c.width().unwrap_or(0)) };
        let indent: String = shown.chars().take(before).map(cells).collect();
        let marked: String = shown.chars().skip(before).take(place.length).collect();
        write!(f, "  {indent}{}", "^".repeat(marked.width().max(1)))
    }
}

/// Control characters of a file do not reach the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Collects errors and knows the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    pub sources: Arc<Vec<Source>>,
    errors: Vec<Diagnostic>,
}

impl Reporter {
    pub fn new(sources: Arc<Vec<Source>>) -> Self {
        Reporter { sources, errors: Vec::new() }
    }

    pub fn at(&mut self, mark: Mark, message: impl Into<String>) {
        let place = self.sources.get(mark.source as usize).map(|source| Place::new(source, mark));
        let error = Diagnostic { message: message.into(), place };
        if self.errors.len() < KEPT && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub fn anywhere(&mut self, message: impl Into<String>) {
        self.errors.push(Diagnostic { message: message.into(), place: None });
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Fails if anything was reported, with the errors in the order of the file.
    pub fn check(&self) -> Result<(), SweepError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut errors = self.errors.clone();
        errors.sort_by_key(|e| e.place.as_ref().map(|p| (p.label == "--set", p.line, p.column)));
        Err(SweepError { errors })
    }
}

impl Place {
    fn new(source: &Source, mark: Mark) -> Self {
        let text = source.text.as_str();
        let floor = |at: u32| {
            let mut at = (at as usize).min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(mark.start), floor(mark.end.max(mark.start)));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        Place {
            label: source.label.clone(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: text[line_start..line_end].trim_end_matches('\r').to_string(),
            length: text[start..end.min(line_end).max(start)].chars().count().max(1),
        }
    }
}

/// `; did you mean ...?` for the nearest of `known`, or nothing.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(typed, known) {
        Some(word) => format!("; did you mean `{word}`?"),
        None => String::new(),
    }
}

/// The nearest of `known` by edit distance, if it is near enough to be a slip.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > 64 {
        return None;
    }
    let typed = typed.to_lowercase().replace('-', "_");
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&typed, word), word))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_survives_any_mark() {
        let source = Source { label: "a".into(), text: "é = 1\r\nβ = \"x\"\n".into() };
        let place = Place::new(&source, Mark { source: 0, start: 13, end: 16 });
        assert_eq!((place.line, place.column, place.text.as_str(), place.length), (2, 5, "β = \"x\"", 3));
        for start in 0..30 {
            for end in 0..30 {
                Place::new(&source, Mark { source: 0, start, end });
            }
        }
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let words = ["relu", "relu6", "tanh", "leaky_relu"];
        assert_eq!(nearest("rleu", words), Some("relu"));
        assert_eq!(nearest("Leaky-Relu", words), Some("leaky_relu"));
        assert_eq!(nearest("swish", words), None);
    }

    #[test]
    fn the_caret_stands_below_wide_and_combining_characters() {
        for (text, start, length, caret) in [
            ("a = \"漢字\" x", 13, 1, "             ^"),
            ("\"漢字\" = 1", 0, 8, "  ^^^^^^"),
            ("e\u{301} = 1", 6, 1, "      ^"),
            ("\ta = 1", 5, 1, "  \t    ^"),
        ] {
            let mut reporter = Reporter::new(Arc::new(vec![Source { label: "f".into(), text: text.into() }]));
            reporter.at(Mark { source: 0, start, end: start + length }, "no");
            let shown = reporter.check().unwrap_err().to_string();
            assert_eq!(shown.lines().last(), Some(caret), "{shown}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("{}bad", "x".repeat(5000));
        let mut reporter = Reporter::new(Arc::new(vec![Source { label: "f".into(), text }]));
        reporter.at(Mark { source: 0, start: 5000, end: 5003 }, "no");
        let shown = reporter.check().unwrap_err().to_string();
        assert!(shown.starts_with("f:1:5001: no\n") && shown.ends_with("^^^") && shown.len() < 400, "{shown}");
    }
}
