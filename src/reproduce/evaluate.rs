//! Judges a run against statements: groups networks by configuration, evaluates each statement's expressions and
//! compares the mean over seeds with the prediction, in standard errors.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rhai::{AST, Dynamic, Engine, EvalAltResult, Scope};

use super::read::{ReadNetwork, ReadRun};
use super::statement::{Statement, Statistic, Test};
use crate::config::Key;

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// It does not hold, as the file says.
    DoesNotHold,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "FAIL",
            Outcome::DoesNotHold => "does not hold",
        }
    }
}

/// One configuration's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The keys that differ between the configurations of the statement: `depth = 10`.
    pub keys: String,
    pub predicted: f64,
    pub measured: f64,
    pub standard_error: f64,
    pub seeds: usize,
    /// Distance to the border of what passes, in standard errors and tolerances; negative fails.
    margin: f64,
    /// The standard error is small against the effect.
    sharp: bool,
}

/// What was found of one statement.
#[derive(Clone, Debug)]
pub struct Finding {
    pub outcome: Outcome,
    /// Every configuration that it is about.
    pub groups: Vec<Group>,
    /// Why it could not be judged, or which measurement says too little.
    pub error: Option<String>,
}

impl Finding {
    /// The configuration that is nearest to failing, or fails most.
    pub fn worst(&self) -> Option<&Group> {
        self.groups.iter().min_by(|a, b| a.margin.total_cmp(&b.margin))
    }
}

type Failed = Box<EvalAltResult>;

/// Judges all statements of a paper.
pub fn evaluate(run: ReadRun, statements: &[Statement]) -> Vec<Finding> {
    let run = Arc::new(run);
    let mut configurations: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (i, network) in run.networks.iter().enumerate() {
        let id = network.cells.get("configuration").map_or("", String::as_str);
        configurations.entry(*first.entry(id).or_insert(i)).or_default().push(i);
    }
    let members: Vec<Vec<usize>> = configurations.into_values().collect();
    statements
        .iter()
        .map(|statement| match judge(&run, &members, statement) {
            Ok(finding) => finding,
            Err(error) => Finding { outcome: Outcome::Fail, groups: Vec::new(), error: Some(error) },
        })
        .collect()
}

fn judge(run: &Arc<ReadRun>, members: &[Vec<usize>], statement: &Statement) -> Result<Finding, String> {
    let engine = Expressions { run: Arc::clone(run) };
    let select = if statement.select.is_empty() { None } else { Some(Expressions::compile(&statement.select)?) };
    let measured = Expressions::compile(&statement.measured)?;
    let predicted = Expressions::compile(if statement.predicted.is_empty() { "0.0" } else { &statement.predicted })?;
    let mut chosen = Vec::new();
    for networks in members {
        let keep = match &select {
            Some(select) => engine.value::<bool>(networks[0], select)?,
            None => true,
        };
        if keep {
            chosen.push(networks);
        }
    }
    let varying = varying_keys(run, &chosen);
    let mut groups = Vec::new();
    for networks in &chosen {
        let (mut value, mut error) = engine.estimate(networks, &measured, statement.statistic)?;
        if !statement.versus.is_empty() {
            let other = counterpart(run, members, networks[0], &statement.versus).ok_or_else(|| {
                format!("no configuration is the counterpart of {}", describe(run, networks[0], &varying))
            })?;
            let (other_value, other_error) = engine.estimate(other, &measured, statement.statistic)?;
            (value, error) = (value - other_value, error.hypot(other_error));
        }
        let predicted = engine.number(networks[0], &predicted)?;
        let room = 4.0 * error + statement.tolerance;
        let distance = value - predicted;
        let margin = match statement.test {
            Test::Equal => room - distance.abs(),
            Test::Above => distance - room,
            Test::Below => -distance - room,
        };
        groups.push(Group {
            keys: describe(run, networks[0], &varying),
            predicted,
            measured: value,
            standard_error: error,
            seeds: networks.len(),
            // Numbers that are equal to rounding have no scatter.
            margin: if room > 0.0 { margin / room } else { margin },
            sharp: statement.effect.is_none_or(|effect| error < 0.1 * effect.abs()),
        });
    }
    if groups.is_empty() {
        return Err("no network is selected".to_string());
    }
    let holds = groups.iter().all(|group| group.margin >= 0.0);
    let blunt = groups.iter().find(|group| !group.sharp);
    let error = blunt.map(|group| format!("the standard error says little: {}", group.keys));
    let outcome = match (holds, statement.holds) {
        _ if error.is_some() => Outcome::Fail,
        (true, true) => Outcome::Pass,
        (false, false) => Outcome::DoesNotHold,
        (false, true) => Outcome::Fail,
        (true, false) => {
            let error = Some("it holds here, and the file says that it does not".to_string());
            return Ok(Finding { outcome: Outcome::Fail, groups, error });
        }
    };
    Ok(Finding { outcome, groups, error })
}

/// Evaluates expressions on one network at a time.
struct Expressions {
    run: Arc<ReadRun>,
}

impl Expressions {
    fn compile(text: &str) -> Result<AST, String> {
        Engine::new().compile_expression(text).map_err(|error| format!("`{text}`: {error}"))
    }

    fn value<T: Clone + Send + Sync + 'static>(&self, network: usize, ast: &AST) -> Result<T, String> {
        let mut engine = Engine::new();
        engine.register_fn("log10", |x: f64| x.log10());
        let run = Arc::clone(&self.run);
        engine.register_fn("row", move |layer: f64, column: &str| -> Result<f64, Failed> {
            let place = run.layer_columns.iter().position(|name| name == column);
            let cells = run.networks[network].layers.get(&(layer as u32));
            number_in(cells, place).ok_or_else(|| format!("no {column} in row {layer} of layers.csv").into())
        });
        let run = Arc::clone(&self.run);
        engine.register_fn("theory", move |layer: f64, column: &str| -> Result<f64, Failed> {
            let place = run.theory_columns.iter().position(|name| name == column);
            let id = run.networks[network].cells.get("configuration").cloned().unwrap_or_default();
            let cells = run.theory.get(&(id, layer as u32));
            number_in(cells, place).ok_or_else(|| format!("no {column} in row {layer} of theory.csv").into())
        });
        let mut scope = scope(&self.run.networks[network]);
        engine.eval_ast_with_scope::<T>(&mut scope, ast).map_err(|error| error.to_string())
    }

    fn number(&self, network: usize, ast: &AST) -> Result<f64, String> {
        let value = self.value::<Dynamic>(network, ast)?;
        let number = value.as_float().or_else(|_| value.as_int().map(|v| v as f64));
        number.ok().filter(|v| v.is_finite()).ok_or_else(|| format!("{value} is no finite number"))
    }

    /// The statistic over the replicates of a configuration, with its standard error.
    fn estimate(&self, networks: &[usize], ast: &AST, statistic: Statistic) -> Result<(f64, f64), String> {
        let mut values: Vec<f64> = networks.iter().map(|&n| self.number(n, ast)).collect::<Result<_, String>>()?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        if statistic == Statistic::Variance {
            // Unbiased, as a mean of squares.
            values.iter_mut().for_each(|v| *v = (*v - mean).powi(2) * n / (n - 1.0));
        }
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Ok((mean, (variance / n).sqrt()))
    }
}

fn number_in(cells: Option<&Vec<f64>>, place: Option<usize>) -> Option<f64> {
    cells?.get(place?).copied().filter(|v| v.is_finite())
}

/// The cells of networks.csv as variables: numbers where they are numbers.
fn scope(network: &ReadNetwork) -> Scope<'static> {
    let mut scope = Scope::new();
    let names = Key::ALL.iter().map(|key| key.name());
    // Keys that do not apply can be compared with.
    for name in names.filter(|name| !network.cells.contains_key(*name)) {
        scope.push_dynamic(name, Dynamic::UNIT);
    }
    for (name, cell) in &network.cells {
        let value = match (cell.parse::<f64>(), cell.as_str()) {
            (Ok(number), _) => Dynamic::from_float(number),
            (_, "true" | "false") => Dynamic::from_bool(cell == "true"),
            _ => Dynamic::from(cell.clone()),
        };
        scope.push_dynamic(name.clone(), value);
    }
    scope
}

fn key_cells(network: &ReadNetwork) -> impl Iterator<Item = (&'static str, Option<&String>)> {
    Key::ALL.iter().map(|key| if *key == Key::Loss { "loss_function" } else { key.name() }).map(|name| {
        let cell = network.cells.get(name);
        (name, cell)
    })
}

fn varying_keys(run: &ReadRun, chosen: &[&Vec<usize>]) -> Vec<&'static str> {
    let Some(first) = chosen.first() else { return Vec::new() };
    let first = &run.networks[first[0]];
    let differs = |name: &str| chosen.iter().any(|n| run.networks[n[0]].cells.get(name) != first.cells.get(name));
    key_cells(first).map(|(name, _)| name).filter(|name| differs(name)).collect()
}

fn describe(run: &ReadRun, network: usize, varying: &[&'static str]) -> String {
    let cells = &run.networks[network].cells;
    let texts: Vec<String> =
        varying.iter().filter_map(|name| Some(format!("{name} = {}", cells.get(*name)?))).collect();
    texts.join(", ")
}

/// The configuration that has the values of `versus` and agrees with `network` in every other key of the sweep.
fn counterpart<'a>(
    run: &ReadRun,
    members: &'a [Vec<usize>],
    network: usize,
    versus: &BTreeMap<String, String>,
) -> Option<&'a Vec<usize>> {
    let own = &run.networks[network];
    members.iter().find(|candidate| {
        let other = &run.networks[candidate[0]];
        candidate[0] != network
            && key_cells(other).all(|(name, cell)| match versus.get(name) {
                Some(wanted) => cell == Some(wanted),
                // A key may apply to one of the two alone.
                None => cell.is_none() || !own.cells.contains_key(name) || cell == own.cells.get(name),
            })
    })
}
