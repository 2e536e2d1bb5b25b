#![doc = include_str!("ARCHITECTURE.md")]

pub mod error;
pub mod columns;
pub mod config;
pub mod pipeline;
pub mod ingest;
pub mod clean;
pub mod orders;
pub mod checks;
pub mod rfm;
pub mod score;
pub mod segment;
pub mod model;
pub mod evaluate;
pub mod artefact;
pub mod publish;
pub mod simulate;
