//! The one integration test binary: a module per subject.

mod columns;
mod command_line;
mod configs;
mod csv_readers;
mod determinism;
mod golden;
mod gpu_basics;
mod gpu_cases;
mod gpu_compare;
mod gpu_random;
mod gpu_range;
mod gpu_support;
mod gradients;
mod interruption;
mod python;
mod quantiles;
mod range;
mod records;
mod run_loop;
mod schema;
mod science_facts;
mod statistics;
mod store;
mod support;
mod theory;
mod tidy;
