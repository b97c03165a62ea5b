//! The one integration test binary: a module per subject.

mod columns;
mod configs;
mod csv_readers;
mod golden;
mod gradients;
mod range;
mod science_facts;
mod statistics;
mod store;
mod support;
mod tidy;
