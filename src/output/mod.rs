//! Tables as text: rows of `layers.csv` and `networks.csv` as bytes, by the CSV rules of the interface, and the way back.
//! Writing is a pure function of the plan and a network's result, so rows may be formatted on any thread; it opens no
//! file.

mod fields;
mod layers;
mod networks;
mod read;
mod text;
mod theory;

pub use fields::{Field, datapackage};
pub use layers::LayersWriter;
pub use networks::NetworksWriter;
pub use read::{ReadError, TableReader, TableRow};
pub use theory::TheoryWriter;

#[cfg(test)]
mod tests;
