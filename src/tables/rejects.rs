//! Rejects: the rows that were rejected.

use super::{Column, Table, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "rejects",
    grain: "One row per rejected source row.",
    columns: &[
        text(STEP),
        text(REASON).means("Why the row was rejected."),
        text(SOURCE_FILE).means("Source file."),
        uint32(SOURCE_ROW),
        text(TEXT),
        Column::ATTRIBUTES,
    ],
};
