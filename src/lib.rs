#![doc = include_str!("ARCHITECTURE.md")]

// Foundations.
pub mod error;
pub mod columns;
pub mod tables;
mod dedup;
mod error_keeping_file;
mod temp;
mod export;
pub mod progress;
mod remote;

// Stages in order.
pub mod ingest;
pub mod clean;
pub mod orders;
mod checks;
pub mod rfm;
pub mod score;
mod segment;
pub mod model;
pub mod evaluate;
mod artefact;
pub mod manifest;
mod report;
pub mod publish;

// The definition of a pipeline, and what computes it.
pub mod pipeline;
pub mod config;
pub mod session;
mod lineage;
mod spark;
pub mod simulate;
pub mod init;

// The program.
mod cli;
mod commands;
mod process;
pub mod docs;

pub use process::main;
