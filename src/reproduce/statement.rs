//! What a paper states, as it stands in `configs/papers/*.statements.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The files of one paper, part of the program.
#[derive(Clone, Copy, Debug)]
pub struct PaperFile {
    pub name: &'static str,
    /// The sweep file.
    pub sweep: &'static str,
    pub statements: &'static str,
}

/// A paper and what it states.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Authors and year, short.
    pub paper: String,
    /// Overrides of the sweep file for the published size.
    #[serde(default)]
    pub full: Vec<String>,
    /// The columns need float64.
    #[serde(default)]
    pub float64: bool,
    #[serde(rename = "statement")]
    pub statements: Vec<Statement>,
}

/// How the values of the replicates are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    #[default]
    Mean,
    /// The variance between seeds.
    Variance,
}

/// What is asked of measured and predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Within 4 standard errors, and the tolerance.
    Equal,
    /// Larger by more than 4 standard errors.
    Above,
    /// Smaller by more than 4 standard errors.
    Below,
}

impl Test {
    /// What stands before a prediction that is a bound: `< 3.2`.
    pub fn sign(self) -> &'static str {
        match self {
            Test::Equal => "",
            Test::Above => "> ",
            Test::Below => "< ",
        }
    }
}

/// One statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What the paper says, in one sentence.
    pub says: String,
    /// An expression over the columns of networks.csv: which networks it is about. All, if empty.
    #[serde(default)]
    pub select: String,
    /// What is measured in one network: an expression over the columns of networks.csv and `row(layer, "column")` of
    /// layers.csv.
    pub measured: String,
    #[serde(default)]
    pub statistic: Statistic,
    /// Columns of networks.csv with other values: the mean over the configurations that differ in just these is
    /// subtracted.
    #[serde(default)]
    pub versus: BTreeMap<String, String>,
    /// What is expected: an expression as `measured`, with `theory(layer, "column")` of theory.csv besides. 0, if empty.
    #[serde(default)]
    pub predicted: String,
    pub test: Test,
    /// Added to 4 standard errors.
    #[serde(default)]
    pub tolerance: f64,
    /// The size of what is looked for: the standard error must be below a tenth of it, or the measurement says little.
    #[serde(default)]
    pub effect: Option<f64>,
    /// Why there is a tolerance, or why the statement does not hold.
    #[serde(default)]
    pub because: String,
    /// False: the statement is known not to hold, and `because` says why.
    #[serde(default = "yes")]
    pub holds: bool,
}

fn yes() -> bool {
    true
}

impl PaperFile {
    /// What the paper states. The file is part of the program and its tests parse it.
    pub fn parse(&self) -> Result<Paper, String> {
        toml::from_str(self.statements).map_err(|error| format!("{}.statements.toml: {error}", self.name))
    }
}
