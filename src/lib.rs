#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod data;
pub mod engine;
pub mod network;
pub mod output;
pub mod plan;
pub mod program;
pub mod report;
pub mod reproduce;
pub mod run;
pub mod sampler;
pub mod stats;
pub mod store;
pub mod theory;
