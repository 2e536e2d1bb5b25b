//! Confusion matrices of the models.

use super::{Table, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "confusion",
    grain: "One row per cell of a confusion matrix.",
    columns: &[text(MODEL), text(PROTOCOL), text(ACTUAL), text(PREDICTED), uint32(CUSTOMERS)],
};
