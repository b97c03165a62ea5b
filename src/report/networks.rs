//! `networks.csv`: the keys, the configurations they make, and what became of every network.

use std::collections::HashMap;
use std::io::Read;

use super::data::{Configuration, DEAD, FALLS_WITH_DEATH, Key, METRICS, Networks, OUTCOMES, PREDICTIONS, Run};
use super::short::shortened;
use super::spread::{Number, Samples};
use crate::output::{ReadError, TableReader, TableRow};

/// Columns before and beside the keys.
const IDENTITY: [&str; 6] = ["network", "configuration", "index", "sweep", "replicate", "seed"];

/// What the second table needs to know of the first.
#[derive(Debug, Default)]
pub struct Index {
    /// Position of every network by its id.
    pub networks: HashMap<Vec<u8>, u32>,
    /// Position of every configuration by its id.
    pub configurations: HashMap<Vec<u8>, u32>,
    /// Hidden layers per configuration.
    pub depths: Vec<u32>,
}

/// A column of keys while it is read.
#[derive(Default)]
struct KeyColumn {
    column: usize,
    values: Vec<String>,
    positions: HashMap<Vec<u8>, u32>,
    /// Of the row before: most keys keep their value from row to row.
    last: usize,
}

impl KeyColumn {
    fn position(&mut self, cell: &[u8]) -> Option<u32> {
        if cell.is_empty() {
            return None;
        }
        if self.values.get(self.last).is_some_and(|value| value.as_bytes() == cell) {
            return Some(self.last as u32);
        }
        if let Some(position) = self.positions.get(cell) {
            self.last = *position as usize;
            return Some(*position);
        }
        let position = self.values.len() as u32;
        self.last = position as usize;
        self.values.push(String::from_utf8_lossy(cell).into_owned());
        self.positions.insert(cell.to_vec(), position);
        Some(position)
    }

    /// The key, and where its values went.
    fn finish(self, name: String) -> (Key, Vec<u32>) {
        let parsed: Option<Vec<f64>> =
            self.values.iter().map(|v| v.parse().ok().filter(|x: &f64| x.is_finite())).collect();
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        if let Some(numbers) = &parsed {
            order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
        }
        let mut moved = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            moved[*old] = new as u32;
        }
        let values: Vec<String> = order.iter().map(|i| self.values[*i].clone()).collect();
        let numbers: Option<Vec<f64>> = parsed.map(|numbers| order.iter().map(|i| numbers[*i]).collect());
        let short = numbers.as_ref().map_or(Vec::new(), |numbers| shortened(&values, numbers));
        (Key { name, values, numbers, short }, moved)
    }
}

/// Values of a configuration while its networks are read.
struct Gathered {
    metrics: Vec<Samples>,
    predictions: Vec<Samples>,
}

/// Reads the table into `run`.
pub fn read(source: impl Read, run: &mut Run) -> Result<Index, ReadError> {
    let mut table = TableReader::new(source)?;
    let header = table.header().to_vec();
    let column = |name: &str| header.iter().position(|c| c == name);
    let [network, configuration, sweep, replicate] = ["network", "configuration", "sweep", "replicate"].map(column);
    let [status, verdict, error, depth] = ["status", "verdict", "error", "depth"].map(column);
    let metrics = METRICS.map(column);
    let predictions = PREDICTIONS.map(column);
    // Per metric whether it falls with death, and the column without which it does not exist.
    let falls = METRICS.map(|name| FALLS_WITH_DEATH.iter().find(|f| f.0 == name).map(|f| f.1.map(column)));
    let mut keys: Vec<KeyColumn> = sweep
        .into_iter()
        .chain((0..status.unwrap_or(0)).filter(|i| !IDENTITY.contains(&header[*i].as_str())))
        .map(|column| KeyColumn { column, ..KeyColumn::default() })
        .collect();

    let mut index = Index::default();
    let mut gathered: Vec<Gathered> = Vec::new();
    run.networks = Networks { metrics: vec![Vec::new(); METRICS.len()], ..Networks::default() };
    while let Some(row) = table.next_row()? {
        let values: Vec<Option<u32>> = keys.iter_mut().map(|key| key.position(row.bytes(Some(key.column)))).collect();
        let id = row.bytes(configuration);
        let next = gathered.len() as u32;
        let position = *index.configurations.entry(id.to_vec()).or_insert(next);
        if position == next {
            gathered.push(Gathered {
                metrics: vec![Samples::default(); METRICS.len()],
                predictions: vec![Samples::default(); PREDICTIONS.len()],
            });
            index.depths.push(row.integer(depth).unwrap_or(0).min(1 << 20) as u32);
            run.configurations.push(Configuration {
                id: String::from_utf8_lossy(id).into_owned(),
                values,
                ..Configuration::default()
            });
        }
        let outcome = outcome(&row, status, verdict);
        let entry = &mut run.configurations[position as usize];
        entry.networks += 1;
        if let Some(outcome) = outcome {
            entry.outcomes[outcome] += 1;
        }
        let seen = &mut gathered[position as usize];
        for (m, column) in metrics.iter().enumerate() {
            let number = row.number(*column);
            run.networks.metrics[m].push(Number::settled(number));
            let defined = || falls[m].is_some_and(|needed| needed.is_none_or(|column| row.number(column).is_some()));
            match number {
                None if outcome == Some(DEAD) && defined() => seen.metrics[m].push_zero(),
                number => seen.metrics[m].push(number),
            }
        }
        for (samples, column) in seen.predictions.iter_mut().zip(&predictions) {
            samples.push(row.number(*column));
        }
        index.networks.insert(row.bytes(network).to_vec(), run.networks.id.len() as u32);
        run.networks.id.push(row.text(network).into_owned());
        run.networks.configuration.push(position);
        run.networks.replicate.push(row.integer(replicate).unwrap_or(0) as u32);
        run.networks.outcome.push(outcome.map(|o| o as u8));
        run.networks.error.push(row.text(error).into_owned());
    }

    for (entry, seen) in run.configurations.iter_mut().zip(gathered) {
        entry.metrics = seen.metrics.into_iter().map(Samples::spread).collect();
        entry.predicted = seen.predictions.into_iter().map(Samples::median).collect();
    }
    run.recorded.predictions = run.configurations.iter().any(|c| c.predicted.iter().any(|p| p.0.is_some()));
    finish_keys(run, keys, &header);
    Ok(index)
}

/// The verdict, or the status where there is none.
fn outcome(row: &TableRow<'_>, status: Option<usize>, verdict: Option<usize>) -> Option<usize> {
    let word = Some(row.text(verdict)).filter(|word| !word.is_empty()).unwrap_or_else(|| row.text(status));
    OUTCOMES.iter().position(|outcome| *outcome == word)
}

/// Sorts the values of every key and leaves out the keys that no network has, and a lone sweep.
fn finish_keys(run: &mut Run, columns: Vec<KeyColumn>, header: &[String]) {
    let mut kept = Vec::new();
    for (k, column) in columns.into_iter().enumerate() {
        let name = header[column.column].clone();
        let (key, moved) = column.finish(name);
        for configuration in &mut run.configurations {
            configuration.values[k] = configuration.values[k].map(|old| moved[old as usize]);
        }
        if key.values.is_empty() || (key.name == "sweep" && key.values.len() < 2) {
            continue;
        }
        if key.values.len() > 1 {
            run.varying.push(kept.len());
        }
        kept.push(k);
        run.keys.push(key);
    }
    for configuration in &mut run.configurations {
        configuration.values = kept.iter().map(|k| configuration.values[*k]).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
network,configuration,index,sweep,replicate,seed,depth,activation,sigma_w,status,error,log10_grad_ratio_total,verdict
n-1,c-1,0,s,0,7,4,tanh,10.0,ok,,-4.0,vanishing
n-2,c-1,1,s,1,8,4,tanh,10.0,ok,,-6.0,vanishing
n-3,c-1,2,s,2,9,4,tanh,10.0,ok,,,dead
n-4,c-2,3,s,0,1,4,relu,,ok,,0.5,stable
n-5,c-3,4,s,0,2,4,tanh,2.5,failed,no memory,,
";

    #[test]
    fn networks_become_configurations_with_medians_over_seeds() {
        let mut run = Run::default();
        let index = read(TABLE.as_bytes(), &mut run).unwrap();
        assert_eq!((index.networks.len(), index.depths), (5, vec![4, 4, 4]));
        let names: Vec<_> = run.keys.iter().map(|k| k.name.as_str()).collect();
        assert_eq!((names, run.varying.clone()), (vec!["depth", "activation", "sigma_w"], vec![1, 2]));
        assert_eq!(run.keys[2].values, ["2.5", "10.0"]);
        assert_eq!((run.keys[2].numbers.as_deref(), &run.keys[1].numbers), (Some(&[2.5, 10.0][..]), &None));
        let first = &run.configurations[0];
        assert_eq!((first.values.as_slice(), first.networks), (&[Some(0), Some(0), Some(1)][..], 3));
        assert_eq!(first.outcomes, [2, 0, 0, 1, 0, 0]);
        // Of -4, -6 and the dead one, the median is -6.
        assert_eq!((first.metrics[0].median.get(), first.metrics[0].zeros), (Some(-6.0), 1));
        assert_eq!(run.configurations[1].values, [Some(0), Some(1), None]);
        assert_eq!(run.configurations[2].outcomes[5], 1);
        assert_eq!((run.networks.error[4].as_str(), run.networks.outcome[4]), ("no memory", Some(5)));
    }

    #[test]
    fn dead_networks_are_lowest_in_every_number_that_falls_with_the_gradient() {
        let header = "network,configuration,depth,status,log10_grad_ratio_total,grad_decades_per_layer,depth_scale,verdict,\
                      max_trainable_depth,log10_loss,predicted_log10_grad_ratio_total,grad_ratio_deviation\n";
        // Two of four are dead: every median lies on the border, the upper quantile among the living.
        let rows = "n-1,c-1,9,ok,-4.0,-0.25,0.868,vanishing,9.0,-1.0,-3.0,-1.0\nn-2,c-1,9,ok,,,,dead,,-2.0,-3.0,\n\
                    n-3,c-1,9,ok,,,,dead,,-3.5,-3.0,\nn-4,c-1,9,ok,-2.0,-0.125,1.737,stable,17.0,-4.0,-3.0,1.0\n";
        let mut run = Run::default();
        read(format!("{header}{rows}").as_bytes(), &mut run).unwrap();
        let of = |name: &str| run.configurations[0].metrics[crate::report::data::metric(name)];
        for (name, high) in [
            ("log10_grad_ratio_total", -2.6),
            ("grad_decades_per_layer", -0.1625),
            ("depth_scale", 1.4763),
            ("max_trainable_depth", 14.6),
            ("grad_ratio_deviation", 0.4),
        ] {
            let spread = of(name);
            assert_eq!(
                (spread.known, spread.zeros, spread.low.get(), spread.median.get()),
                (2, 2, None, None),
                "{name}"
            );
            assert!((spread.high.get().unwrap() - high).abs() < 1e-9, "{name}: {spread:?}");
        }
        // A dead network has a loss, and where theory says nothing there is no deviation from it.
        assert_eq!((of("log10_loss").known, of("log10_loss").zeros), (4, 0));
        let mut run = Run::default();
        read(format!("{header}{}", rows.replace(",-3.0,", ",,")).as_bytes(), &mut run).unwrap();
        assert_eq!(run.configurations[0].metrics[crate::report::data::metric("grad_ratio_deviation")].zeros, 0);
        assert_eq!(run.deaths(&[0]), (2, 4));
    }

    #[test]
    fn a_table_without_rows_has_no_networks() {
        let mut run = Run::default();
        read("network,configuration,status\n".as_bytes(), &mut run).unwrap();
        assert!(run.networks.id.is_empty() && run.keys.is_empty());
    }
}
