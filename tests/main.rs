//! The one integration test binary: a module per subject.

mod columns;
mod csv_readers;
mod golden;
mod support;
mod tidy;
