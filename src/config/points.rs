//! How many points a sweep has, counted from the file before any value is made.

use super::axis::count;
use super::key::Key;
use super::tree::{Entry, NodeKind, Table};

/// The entries of a table that are network keys, in file order.
pub fn keys(table: &Table) -> impl Iterator<Item = (&Entry, Key)> {
    table.entries.iter().filter_map(|entry| Some((entry, Key::from_name(&entry.name)?)))
}

/// The number of points of a sweep, and the product spelled out.
pub struct Size {
    pub product: u128,
    pub spelled: String,
}

impl Size {
    pub fn of(name: &str, table: &Table, defaults: &Table, replicates: u32) -> Size {
        let mut factors: Vec<(String, u64)> = Vec::new();
        let zip = zip_table(table);
        for (entry, key) in keys(defaults) {
            if table.get(key.name()).is_none() && zip.is_none_or(|zip| zip.get(key.name()).is_none()) {
                factors.push((entry.name.clone(), count(&entry.node, key.row())));
            }
        }
        for entry in &table.entries {
            if let Some(key) = Key::from_name(&entry.name) {
                factors.push((entry.name.clone(), count(&entry.node, key.row())));
            } else if let (true, Some(zip)) = (entry.name == "zip", zip) {
                let length = keys(zip).map(|(entry, key)| count(&entry.node, key.row())).max();
                factors.push(("zip".to_string(), length.unwrap_or(1)));
            }
        }
        factors.push(("replicates".to_string(), u64::from(replicates)));
        let product = factors.iter().fold(1u128, |product, (_, n)| product.saturating_mul(u128::from(*n)));
        let spelled: Vec<String> =
            factors.iter().filter(|(_, n)| *n != 1).map(|(name, n)| format!("{name} {n}")).collect();
        let shown = thousands(product);
        let spelled = match &spelled[..] {
            [] => format!("sweep `{name}`: {shown}"),
            factors => format!("sweep `{name}`: {} = {shown}", factors.join(" x ")),
        };
        Size { product, spelled }
    }
}

/// 1,000,000
pub fn thousands(n: u128) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

/// The table after `zip =`.
pub fn zip_table(table: &Table) -> Option<&Table> {
    match table.get("zip").map(|entry| &entry.node.kind) {
        Some(NodeKind::Table(zip)) => Some(zip),
        _ => None,
    }
}
