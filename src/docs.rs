//! Pages to read beside those of the items: recipes, every output column, clusters, and what other tools do better. Every option of a pipeline
//! is told of in [`crate::config::spec`], of a segment map in [`crate::config::map_spec`].

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

#[doc = include_str!("../docs/outputs.md")]
pub mod outputs {}

#[doc = include_str!("../docs/scale.md")]
pub mod scale {}

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}
