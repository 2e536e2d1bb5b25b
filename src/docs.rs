//! Guides: recipes, output columns, clusters, and a comparison with other tools. The options of a
//! pipeline are documented in [`crate::config::spec`], those of a segment map in
//! [`crate::config::map_spec`].

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

#[doc = include_str!("../docs/outputs.md")]
pub mod outputs {}

#[doc = include_str!("../docs/scale.md")]
pub mod scale {}

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}
