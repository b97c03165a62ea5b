//! Tables as text: rows of `layers.csv` and `networks.csv` as bytes, by the CSV rules of the interface, the way back, and
//! finished tables in other formats. Writing rows is a pure function of the plan and a network's result, so they may be
//! formatted on any thread; nothing here opens a file.

mod export;
mod fields;
mod layers;
mod long;
mod networks;
mod parquet;
mod read;
mod text;
mod theory;

pub use self::parquet::{settle_types, write_parquet};
pub use export::{ExportError, Package, Resource, TypedColumn};
pub use fields::{Field, datapackage};
pub use layers::LayersWriter;
pub use long::write_long;
pub use networks::NetworksWriter;
pub use read::{ReadError, TableReader, TableRow};
pub use theory::TheoryWriter;

#[cfg(test)]
mod tests;
