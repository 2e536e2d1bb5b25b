//! Guides for users. The options of a
//! pipeline are documented in [`crate::config::spec`], those of a segment map in
//! [`crate::config::map_spec`].

#[doc = include_str!("../docs/exports.md")]
pub mod exports {}

#[doc = include_str!("../docs/how-it-works.md")]
pub mod how_it_works {}

#[doc = include_str!("../docs/outputs.md")]
pub mod outputs {}

#[doc = include_str!("../docs/scale.md")]
pub mod scale {}

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}
