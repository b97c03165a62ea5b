//! Statistics: the mergeable records that engines fill, and the named statistics that are float64 formulas over them.
//! This module touches no file, clock or device.

pub mod catalog;
pub mod histogram;
pub mod record;
mod scaled;
pub mod summary;

pub use record::{Count, Moments, Quantity, Record, RecordMask, Scaled, Spectrum, Sum};
