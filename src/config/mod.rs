//! The sweep file as typed data: TOML with spans, keys, axes and filters, and the errors that point into the file.

pub mod key;

pub use key::{Key, Value};
