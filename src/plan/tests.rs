//! Plans of small sweep files.

use super::*;
use crate::config::Overrides;

fn file(text: &str) -> SweepFile {
    SweepFile::parse(text, "sweep.toml", &Overrides::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn plan(text: &str) -> Plan {
    Plan::new(&file(text)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_last_axis_moves_fastest_and_the_replicate_faster_still() {
    let plan = plan("replicates = 2\n[[sweep]]\ndepth = [3, 1]\nwidth = [8, 4]");
    let order: Vec<_> =
        (0..plan.len()).map(|i| plan.network(i)).map(|n| (n.spec.depth, n.spec.width, n.replicate)).collect();
    assert_eq!(order, [(3, 8, 0), (3, 8, 1), (3, 4, 0), (3, 4, 1), (1, 8, 0), (1, 8, 1), (1, 4, 0), (1, 4, 1)]);
    assert_eq!(plan.varying, [Key::Depth, Key::Width]);
}
